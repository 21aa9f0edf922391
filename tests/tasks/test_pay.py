"""Paying: what each answer of a provider makes of an order, its stock and its cart."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, text, update

from carts import keys
from db import payments
from db.models import PaymentRow
from shop.paying import Effect, Operation, Owed
from shop.payments import Declined, Unreachable
from tasks import failpoints
from tasks.checkout import settle
from tasks.pay import _request
from tests.harness import Shop
from tests.tasks.crashes import Nth, cancel
from tests.tasks.helpers import cart_of, timeline

CARD: dict[str, Any] = {"payment_method": "card"}


def buys(shop: Shop, token: str, **quantities: int) -> str:
    """A shopper checks out with a card; the order's id."""
    return shop.checkout(body={**CARD, "payment_token": token}, **quantities)


def payment_rows(shop: Shop, order_id: str) -> list[PaymentRow]:
    with shop.database.reading() as session:
        return payments.rows_of(session, [order_id])[order_id]


def change_row(shop: Shop, order_id: str, **values: Any) -> None:
    """Change an order's payment behind everybody's back."""
    with shop.database.writing() as session:
        key = f"{order_id}-authorize"
        session.execute(update(PaymentRow).where(PaymentRow.key == key).values(**values))


def test_an_approved_payment_confirms_the_order_and_is_captured(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    order_id = buys(any_shop, "tok_approve", MUG=2)

    any_shop.work_until_idle()

    order = any_shop.order(order_id)
    assert (order.status, order.payment_status, order.number) == ("confirmed", "captured", 1001)
    assert timeline(any_shop, order_id) == [
        "accepted",
        "stock_taken",
        "payment_authorized",
        "confirmed",
        "payment_captured",
    ]
    assert any_shop.stock("MUG") == any_shop.ledger("MUG") == 1


def test_a_declined_payment_gives_stock_and_cart_back(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    shopper = any_shop.shopper()
    order_id = any_shop.checkout(shopper, {**CARD, "payment_token": "tok_decline_insufficient_funds"}, MUG=2)

    any_shop.work_until_idle()

    order = shopper.get(f"/api/orders/{order_id}").get_json()
    assert (order["status"], order["payment_status"], order["number"]) == ("failed", "failed", None)
    assert order["failure"]["code"] == "payment_declined"
    assert any_shop.stock("MUG") == any_shop.ledger("MUG") == 3
    assert cart_of(shopper) == {"MUG": 2}
    assert any_shop.stock("MUG") == 3


@pytest.mark.parametrize("token", ["tok_timeout_before", "tok_timeout_after", "tok_fail_2", "tok_unreachable_2"])
def test_a_provider_that_does_not_answer_is_asked_again_and_charges_once(any_shop: Shop, token: str) -> None:
    any_shop.stocked(MUG=3)
    order_id = buys(any_shop, token, MUG=1)

    any_shop.work_until_idle()
    assert any_shop.order(order_id).status == "processing"
    assert any_shop.stock("MUG") == 2
    for _ in range(4):
        any_shop.clock.forward(90)
        any_shop.pay()

    assert [account.charges for account in any_shop.sandbox.books()] == [1]
    order = any_shop.order(order_id)
    assert (order.status, order.payment_status) == ("confirmed", "captured")
    assert any_shop.stock("MUG") == any_shop.ledger("MUG") == 2


# ---------------------------------------------------------------- actions, amounts, captures


def test_an_action_that_is_approved_confirms_the_order(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    shopper = any_shop.shopper()
    order_id = any_shop.checkout(shopper, {**CARD, "payment_token": "tok_action"}, MUG=1)
    any_shop.work_until_idle()
    assert any_shop.order(order_id).status == "requires_action"
    (row,) = payment_rows(any_shop, order_id)
    assert row.action_url == f"http://127.0.0.1:8000/sandbox/pay/{row.provider_id}"

    any_shop.sandbox.act(row.provider_id or "", approve=True)
    any_shop.clock.forward(15)
    any_shop.pay()

    assert any_shop.order(order_id).status == "confirmed"
    assert any_shop.order(order_id).payment_status == "captured"


def test_an_action_that_nobody_takes_is_voided_at_its_deadline(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    shopper = any_shop.shopper()
    order_id = any_shop.checkout(shopper, {**CARD, "payment_token": "tok_action_never"}, MUG=1)
    any_shop.work_until_idle()

    any_shop.clock.forward(15 * 60)
    any_shop.pay()

    order = any_shop.order(order_id)
    assert (order.status, order.payment_status, order.failure_code) == ("failed", "voided", "payment_action_timeout")
    assert any_shop.stock("MUG") == any_shop.ledger("MUG") == 3
    assert cart_of(shopper) == {"MUG": 1}
    assert [(account.open, account.misuses) for account in any_shop.sandbox.books()] == [(0, 0)]


def test_a_capture_whose_answers_are_lost_for_longer_than_the_key_is_known_is_looked_up(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    order_id = buys(any_shop, "tok_capture_timeout", MUG=1)
    any_shop.work_until_idle()
    assert any_shop.order(order_id).payment_status == "authorized"

    any_shop.clock.forward(2 * 24 * 3600)
    any_shop.pay()

    assert any_shop.order(order_id).payment_status == "captured"
    assert [call.operation for call in any_shop.sandbox.calls(order_id)] == ["authorize", "capture", "look_up"]


def test_a_payment_of_a_provider_that_is_not_set_up_any_more_waits_and_holds_up_no_other(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    order_id = buys(any_shop, "tok_timeout_before", MUG=1)
    any_shop.work_until_idle()
    change_row(any_shop, order_id, provider="gone")
    any_shop.clock.forward(60)

    other = buys(any_shop, "tok_approve", MUG=1)
    any_shop.work_until_idle()

    assert any_shop.order(other).status == "confirmed"
    assert [(row.status, row.next_at is None) for row in payment_rows(any_shop, order_id)] == [("unknown", False)]
    assert any_shop.stock("MUG") == 1


def test_an_answer_that_cannot_be_written_holds_up_no_other(any_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    any_shop.stocked(MUG=3)
    poisoned, other = buys(any_shop, "tok_approve", MUG=1), buys(any_shop, "tok_approve", MUG=1)
    spoil = payments.after

    def throws(operation: Operation, order: Owed, *others: Any) -> Effect:
        if operation.created_at == 0:
            raise RuntimeError("poisoned")
        return spoil(operation, order, *others)

    monkeypatch.setattr(payments, "after", throws)
    settle()
    change_row(any_shop, poisoned, created_at=0)
    any_shop.pay()

    assert any_shop.order(other).status == "confirmed"
    assert any_shop.order(poisoned).status == "processing"
    monkeypatch.undo()
    any_shop.clock.forward(60)
    any_shop.pay()
    assert any_shop.order(poisoned).status == "confirmed"
    assert [account.charges for account in any_shop.sandbox.books()] == [1, 1]


def test_a_store_that_throws_for_one_end_is_told_the_others(shop: Shop) -> None:
    shop.stocked(MUG=3)
    order_id, other = buys(shop, "tok_approve", MUG=1), buys(shop, "tok_decline", MUG=1)
    settle()
    shop.redis.rename(keys.accepted(order_id), "kept")
    shop.redis.set(keys.accepted(order_id), "no hash")

    shop.pay()

    assert shop.redis.hget(keys.accepted(other), "status") == "failed"
    shop.redis.rename("kept", keys.accepted(order_id))
    shop.clock.forward(4)
    shop.pay()
    assert shop.redis.hget(keys.accepted(order_id), "status") == "confirmed"
    assert [row.next_at for row in payment_rows(shop, order_id)] == [None, None]


# ---------------------------------------------------------------- leases


def work(shop: Shop, most: int = 99, most_old: int | None = None) -> list[payments.Work]:
    with shop.database.writing() as session:
        return payments.lease(session, "somebody", most, shop.clock(), most_old)[0]


def test_new_payments_do_not_wait_behind_a_flood_of_old_ones(any_shop: Shop) -> None:
    any_shop.stocked(MUG=50)
    old = [buys(any_shop, "tok_action", MUG=1) for _ in range(6)]
    any_shop.work_until_idle()
    any_shop.clock.forward(60)
    new = [buys(any_shop, "tok_approve", MUG=1) for _ in range(6)]
    settle()

    leased = [each.order_id for each in work(any_shop, most=4, most_old=1)]

    assert len(set(leased) & set(old)) == 1
    assert len(set(leased) & set(new)) == 3
    assert len(work(any_shop)) == 8


def test_a_lease_that_is_renewed_is_nobody_elses(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    buys(any_shop, "tok_approve", MUG=1)
    settle()
    held = work(any_shop)

    any_shop.clock.forward(2)
    with any_shop.database.writing() as session:
        payments.renew(session, held, any_shop.clock())
    any_shop.clock.forward(2)
    assert work(any_shop) == []
    any_shop.clock.forward(1)

    assert [each.lease for each in work(any_shop)] == [2]


def test_a_late_answer_counts_for_nothing(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    order_id = buys(any_shop, "tok_approve", MUG=1)
    settle()
    late = work(any_shop)
    any_shop.clock.forward(4)
    any_shop.pay()
    assert any_shop.order(order_id).payment_status == "captured"

    with any_shop.database.writing() as session:
        answers = [(each, Declined("card_declined")) for each in late]
        assert payments.answered(session, answers, [], any_shop.clock(), {}, 0) == []

    assert any_shop.order(order_id).status == "confirmed"


def test_a_late_answer_does_not_speak_for_whoever_asks_now(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    order_id = buys(any_shop, "tok_approve", MUG=1)
    settle()
    late = work(any_shop)
    any_shop.clock.forward(4)
    assert [each.lease for each in work(any_shop)] == [2]

    with any_shop.database.writing() as session:
        answers = [(each, Unreachable("no connection")) for each in late]
        assert payments.answered(session, answers, [], any_shop.clock(), {}, 0) == []

    [row] = payment_rows(any_shop, order_id)
    assert (row.tries, row.leased_by, row.asked_at is None) == (2, "somebody", False)


def test_stock_is_locked_before_order_numbers_as_settlements_do(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    buys(any_shop, "tok_approve", MUG=1)
    buys(any_shop, "tok_decline", MUG=1)
    settle()
    now = any_shop.clock()
    with any_shop.database.writing() as session:
        works, _ = payments.lease(session, "test-worker", 2, now)
    answers = [(work, any_shop.sandbox.authorize(_request(work, "http://shop.test"))) for work in works]
    written: list[str] = []
    event.listen(any_shop.database.engine, "before_cursor_execute", lambda *told: written.append(told[2]))

    with any_shop.database.writing() as session:
        ended = payments.answered(session, answers, [], now, {"sandbox": 3_600_000}, 60_000)

    assert {end.status for end in ended} == {"confirmed", "failed"}
    tables = [text.split()[1].strip('"') for text in written if text.startswith("UPDATE")]
    assert tables.index("products") < tables.index("counters")


def test_the_look_for_what_is_due_costs_the_same_however_many_orders_there_are(shop: Shop) -> None:
    asked: list[str] = []
    event.listen(shop.database.engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    with shop.database.reading() as session:
        payments.due(session, shop.clock())
        plan = session.execute(text(f"EXPLAIN QUERY PLAN {asked[-1]}")).all()

    assert "ix_payments_next" in str(plan)


# ---------------------------------------------------------------- a cancel


def test_a_cancel_during_the_call_is_told_by_the_worker(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    shopper = any_shop.shopper()
    order_id = any_shop.checkout(shopper, {**CARD, "payment_token": "tok_approve"}, MUG=1)
    failpoints.arm("pay.asked", Nth(1, lambda: cancel(any_shop, order_id)))
    try:
        any_shop.work_until_idle()
    finally:
        failpoints.disarm()

    assert any_shop.order(order_id).payment_status == "voided"
    assert cart_of(shopper) == {"MUG": 1}
    assert any_shop.redis.hget(keys.accepted(order_id), "status") == "cancelled"


def test_a_cancel_looks_again_at_what_is_stuck(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    order_id = buys(any_shop, "tok_timeout_after", MUG=1)
    any_shop.work_until_idle()
    change_row(any_shop, order_id, status="stuck", next_at=None)

    cancel(any_shop, order_id)
    any_shop.pay()

    assert any_shop.order(order_id).payment_status == "voided"
    assert [(account.charges, account.held_minor) for account in any_shop.sandbox.books()] == [(1, 0)]
    assert any_shop.stock("MUG") == any_shop.ledger("MUG") == 3


def test_who_waits_for_an_order_is_woken_when_the_shopper_must_act(real_shop: Shop) -> None:
    real_shop.stocked(MUG=3)
    order_id = real_shop.checkout(body={**CARD, "payment_token": "tok_action"}, MUG=1)
    settle()

    with real_shop.redis.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(keys.outcomes())
        channel.get_message(timeout=5)
        real_shop.work_until_idle()
        woken = channel.get_message(timeout=5)

    assert real_shop.order(order_id).status == "requires_action"
    assert woken is not None
    assert woken["data"].split() == [order_id]
    assert real_shop.redis.exists(keys.claimed_cart(order_id))
