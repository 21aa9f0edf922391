"""The merchant's orders: find them, and do what follows a confirmation: ship, deliver, take back, cancel, note.

Every change may carry If-Match; of two that exclude each other exactly one succeeds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from db import fulfilment, order_list
from db.fulfilment import Act, Tracking
from db.models import OrderRow
from shop.errors import Fault, InvalidParameter, OrderNotFound
from shop.fulfilment import Portion
from shop.money import parse_amount
from shop.orders import OPEN
from tasks.failpoints import failpoint
from web.admin import order_schemas as schemas
from web.admin.auth import actor
from web.admin.auth import orders as api
from web.admin.order_views import order_entry, whole_orders
from web.admin.versions import check_match, etag, next_version
from web.cancel import told_of_cancel
from web.schemas import OrderPath, OrdersPage
from web.services import services

Answer = tuple[schemas.AdminOrderOut, int, dict[str, str]]
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NUMBER = re.compile(r"#?([1-9][0-9]{0,14})")


# ---------------------------------------------------------------- finding


@api.get("/orders", responses={200: schemas.AdminOrdersOut})
def list_orders(query: schemas.AdminOrdersQuery) -> schemas.AdminOrdersOut:
    """List orders, filtered and sorted, by cursor; every filter and sort is as fast with millions of orders."""
    at, kind = services(), f"admin-orders:{query.sort}"
    place = at.cursors.read(query.cursor, kind) if query.cursor else None
    with at.database.reading() as session:
        after = (place[0], place[1]) if place else None
        rows = order_list.page(session, _filter(query), query.sort, query.per_page + 1, after)
        more, rows = len(rows) > query.per_page, rows[: query.per_page]
        counts = order_list.line_counts(session, [row.id for row in rows])
    next_cursor = None
    if more:
        column, _ = order_list.SORTS[query.sort]
        next_cursor = at.cursors.write(kind, getattr(rows[-1], column), rows[-1].id)
    return schemas.AdminOrdersOut(
        items=[order_entry(row, counts.get(row.id, 0)) for row in rows],
        page=OrdersPage(per_page=query.per_page, next_cursor=next_cursor),
    )


def _filter(query: schemas.AdminOrdersQuery) -> order_list.Filter:
    order_id, number, email = _sought(query)
    low, high = _amount("min_total", query.min_total), _amount("max_total", query.max_total)
    if low is not None and high is not None and low > high:
        raise _wrong("min_total", "is above max_total")
    if query.created_from is not None and query.created_to is not None and query.created_from > query.created_to:
        raise _wrong("created_from", "is after created_to")
    return order_list.Filter(
        id=order_id,
        number=number,
        email_lower=email.lower() if email else None,
        failure_code=query.failure_code,
        payment_status=query.payment_status,
        fulfillment_status=query.fulfillment_status,
        status=query.status,
        product_id=query.product,
        created_from=query.created_from,
        created_below=query.created_to,
        min_total_minor=low,
        max_total_minor=high,
    )


def _sought(query: schemas.AdminOrdersQuery) -> tuple[str | None, int | None, str | None]:
    """The id, number and e-mail address that are looked for, `q` read as whatever it looks like."""
    if query.q is None:
        return None, query.number, query.email
    if query.number is not None or query.email is not None:
        raise _wrong("q", "use either q, or number and email")
    if _ID.fullmatch(query.q.lower()):
        return query.q.lower(), None, None
    if found := _NUMBER.fullmatch(query.q):
        return None, int(found[1]), None
    if "@" in query.q:
        return None, None, query.q
    raise _wrong("q", "write an order's whole id, its number, or a whole e-mail address")


def _amount(parameter: str, text: str | None) -> int | None:
    try:
        return None if text is None else parse_amount(text, services().rules.digits)
    except ValueError as error:
        raise _wrong(parameter, str(error)) from error


def _wrong(parameter: str, message: str) -> InvalidParameter:
    return InvalidParameter(f"{parameter}: {message}", [Fault("invalid_parameter", message, parameter=parameter)])


@api.get("/orders/<order_id>", responses={200: schemas.AdminOrderOut})
def show_order(path: OrderPath) -> Answer:
    """Show a whole order: lines, shipments, and the timeline with its private notes and who did what."""
    with services().database.reading() as session:
        row = session.get(OrderRow, path.order_id)
        if row is None:
            raise OrderNotFound(fulfilment.UNKNOWN)
        return whole_answer(session, row)


# ---------------------------------------------------------------- changing


@api.post("/orders/<order_id>/shipments", responses={201: schemas.AdminOrderOut})
def ship_order(path: OrderPath, body: schemas.ShipmentIn) -> Answer:
    """Ship all that is left of a confirmed order, or some of it; answer with the order.

    More than is left of a line: 409 `shipment_exceeds_order` with what is left of each.
    """
    wanted = None if body.items is None else [Portion(item.position, item.quantity) for item in body.items]
    tracking = Tracking(body.carrier, body.tracking_number, body.tracking_url)
    with changing(path.order_id) as (session, order, act):
        fulfilment.ship(session, order, wanted, tracking, act)
        return whole_answer(session, order, 201)


@api.post("/orders/<order_id>/deliver", responses={200: schemas.AdminOrderOut})
def deliver_order(path: OrderPath, body: schemas.DeliveryIn) -> Answer:
    """Mark one shipment, or all, delivered; the order is, when everything was shipped and has arrived."""
    with changing(path.order_id) as (session, order, act):
        fulfilment.deliver(session, order, body.shipment, act)
        return whole_answer(session, order)


@api.post("/orders/<order_id>/return", responses={200: schemas.AdminOrderOut})
def return_order(path: OrderPath, body: schemas.ReturnIn) -> Answer:
    """Take a shipped order back as a whole; its units go back into stock unless `restock` is false."""
    with changing(path.order_id) as (session, order, act):
        restocked = fulfilment.take_back(session, order, body.restock, body.note, act)
        answer = whole_answer(session, order)
    services().catalogue.forget(restocked)
    return answer


@api.post("/orders/<order_id>/cancel", responses={200: schemas.AdminOrderOut})
def cancel_order(path: OrderPath, body: schemas.CancelIn) -> Answer:
    """Cancel an order of which nothing was shipped; its units go back into stock unless told otherwise.

    What was reserved or paid is voided or given back by the worker; `payment_status` tells when.
    """
    with changing(path.order_id) as (session, order, act):
        was_open, whose = order.status in OPEN, order.session_id
        restocked = fulfilment.cancel(session, order, body.restock, body.reason, act)
        answer = whole_answer(session, order)
    told_of_cancel(services(), path.order_id, whose, was_open, restocked)
    return answer


@api.post("/orders/<order_id>/notes", responses={201: schemas.AdminOrderOut})
def note_order(path: OrderPath, body: schemas.NoteIn) -> Answer:
    """Write a note into the timeline; the shopper never sees it."""
    with changing(path.order_id) as (session, order, act):
        fulfilment.note(session, order, body.text, act)
        return whole_answer(session, order, 201)


@contextmanager
def changing(order_id: str) -> Iterator[tuple[Session, OrderRow, Act]]:
    """The order, locked, of the version that If-Match names if it names one; it leaves with a new version."""
    at = services()
    with at.database.writing() as session:
        order = fulfilment.lock(session, order_id)
        check_match(order.updated_at)
        now = at.now()
        order.updated_at = next_version(now, order.updated_at)
        yield session, order, Act(actor(), now)
        failpoint("change.writing")
    failpoint("change.committed")


def whole_answer(session: Session, row: OrderRow, status: int = 200) -> Answer:
    (order,) = whole_orders(session, [row])
    return order, status, etag(row.updated_at)
