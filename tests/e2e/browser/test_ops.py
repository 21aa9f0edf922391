"""The ops page in a browser: figures that move, orders with all that happened to them, and what is done about both."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.browser.chromium import DESKTOP, PHONE
from tests.e2e.browser.conftest import Comes
from tests.e2e.browser.operator import Operator, sell
from tests.e2e.browser.test_looks import WIDER_THAN_THE_SCREEN, serious
from tests.e2e.browser.tour import ops_tour
from tests.e2e.browser.visitor import KEY, Merchant
from tests.processes import RunningShop
from tests.servers import until

pytestmark = pytest.mark.e2e


@pytest.fixture
def operator(comes: Comes) -> Operator:
    """Logged in, with the figures in front of them."""
    found = Operator(comes().context)
    found.logs_in()
    found.sees_figures()
    return found


def stock(shop: RunningShop, product_id: str) -> int:
    found: int = shop.shopper().ask("GET", f"/api/products/{product_id}").body["stock_quantity"]
    return found


def test_a_checkout_moves_the_figures_within_seconds(shop: RunningShop, operator: Operator, merchant: Merchant) -> None:
    merchant.stock("house-coffee-250g", 500)
    before = operator.total("settled")

    sell(shop, 5)

    operator.sees_total("settled", before + 5)
    operator.sees_total("accepted", before + 5)
    expect(operator.page.locator('[data-rate="settled"]')).not_to_have_text("0")
    expect(operator.page.locator('[data-figure="p50"]')).to_have_text(re.compile(r"\d+(\.\d)? m?s"))


DRAWN = """async (values) => {
  const { Chart } = await import("/static/ops/charts.js");
  const place = document.body.appendChild(document.createElement("div"));
  const chart = new Chart(place, { series: 1, unit: String, least: 1, spans: values.spans });
  chart.show([values.all.map((_, i) => 1000 + 20 * i), values.all]);
  await new Promise((done) => setTimeout(() => requestAnimationFrame(done)));
  const canvas = place.querySelector("canvas");
  const brush = document.createElement("canvas").getContext("2d");
  brush.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--line-1");
  brush.fillRect(0, 0, 1, 1);
  const [red, green, blue] = brush.getImageData(0, 0, 1, 1).data;
  const seen = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let found = 0;
  for (let i = 0; i < seen.length; i += 4)
    if (seen[i + 3] > 200 && seen[i] === red && seen[i + 1] === green && seen[i + 2] === blue) found++;
  place.remove();
  return found;
}"""
"""How many pixels of a chart have the colour of its line."""


@pytest.mark.parametrize("spans", [False, True])
def test_a_value_without_neighbours_is_drawn_too(operator: Operator, *, spans: bool) -> None:
    page = operator.page

    nothing, alone, line = (
        page.evaluate(DRAWN, {"spans": spans, "all": values})
        for values in ([None] * 5, [None, None, 3, None, None], [None, 3, 3, 3, None])
    )

    assert nothing == 0
    assert 0 < alone < line


def test_a_killed_worker_is_seen_and_survived(shop: RunningShop, operator: Operator) -> None:
    died = operator.page.locator('[data-figure="died"]')
    before = int(died.inner_text())

    shop.kill("worker", slice(1, 2))

    expect(died).to_have_text(str(before + 1))
    operator.sees_figures()
    until(lambda: shop.shopper().ask("GET", "/readyz").status == 200, what="the worker to be back")


def test_an_order_is_found_by_its_address_and_tells_what_happened(
    shop: RunningShop, operator: Operator, merchant: Merchant
) -> None:
    merchant.stock("house-coffee-250g", 500)
    order_id = sell(shop, 1)[0]
    page = operator.page
    operator.opens("Orders")

    page.get_by_role("searchbox").fill(order_id)
    page.get_by_role("searchbox").press("Enter")

    page.wait_for_url(f"**/ops/orders/{order_id}")
    expect(page.locator(".timeline strong")).to_have_text(["Accepted", "Stock taken", "Confirmed"])
    expect(page.locator("[data-badges]")).to_contain_text("Confirmed")


def test_an_order_is_shipped_from_its_page_and_its_timeline_says_by_whom(
    shop: RunningShop, operator: Operator, merchant: Merchant
) -> None:
    merchant.stock("house-coffee-250g", 500)
    order_id = sell(shop, 1)[0]
    page = operator.page
    page.goto(f"/ops/orders/{order_id}")
    page.get_by_role("button", name="Ship").click()
    dialog = page.get_by_role("dialog", name="Ship what is left?")
    dialog.get_by_label("Tracking address").fill("no address")
    dialog.get_by_role("button", name="Ship it").click()
    expect(dialog.get_by_role("alert")).to_contain_text("/tracking_url")

    dialog.get_by_label("Tracking address").fill("https://post.example/4711")
    dialog.get_by_role("button", name="Ship it").click()

    expect(page.locator("[data-badges]")).to_contain_text("Shipped")
    expect(page.locator(".timeline li").last).to_contain_text("by ADMIN_API_KEY")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_of_two_who_act_at_once_the_second_is_told(shop: RunningShop, operator: Operator, merchant: Merchant) -> None:
    merchant.stock("house-coffee-250g", 500)
    order_id = sell(shop, 1)[0]
    page = operator.page
    page.goto(f"/ops/orders/{order_id}")
    page.get_by_role("button", name="Ship").click()
    page.route("**/api/admin/orders/*", lambda route: route.abort())  # This page looks no more.
    shop.shopper().ask("POST", f"/api/admin/orders/{order_id}/notes", {"text": "Seen"}, Authorization=f"Bearer {KEY}")

    page.get_by_role("button", name="Ship it").click()

    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("It was changed since you read it.")


def test_an_order_is_cancelled_only_after_a_second_thought(
    shop: RunningShop, operator: Operator, merchant: Merchant
) -> None:
    merchant.stock("house-coffee-250g", 500)
    order_id = sell(shop, 1)[0]
    left = stock(shop, "house-coffee-250g")
    page = operator.page
    page.goto(f"/ops/orders/{order_id}")
    page.get_by_role("button", name="Cancel").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert stock(shop, "house-coffee-250g") == left

    page.get_by_role("button", name="Cancel").click()
    page.get_by_label("Reason").fill("Wrong roast")
    page.get_by_role("button", name="Cancel the order").click()

    expect(page.locator("[data-badges]")).to_contain_text("Cancelled")
    until(lambda: stock(shop, "house-coffee-250g") == left + 1, what="the stock to be seen")


def test_stock_is_received_after_it_was_confirmed(shop: RunningShop, operator: Operator, merchant: Merchant) -> None:
    merchant.stock("fig-jam", 1)
    page = operator.page
    operator.opens("Stock")
    receive = page.get_by_role("button", name="Receive Fig jam")
    receive.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Units that came")).to_be_focused()
    assert stock(shop, "fig-jam") == 1

    page.keyboard.type("24")
    page.keyboard.press("Enter")

    expect(page.locator("[data-announce]")).to_have_text("Fig jam: 25 in stock.")
    expect(receive).to_be_focused()
    until(lambda: stock(shop, "fig-jam") == 25, what="the stock to be seen")


def test_a_wrong_key_stays_outside_and_who_leaves_is_out(comes: Comes) -> None:
    operator = Operator(comes().context)
    operator.logs_in("not-the-key-of-anybody")
    expect(operator.page.get_by_role("alert")).to_contain_text("no key of this shop")

    operator.logs_in()
    operator.sees_figures()
    operator.page.get_by_role("button", name="Log out").click()

    expect(operator.page.get_by_label("API key")).to_be_visible()
    operator.page.goto("/ops/orders")
    assert "/ops/login" in operator.page.url
    operator.logs_in()
    operator.page.wait_for_url("**/ops/orders")


@pytest.mark.parametrize(
    ("size", "scheme"), [("desktop", "light"), ("desktop", "dark"), ("phone", "light"), ("phone", "dark")]
)
def test_every_ops_page_fits_its_screen_and_keeps_nobody_out(
    shop: RunningShop, comes: Comes, merchant: Merchant, size: str, scheme: str
) -> None:
    phone = size == "phone"
    options = {"viewport": PHONE if phone else DESKTOP, "color_scheme": scheme, "is_mobile": phone, "has_touch": phone}
    merchant.stock("house-coffee-250g", 500)
    sell(shop, 4)
    operator = Operator(comes(**options).context)

    found = {
        name: (serious(operator.page), operator.page.evaluate(WIDER_THAN_THE_SCREEN))
        for name in ops_tour(operator, merchant)
    }

    assert {name: what for name, what in found.items() if what != ([], 0)} == {}
    assert len(found) == 7
