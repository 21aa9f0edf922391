"""What stands for a person: found, asked once more, or settled by their word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import and_, or_, select, text
from sqlalchemy.orm import Session, aliased

from db import fulfilment, payments
from db.fulfilment import Act
from db.models import OrderRow, PaymentRow
from db.payments import Ended
from shop import resolving
from shop.errors import PaymentNotFound
from shop.paying import Operation
from shop.refunds import left_minor
from shop.resolving import LONGEST_AUTHORIZED_MS


@dataclass(frozen=True, slots=True)
class Unresolved:
    """An operation that nobody works on any more although its books are open, or that takes far too long."""

    row: PaymentRow
    order: OrderRow

    @property
    def operation(self) -> Operation:
        return payments.operation(self.row)


def unresolved(session: Session, now: int, most: int) -> list[Unresolved]:
    """What stands for a person, up to `most`, the longest untouched first."""
    found = [*_open_books(session, most)]
    listed = {each.order.id for each in found if each.row.kind == "capture"}
    found += (each for each in _not_captured(session, now, most) if each.order.id not in listed)
    return sorted(found, key=lambda each: (each.row.updated_at, each.row.key))[:most]


def _open_books(session: Session, most: int) -> Iterator[Unresolved]:
    p, o, other = PaymentRow, OrderRow, aliased(PaymentRow)
    given_back = (
        select(1)
        .where(other.order_id == p.order_id, other.kind == "refund", other.status != "dropped")
        .exists()
        .correlate(p)
    )
    over = o.status.in_(("failed", "cancelled"))
    taken = o.payment_status.in_(("captured", "partially_refunded"))
    stands = or_(
        p.status == "stuck",
        and_(p.kind == "capture", o.status == "confirmed", o.payment_status == "authorized"),
        and_(p.kind == "refund", over, taken),
        and_(p.kind == "void", taken, ~given_back),
    )
    query = (
        select(p, o)
        .join(o, o.id == p.order_id)
        .where(text("payments.status IN ('stuck', 'refused')"), stands)  # As the partial index has it.
        .order_by(p.updated_at, p.key)
        .limit(most)
    )
    for row, order in session.execute(query):
        yield Unresolved(row, order)


def _not_captured(session: Session, now: int, most: int) -> Iterator[Unresolved]:
    """Confirmed orders whose money has only been reserved for too long, by their capture if there is one."""
    o, authorize, capture = OrderRow, aliased(PaymentRow), aliased(PaymentRow)
    query = (
        select(o, authorize, capture)
        .join(authorize, and_(authorize.order_id == o.id, authorize.kind == "authorize"))
        .outerjoin(capture, and_(capture.order_id == o.id, capture.kind == "capture"))
        .where(o.payment_status == "authorized", o.status == "confirmed")
        .where(authorize.updated_at <= now - LONGEST_AUTHORIZED_MS)
        .order_by(o.created_at, o.id)
        .limit(most)
    )
    for order, first, second in session.execute(query):
        yield Unresolved(second or first, order)


def lock(session: Session, key: str) -> Unresolved:
    """An operation and its order, held until the transaction ends. Raises PaymentNotFound."""
    order_id = session.scalar(select(PaymentRow.order_id).where(PaymentRow.key == key))
    if order_id is None:
        raise PaymentNotFound(f"There is no payment {key}.")
    order = fulfilment.lock(session, order_id)  # Before the row, as everybody who decides on orders does.
    row = session.scalars(select(PaymentRow).where(PaymentRow.key == key).with_for_update()).one()
    return Unresolved(row, order)


def retry(session: Session, found: Unresolved, act: Act, key_ms: int) -> None:
    """Have an operation asked once more, with the same key. Raises ImpossibleTransition."""
    row, order = found.row, found.order
    if _misses_capture(session, found):
        payments.add_operation(session, row, "capture", row.amount_minor, act.at, actor=act.actor)
    else:
        resolving.may_retry(found.operation, act.at, key_ms, _left(session, order.id))
        if row.leased_by is None:  # Else somebody is asking just now.
            row.status = resolving.when_retried(found.operation) if row.status in ("stuck", "refused") else row.status
            row.next_at, row.updated_at = act.at, act.at
    order.updated_at = max(act.at, order.updated_at + 1)
    fulfilment.tell(session, order, f"{row.kind}_retried", None, act)


def _misses_capture(session: Session, found: Unresolved) -> bool:
    row, order = found.row, found.order
    if (row.kind, row.status, order.status, order.payment_status) != (
        *("authorize", "succeeded"),
        *("confirmed", "authorized"),
    ):
        return False
    return not any(each.kind == "capture" for each in payments.rows_of(session, [order.id])[order.id])


def resolve(
    session: Session, found: Unresolved, happened: bool, provider_id: str | None, act: Act, times: tuple[int, int]
) -> list[Ended]:
    """Let a person say what they saw at the provider: money was charged (of a refund: given back), or not.

    `times` are how long the provider knows a key and how long a shopper has to act, in ms. Answers the order if it
    ended by that. Raises ImpossibleTransition or ValidationFailed.
    """
    row, order = found.row, found.order
    left = _left(session, order.id)
    answer = resolving.seen(found.operation, order.status, happened, provider_id, row.captures, left)
    said = (
        {True: "charged", False: "not charged"} if row.kind != "refund" else {True: "refunded", False: "not refunded"}
    )
    fulfilment.tell(session, order, "payment_resolved", said[happened], act)
    return payments.resolve(session, row, order, answer, act.at, *times)


def _left(session: Session, order_id: str) -> int:
    return left_minor([payments.operation(row) for row in payments.rows_of(session, [order_id])[order_id]])
