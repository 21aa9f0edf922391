"""What the merchant does with an order: ship, deliver, take back, cancel, note. All of it on a locked row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from db import notices, payments, stock
from db.models import (
    OrderEventRow,
    OrderItemRow,
    OrderRow,
    ShipmentItemRow,
    ShipmentRow,
    StockMovementRow,
)
from db.orders import NOTE, items
from shop import fulfilment
from shop.errors import OrderNotFound
from shop.fulfilment import Line, Portion
from shop.notices import News
from shop.orders import OPEN

UNKNOWN = "There is no such order. One that was accepted a moment ago is here once it is settled."


@dataclass(frozen=True, slots=True)
class Act:
    """Who changes an order, and when (ms since the epoch)."""

    actor: str | None
    """The name of an API key; None for the shopper."""
    at: int


@dataclass(frozen=True, slots=True)
class Tracking:
    """How a shipment travels, as far as the merchant says."""

    carrier: str | None = None
    number: str | None = None
    url: str | None = None


def lock(session: Session, order_id: str) -> OrderRow:
    """An order, held until the transaction ends: whoever decides on it next sees what was decided here.

    SQLite ignores FOR UPDATE; there the whole transaction is exclusive from its BEGIN. Raises OrderNotFound.
    """
    query = select(OrderRow).where(OrderRow.id == order_id).with_for_update()
    # As it is under the lock: whoever looked before must not decide on what they saw then.
    row = session.scalar(query.execution_options(populate_existing=True))
    if row is None:
        raise OrderNotFound(UNKNOWN)
    return row


def ship(session: Session, order: OrderRow, wanted: Sequence[Portion] | None, tracking: Tracking, act: Act) -> None:
    """Send what is wanted, or all that is left. Raises ImpossibleTransition, MoreThanLeft or ValidationFailed."""
    fulfilment.may_ship(order.status, order.fulfillment_status)
    lines = lines_of(session, order.id)
    parcel = fulfilment.to_ship(lines, wanted)
    order.fulfillment_status = fulfilment.after_shipment(order.fulfillment_status, lines, parcel)
    number = len(shipment_rows(session, order.id)) + 1
    session.add(
        ShipmentRow(
            order_id=order.id,
            number=number,
            carrier=tracking.carrier,
            tracking_number=tracking.number,
            tracking_url=tracking.url,
            shipped_at=act.at,
        )
    )
    session.flush()
    for portion in parcel:
        session.execute(
            update(OrderItemRow)
            .where(OrderItemRow.order_id == order.id, OrderItemRow.position == portion.position)
            .values(shipped_quantity=OrderItemRow.shipped_quantity + portion.quantity)
        )
        session.add(
            ShipmentItemRow(order_id=order.id, number=number, position=portion.position, quantity=portion.quantity)
        )
    text = fulfilment.shipment_text(number, lines, parcel, tracking.carrier, tracking.number)
    tell(session, order, order.fulfillment_status, text, act)
    notices.announce(session, [News(order.id, "order.shipped", number)], act.at)


def withdraw(session: Session, order: OrderRow, units: Mapping[str, int], act: Act) -> None:
    """Units of products are given back: what of them was not sent yet is not shipped any more."""
    if order.status != "confirmed" or not units:
        return
    lines = lines_of(session, order.id)
    portions = fulfilment.withdrawn(lines, units)
    for portion in portions:
        session.execute(
            update(OrderItemRow)
            .where(OrderItemRow.order_id == order.id, OrderItemRow.position == portion.position)
            .values(withdrawn_quantity=OrderItemRow.withdrawn_quantity + portion.quantity)
        )
    undelivered = [row.number for row in shipment_rows(session, order.id) if row.delivered_at is None]
    for status in fulfilment.after_withdrawal(order.fulfillment_status, lines, portions, undelivered):
        order.fulfillment_status = status
        tell(session, order, status, "The rest was given back and is not sent", act)
        if status == "delivered":
            notices.announce(session, [News(order.id, "order.delivered")], act.at)


def lines_of(session: Session, order_id: str) -> list[Line]:
    """An order's lines, and what of them is left to ship."""
    return [line_of(row) for row in items(session, [order_id])[order_id]]


def line_of(row: OrderItemRow) -> Line:
    return Line(row.position, row.product_id, row.name, row.quantity, row.shipped_quantity, row.withdrawn_quantity)


def deliver(session: Session, order: OrderRow, wanted: int | None, act: Act) -> None:
    """One shipment arrived, or all that are on their way. Raises ImpossibleTransition or ValidationFailed."""
    rows = shipment_rows(session, order.id)
    undelivered = [row.number for row in rows if row.delivered_at is None]
    arriving = fulfilment.to_deliver(order.status, order.fulfillment_status, undelivered, len(rows), wanted)
    for row in rows:
        if row.number in arriving:
            row.delivered_at = act.at
    after = fulfilment.after_delivery(order.fulfillment_status, undelivered, arriving)
    stage = after if after != order.fulfillment_status else "shipment_delivered"
    order.fulfillment_status = after
    tell(session, order, stage, fulfilment.delivery_text(arriving), act)
    if stage == "delivered":
        notices.announce(session, [News(order.id, "order.delivered")], act.at)


def take_back(session: Session, order: OrderRow, restock: bool, text: str | None, act: Act) -> list[str]:
    """The whole order came back. Answers the products whose stock rose. Raises ImpossibleTransition."""
    order.fulfillment_status = fulfilment.after_return(order.status, order.fulfillment_status)
    tell(session, order, "returned", None, act)
    notices.announce(session, [News(order.id, "order.returned")], act.at)
    if text is not None:
        note(session, order, text, act)
    return _restock(session, order, act) if restock else []


def cancel(session: Session, order: OrderRow, restock: bool, reason: str | None, act: Act) -> list[str]:
    """Nothing of it is sent, nothing is owed, and what was paid goes back. Answers the products whose stock rose.

    Raises ImpossibleTransition.
    """
    was_open = order.status in OPEN
    cancelled = fulfilment.cancel(order.status, order.fulfillment_status, reason)
    order.status = cancelled.status
    order.payment_status = payments.undo(session, order, act.at, act.actor)
    order.failure, order.failure_code = asdict(cancelled.failure), cancelled.failure.code
    tell(session, order, "cancelled", reason, act)
    notices.announce(session, [News(order.id, "order.cancelled")], act.at)
    if was_open:  # What was never sold is only let go of.
        return [*payments.release(session, [order.id], act.at, act.actor).get(order.id, ())]
    return _restock(session, order, act) if restock else []


def note(session: Session, order: OrderRow, text: str, act: Act) -> None:
    """Write something into the timeline that the shopper never sees."""
    tell(session, order, NOTE, text, act)


def shipment_rows(session: Session, order_id: str) -> Sequence[ShipmentRow]:
    query = select(ShipmentRow).where(ShipmentRow.order_id == order_id)
    return session.scalars(query.order_by(ShipmentRow.number)).all()


def tell(session: Session, order: OrderRow, stage: str, detail: str | None, act: Act) -> None:
    """Write the next entry of the timeline; the lock on the order keeps its number free."""
    last = session.scalar(select(func.max(OrderEventRow.seq)).where(OrderEventRow.order_id == order.id)) or 0
    session.add(
        OrderEventRow(
            order_id=order.id,
            seq=last + 1,
            stage=stage,
            at=act.at,
            attempt=1,
            outcome="ok",
            detail=detail,
            actor=act.actor,
        )
    )
    session.flush()


def came_back(session: Session, order_id: str) -> dict[str, int]:
    """Units that an order gave back already, of each product of which any did."""
    query = select(StockMovementRow.product_id, func.sum(StockMovementRow.quantity)).where(
        # The ledger's unique key begins with the product: without one, all of it would be read.
        StockMovementRow.product_id.in_(select(OrderItemRow.product_id).where(OrderItemRow.order_id == order_id)),
        StockMovementRow.order_id == order_id,
        StockMovementRow.kind.in_(("released", "returned")),
    )
    return {row[0]: int(row[1]) for row in session.execute(query.group_by(StockMovementRow.product_id))}


def put_back(session: Session, order: OrderRow, units: Mapping[str, int], act: Act) -> list[str]:
    """Put units of an order back on their shelves; answers the products. For each product once:
    the ledger's unique key forbids a second time.

    In product order, as settlements lock them, so that the two cannot deadlock.
    """
    movements = [(product_id, "returned", quantity, order.id, None, act.at) for product_id, quantity in units.items()]
    stock.give_back(session, movements, act.actor)
    return sorted(units)


def _restock(session: Session, order: OrderRow, act: Act) -> list[str]:
    """Put every line back on its shelf, but for what came back with a refund already."""
    back = came_back(session, order.id)
    left = {row.product_id: row.quantity - back.get(row.product_id, 0) for row in items(session, [order.id])[order.id]}
    rest = {product_id: units for product_id, units in left.items() if units}
    movements: list[stock.Movement] = []
    for product_id, units in rest.items():
        # The ledger knows a second return for the same order only as the merchant's own.
        again = product_id in back
        order_id, reason = (None, f"the rest of order {order.id}") if again else (order.id, None)
        movements.append((product_id, "returned", units, order_id, reason, act.at))
    stock.give_back(session, movements, act.actor)
    return sorted(rest)
