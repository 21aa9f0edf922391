"""What test_looks.py says of the pages people shop on, of the others too: light, still, ours alone, open to all."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Request

from tests.e2e.browser.chromium import DESKTOP, PHONE
from tests.e2e.browser.conftest import Comes
from tests.e2e.browser.test_looks import COUNT_SHIFTS, FIRST_VIEW_BYTES, SHIFT, WIDER_THAN_THE_SCREEN, serious
from tests.e2e.browser.visitor import Visitor

pytestmark = pytest.mark.e2e

PAGES = ["/?q=mug", "/nowhere", "/problems/", "/problems/price_changed", "/problems/rate_limited"]
MOST_REQUESTS = 30
LOOKS: dict[str, dict[str, Any]] = {
    "desktop, light": {"viewport": DESKTOP, "color_scheme": "light"},
    "phone, dark": {"viewport": PHONE, "color_scheme": "dark", "is_mobile": True, "has_touch": True},
}


def weighed(visitor: Visitor, path: str) -> dict[str, Any]:
    """What a page costs a browser that sees it first, and how it behaves."""
    made: list[Request] = []
    visitor.page.on("request", lambda request: made.append(request))  # noqa: PLW0108 - a builtin takes no mark
    visitor.opens(path)
    visitor.page.wait_for_load_state("networkidle")
    return {
        "light": sum(request.sizes()["responseBodySize"] for request in made) < FIRST_VIEW_BYTES,
        "few requests": len(made) < MOST_REQUESTS,
        "ours alone": {urlsplit(request.url).netloc for request in made} == {urlsplit(visitor.page.url).netloc},
        "still": visitor.page.evaluate("window.shifted") <= SHIFT,
        "fits": visitor.page.evaluate(WIDER_THAN_THE_SCREEN) == 0,
        "open to everybody": serious(visitor.page) == [],
    }


@pytest.mark.parametrize("look", LOOKS)
def test_every_other_page_is_as_good(comes: Comes, look: str) -> None:
    found = {}
    for path in PAGES:
        visitor = comes(**LOOKS[look])
        visitor.page.add_init_script(COUNT_SHIFTS)
        found[path] = weighed(visitor, path)

    assert {path: [what for what, good in each.items() if not good] for path, each in found.items()} == {
        path: [] for path in PAGES
    }


def test_an_order_page_is_as_good(comes: Comes) -> None:
    visitor = comes()
    visitor.puts("linen-notebook")
    visitor.orders("Invoice")
    path = urlsplit(visitor.page.url).path
    beside = visitor.beside()
    beside.page.add_init_script(COUNT_SHIFTS)

    found = weighed(beside, path)

    assert [what for what, good in found.items() if not good] == []
