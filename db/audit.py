"""Proving the promises over what is really in SQL: each check streams, and names every row that breaks it.

The checks trust nothing that the code which wrote the rows computed: sums are made again from the
smallest parts. They only read, each in one consistent look, and may run beside a busy shop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import (
    ColumnElement,
    ColumnExpressionArgument,
    Row,
    Select,
    Text,
    and_,
    func,
    or_,
    select,
    text,
    type_coerce,
)
from sqlalchemy.orm import Session

from db.models import (
    NoticeRow,
    OrderEventRow,
    OrderItemRow,
    OrderRow,
    PaymentRow,
    ProductRow,
    ShipmentItemRow,
    ShipmentRow,
    StockMovementRow,
)
from shop.books import Paid, wrong_payment
from shop.orders import OPEN
from shop.paying import WAITING
from shop.refunds import GIVES_NOTHING

ROWS_AT_ONCE = 1000
BOOKS: Final = "books"
OF_ORDERS = ("sold", "released", "returned")
"""The kinds of movements that an order causes."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A row that breaks a promise of the README: which promise, which row, and how.

    `promise` is "books" where a row breaks none of them, but contradicts another: an order that calls
    itself shipped, and no parcel left.
    """

    promise: str
    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class Counted:
    """How many rows a check has looked at so far, and how many of them stand for a person."""

    rows: int
    standing: int = 0


Findings = Iterator[Violation | Counted]
"""What a check yields: every violation, and now and then how far it is."""


class _Tax(msgspec.Struct, gc=False):
    tax_minor: int


class _Quote(msgspec.Struct, gc=False):
    """What the checks need of a quote; to read the rest would take most of the time."""

    prices_include_tax: bool
    total_minor: int
    shipping_taxes: list[_Tax]


class _Failure(msgspec.Struct, gc=False):
    code: str


_read_quote = msgspec.json.Decoder(_Quote).decode
_read_failure = msgspec.json.Decoder(_Failure).decode


def _stream(session: Session, query: Select[*tuple[Any, ...]]) -> Iterator[Row[*tuple[Any, ...]]]:
    """The rows, a portion in memory at a time."""
    yield from session.execute(query.execution_options(yield_per=ROWS_AT_ONCE))


def ledger(session: Session) -> Findings:
    """P3, P4: no stock is below zero, and every product's movements add up to its stock."""
    moved = func.coalesce(func.sum(StockMovementRow.quantity), 0)
    query = (
        select(ProductRow.id, ProductRow.stock_quantity, moved)
        .outerjoin(StockMovementRow, StockMovementRow.product_id == ProductRow.id)
        .group_by(ProductRow.id)
        .order_by(ProductRow.id)
    )
    rows = 0
    for product_id, stock, total in _stream(session, query):
        rows += 1
        if stock < 0:
            yield Violation("P3", f"product {product_id}", f"stock is {stock}")
        if stock != total:
            yield Violation("P4", f"product {product_id}", f"stock is {stock}, its movements add up to {total}")
    yield Counted(rows)


def amounts(session: Session) -> Findings:
    """P6: an order's lines add up to its subtotal, its taxes to its tax, and all of it to its total."""
    o, item = OrderRow, OrderItemRow
    query = (
        select(
            *(o.id, o.subtotal_minor, o.shipping_minor, o.tax_minor, o.total_minor, type_coerce(o.quote, Text)),
            func.coalesce(func.sum(item.subtotal_minor), 0),
            func.coalesce(func.sum(item.tax_minor), 0),
            func.coalesce(func.sum(item.quantity * item.price_at_time_minor), 0),
        )
        .outerjoin(item, item.order_id == o.id)
        .group_by(o.id)
        .order_by(o.id)
    )
    rows = 0
    for order_id, *figures in _stream(session, query):
        rows += 1
        for message in _wrong_amounts(*figures):
            yield Violation("P6", f"order {order_id}", message)
        if rows % ROWS_AT_ONCE == 0:
            yield Counted(rows)
    yield Counted(rows)


def _wrong_amounts(
    subtotal: int,
    shipping: int,
    tax: int,
    total: int,
    document: str,
    line_sum: int,
    line_taxes: int,
    product_sum: int,
) -> Iterator[str]:
    try:
        quote = _read_quote(document)
    except msgspec.MsgspecError as error:
        yield f"its quote cannot be read: {error}"
        return
    taxes = line_taxes
    for share in quote.shipping_taxes:
        taxes += share.tax_minor
    due = subtotal + shipping + (0 if quote.prices_include_tax else tax)
    if subtotal == product_sum == line_sum and tax == taxes and due == total == quote.total_minor:
        return
    for what, is_now, should_be in (
        ("subtotal", subtotal, line_sum),
        ("sum of quantities times prices", product_sum, line_sum),
        ("tax", tax, taxes),
        ("total", total, due),
        ("total in its quote", quote.total_minor, total),
    ):
        if is_now != should_be:
            yield f"{what} is {is_now}, it should be {should_be}"


def stock_of_orders(session: Session) -> Findings:
    """P2, P4: a standing order took each line's units once, and gave back no more than it took; a failed one all."""
    movement, item, o = StockMovementRow, OrderItemRow, OrderRow
    moved = and_(
        movement.product_id == item.product_id,
        movement.kind.in_(OF_ORDERS),  # For the index, which has the kind in the middle.
        movement.order_id == item.order_id,
    )
    sums = [func.coalesce(func.sum(movement.quantity).filter(movement.kind == kind), 0) for kind in OF_ORDERS]
    refunded = select(1).where(PaymentRow.order_id == o.id, PaymentRow.kind == "refund").exists()
    query = (
        select(item.order_id, item.product_id, o.status, o.fulfillment_status, o.number, refunded, item.quantity, *sums)
        .join(o, o.id == item.order_id)
        .outerjoin(movement, moved)
        .group_by(item.order_id, item.position, o.id)
        .order_by(item.order_id, item.position, o.id)  # As grouped, so that nothing has to be sorted.
    )
    rows = 0
    for order_id, product_id, status, fulfillment, number, partly, *units in _stream(session, query):
        rows += 1
        if wrong := _wrong_stock(status, fulfillment, number is not None, bool(partly), *units):
            yield Violation("P4", f"{status} order {order_id}", f"{product_id}: {wrong}")
        if rows % ROWS_AT_ONCE == 0:
            yield Counted(rows)
    stray = (
        select(movement.product_id, movement.kind, movement.order_id, item.order_id.is_(None))
        .outerjoin(item, and_(item.product_id == movement.product_id, item.order_id == movement.order_id))
        .where(movement.order_id.is_not(None), or_(item.order_id.is_(None), movement.kind.not_in(OF_ORDERS)))
    )
    for product_id, kind, order_id, lineless in _stream(session, stray):
        why = "but it has no such line" if lineless else f"as {kind}, which no order causes"
        yield Violation("P4", f"order {order_id}", f"{product_id} moved for it, {why}")
    yield Counted(rows)


def _wrong_stock(
    status: str, fulfillment: str, numbered: bool, partly: bool, quantity: int, sold: int, released: int, returned: int
) -> str | None:
    """What is wrong with the movements of an order's line; None when nothing is.

    An order has one line a product, and the ledger one movement of a kind for both, so these are sums of one.
    `partly`: some units may have come back with a refund; what comes back after them is no movement of the order's.
    """
    back = released + returned
    if partly and numbered and sold == -quantity and released == 0 and 0 <= returned <= quantity:
        return None
    match status:
        case "failed":
            good, rule = sold in (0, -quantity) and released == -sold and not returned, "nothing, or all of it released"
        case "cancelled" if numbered:
            good, rule = sold == -quantity and back in (0, quantity), f"-{quantity} sold, and all or nothing back"
        case "cancelled":
            good, rule = sold in (0, -quantity) and back == -sold, "nothing, or all of it back"
        case "confirmed" if fulfillment == "returned":
            good = sold == -quantity and released == 0 and returned in (0, quantity)
            rule = f"-{quantity} sold, and all or nothing returned"
        case _:
            good, rule = sold == -quantity and back == 0, f"-{quantity} sold and nothing back"
    return None if good else f"{sold} sold, {released} released, {returned} returned; it should be {rule}"


def payments(session: Session) -> Findings:
    """P5: money is taken for confirmed orders only, once and exactly; of every other nothing stays taken."""
    o, p = OrderRow, PaymentRow
    query = (
        select(o.id, o.status, o.payment_status, o.total_minor, o.number.is_not(None), *_sums_of_payments())
        .outerjoin(p, p.order_id == o.id)
        .group_by(o.id)
        .order_by(o.id)
    )
    rows = standing = 0
    for order_id, *facts in _stream(session, query):
        rows += 1
        paid = Paid(*facts)
        standing += paid.standing
        for message in wrong_payment(paid):
            yield Violation("P5", f"order {order_id}", message)
        if rows % ROWS_AT_ONCE == 0:
            yield Counted(rows, standing)
    yield Counted(rows, standing)


def _sums_of_payments() -> Iterator[ColumnElement[int]]:
    """Of an order's operations what shop.books.Paid says of them, in its order."""
    p = PaymentRow
    done = p.status == "succeeded"
    authorize, capture, void, refund = (p.kind == kind for kind in ("authorize", "capture", "void", "refund"))

    def count(*which: ColumnExpressionArgument[bool]) -> ColumnElement[int]:
        return func.count(p.key).filter(*which)

    def amount(*which: ColumnElement[bool]) -> ColumnElement[int]:
        return func.coalesce(func.sum(p.amount_minor).filter(*which), 0)

    yield from (count(authorize), count(authorize, done), amount(authorize, done))
    yield count(authorize, done, p.captures)
    yield from (count(capture), amount(capture, done), count(void, done), count(void, p.status == "refused"))
    yield from (count(refund, done), amount(refund, done), amount(refund, p.status.not_in(GIVES_NOTHING)))
    yield count(p.status.in_(sorted(WAITING)), p.next_at.is_not(None))
    yield count(p.status == "stuck")
    yield from (count(capture, p.status == "refused"), count(refund, p.status == "refused"))


def once(session: Session) -> Findings:
    """P2: a cart, and a key, became one order that stands; what was confirmed is numbered without a gap."""
    o, event = OrderRow, OrderEventRow
    orders = session.scalar(select(func.count()).select_from(o)) or 0
    stands = text("status <> 'failed'")  # As the partial indexes have it, so that they alone are read.
    carts = select(o.cart_id, func.count()).where(stands).group_by(o.cart_id)
    for cart_id, count in _stream(session, carts.having(func.count() > 1)):
        yield Violation("P2", f"cart {cart_id}", f"{count} orders stand for it")
    keyed = (o.session_id, o.idempotency_key)
    keys = select(*keyed, func.count()).where(stands, o.idempotency_key.is_not(None)).group_by(*keyed)
    for _, key, count in _stream(session, keys.having(func.count() > 1)):
        yield Violation("P2", f"idempotency key {key}", f"{count} orders stand for it")
    was_confirmed = select(1).where(event.order_id == o.id, event.stage == "confirmed").exists()
    misnumbered = or_(
        and_(o.status == "failed", o.number.is_not(None)),
        and_(o.status == "confirmed", o.number.is_(None)),
        and_(o.status == "cancelled", o.number.is_(None), was_confirmed),
    )
    for order_id, status, wrong in _stream(session, select(o.id, o.status, o.number).where(misnumbered)):
        yield Violation("P2", f"order {order_id}", f"is {status} and has the number {wrong}")
    low, high, count = session.execute(select(func.min(o.number), func.max(o.number), func.count(o.number))).one()
    if low is not None and high is not None and high - low + 1 != count:
        yield Violation("P2", "order numbers", f"{count} numbers between {low} and {high}: there are gaps")
    yield Counted(orders)


def timelines(session: Session) -> Findings:
    """P1: every order's timeline begins with its acceptance, has no gap and tells its end."""
    event, o = OrderEventRow, OrderRow
    query = (
        select(
            o.id,
            o.status,
            func.min(event.seq),
            func.max(event.seq),
            func.count(event.seq),
            func.count(event.seq).filter(event.seq == 1, event.stage == "accepted"),
            func.count(event.seq).filter(event.stage == o.status),
        )
        .outerjoin(event, event.order_id == o.id)
        .group_by(o.id)
        .order_by(o.id)
    )
    rows = 0
    for order_id, status, low, high, count, begins, ends in _stream(session, query):
        rows += 1
        if not count or low != 1 or high != count:
            yield Violation("P1", f"order {order_id}", f"its timeline has {count} entries numbered {low} to {high}")
        elif not begins:
            yield Violation("P1", f"order {order_id}", "its timeline does not begin with its acceptance")
        if not ends and status not in OPEN:
            yield Violation("P1", f"order {order_id}", f"is {status}, but its timeline does not say so")
        if rows % ROWS_AT_ONCE == 0:
            yield Counted(rows)
    yield Counted(rows)


def shipments(session: Session) -> Findings:
    """Books: what lines say was shipped is in parcels, and fulfillment_status is what the lines and parcels say."""
    o, item, parcel, part = OrderRow, OrderItemRow, ShipmentRow, ShipmentItemRow
    packed = func.coalesce(func.sum(part.quantity), 0)
    lines = (
        select(item.order_id, item.position, item.shipped_quantity, packed)
        .outerjoin(part, and_(part.order_id == item.order_id, part.position == item.position))
        .group_by(item.order_id, item.position)
        .having(item.shipped_quantity != packed)
    )
    for order_id, position, shipped, in_parcels in _stream(session, lines):
        message = f"of line {position} {shipped} are shipped, its parcels hold {in_parcels}"
        yield Violation(BOOKS, f"order {order_id}", message)
    of_order = parcel.order_id == o.id
    parcels = select(func.count()).where(of_order)
    query = (
        select(
            *(o.id, o.status, o.fulfillment_status),
            func.coalesce(func.sum(item.quantity - item.withdrawn_quantity), 0),
            func.coalesce(func.sum(item.shipped_quantity), 0),
            parcels.scalar_subquery(),
            select(func.coalesce(func.max(parcel.number), 0)).where(of_order).scalar_subquery(),
            parcels.where(parcel.delivered_at.is_(None)).scalar_subquery(),
        )
        .outerjoin(item, item.order_id == o.id)
        .group_by(o.id)
        .order_by(o.id)
    )
    rows = 0
    for order_id, *facts in _stream(session, query):
        rows += 1
        if wrong := _wrong_fulfillment(*facts):
            yield Violation(BOOKS, f"order {order_id}", wrong)
        if rows % ROWS_AT_ONCE == 0:
            yield Counted(rows)
    yield Counted(rows)


def _wrong_fulfillment(
    status: str, fulfillment: str, units: int, shipped: int, parcels: int, last_parcel: int, under_way: int
) -> str | None:
    """What contradicts an order's fulfillment_status; None when nothing does. `units` are those that are to be sent."""
    if status != "confirmed" and (parcels or shipped):
        return f"is {status}, but has {parcels} parcels"
    if last_parcel != parcels:
        return f"has {parcels} parcels, the last is number {last_parcel}"
    match fulfillment:
        case "unfulfilled":
            good = shipped == 0 and parcels == 0
        case "partially_shipped":
            good = 0 < shipped < units
        case _:
            good = shipped == units
    if not good:
        return f"is {fulfillment}, but {shipped} of {units} units are shipped, in {parcels} parcels"
    if fulfillment == "delivered" and under_way:
        return f"is delivered, but {under_way} of {parcels} parcels are not"
    return None


def copies(session: Session) -> Findings:
    """Books: the columns that orders are found by say what they were copied from."""
    o = OrderRow
    query = select(o.id, o.email, o.email_lower, o.failure_code, type_coerce(o.failure, Text)).order_by(o.id)
    rows = 0
    for order_id, email, email_lower, failure_code, failure in _stream(session, query):
        rows += 1
        if email_lower != email.lower():
            yield Violation(BOOKS, f"order {order_id}", "email_lower is not its e-mail address")
        if failure_code is not None or failure is not None:
            code = _code_of(failure)
            if failure_code != code:
                yield Violation(BOOKS, f"order {order_id}", f"failure_code is {failure_code}, its failure says {code}")
        if rows % ROWS_AT_ONCE == 0:
            yield Counted(rows)
    yield Counted(rows)


def _code_of(failure: str | None) -> str | None:
    try:
        return None if failure is None else _read_failure(failure).code
    except msgspec.MsgspecError as error:
        return f"({error})"


def notices(session: Session) -> Findings:
    """Books: nobody was told what did not happen."""
    n, o = NoticeRow, OrderRow
    query = select(n.id, n.event, n.number, o.id, o.status, o.number, o.fulfillment_status, o.failure_code)
    rows = 0
    for notice_id, event, of, order_id, *facts in _stream(session, query.join(o, o.id == n.order_id).order_by(n.id)):
        rows += 1
        if not _happened(event, of, *facts):
            yield Violation(BOOKS, f"notice {notice_id}", f"tells {event} of order {order_id}, which is {facts[0]}")
        if rows % ROWS_AT_ONCE == 0:
            yield Counted(rows)
    yield Counted(rows)


def _happened(event: str, of: int, status: str, number: int | None, fulfillment: str, failure: str | None) -> bool:
    """Whether an event can have happened to an order that is so now; `of` numbers shipments and refunds."""
    match event:
        case "order.confirmed":
            return number is not None
        case "order.failed":
            return status == "failed" and failure is not None
        case "order.cancelled":
            return status == "cancelled"
        case "order.shipped":
            return of > 0 and fulfillment != "unfulfilled"
        case "order.delivered":
            return fulfillment in ("delivered", "returned")
        case "order.returned":
            return fulfillment == "returned"
        case "order.refunded":
            return of > 0
        case _:
            return True


def _in_one_look(check: Callable[[Session], Findings]) -> Callable[[Session], Findings]:
    """All of a check's queries see the same instant, however long they take; as SQLite has it anyway."""

    def looking(session: Session) -> Findings:
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            session.execute(text("SET LOCAL statement_timeout = 0"))
        yield from check(session)

    return looking


CHECKS: dict[str, Callable[[Session], Findings]] = {
    name: _in_one_look(check)
    for name, check in {
        "stock against the ledger": ledger,
        "amounts of orders": amounts,
        "stock of orders": stock_of_orders,
        "payments against orders": payments,
        "one order each": once,
        "timelines": timelines,
        "shipments": shipments,
        "copies": copies,
        "notices against orders": notices,
    }.items()
}
"""Every check by its name, each to be given a session of its own."""
