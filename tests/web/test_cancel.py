"""A shopper cancels: until anything is shipped, also while it is being paid, and the money always closes."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy.orm import Session

from db import fulfilment
from tasks import runtime
from tasks.checkout import settle
from tests.harness import Client, Shop
from tests.tasks.helpers import cart_of
from tests.web.admin.conftest import merchant_of
from tests.web.answers import ok, problem


def buys(shop: Shop, shopper: Client, token: str | None = None) -> str:
    shop.stocked(MUG=3)
    body: dict[str, Any] = {"payment_method": "card", "payment_token": token} if token else {}
    return shop.checkout(shopper, body, MUG=2)


def cancel(shopper: Client, order_id: str, **body: Any) -> Any:
    return shopper.post(f"/api/orders/{order_id}/cancel", json=body)


def settles(shop: Shop) -> None:
    """Let every payment come to its end, whatever it takes."""
    for _ in range(6):
        shop.work_until_idle()
        shop.clock.forward(90)
        shop.pay()


def held(shop: Shop) -> int:
    """What the provider holds of all shoppers' money, taken or reserved, in minor units."""
    return sum(a.held_minor + a.captured_minor - a.refunded_minor for a in shop.sandbox.books())


def test_an_order_on_invoice_is_cancelled_and_its_stock_is_back(any_shop: Shop) -> None:
    shopper = any_shop.shopper()
    order_id = buys(any_shop, shopper)
    any_shop.work_until_idle()

    order = ok(cancel(shopper, order_id, reason="Changed my mind"))

    assert (order["status"], order["payment_status"], order["terminal"]) == ("cancelled", "voided", True)
    assert order["failure"]["code"] == "cancelled"
    assert [event["stage"] for event in order["timeline"]][-1] == "cancelled"
    assert any_shop.stock("MUG") == any_shop.ledger("MUG") == 3
    assert cart_of(shopper) == {}  # It was bought; what is given back is the money.


def test_a_second_click_finds_it_cancelled(any_shop: Shop) -> None:
    shopper = any_shop.shopper()
    order_id = buys(any_shop, shopper)
    any_shop.work_until_idle()
    first = ok(cancel(shopper, order_id))

    assert ok(cancel(shopper, order_id)) == first
    assert any_shop.stock("MUG") == any_shop.ledger("MUG") == 3


def test_a_paid_order_gets_its_money_back(any_shop: Shop) -> None:
    shopper = any_shop.shopper()
    order_id = buys(any_shop, shopper, "tok_approve")
    any_shop.work_until_idle()
    assert held(any_shop) > 0

    ok(cancel(shopper, order_id))
    any_shop.work_until_idle()

    order = ok(shopper.get(f"/api/orders/{order_id}"))
    assert (order["status"], order["payment_status"]) == ("cancelled", "refunded")
    assert order["payment"]["refunded_amount"] == order["total_amount"]
    assert held(any_shop) == 0
    assert any_shop.stock("MUG") == any_shop.ledger("MUG") == 3


def test_an_order_that_waits_for_the_shopper_is_cancelled_with_its_cart_back(any_shop: Shop) -> None:
    shopper = any_shop.shopper()
    order_id = buys(any_shop, shopper, "tok_action")
    any_shop.work_until_idle()

    order = ok(cancel(shopper, order_id))
    assert cart_of(shopper) == {"MUG": 2}
    any_shop.work_until_idle()

    assert order["status"] == "cancelled"
    assert any_shop.order(order_id).payment_status == "voided"
    assert cart_of(shopper) == {"MUG": 2}  # Told twice, given back once.
    assert any_shop.stock("MUG") == any_shop.ledger("MUG") == 3


@pytest.mark.parametrize("token", ["tok_timeout_after", "tok_timeout_before", "tok_fail_3", "tok_unreachable_3"])
def test_an_order_whose_payment_nobody_knows_of_is_cancelled_and_nothing_is_kept(any_shop: Shop, token: str) -> None:
    shopper = any_shop.shopper()
    order_id = buys(any_shop, shopper, token)
    any_shop.work_until_idle()
    assert any_shop.order(order_id).status == "processing"

    ok(cancel(shopper, order_id))
    settles(any_shop)
    any_shop.clock.forward(25 * 3600)  # Past the provider's memory: nothing of ours can be under way any more.
    settles(any_shop)

    order = any_shop.order(order_id)
    assert (order.status, order.payment_status) == ("cancelled", "voided")
    assert held(any_shop) == 0
    assert any_shop.stock("MUG") == any_shop.ledger("MUG") == 3
    assert cart_of(shopper) == {"MUG": 2}


def test_an_order_that_is_not_settled_yet_is_settled_first(any_shop: Shop) -> None:
    shopper = any_shop.shopper()
    order_id = buys(any_shop, shopper)
    answers: list[Any] = []
    tab = any_shop_client(any_shop, shopper)
    canceller = threading.Thread(target=lambda: answers.append(cancel(tab, order_id)))
    canceller.start()
    any_shop.work_until_idle()
    canceller.join()

    assert ok(answers[0])["status"] == "cancelled"
    assert any_shop.stock("MUG") == 3


def test_what_is_shipped_cannot_be_cancelled(any_shop: Shop) -> None:
    shopper = any_shop.shopper()
    order_id = buys(any_shop, shopper)
    any_shop.work_until_idle()
    ok(merchant_of(any_shop).post(f"/api/admin/orders/{order_id}/shipments", json={}), 201)

    refused = problem(cancel(shopper, order_id), 409, "transition_not_allowed")

    assert refused["possible"] == ["delivered", "returned"]
    assert any_shop.stock("MUG") == 1


def test_a_failed_order_cannot_be_cancelled(shop: Shop) -> None:
    shopper = shop.shopper()
    order_id = buys(shop, shopper, "tok_decline")
    shop.work_until_idle()

    problem(cancel(shopper, order_id), 409, "transition_not_allowed")


def test_nobody_else_can_cancel_it(shop: Shop) -> None:
    order_id = buys(shop, shop.shopper())
    shop.work_until_idle()

    problem(cancel(shop.shopper(), order_id), 404, "order_not_found")
    assert shop.order(order_id).status == "confirmed"


@pytest.mark.parametrize("token", ["tok_slow_50", "tok_action_approved"])
def test_the_race_with_the_providers_answer_ends_in_exactly_one_of_the_two(any_shop: Shop, token: str) -> None:
    shopper = any_shop.shopper()
    order_id = buys(any_shop, shopper, token)
    canceller = threading.Thread(target=lambda: cancel(any_shop_client(any_shop, shopper), order_id))
    canceller.start()
    any_shop.work_until_idle()
    canceller.join()
    settles(any_shop)

    order = any_shop.order(order_id)
    assert order.status in ("cancelled", "confirmed")
    held_now = held(any_shop)
    assert held_now == (order.total_minor if order.status == "confirmed" else 0)
    assert any_shop.stock("MUG") == any_shop.ledger("MUG") == (1 if order.status == "confirmed" else 3)


def any_shop_client(shop: Shop, shopper: Client) -> Client:
    """The same shopper in another tab: a client of its own, as they are not made for threads."""
    tab = shop.shopper()
    cookie = shopper.get_cookie("oncecart_session")
    assert cookie is not None
    tab.set_cookie("oncecart_session", cookie.value)
    return tab


def before_the_lock(monkeypatch: pytest.MonkeyPatch, shop: Shop, act: Any) -> None:
    """Let something commit between the shopper's look at the order and the lock; on SQLite before both, as it must."""
    if shop.database.is_sqlite():
        act()
        return
    lock = fulfilment.lock

    def after_it(session: Session, order_id: str) -> Any:
        monkeypatch.setattr(fulfilment, "lock", lock)
        act()
        return lock(session, order_id)

    monkeypatch.setattr(fulfilment, "lock", after_it)


def test_a_cancel_that_meets_the_payments_end_gives_the_money_back(
    any_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shopper = any_shop.shopper()
    order_id = buys(any_shop, shopper, "tok_approve")
    runtime.start(any_shop.runtime)
    settle()
    before_the_lock(monkeypatch, any_shop, any_shop.work_until_idle)

    ok(cancel(shopper, order_id))
    settles(any_shop)

    order = any_shop.order(order_id)
    assert (order.status, order.payment_status) == ("cancelled", "refunded")
    assert held(any_shop) == 0
    assert any_shop.stock("MUG") == any_shop.ledger("MUG") == 3


def test_a_cancel_that_meets_the_shipment_comes_too_late(any_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shopper, merchant = any_shop.shopper(), merchant_of(any_shop)
    order_id = buys(any_shop, shopper)
    any_shop.work_until_idle()
    before_the_lock(
        monkeypatch, any_shop, lambda: ok(merchant.post(f"/api/admin/orders/{order_id}/shipments", json={}), 201)
    )

    problem(cancel(shopper, order_id), 409, "transition_not_allowed")

    order = any_shop.order(order_id)
    assert (order.status, order.fulfillment_status) == ("confirmed", "shipped")
    assert any_shop.stock("MUG") == any_shop.ledger("MUG") == 1


def test_a_cancel_that_meets_the_decline_releases_nothing_twice(
    any_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shopper = any_shop.shopper()
    order_id = buys(any_shop, shopper, "tok_decline")
    runtime.start(any_shop.runtime)
    settle()
    before_the_lock(monkeypatch, any_shop, any_shop.work_until_idle)

    problem(cancel(shopper, order_id), 409, "transition_not_allowed")

    assert any_shop.order(order_id).status == "failed"
    assert any_shop.stock("MUG") == any_shop.ledger("MUG") == 3
    assert cart_of(shopper) == {"MUG": 2}
