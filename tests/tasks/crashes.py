"""Jobs that die or are overtaken at a fail point, and the books of shop and provider held against each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from db import payments
from db.models import OrderRow, PaymentRow
from shop.orders import OPEN, move
from tasks import failpoints, runtime
from tasks import pay as pay_job
from tasks.checkout import settle
from tests.harness import ADDRESS, Shop
from tests.tasks.helpers import cart_of

INSIDE = frozenset({"settle.writing", "pay.writing"})
"""Within a transaction: there a process can die, but nobody else can write."""
LONGEST_WAIT_SECONDS = 86400.0


class Killed(BaseException):
    """The process ends here: nothing catches this."""


@dataclass
class Nth:
    """Something that happens once: the nth time a place is come to."""

    n: int
    action: Callable[[], None]
    seen: int = field(default=0)

    def __call__(self) -> None:
        self.seen += 1
        if self.seen == self.n:
            self.action()

    @property
    def happened(self) -> bool:
        return self.seen >= self.n


def die() -> None:
    raise Killed


def dies_at(point: str, shop: Shop, job: Callable[[], object], own: runtime.Runtime) -> None:
    """Run a job in its own runtime until it dies at that place; the test goes on in the shop's."""
    failpoints.arm(point, die)
    runtime.start(own)
    with pytest.raises(Killed):
        job()
    failpoints.disarm()
    runtime.start(shop.runtime)


def shopper(shop: Shop) -> FlaskClient:
    """A browser whose answers nobody checks: the API has its own tests."""
    return FlaskClient(shop.app, shop.app.response_class, use_cookies=True)


def buys(shop: Shop, client: FlaskClient, token: str) -> str:
    """One mug, by card; the order's id."""
    client.post("/api/cart/add", json={"product_id": "MUG", "quantity": 1})
    body: dict[str, Any] = {
        "email": "ada@example.com",
        "shipping_info": ADDRESS,
        "shipping_method": "standard",
        "payment_method": "card",
        "payment_token": token,
    }
    order_id: str = client.post("/api/checkout", json=body).get_json()["id"]
    return order_id


def work(shop: Shop) -> None:
    """Both jobs, in a process of its own as far as it can tell."""
    pay_job._breakers.clear()
    try:
        for job, own in ((settle, shop.runtime), (pay_job.pay, shop.pay_runtime)):
            runtime.start(own)
            job()
    except Killed:
        pass
    finally:
        runtime.start(shop.runtime)


def work_to_the_end(shop: Shop) -> None:
    """Again and again, with ever more time in between, until nothing is due any more."""
    wait = 4.0
    work(shop)
    while shop.runtime.inbox.size() or next_at(shop) is not None:
        shop.clock.forward(wait)
        wait = min(wait * 2, LONGEST_WAIT_SECONDS)
        work(shop)


def next_at(shop: Shop) -> int | None:
    with shop.database.reading() as session:
        return session.scalar(select(func.min(PaymentRow.next_at)))


def cancel(shop: Shop, order_id: str) -> None:
    """The shopper cancels, if there is anything to cancel; nobody tells the carts' store but the worker."""
    with shop.database.writing() as session:
        order = session.scalar(select(OrderRow).where(OrderRow.id == order_id).with_for_update())
        if order is None or order.status not in OPEN | {"confirmed"}:
            return
        order.status = move("status", order.status, "cancelled")
        order.payment_status = payments.undo(session, order, shop.clock())
        payments.release(session, [order_id], shop.clock())
        payments.add_events(session, [(order_id, ("cancelled", "ok", None), 1)], shop.clock())


def with_point(name: str, nth: Nth, run: Callable[[], None]) -> None:
    failpoints.arm(name, nth)
    try:
        run()
    finally:
        failpoints.disarm()


# ---------------------------------------------------------------- the books


def check(shop: Shop, order_id: str, client: FlaskClient) -> str:
    """The provider's books are the order's, to the cent; answers the order's status."""
    order = shop.order(order_id)
    with shop.database.reading() as session:
        rows = payments.rows_of(session, [order_id])[order_id]
    ends = {(row.kind, row.status) for row in rows}
    account = next((found for found in shop.sandbox.books() if found.order_id == order_id), None)
    assert order.status not in OPEN or ("authorize", "stuck") in ends
    assert not any(row.tells or row.next_at for row in rows)
    assert account is None or (account.charges <= 1, account.misuses) == (True, 0)
    if not any(status == "stuck" for _, status in ends):
        _money(order, ends, account)
    assert shop.redis.hget(f"accepted:{order_id}", "status") == order.status
    assert not shop.redis.exists(f"accepted:{order_id}:cart")
    if order.status == "failed":
        assert cart_of(client) == {"MUG": 1}
    elif order.status == "confirmed":
        assert cart_of(client) == {}
    else:
        assert cart_of(client) == {} if order.number else {"MUG": 1}
    return order.status


def _money(order: OrderRow, ends: set[tuple[str, str]], account: Any) -> None:
    held, taken, given, waits = (
        (account.held_minor, account.captured_minor, account.refunded_minor, account.open) if account else (0, 0, 0, 0)
    )
    assert waits == 0
    if order.status == "confirmed":
        refused = ("capture", "refused") in ends
        assert (held, taken, given) == ((order.total_minor, 0, 0) if refused else (0, order.total_minor, 0))
        assert order.payment_status == ("authorized" if refused else "captured")
        assert order.number is not None
    elif ("refund", "refused") in ends:
        assert (held, given) == (0, 0)
        assert order.payment_status == "captured"
    else:
        assert (held, taken) == (0, given)
        assert order.payment_status in (("refunded",) if taken else ("voided", "failed"))


def stock_closes(shop: Shop) -> None:
    """What is not on the shelf is in confirmed orders, or in those that nobody knows about."""
    with shop.database.reading() as session:
        stands = select(func.count()).select_from(OrderRow).where(OrderRow.status.not_in(("failed", "cancelled")))
        sold = session.scalar(stands) or 0
    assert shop.stock("MUG") == shop.ledger("MUG") == 1000 - sold
    shop.books_close()
