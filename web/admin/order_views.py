"""Orders as the merchant sees them: with notes, and with who did what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from db import fulfilment, orders, payments
from db.models import OrderItemRow, OrderRow, PaymentRow
from shop.fulfilment import fulfillable
from shop.money import exponent, format_amount
from web.admin.order_schemas import AdminEventOut, AdminOrderEntry, AdminOrderOut, AdminPaymentOut
from web.schemas import LinksOut, instant
from web.views import event_out, order_facts


def whole_orders(session: Session, rows: Sequence[OrderRow]) -> list[AdminOrderOut]:
    """Whole orders, with lines, shipments and timelines."""
    ids = [row.id for row in rows]
    items, shipments = orders.items(session, ids), orders.shipments(session, ids)
    timelines, asked = orders.timelines(session, ids), payments.rows_of(session, ids)
    return [
        AdminOrderOut(
            **_facts(row, items[row.id], shipments[row.id], asked[row.id]),
            payments=[payment_entry(payment) for payment in asked[row.id]],
            timeline=[AdminEventOut(**event_out(event), actor=event.actor) for event in timelines[row.id]],
            links=_links(row.id),
        )
        for row in rows
    ]


def _facts(
    order: OrderRow, items: Sequence[OrderItemRow], shipments: Sequence[orders.Shipment], asked: Sequence[PaymentRow]
) -> dict[str, Any]:
    """What the shopper sees too, and what of each line is still to be shipped."""
    facts = order_facts(order, items, shipments, asked)
    for shown, item in zip(facts["items"], items, strict=True):
        shown["fulfillable_quantity"] = fulfillable(order.status, order.fulfillment_status, fulfilment.line_of(item))
    return facts


def order_entry(row: OrderRow, item_count: int) -> AdminOrderEntry:
    return AdminOrderEntry(
        id=row.id,
        number=row.number,
        status=row.status,  # type: ignore[arg-type]
        payment_status=row.payment_status,  # type: ignore[arg-type]
        fulfillment_status=row.fulfillment_status,  # type: ignore[arg-type]
        currency=row.currency,
        total_amount=format_amount(row.total_minor, exponent(row.currency)),
        email=row.email,
        recipient=(row.shipping_address or row.billing_address)["name"],
        item_count=item_count,
        failure_code=row.failure_code,
        created_at=instant(row.created_at),
        updated_at=instant(row.updated_at),
        links=_links(row.id),
    )


def payment_entry(row: PaymentRow) -> AdminPaymentOut:
    """A payment as the merchant needs it; its token stays with us."""
    return AdminPaymentOut(
        key=row.key,
        kind=row.kind,  # type: ignore[arg-type]
        status=row.status,  # type: ignore[arg-type]
        amount=format_amount(row.amount_minor, exponent(row.currency)),
        currency=row.currency,
        provider=row.provider,
        provider_id=row.provider_id,
        result_id=row.result_id,
        reason=row.reason,
        actor=row.actor,
        idempotency_key=row.request_key,
        tries=row.tries,
        detail=row.detail,
        created_at=instant(row.created_at),
        updated_at=instant(row.updated_at),
        next_at=None if row.next_at is None else instant(row.next_at),
        action_until=None if row.action_until is None else instant(row.action_until),
    )


def _links(order_id: str) -> LinksOut:
    return LinksOut(self=f"/api/admin/orders/{order_id}")
