"""Every page of the shop in each state worth looking at, one after the other, as one person comes by them."""

from __future__ import annotations

from collections.abc import Iterator

from playwright.sync_api import expect

from tests.e2e.browser.operator import Operator
from tests.e2e.browser.visitor import Merchant, Visitor

SCROLL_DOWN_AND_UP = """async () => {
  for (let y = 0; y < document.body.scrollHeight; y += 600) {
    scrollTo(0, y);
    await new Promise(requestAnimationFrame);
  }
  await Promise.all([...document.images].map((image) => image.decode().catch(() => {})));
  scrollTo(0, 0);
}"""


def tour(visitor: Visitor, merchant: Merchant) -> Iterator[str]:
    """The name of each page while it is shown."""
    page = visitor.page
    merchant.stock("olive-oil", 24)
    merchant.price("linen-notebook", "12.50")
    yield from _catalogue(visitor)
    visitor.puts("stoneware-mug-sand")
    yield "product"
    visitor.puts("olive-oil", 3)
    visitor.puts("linen-notebook", 2)
    merchant.stock("olive-oil", 2)
    merchant.price("linen-notebook", "13.00")
    visitor.opens("/cart")
    expect(page.get_by_role("button", name="Take 2")).to_be_visible()
    yield "cart-warnings"
    page.get_by_role("button", name="Take 2").click()
    expect(page.get_by_role("link", name="Check out")).to_be_enabled()
    yield "cart"
    visitor.opens("/checkout")
    visitor.sees_prices()
    visitor.place.click()
    expect(page.locator("[data-faults]")).to_be_visible()
    yield "checkout-faults"
    yield from _orders(visitor, merchant)
    visitor.opens("/nowhere")
    yield "not-found"


def _catalogue(visitor: Visitor) -> Iterator[str]:
    visitor.opens("/")
    visitor.page.evaluate(SCROLL_DOWN_AND_UP)
    yield "home"
    visitor.opens("/?category=home&sort=price&available=true")
    visitor.page.evaluate(SCROLL_DOWN_AND_UP)
    yield "category"
    visitor.opens("/?q=zeppelin&min_price=abc")
    yield "nothing-found"
    visitor.opens("/cart")
    visitor.sees("Nothing here yet")
    yield "cart-empty"


def _orders(visitor: Visitor, merchant: Merchant) -> Iterator[str]:
    page = visitor.page
    visitor.goes_to_checkout()
    visitor.pays("Card", "not enough money")
    yield "checkout"
    merchant.price("linen-notebook", "14.00")
    visitor.place.click()
    visitor.sees("The total has changed")
    yield "checkout-price-changed"
    page.get_by_role("button", name="Order for").click()
    visitor.sees("Your cart is back")
    yield "order-failed"
    visitor.goes_to_checkout()
    visitor.pays("Card", "confirm at your bank")
    visitor.place.click()
    visitor.sees_stages("done", "done", "asking", "waiting")
    yield "order-action"
    page.get_by_role("link", name="Confirm the payment").click()
    visitor.sees("Sandbox bank")
    yield "bank"
    page.get_by_role("button", name="Approve").click()
    visitor.sees_confirmed()
    yield "order"
    visitor.puts("enamel-mug")
    visitor.orders("Card", "takes three seconds")
    visitor.sees_stages("done", "done", "now", "waiting")
    yield "order-paying"
    visitor.history()
    yield "orders"


def ops_tour(operator: Operator, merchant: Merchant) -> Iterator[str]:
    """The same of the ops page, in a shop that has sold something."""
    page = operator.page
    merchant.stock("sea-salt", 2)
    page.goto("/ops")
    expect(page.get_by_label("API key")).to_be_visible()
    yield "ops-login"
    operator.logs_in()
    operator.sees_figures()
    yield "ops"
    operator.opens("Orders")
    expect(page.locator(".row-link").first).to_be_visible()
    yield "ops-orders"
    page.locator(".row-link").first.click()
    expect(page.locator(".timeline li").first).to_be_visible()
    yield "ops-order"
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    yield "ops-cancel"
    page.get_by_role("button", name="Keep the order").click()
    operator.opens("Stock")
    expect(page.get_by_role("button", name="Receive").first).to_be_visible()
    page.evaluate(SCROLL_DOWN_AND_UP)
    yield "ops-stock"
    operator.opens("Payments")
    expect(page.get_by_text("Nothing stands for you")).to_be_visible()
    yield "ops-payments"
