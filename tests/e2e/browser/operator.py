"""Whoever looks after the shop, in front of the ops page."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.browser.visitor import KEY, PATIENCE_MS
from tests.harness import CHECKOUT_BODY
from tests.processes import RunningShop

TOKENS = ("tok_approve", "tok_approve", "tok_approve", "tok_decline", "tok_action")
BUYERS = ("Grace Hopper", "Mary Jackson", "Alan Turing", "Radia Perlman", "Barbara Liskov")


class Operator:
    """One tab."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)

    def logs_in(self, key: str = KEY) -> None:
        if "/ops/login" not in self.page.url:
            self.page.goto("/ops")
        self.page.get_by_label("API key").fill(key)
        self.page.get_by_role("button", name="Log in").click()

    def opens(self, tab: str) -> None:
        self.page.get_by_role("navigation", name="Operations").get_by_role("link", name=tab).click()

    def sees_figures(self) -> None:
        """Those of Redis, and those of SQL."""
        expect(self.page.get_by_role("heading", name="All is well")).to_be_visible()
        expect(self.page.locator("[data-attention] dt").first).to_be_visible()
        expect(self.page.locator('[data-rate="accepted"]')).not_to_have_text("–")

    def total(self, name: str) -> int:
        """How many were accepted, settled, paid or failed in all, as the page says."""
        return int(self.page.locator(f'[data-total="{name}"]').inner_text().replace(",", ""))

    def sees_total(self, name: str, number: int) -> None:
        expect(self.page.locator(f'[data-total="{name}"]')).to_have_text(f"{number:,}")


def sell(shop: RunningShop, many: int, product_id: str = "house-coffee-250g") -> list[str]:
    """The ids of so many orders, in every state that there is."""

    def buy(number: int) -> str:
        shopper = shop.shopper()
        added = shopper.add(product_id)
        assert added.status == 200, added.body
        name = BUYERS[number % len(BUYERS)]
        body = {**CHECKOUT_BODY, "email": f"{name.split()[0].lower()}@example.com"}
        body["shipping_info"] = {**CHECKOUT_BODY["shipping_info"], "name": name}
        if number % 2:
            body |= {"payment_method": "card", "payment_token": TOKENS[number // 2 % len(TOKENS)]}
        answer = shopper.ask("POST", "/api/checkout", body, Prefer="wait=10")
        assert answer.status in (200, 202), answer.body
        return str(answer.body["id"])

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(buy, range(many)))
