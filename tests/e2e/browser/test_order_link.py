"""The link of a confirmation mail, in a browser that never saw the shop, and in the one that ordered."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tasks.order_tokens import OrderTokens
from tests.e2e.browser.conftest import Comes
from tests.e2e.browser.visitor import Visitor
from tests.processes import RunningShop

pytestmark = pytest.mark.e2e


def test_the_link_of_a_mail_shows_the_order_anywhere_and_lets_only_its_shopper_cancel(
    shop: RunningShop, ada: Visitor, comes: Comes
) -> None:
    ada.puts("enamel-mug")
    order_id = ada.orders()
    ada.sees_confirmed()
    token = OrderTokens([(shop.var_dir / "secret_key").read_text().strip()]).make(order_id)
    elsewhere = comes()

    elsewhere.opens(f"/orders/{order_id}?token={token}")

    elsewhere.sees_confirmed()
    expect(elsewhere.page.locator("[data-details]")).to_contain_text("Enamel mug")
    expect(elsewhere.page.get_by_role("button", name="Cancel the order")).to_have_count(0)
    ada.opens(f"/orders/{order_id}?token={token}")
    ada.sees_confirmed()
    expect(ada.page.get_by_role("button", name="Cancel the order")).to_be_visible()
    elsewhere.opens(f"/orders/{order_id}?token={token[:-1]}")
    expect(elsewhere.page.get_by_role("heading", name="This order is not here")).to_be_visible()
