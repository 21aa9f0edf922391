"""A person in front of the shop: what they click and read, in the words of the page."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import Any

from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.processes import RunningShop

KEY = "the-key-of-the-browser-tests"
ADA = {
    "E-mail": "ada@example.com",
    "Full name": "Ada Lovelace",
    "Street and number": "1 Main Street",
    "Postcode": "94601",
    "City": "Oakland",
}
ORDER_PAGE = re.compile(r"/orders/[0-9a-f-]{36}$")
PATIENCE_MS = 20_000
"""Far more than anything takes: a test machine may be busy with other tests."""

expect.set_options(timeout=PATIENCE_MS)


class Merchant:
    """Changes prices and stock while people shop."""

    def __init__(self, shop: RunningShop) -> None:
        self._address = shop.address

    def price(self, product_id: str, price: str) -> None:
        self._ask("PATCH", f"/api/admin/products/{product_id}", {"price": price})

    def stock(self, product_id: str, units: int) -> None:
        self._ask("POST", f"/api/admin/products/{product_id}/stock", {"counted": units, "note": "For a test"})

    def _ask(self, method: str, path: str, body: dict[str, Any]) -> None:
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "If-Match": "*"}
        request = urllib.request.Request(self._address + path, json.dumps(body).encode(), headers, method=method)
        urllib.request.urlopen(request, timeout=20).close()


class Visitor:
    """One tab. `beside()` is another tab of the same browser."""

    def __init__(self, context: BrowserContext, page: Page | None = None) -> None:
        self.context = context
        self.page = page or context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)

    def beside(self) -> Visitor:
        return Visitor(self.context)

    def opens(self, path: str) -> None:
        self.page.goto(path)

    def sees(self, text: str | re.Pattern[str]) -> None:
        expect(self.page.get_by_text(text).first).to_be_visible()

    # ------------------------------------------------------------ the cart

    def puts(self, product_id: str, quantity: int = 1) -> None:
        self.opens(f"/products/{product_id}")
        self.page.get_by_label("Quantity").fill(str(quantity))
        self.page.get_by_role("button", name="Add to cart").click()
        expect(self.page.get_by_role("link", name="View the cart")).to_be_visible()

    def line(self, product_id: str) -> Locator:
        return self.page.locator(f'[data-item="{product_id}"]')

    # ------------------------------------------------------------ the checkout

    def field(self, label: str) -> Locator:
        """A field that is seen: the billing address has the same labels, and is hidden at first."""
        return self.page.get_by_role("textbox", name=label, exact=True)

    def goes_to_checkout(self) -> None:
        """To a form filled in but for the payment, with prices."""
        self.opens("/checkout")
        for label, text in ADA.items():
            self.field(label).fill(text)
        self.sees_prices()

    def sees_prices(self) -> None:
        """Those for all that was typed so far."""
        expect(self.page.locator("[data-review]:not([aria-busy]) .review-lines")).to_be_visible()

    def pays(self, method: str, test_card: str | None = None) -> None:
        self.page.get_by_role("radio", name=re.compile(f"^{method}")).check()
        if test_card:
            self.page.get_by_role("radio", name=re.compile(test_card)).check()

    @property
    def place(self) -> Locator:
        return self.page.locator("[data-place]")

    def orders(self, method: str = "Invoice", test_card: str | None = None) -> str:
        """Check out; the order page's id."""
        self.goes_to_checkout()
        self.pays(method, test_card)
        self.place.click()
        return self.order_id()

    # ------------------------------------------------------------ the order

    def order_id(self) -> str:
        self.page.wait_for_url(ORDER_PAGE)
        return self.page.url.rsplit("/", 1)[1]

    def sees_stages(self, *states: str) -> None:
        """The four stages, such as `done done failed never`."""
        for number, state in enumerate(states, 1):
            expect(self.page.locator(f".stage:nth-child({number})")).to_have_attribute("data-state", state)

    def sees_confirmed(self) -> None:
        self.sees_stages("done", "done", "done", "done")
        expect(self.page.get_by_role("heading", name="Thank you, Ada.")).to_be_visible()

    def history(self) -> list[str]:
        """What the list of orders says of each, newest first."""
        self.opens("/orders")
        expect(self.page.locator("[data-orders] > ul.history, [data-orders] > .empty").first).to_be_visible()
        return [text.strip() for text in self.page.locator(".history .status").all_text_contents()]
