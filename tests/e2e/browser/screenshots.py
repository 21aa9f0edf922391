"""`python -m tests.e2e.browser.screenshots [FOLDER]`: a picture of every page, into docs/screenshots.

On a shop of its own, in a folder that is gone afterwards. Every page is shown light on a desktop and dark on
a phone; those of a shopper's first minute, and the ops page, in all four.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from tests.e2e.browser.chromium import DESKTOP, PHONE, chromium
from tests.e2e.browser.operator import Operator, sell
from tests.e2e.browser.tour import ops_tour, tour
from tests.e2e.browser.visitor import KEY, Merchant, Visitor
from tests.processes import RunningShop, running
from web.settings import ROOT

SIZES = {"desktop": DESKTOP, "phone": PHONE}
IN_BOTH_SCHEMES = ("home", "product", "checkout", "order", "ops")
FIRST_SCREEN_ONLY = ("home", "ops-orders", "ops-stock", "ops-cancel")
"""Whole, they are so long that nobody would see anything; and a dialog stands on the screen, not on the page."""


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as var,
        running(RunningShop(Path(var) / "var", settings={"ADMIN_API_KEY": KEY})) as shop,
        chromium() as browser,
    ):
        Merchant(shop).stock("house-coffee-250g", 500)
        for size in SIZES:
            for scheme in ("light", "dark"):
                take(browser, shop, size, scheme, folder)


def take(browser: Browser, shop: RunningShop, size: str, scheme: str, folder: Path) -> None:
    at_home = (size, scheme) in (("desktop", "light"), ("phone", "dark"))
    context = browser.new_context(
        base_url=shop.address,
        viewport=SIZES[size],
        color_scheme=scheme,
        reduced_motion="reduce",
        is_mobile=size == "phone",
        has_touch=size == "phone",
    )
    visitor = Visitor(context)
    sell(shop, 60)
    for name in tour(visitor, Merchant(shop)):
        if at_home or name in IN_BOTH_SCHEMES:
            visitor.page.evaluate("scrollTo(0, 0)")
            place = folder / f"{name}-{size}-{scheme}.png"
            visitor.page.screenshot(path=place, full_page=name not in FIRST_SCREEN_ONLY)
            print(place)
    operator = Operator(context)
    for name in ops_tour(operator, Merchant(shop)):
        if at_home or name in IN_BOTH_SCHEMES:
            operator.page.evaluate("scrollTo(0, 0)")
            place = folder / f"{name}-{size}-{scheme}.png"
            operator.page.screenshot(path=place, full_page=name not in FIRST_SCREEN_ONLY)
            print(place)
    context.close()


if __name__ == "__main__":
    main()
