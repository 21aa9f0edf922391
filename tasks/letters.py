"""What notices say of an order, read when they are sent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import orders, payments
from db.models import OrderItemRow, OrderRow, PaymentRow
from db.notices import Work
from db.orders import Shipment
from db.payment_rows import number_of
from shop.money import exponent, format_amount
from shop.notices import TEST

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Told:
    """An order with all that is told of one."""

    row: OrderRow
    items: Sequence[OrderItemRow]
    shipments: Sequence[Shipment]
    refunds: Sequence[PaymentRow]

    def shipment(self, number: int) -> Shipment | None:
        return next((each for each in self.shipments if each.row.number == number), None)

    def refund(self, number: int) -> PaymentRow | None:
        return next((each for each in self.refunds if number_of(each.key) == number), None)

    def money(self, minor: int) -> str:
        return format_amount(minor, exponent(self.row.currency))


def read(session: Session, order_ids: Collection[str]) -> dict[str, Told]:
    """These orders."""
    ids = sorted(order_ids)
    if not ids:
        return {}
    rows = {row.id: row for row in session.scalars(select(OrderRow).where(OrderRow.id.in_(ids)))}
    items, shipments, paid = orders.items(session, ids), orders.shipments(session, ids), payments.rows_of(session, ids)
    return {
        order_id: Told(
            rows[order_id],
            items[order_id],
            shipments[order_id],
            [each for each in paid[order_id] if each.kind == "refund"],
        )
        for order_id in ids
    }


def instant(ms: int) -> str:
    """As everywhere in the API."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# ---------------------------------------------------------------- webhooks


def body(work: Work, told: Told | None) -> bytes:
    """The body of a webhook: what happened, when, and the order as it is now."""
    data = {"message": "This is a test."} if work.event == TEST or told is None else _data(work, told)
    return _encode({"type": work.event, "timestamp": instant(work.created_at), "data": data})


def _data(work: Work, told: Told) -> Mapping[str, Any]:
    data: dict[str, Any] = {"order": _order(told)}
    if work.event == "order.shipped" and (shipment := told.shipment(work.number)):
        data["shipment"] = _shipment(shipment, told.items)
    if work.event == "order.refunded" and (refund := told.refund(work.number)):
        data["refund"] = {
            "key": refund.key,
            "amount": told.money(refund.amount_minor),
            "currency": refund.currency,
            "reason": refund.reason,
            "created_at": instant(refund.created_at),
        }
    return data


def _order(told: Told) -> Mapping[str, Any]:
    """The order in short, under the names of the merchant's API, where the rest is."""
    row, money = told.row, told.money
    return {
        "id": row.id,
        "number": row.number,
        "status": row.status,
        "payment_status": row.payment_status,
        "fulfillment_status": row.fulfillment_status,
        "email": row.email,
        "currency": row.currency,
        "items": [
            {
                "position": item.position,
                "product_id": item.product_id,
                "sku": item.sku,
                "name": item.name,
                "quantity": item.quantity,
                "shipped_quantity": item.shipped_quantity,
                "price_at_time": money(item.price_at_time_minor),
                "tax_amount": money(item.tax_minor),
                "subtotal": money(item.subtotal_minor),
            }
            for item in told.items
        ],
        "subtotal": money(row.subtotal_minor),
        "shipping_amount": money(row.shipping_minor),
        "tax_amount": money(row.tax_minor),
        "total_amount": money(row.total_minor),
        "shipping_method": row.shipping_method,
        "payment_method": row.payment_method,
        "failure": None if row.failure is None else {name: row.failure[name] for name in ("code", "message")},
        "created_at": instant(row.created_at),
        "updated_at": instant(row.updated_at),
        "links": {"self": f"/api/admin/orders/{row.id}"},
    }


def _shipment(shipment: Shipment, items: Sequence[OrderItemRow]) -> Mapping[str, Any]:
    row, lines = shipment.row, {item.position: item for item in items}
    return {
        "number": row.number,
        "carrier": row.carrier,
        "tracking_number": row.tracking_number,
        "tracking_url": row.tracking_url,
        "shipped_at": instant(row.shipped_at),
        "items": [
            {"position": part.position, "sku": lines[part.position].sku, "quantity": part.quantity}
            for part in shipment.parts
        ],
    }
