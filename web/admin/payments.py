"""The merchant's money: give it back, note what was paid by hand, and see to what stands for a person."""

from __future__ import annotations

import hashlib

import msgspec
from sqlalchemy.orm import Session

from db import fulfilment, refunds
from db.fulfilment import Act
from db.models import OrderRow
from db.refunds import Wish
from db.resolving import Unresolved
from shop import resolving as rules
from shop.errors import Fault, IdempotencyKeyReused, ValidationFailed
from shop.fulfilment import Portion
from shop.money import exponent, parse_amount
from tasks.failpoints import failpoint
from web import resolving
from web.admin import order_schemas
from web.admin import payment_schemas as out
from web.admin.auth import actor
from web.admin.auth import orders as api
from web.admin.order_views import payment_entry
from web.admin.orders import Answer, changing, whole_answer
from web.admin.versions import check_match, next_version
from web.checkout import idempotency_key
from web.schemas import OrderPath, instant
from web.services import services


@api.post("/orders/<order_id>/refunds", responses={201: order_schemas.AdminOrderOut})
def refund_order(path: OrderPath, header: out.RefundHeader, body: out.RefundIn) -> Answer:
    """Give back some or all of what was captured; answer with the order. The worker tells the provider.

    Never more than was captured, whatever else is under way: 409 `refund_exceeds_payment` with what is `left`.
    What was paid by hand (provider `manual`) is given back by hand: such a refund is noted as done at once.
    """
    at, key = services(), idempotency_key(header.idempotency_key)
    with at.database.writing() as session:
        order = fulfilment.lock(session, path.order_id)
        if key and _is_repeated(session, order.id, key, body):
            return _replayed(session, order)
        check_match(order.updated_at)
        now = at.now()
        order.updated_at = next_version(now, order.updated_at)
        restocked = refunds.refund(session, order, _wish(order, body, key), Act(actor(), now))
        answer = whole_answer(session, order, 201)
        failpoint("refund.writing")
    failpoint("refund.committed")
    at.catalogue.forget(restocked)
    failpoint("refund.forgotten")
    at.payments_bell.ring()
    failpoint("refund.rung")
    return answer


def _is_repeated(session: Session, order_id: str, key: str, body: out.RefundIn) -> bool:
    """Raises IdempotencyKeyReused when an earlier request with this key asked for something else."""
    earlier = refunds.by_request(session, order_id, key)
    if earlier and earlier.request_print != _fingerprint(body):
        raise IdempotencyKeyReused("This Idempotency-Key was used for another refund of this order.")
    return earlier is not None


def _replayed(session: Session, order: OrderRow) -> Answer:
    whole, status, headers = whole_answer(session, order, 201)
    return whole, status, {**headers, "Idempotent-Replayed": "true"}


def _wish(order: OrderRow, body: out.RefundIn, key: str | None) -> Wish:
    restock = None if body.restock is True else body.restock or ()
    return Wish(
        amount_minor=_amount(body.amount, order.currency),
        reason=body.reason,
        restock=None if restock is None else [Portion(line.position, line.quantity) for line in restock],
        key=key,
        fingerprint=_fingerprint(body) if key else None,
    )


def _amount(text: str | None, currency: str) -> int | None:
    try:
        return None if text is None else parse_amount(text, exponent(currency))
    except ValueError as error:
        raise ValidationFailed(
            f"field /amount: {error}", [Fault("validation_failed", str(error), "/amount")]
        ) from error


def _fingerprint(body: out.RefundIn) -> str:
    """Equal for bodies that mean the same: how the JSON was spelled does not count."""
    return hashlib.sha256(msgspec.json.encode(body.model_dump(exclude_unset=True), order="sorted")).hexdigest()


@api.post("/orders/<order_id>/payments", responses={201: order_schemas.AdminOrderOut})
def mark_order_paid(path: OrderPath, body: out.PaidIn) -> Answer:
    """Note that a confirmed order on invoice or cash on delivery was paid in full; answer with the order.

    Its refunds are done by hand too: a refund of such an order only notes that the money was given back.
    """
    with changing(path.order_id) as (session, order, act):
        refunds.mark_paid(session, order, body.reference, body.note, act)
        return whole_answer(session, order, 201)


# ---------------------------------------------------------------- what stands for a person


@api.get("/payments/unresolved", responses={200: out.UnresolvedOut})
def list_unresolved_payments(query: out.UnresolvedQuery) -> out.UnresolvedOut:
    """List what stands for a person, and what to do about each: the shop guesses nothing where money is concerned."""
    found, more = resolving.unresolved(services(), query.per_page)
    return out.UnresolvedOut(items=[_entry(each) for each in found], more=more)


def _entry(found: Unresolved) -> out.UnresolvedEntry:
    row, order, operation = found.row, found.order, found.operation
    return out.UnresolvedEntry(
        payment=payment_entry(row),
        order_id=order.id,
        order_number=order.number,
        order_status=order.status,  # type: ignore[arg-type]
        payment_status=order.payment_status,  # type: ignore[arg-type]
        why=rules.why(operation),  # type: ignore[arg-type]
        advice=rules.advice(row.key, operation, order.id, row.provider),
        since=instant(row.updated_at),
    )


@api.post("/payments/<key>/retry", responses={200: order_schemas.AdminOrderOut})
def retry_payment(path: out.PaymentPath) -> Answer:
    """Have the provider asked once more, with the same key: never twice what may have happened."""
    return _order(resolving.retry(services(), path.key, actor()))


@api.post("/payments/<key>/resolve", responses={200: order_schemas.AdminOrderOut})
def resolve_payment(path: out.PaymentPath, body: out.ResolutionIn) -> Answer:
    """Say what you saw at the provider: order, stock and cart follow as if the provider had said it."""
    return _order(resolving.resolve(services(), path.key, body.outcome, body.provider_id, actor()))


def _order(order_id: str) -> Answer:
    with services().database.reading() as session:
        return whole_answer(session, session.get_one(OrderRow, order_id))
