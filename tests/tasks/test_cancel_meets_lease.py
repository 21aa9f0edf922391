"""A cancel that comes while a payment is just being taken up: on PostgreSQL the two can overlap."""

from __future__ import annotations

import threading

import pytest
from redis import Redis
from sqlalchemy import text

from db import payments
from db.models import PaymentRow
from db.payments import Work
from db.session import Database
from payments.sandbox_store import Account
from shop.payments import PaymentRequest
from shop.rules import Rules
from tasks.checkout import settle
from tests.harness import Clock, Shop
from tests.servers import until
from tests.tasks.crashes import buys, cancel, shopper
from web.settings import Settings

pytestmark = pytest.mark.real


@pytest.fixture
def shop(
    rules: Rules, valkey_pair: tuple[Redis, Redis], postgresql: Database, clock: Clock, settings: Settings
) -> Shop:
    return Shop(rules, *valkey_pair, postgresql, clock, settings)


def somebody_waits_for_a_lock(shop: Shop) -> bool:
    with shop.database.reading() as session:
        return bool(session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


def payment(shop: Shop, order_id: str) -> PaymentRow:
    with shop.database.reading() as session:
        return payments.rows_of(session, [order_id])[order_id][0]


def asked(work: Work) -> PaymentRequest:
    """What the worker that took it up asks the provider."""
    operation = work.operation
    return PaymentRequest(
        order_id=work.order_id,
        key=work.key,
        amount_minor=operation.amount_minor,
        currency=operation.currency,
        token=work.token,
        email=work.email,
        return_url="http://shop.test",
        capture=work.captures,
    )


def account(shop: Shop, order_id: str) -> Account | None:
    return next((account for account in shop.sandbox.books() if account.order_id == order_id), None)


def test_a_payment_that_is_being_taken_up_is_not_dropped_by_a_cancel_that_saw_it_before(shop: Shop) -> None:
    shop.stocked(MUG=3)
    order_id = buys(shop, shopper(shop), "tok_approve")
    settle()
    with shop.database.writing() as session:
        works, _ = payments.lease(session, "test-worker", 10, shop.clock())
        cancelling = threading.Thread(target=cancel, args=(shop, order_id))
        cancelling.start()
        until(lambda: somebody_waits_for_a_lock(shop), what="the cancel to wait for the lease")
    cancelling.join()

    assert [work.order_id for work in works] == [order_id]
    assert shop.order(order_id).status == "cancelled"
    assert (payment(shop, order_id).status, payment(shop, order_id).asked_at) == ("due", shop.clock())


def test_what_the_provider_approved_for_a_payment_that_was_cancelled_meanwhile_is_given_up(shop: Shop) -> None:
    shop.stocked(MUG=3)
    order_id = buys(shop, shopper(shop), "tok_approve")
    settle()
    with shop.database.writing() as session:
        (work,), _ = payments.lease(session, "a-worker-that-dies-after-asking", 10, shop.clock())
        cancelling = threading.Thread(target=cancel, args=(shop, order_id))
        cancelling.start()
        until(lambda: somebody_waits_for_a_lock(shop), what="the cancel to wait for the lease")
    cancelling.join()
    shop.sandbox.authorize(asked(work))
    for _ in range(10):
        shop.clock.forward(60)
        shop.pay()

    found = account(shop, order_id)
    assert found
    assert (found.charges, found.held_minor, found.captured_minor) == (1, 0, 0)
    assert shop.order(order_id).payment_status == "voided"
    assert payment(shop, order_id).next_at is None
    assert shop.stock("MUG") == 3
