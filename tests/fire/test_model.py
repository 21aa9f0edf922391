"""The model of the whole shop in a short form, and the stories that it has found, each as a test of its own."""

from __future__ import annotations

import pytest

from tasks import pay as pay_job
from tasks.checkout import settle
from tests.fire.model import SHORT, run
from tests.harness import Client, Shop
from tests.tasks.crashes import dies_at, work_to_the_end
from tests.tasks.helpers import cart_of

CARD = {"payment_method": "card", "payment_token": "tok_approve"}


@pytest.mark.e2e
def test_the_shop_and_the_model_agree_whatever_happens() -> None:
    run(2026, SHORT)


def cancels(shopper: Client, order_id: str) -> None:
    assert shopper.post(f"/api/orders/{order_id}/cancel", json={}).status_code == 200


def test_a_cart_that_was_sold_stays_sold_when_its_order_is_cancelled_before_the_inbox_was_told(shop: Shop) -> None:
    shop.stocked(MUG=3)
    shopper = shop.shopper()
    order_id = shop.checkout(shopper, MUG=1)
    dies_at("settle.telling", shop, settle, shop.runtime)

    cancels(shopper, order_id)
    work_to_the_end(shop)

    assert cart_of(shopper) == {}
    assert (shop.order(order_id).status, shop.stock("MUG")) == ("cancelled", 3)
    assert shop.redis.hget(f"accepted:{order_id}", "status") == "cancelled"


def test_a_cart_that_was_paid_for_stays_sold_when_its_order_is_cancelled_before_anybody_was_told(shop: Shop) -> None:
    shop.stocked(MUG=3)
    shopper = shop.shopper()
    order_id = shop.checkout(shopper, CARD, MUG=1)
    settle()
    dies_at("pay.telling", shop, pay_job.pay, shop.pay_runtime)

    cancels(shopper, order_id)
    work_to_the_end(shop)

    assert cart_of(shopper) == {}
    assert (shop.order(order_id).status, shop.stock("MUG")) == ("cancelled", 3)
    assert shop.redis.hget(f"accepted:{order_id}", "status") == "cancelled"
