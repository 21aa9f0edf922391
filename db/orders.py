"""Orders in SQL: what a settlement writes and what a shopper reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from sqlalchemy import BigInteger, Text, bindparam, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db import notices, payment_rows, products, stock
from db.bulk import BulkInsert
from db.models import CounterRow, OrderEventRow, OrderItemRow, OrderRow, ShipmentItemRow, ShipmentRow, as_json
from shop.catalogue import Product
from shop.checkout import Checkout
from shop.notices import News
from shop.orders import move
from shop.settlement import Decision

ORDER_NUMBER = "order_number"
CONFIRMED, FAILED = move("status", "pending", "confirmed"), move("status", "pending", "failed")
PROCESSING = move("status", "pending", "processing")
_ENDS = {CONFIRMED: "order.confirmed", FAILED: "order.failed"}
NOTE = "note"
"""The stage of what the merchant writes into a timeline for the shop alone."""
NOTHING_OWED, OWED = "none", move("payment_status", "none", "pending")
_ORDER_COLUMNS = tuple(OrderRow.__table__.columns.keys())
_in_order = itemgetter(*_ORDER_COLUMNS)
_insert_orders = BulkInsert(OrderRow, *_ORDER_COLUMNS)
_insert_items = BulkInsert(
    OrderItemRow,
    *("order_id", "position", "product_id", "sku", "name"),
    *("quantity", "price_at_time_minor", "tax_minor", "subtotal_minor"),
)
_ORDERS = OrderRow.__table__
_counted = (
    update(CounterRow)
    .where(CounterRow.name == ORDER_NUMBER)
    .values(value=CounterRow.value + bindparam("count", type_=BigInteger))
    .returning(CounterRow.value)
    .cte("counted")
)
_listed = func.unnest(bindparam("orders", type_=ARRAY(Text))).table_valued("id", with_ordinality="place", name="listed")
_given = _listed.render_derived()
_number_orders = (
    update(_ORDERS)  # type: ignore[arg-type] # a Table, though typed as any FromClause
    .where(_ORDERS.c.id == _given.c.id)
    .values(number=select(_counted.c.value).scalar_subquery() - bindparam("count", type_=BigInteger) + _given.c.place)
)
insert_events = BulkInsert(OrderEventRow, "order_id", "seq", "stage", "at", "attempt", "outcome", "detail")


@dataclass(frozen=True, slots=True)
class Shipment:
    """A shipment and what is in it. Shipments of an order are numbered from 1 without a gap."""

    row: ShipmentRow
    parts: list[ShipmentItemRow]


class Repeated(RuntimeError):
    """An order, a cart or an idempotency key has an order already; nothing was written."""


class Outdated(Repeated):
    """Products are not what was decided on any more; nothing was written. To be decided again, on locked rows."""


@contextmanager
def repeated_errors() -> Iterator[None]:
    """Turn a clash with what is there already into Repeated."""
    try:
        yield
    except IntegrityError as error:
        raise Repeated(str(error.orig)) from error


def statuses(session: Session, order_ids: Iterable[str]) -> dict[str, str]:
    """The status of those of these orders that exist."""
    rows = session.execute(select(OrderRow.id, OrderRow.status).where(OrderRow.id.in_(list(order_ids))))
    return {row[0]: row[1] for row in rows}


def numbered(session: Session, order_ids: Iterable[str]) -> set[str]:
    """Those of these orders that were ever confirmed."""
    query = select(OrderRow.id).where(OrderRow.id.in_(list(order_ids)), OrderRow.number.is_not(None))
    return set(session.scalars(query))


def taken_by(session: Session, checkouts: Sequence[Checkout]) -> dict[str, str]:
    """For checkouts whose cart or idempotency key already has an order that stands: that order's id.

    Only a store that was restored from an older copy can accept a cart or a key again.
    """
    if not checkouts:
        return {}
    carts = {checkout.cart_id: checkout.order_id for checkout in checkouts}
    keys: dict[tuple[str, str | None], str] = {
        (c.session_id, c.idempotency_key): c.order_id for c in checkouts if c.idempotency_key
    }
    columns = (OrderRow.id, OrderRow.cart_id, OrderRow.session_id, OrderRow.idempotency_key)
    # Two queries: an OR of them could use neither index.
    found: dict[str, str] = {}
    by_cart = select(*columns).where(OrderRow.cart_id.in_(list(carts)), OrderRow.status != "failed")
    for row in session.execute(by_cart):
        found[carts[row[1]]] = row[0]
    if keys:
        by_key = select(*columns).where(
            tuple_(OrderRow.session_id, OrderRow.idempotency_key).in_(list(keys)),
            OrderRow.idempotency_key.is_not(None),
            OrderRow.status != "failed",
        )
        for row in session.execute(by_key):
            found[keys[row[2], row[3]]] = row[0]
    return found


def by_key(session: Session, session_id: str, key: str) -> OrderRow | None:
    """The order that an idempotency key made, however long ago: the one that stands, else the newest."""
    query = select(OrderRow).where(OrderRow.session_id == session_id, OrderRow.idempotency_key == key)
    return session.scalar(query.order_by(OrderRow.status == "failed", OrderRow.created_at.desc()).limit(1))


def write(
    session: Session, decisions: Sequence[Decision], now: int, seen: Mapping[str, Product] | None = None
) -> dict[str, str]:
    """Write what was decided, with set-based statements: orders, lines, timeline, stock and its movements.

    Returns each order's status. `now` is the instant of settling, in ms. `seen` are the products that were
    decided on, where their rows were not locked for it: they are locked now, as late as can be, and the counter
    of numbers after them, so that other settlements wait for the last few statements only. Raises Outdated
    when what was seen does not suffice any more.
    """
    confirmed = [d.checkout.order_id for d in decisions if d.failure is None and d.payment is None]
    numbers = iter([None] * len(confirmed) if seen is not None else next_numbers(session, len(confirmed)))
    orders: list[dict[str, Any]] = []
    items: list[Sequence[Any]] = []
    events: list[Sequence[Any]] = []
    movements: list[stock.Movement] = []
    payments: list[dict[str, Any]] = []
    units: dict[str, int] = {}
    for decision in decisions:
        checkout, failure = decision.checkout, decision.failure
        order_id = checkout.order_id
        orders.append(_order_row(decision, None if failure or decision.payment else next(numbers), now))
        events.append((order_id, 1, "accepted", checkout.accepted_at, 1, "ok", None))
        if failure:
            events.append((order_id, 2, "failed", now, 1, failure.code, failure.message))
        else:
            events.append((order_id, 2, "stock_taken", now, 1, "ok", None))
            if decision.payment is None:
                events.append((order_id, 3, "confirmed", now, 1, "ok", None))
            else:
                payments.append(_payment_row(decision, now))
        for position, line in enumerate(decision.quote.lines, 1):
            product_id, quantity = line.product_id, line.quantity
            amounts = (line.unit_price_minor, line.tax_minor, line.subtotal_minor)
            items.append((order_id, position, product_id, line.sku, line.name, quantity, *amounts))
            if not failure:
                units[product_id] = units.get(product_id, 0) + quantity
                movements.append((product_id, "sold", -quantity, order_id, None, now))
    _insert_orders(session, [_in_order(row) for row in orders])
    _insert_items(session, items)
    insert_events(session, events)
    notices.announce(session, (News(row["id"], _ENDS[row["status"]]) for row in orders if row["status"] in _ENDS), now)
    payment_rows.insert(session, payments)
    if seen is None:
        stock.take(session, units, movements)
    else:
        _hold(session, seen, units)
        stock.take_held(session, units, movements)
        _give_numbers(session, confirmed)
    return {row["id"]: row["status"] for row in orders}


def _hold(session: Session, seen: Mapping[str, Product], units: Mapping[str, int]) -> None:
    """Lock the products that these units are taken of. Raises Outdated unless they are there, as they were seen."""
    now = products.lock(session, units)
    for product_id, quantity in units.items():
        product = now.get(product_id)
        if product is None or replace(product, stock_quantity=seen[product_id].stock_quantity) != seen[product_id]:
            raise Outdated(f"{product_id} was changed meanwhile")
        if product.stock_quantity < quantity:
            raise Outdated(f"{quantity} of {product_id} were there, {product.stock_quantity} are")


def _give_numbers(session: Session, order_ids: Sequence[str]) -> None:
    """`next_numbers` for orders that are written already, in one statement. PostgreSQL only."""
    if order_ids:
        session.connection().execute(_number_orders, {"orders": list(order_ids), "count": len(order_ids)})


def next_numbers(session: Session, how_many: int) -> range:
    """The next order numbers, without gaps: taken in the transaction that uses them."""
    if not how_many:
        return range(0)
    counter = (
        update(CounterRow)
        .where(CounterRow.name == ORDER_NUMBER)
        .values(value=CounterRow.value + how_many)
        .returning(CounterRow.value)
    )
    last = session.execute(counter).scalar_one()
    return range(last - how_many + 1, last + 1)


def _order_row(decision: Decision, number: int | None, now: int) -> dict[str, Any]:
    checkout, quote, failure = decision.checkout, decision.quote, decision.failure
    return {
        "id": checkout.order_id,
        "number": number,
        "session_id": checkout.session_id,
        "cart_id": checkout.cart_id,
        "cart_version": checkout.cart_version,
        "idempotency_key": checkout.idempotency_key,
        "fingerprint": checkout.fingerprint,
        "email": checkout.email,
        "currency": quote.currency,
        "subtotal_minor": quote.subtotal_minor,
        "total_minor": quote.total_minor,
        "tax_minor": quote.tax_minor,
        "shipping_minor": quote.shipping_minor,
        "status": FAILED if failure else PROCESSING if decision.payment else CONFIRMED,
        # Invoice and cash on delivery are owed from here on; nothing is owed for a failed checkout, or a free one.
        "payment_status": NOTHING_OWED if failure or not quote.total_minor else OWED,
        "fulfillment_status": "unfulfilled",
        "failure": as_json(failure),
        "shipping_address": as_json(checkout.shipping_info),
        "billing_address": as_json(checkout.billing_info),
        "shipping_method": checkout.shipping_method,
        "payment_method": checkout.payment_method,
        "quote": as_json(quote),
        "created_at": checkout.accepted_at,
        "accepted_at": checkout.accepted_at,
        "settled_at": now,
        "updated_at": now,
        "failure_code": failure.code if failure else None,
        "email_lower": checkout.email.lower(),
    }


def _payment_row(decision: Decision, now: int) -> dict[str, Any]:
    checkout, quote, method = decision.checkout, decision.quote, decision.payment
    assert method is not None
    return payment_rows.new_row(
        checkout.order_id,
        "authorize",
        method.provider or "",
        quote.total_minor,
        quote.currency,
        now,
        token=checkout.payment_token,
        captures=method.capture == "automatic",
        # Who was paid before a restore must not be charged by a key that the provider has forgotten since.
        asked_at=checkout.accepted_at if checkout.again else None,
    )


def get(session: Session, order_id: str, session_id: str) -> OrderRow | None:
    """An order, for the session that placed it and nobody else."""
    return session.scalar(select(OrderRow).where(OrderRow.id == order_id, OrderRow.session_id == session_id))


def items(session: Session, order_ids: Sequence[str]) -> dict[str, list[OrderItemRow]]:
    """The lines of these orders, in the order of the cart."""
    found: dict[str, list[OrderItemRow]] = {order_id: [] for order_id in order_ids}
    query = select(OrderItemRow).where(OrderItemRow.order_id.in_(order_ids))
    for row in session.scalars(query.order_by(OrderItemRow.order_id, OrderItemRow.position)):
        found[row.order_id].append(row)
    return found


def shipments(session: Session, order_ids: Sequence[str]) -> dict[str, list[Shipment]]:
    """The shipments of these orders, in the order they were sent."""
    found: dict[str, list[Shipment]] = {order_id: [] for order_id in order_ids}
    query = select(ShipmentRow).where(ShipmentRow.order_id.in_(order_ids))
    for row in session.scalars(query.order_by(ShipmentRow.order_id, ShipmentRow.number)):
        found[row.order_id].append(Shipment(row, []))
    if not any(found.values()):
        return found
    parts = select(ShipmentItemRow).where(ShipmentItemRow.order_id.in_(order_ids))
    for part in session.scalars(parts.order_by(ShipmentItemRow.order_id, ShipmentItemRow.position)):
        found[part.order_id][part.number - 1].parts.append(part)
    return found


def timeline(session: Session, order_id: str) -> Sequence[OrderEventRow]:
    """What the shopper may read of an order's timeline: all but the merchant's notes."""
    return [event for event in timelines(session, [order_id])[order_id] if event.stage != NOTE]


def timelines(session: Session, order_ids: Sequence[str]) -> dict[str, list[OrderEventRow]]:
    """The whole timelines of these orders, the merchant's notes included."""
    found: dict[str, list[OrderEventRow]] = {order_id: [] for order_id in order_ids}
    query = select(OrderEventRow).where(OrderEventRow.order_id.in_(order_ids))
    for row in session.scalars(query.order_by(OrderEventRow.order_id, OrderEventRow.seq)):
        found[row.order_id].append(row)
    return found


def history(session: Session, session_id: str, limit: int, before: tuple[int, str] | None = None) -> Sequence[OrderRow]:
    """A session's orders, newest first; `before` is the `created_at` and id of the last one seen."""
    query = select(OrderRow).where(OrderRow.session_id == session_id)
    if before is not None:
        query = query.where(tuple_(OrderRow.created_at, OrderRow.id) < before)
    return session.scalars(query.order_by(OrderRow.created_at.desc(), OrderRow.id.desc()).limit(limit)).all()
