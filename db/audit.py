"""Proving the promises over what is really in SQL: each check streams, and names every row that breaks it.

The checks trust nothing that the code which wrote the rows computed: sums are made again from the
smallest parts. They only read, each in one consistent look, and may run beside a busy shop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from db.models import OrderEventRow, OrderItemRow, OrderRow, ProductRow, StockMovementRow
from shop.orders import OPEN

ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Violation:
    """A row that breaks a promise of the README: which promise, which row, and how."""

    promise: str
    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class Counted:
    """How many rows a check has looked at so far."""

    rows: int


Findings = Iterator[Violation | Counted]
"""What a check yields: every violation, and now and then how far it is."""


def ledger(session: Session) -> Findings:
    """P3, P4: no stock is below zero, and every product's movements add up to its stock."""
    moved = func.coalesce(func.sum(StockMovementRow.quantity), 0)
    query = (
        select(ProductRow.id, ProductRow.stock_quantity, moved)
        .outerjoin(StockMovementRow, StockMovementRow.product_id == ProductRow.id)
        .group_by(ProductRow.id, ProductRow.stock_quantity)
        .order_by(ProductRow.id)
    )
    rows = 0
    for product_id, stock, total in session.execute(query.execution_options(yield_per=ROWS_AT_ONCE)):
        rows += 1
        if stock < 0:
            yield Violation("P3", f"product {product_id}", f"stock is {stock}")
        if stock != total:
            yield Violation("P4", f"product {product_id}", f"stock is {stock}, its movements add up to {total}")
    yield Counted(rows)


def amounts(session: Session) -> Findings:
    """P6: an order's lines add up to its subtotal, its taxes to its tax, and all of it to its total."""
    lines = func.coalesce(func.sum(OrderItemRow.subtotal_minor), 0)
    taxes = func.coalesce(func.sum(OrderItemRow.tax_minor), 0)
    products = func.coalesce(func.sum(OrderItemRow.quantity * OrderItemRow.price_at_time_minor), 0)
    o = OrderRow
    query = (
        select(o.id, o.subtotal_minor, o.shipping_minor, o.tax_minor, o.total_minor, o.quote, lines, taxes, products)
        .outerjoin(OrderItemRow, OrderItemRow.order_id == o.id)
        .group_by(o.id)
        .order_by(o.id)
    )
    rows = 0
    for row in session.execute(query.execution_options(yield_per=ROWS_AT_ONCE)):
        order_id, subtotal, shipping, tax, total, quote, line_sum, line_taxes, product_sum = row
        rows += 1
        shipping_taxes = sum(part["tax_minor"] for part in quote["shipping_taxes"])
        due = subtotal + shipping + (0 if quote["prices_include_tax"] else tax)
        for what, is_now, should_be in (
            ("subtotal", subtotal, line_sum),
            ("sum of quantities times prices", product_sum, line_sum),
            ("tax", tax, line_taxes + shipping_taxes),
            ("total", total, due),
            ("total in its quote", quote["total_minor"], total),
        ):
            if is_now != should_be:
                yield Violation("P6", f"order {order_id}", f"{what} is {is_now}, it should be {should_be}")
        if rows % ROWS_AT_ONCE == 0:
            yield Counted(rows)
    yield Counted(rows)


def stock_of_orders(session: Session) -> Findings:
    """P2, P4: each line of a confirmed order took its units once; a failed order took none."""
    movement, item = StockMovementRow, OrderItemRow
    taken = and_(movement.product_id == item.product_id, movement.kind == "sold", movement.order_id == item.order_id)
    query = (
        select(item.order_id, item.product_id, OrderRow.status, item.quantity, movement.quantity)
        .join(OrderRow, OrderRow.id == item.order_id)
        .outerjoin(movement, taken)
        .order_by(item.order_id, item.position)
    )
    rows = 0
    for order_id, product_id, status, quantity, moved in session.execute(
        query.execution_options(yield_per=ROWS_AT_ONCE)
    ):
        rows += 1
        expected = None if status == "failed" else -quantity
        if moved != expected:
            message = f"{product_id}: {moved or 'nothing'} left the stock, it should be {expected or 'nothing'}"
            yield Violation("P4", f"{status} order {order_id}", message)
        if rows % ROWS_AT_ONCE == 0:
            yield Counted(rows)
    stray = (
        select(movement.product_id, movement.order_id)
        .outerjoin(item, and_(item.order_id == movement.order_id, item.product_id == movement.product_id))
        .where(movement.order_id.is_not(None), item.order_id.is_(None))
    )
    for product_id, moved_for in session.execute(stray.execution_options(yield_per=ROWS_AT_ONCE)):
        yield Violation("P4", f"order {moved_for}", f"{product_id} moved for it, but it has no such line")
    yield Counted(rows)


def once(session: Session) -> Findings:
    """P2: a cart, and a key, became one order that stands; confirmed orders are numbered without a gap."""
    orders = session.scalar(select(func.count()).select_from(OrderRow)) or 0
    stands = OrderRow.status != "failed"
    carts = select(OrderRow.cart_id, func.count()).where(stands).group_by(OrderRow.cart_id)
    for cart_id, count in session.execute(carts.having(func.count() > 1)):
        yield Violation("P2", f"cart {cart_id}", f"{count} orders stand for it")
    keyed = (OrderRow.session_id, OrderRow.idempotency_key)
    keys = select(*keyed, func.count()).where(stands, OrderRow.idempotency_key.is_not(None)).group_by(*keyed)
    for _, key, count in session.execute(keys.having(func.count() > 1)):
        yield Violation("P2", f"idempotency key {key}", f"{count} orders stand for it")
    misnumbered = or_(
        and_(OrderRow.status == "failed", OrderRow.number.is_not(None)),
        and_(OrderRow.status == "confirmed", OrderRow.number.is_(None)),
    )
    columns = (OrderRow.id, OrderRow.status, OrderRow.number)
    for order_id, status, wrong in session.execute(select(*columns).where(misnumbered)):
        yield Violation("P2", f"order {order_id}", f"is {status} and has the number {wrong}")
    number = OrderRow.number
    low, high, count = session.execute(select(func.min(number), func.max(number), func.count(number))).one()
    if low is not None and high is not None and high - low + 1 != count:
        yield Violation("P2", "order numbers", f"{count} numbers between {low} and {high}: there are gaps")
    yield Counted(orders)


def timelines(session: Session) -> Findings:
    """P1: every order's timeline begins with its acceptance, has no gap and ends as the order did."""
    event = OrderEventRow
    query = (
        select(OrderRow.id, OrderRow.status, func.min(event.seq), func.max(event.seq), func.count(event.seq))
        .outerjoin(event, event.order_id == OrderRow.id)
        .group_by(OrderRow.id, OrderRow.status)
        .order_by(OrderRow.id)
    )
    rows = 0
    for order_id, _status, low, high, count in session.execute(query.execution_options(yield_per=ROWS_AT_ONCE)):
        rows += 1
        if not count or low != 1 or high != count:
            yield Violation("P1", f"order {order_id}", f"its timeline has {count} entries numbered {low} to {high}")
        if rows % ROWS_AT_ONCE == 0:
            yield Counted(rows)
    missing = (
        select(OrderRow.id, OrderRow.status)
        .where(OrderRow.status.not_in(OPEN))
        .where(~select(1).where(event.order_id == OrderRow.id, event.stage == OrderRow.status).exists())
    )
    for order_id, status in session.execute(missing.execution_options(yield_per=ROWS_AT_ONCE)):
        yield Violation("P1", f"order {order_id}", f"is {status}, but its timeline does not say so")
    yield Counted(rows)


CHECKS: dict[str, Callable[[Session], Findings]] = {
    "stock against the ledger": ledger,
    "amounts of orders": amounts,
    "stock of orders": stock_of_orders,
    "one order each": once,
    "timelines": timelines,
}
