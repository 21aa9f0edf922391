"""What holds for every page: anybody can use it, it fits a phone, it is light, and it obeys its own policy."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Request, expect

from tests.e2e.browser.chromium import DESKTOP, PHONE
from tests.e2e.browser.conftest import Comes
from tests.e2e.browser.tour import tour
from tests.e2e.browser.visitor import Merchant, Visitor

pytestmark = pytest.mark.e2e

FIRST_VIEW_BYTES = 100_000
SHIFT = 0.02
"""Of layout: a tenth is what the web calls good."""
COUNT_SHIFTS = """
  window.shifted = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
"""
WIDER_THAN_THE_SCREEN = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def serious(page: Page) -> list[str]:
    """What axe-core finds serious or worse: the rule and where."""
    found = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {', '.join(node['html'][:90] for node in violation['nodes'])}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(
    ("size", "scheme"), [("desktop", "light"), ("desktop", "dark"), ("phone", "light"), ("phone", "dark")]
)
def test_every_page_fits_its_screen_and_keeps_nobody_out(
    comes: Comes, merchant: Merchant, size: str, scheme: str
) -> None:
    phone = size == "phone"
    visitor = comes(viewport=PHONE if phone else DESKTOP, color_scheme=scheme, is_mobile=phone, has_touch=phone)

    found = {
        name: (serious(visitor.page), visitor.page.evaluate(WIDER_THAN_THE_SCREEN)) for name in tour(visitor, merchant)
    }

    assert {name: what for name, what in found.items() if what != ([], 0)} == {}
    assert len(found) == 17


def test_dark_and_light_are_what_the_browser_asks_for(comes: Comes) -> None:
    colours = set()
    for scheme in ("light", "dark"):
        visitor = comes(color_scheme=scheme)
        visitor.opens("/")
        colours.add(visitor.page.evaluate("getComputedStyle(document.body).backgroundColor"))

    assert colours == {"rgb(250, 247, 241)", "rgb(24, 22, 19)"}


@pytest.fixture
def requests(ada: Visitor) -> list[Request]:
    """What the browser asked for, as it comes."""
    made: list[Request] = []
    ada.page.on("request", lambda request: made.append(request))  # noqa: PLW0108 - a builtin takes no listener's mark
    return made


@pytest.mark.parametrize("path", ["/", "/?category=kitchen", "/products/enamel-mug", "/cart", "/checkout", "/orders"])
def test_a_first_view_is_light_and_from_this_shop_alone(ada: Visitor, requests: list[Request], path: str) -> None:
    ada.opens(path)
    ada.page.wait_for_load_state("networkidle")

    sizes = {request.url: request.sizes()["responseBodySize"] for request in requests}
    assert sum(sizes.values()) < FIRST_VIEW_BYTES, sizes
    assert len(requests) < 30
    assert {urlsplit(url).netloc for url in sizes} == {urlsplit(ada.page.url).netloc}


def test_a_new_shopper_is_sent_no_client_and_asks_nothing_of_the_api(ada: Visitor, requests: list[Request]) -> None:
    ada.opens("/")
    ada.page.wait_for_load_state("networkidle")

    assert [request.url for request in requests if "/api/" in request.url or "oncecart.js" in request.url] == []
    assert ada.context.cookies() == []


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_nothing_jumps_while_a_page_loads(comes: Comes, size: dict[str, int]) -> None:
    visitor = comes(viewport=size)
    visitor.page.add_init_script(COUNT_SHIFTS)
    visitor.puts("linen-notebook")
    ready = {
        "/": ".card",
        "/products/enamel-mug": "[data-add]",
        "/cart": ".line",
        "/checkout": ".review-lines",
        "/orders": ".empty",
    }

    shifted: dict[str, Any] = {}
    for path, selector in ready.items():
        visitor.opens(path)
        expect(visitor.page.locator(selector).first).to_be_visible()
        visitor.page.wait_for_load_state("networkidle")
        shifted[path] = visitor.page.evaluate("window.shifted")

    assert {path: shift for path, shift in shifted.items() if shift > SHIFT} == {}


def test_what_happens_is_said_to_who_does_not_see_it(ada: Visitor) -> None:
    ada.puts("linen-notebook")
    ada.opens("/cart")
    ada.page.get_by_label("One more Linen notebook").click()
    said = ada.page.locator("[data-announce]")
    expect(said).to_contain_text("Linen notebook: 2. Total $")

    ada.orders("Invoice")

    expect(said).to_have_text("Confirmed: done.")
