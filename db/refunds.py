"""Money that the merchant gives back, or has taken by hand. All of it on a locked order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import fulfilment, notices, payments
from db.fulfilment import Act
from db.models import OrderRow, PaymentRow
from db.payment_rows import new_row, number_of
from shop import refunds
from shop.fulfilment import Portion
from shop.money import exponent, format_amount
from shop.notices import News
from shop.orders import ImpossibleTransition, move

MANUAL: Final = "manual"
"""The provider of payments that went past all providers: nobody is told of them."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the merchant wants to be given back."""

    amount_minor: int | None = None
    """None: all that is left."""
    reason: str | None = None
    restock: Sequence[Portion] | None = ()
    """Units that come back with it; None: all."""
    key: str | None = None
    """The Idempotency-Key of the request, and a fingerprint of the request."""
    fingerprint: str | None = None


def by_request(session: Session, order_id: str, key: str) -> PaymentRow | None:
    """The refund that a request with this Idempotency-Key asked for."""
    return session.scalar(select(PaymentRow).where(PaymentRow.order_id == order_id, PaymentRow.request_key == key))


def refund(session: Session, order: OrderRow, wish: Wish, act: Act) -> list[str]:
    """Ask the provider to give back what is wanted; what was paid by hand was given back by hand already.

    Answers the products whose stock rose. Raises ImpossibleTransition, RefundExceedsPayment, ValidationFailed or
    AlreadyRestocked.
    """
    refunds.may_refund(order.payment_status)
    rows = payments.rows_of(session, [order.id])[order.id]
    operations = [payments.operation(row) for row in rows]
    amount_minor = refunds.to_refund(wish.amount_minor, refunds.left_minor(operations), order.currency)
    units = _units(session, order, wish)
    payment = next(row for row in rows if row.kind == "authorize" or row.provider == MANUAL)
    row = payments.add_operation(session, payment, "refund", amount_minor, act.at, reason=wish.reason, actor=act.actor)
    if row is None:  # Refunds are counted under the order's lock, so that there is none of this number.
        raise AssertionError(f"a refund of order {order.id} has the next one's key")
    row.request_key, row.request_print = wish.key, wish.fingerprint
    told = f"{format_amount(amount_minor, exponent(order.currency))} {order.currency}"
    if payment.provider == MANUAL:
        row.status, row.next_at = "succeeded", None
        given = amount_minor + sum(each.amount_minor for each in rows if each.kind == "refund")
        after = refunds.after_refund(given, refunds.taken_minor(operations))
        order.payment_status = move("payment_status", order.payment_status, after)
        notices.announce(session, [News(order.id, "order.refunded", number_of(row.key))], act.at)
    fulfilment.tell(session, order, "payment_refunded" if row.status == "succeeded" else "refund_requested", told, act)
    fulfilment.withdraw(session, order, units, act)
    return fulfilment.put_back(session, order, units, act)


def _units(session: Session, order: OrderRow, wish: Wish) -> dict[str, int]:
    if wish.restock is not None and not wish.restock:
        return {}
    return refunds.to_restock(
        fulfilment.lines_of(session, order.id), wish.restock, fulfilment.came_back(session, order.id)
    )


def mark_paid(session: Session, order: OrderRow, reference: str | None, note: str | None, act: Act) -> None:
    """An order that needs no provider was paid, in full. Raises ImpossibleTransition for any other, and twice."""
    asked = payments.rows_of(session, [order.id])[order.id]
    if order.status != "confirmed" or any(row.provider != MANUAL for row in asked):
        why = "its provider takes the money" if order.status == "confirmed" else f"this one is {order.status}"
        raise ImpossibleTransition(f"Only a confirmed order that no provider is asked for is paid by hand; {why}.")
    order.payment_status = move("payment_status", order.payment_status, "captured")
    what = (order.id, "capture", MANUAL, order.total_minor, order.currency, act.at)
    row = PaymentRow(**new_row(*what, reason=note, actor=act.actor))
    row.status, row.next_at, row.result_id = "succeeded", None, reference
    session.add(row)
    fulfilment.tell(session, order, "payment_captured", None, act)
