"""An order as its shopper reads it, again and again while it is under way."""

from __future__ import annotations

from db.lookups import Look, Lookup
from db.models import OrderEventRow, OrderItemRow, OrderRow, PaymentRow, ShipmentItemRow, ShipmentRow
from db.orders import NOTE, Shipment

_order = Lookup(OrderRow, "id", "session_id")
_session = Lookup(OrderRow, "id", only=["session_id"])
_items = Lookup(OrderItemRow, "order_id", order_by=[OrderItemRow.__table__.c.position])
_events = Lookup(OrderEventRow, "order_id", order_by=[OrderEventRow.__table__.c.seq])
_shipments = Lookup(ShipmentRow, "order_id", order_by=[ShipmentRow.__table__.c.number])
_parts = Lookup(
    ShipmentItemRow, "order_id", order_by=[ShipmentItemRow.__table__.c.number, ShipmentItemRow.__table__.c.position]
)
_payments = Lookup(PaymentRow, "order_id", order_by=[PaymentRow.__table__.c.created_at, PaymentRow.__table__.c.key])


def order(look: Look, order_id: str, session_id: str) -> OrderRow | None:
    """An order, for the session that placed it and nobody else."""
    return _order.one(look, order_id, session_id)


def session_of(look: Look, order_id: str) -> str | None:
    """The session that placed it; None while it is not in SQL."""
    found = _session.one(look, order_id)
    return found.session_id if found else None


def items(look: Look, order_id: str) -> list[OrderItemRow]:
    """Its lines, in the order of the cart."""
    return _items(look, order_id)


def timeline(look: Look, order_id: str) -> list[OrderEventRow]:
    """What the shopper may read of its timeline: all but the merchant's notes."""
    return [event for event in _events(look, order_id) if event.stage != NOTE]


def shipments(look: Look, order_id: str) -> list[Shipment]:
    """Its shipments, in the order they were sent."""
    found = [Shipment(row, []) for row in _shipments(look, order_id)]
    for part in _parts(look, order_id) if found else []:
        found[part.number - 1].parts.append(part)
    return found


def payments(look: Look, order_id: str) -> list[PaymentRow]:
    """What a provider was told of it, or is to be told, oldest first."""
    return _payments(look, order_id)
