"""The merchant's list of orders: any filters, four sorts, and the same speed with millions of rows.

Each filter has an index of its own with the order of the list behind it; which one is walked decides
everything. SQLite has no statistics and would guess, so we look first how many orders each filter lets
through, and hide the other indexes from its planner. PostgreSQL has statistics and decides itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, exists, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session, load_only

from db.models import OrderItemRow, OrderRow
from db.planner import hidden
from shop.orders import can_be

FEW = 4000
"""So many orders are quicker read and sorted than found along the index that has the list's order."""
MANY = 100_000
"""So many orders are never read only to sort them."""
FAR = 20_000
"""So many orders in a row without a product, and its own lines are quicker read."""
A_PAGE = 20
SORTS: Final[dict[str, tuple[str, bool]]] = {
    "-created_at": ("created_at", True),
    "created_at": ("created_at", False),
    "-total": ("total_minor", True),
    "total": ("total_minor", False),
}
"""A list's orders: the column, and whether it falls. The id is always the last key, in the same direction."""
_NO_FARTHER: Final = 2**63
Column = ColumnElement[Any] | InstrumentedAttribute[Any]
Place = tuple[int, str]
"""Where a page ended: the sort value and the id of its last order."""
_UNIQUE = ("id", "number")
_EQUAL = ("email_lower", "failure_code", "payment_status", "fulfillment_status", "status")
"""Columns with an index that has the orders of one value in the order they were created."""
_SHOWN = (
    *(OrderRow.number, OrderRow.status, OrderRow.payment_status, OrderRow.fulfillment_status, OrderRow.email),
    *(OrderRow.currency, OrderRow.total_minor, OrderRow.shipping_address, OrderRow.billing_address),
    *(OrderRow.created_at, OrderRow.updated_at, OrderRow.failure_code),
)


@dataclass(frozen=True, slots=True)
class Filter:
    """What the merchant narrows the list to; None means everything.

    `email_lower` is in lower case, `created_below` is exclusive, the totals are inclusive.
    """

    id: str | None = None
    number: int | None = None
    email_lower: str | None = None
    failure_code: str | None = None
    payment_status: str | None = None
    fulfillment_status: str | None = None
    status: str | None = None
    product_id: str | None = None
    created_from: int | None = None
    created_below: int | None = None
    min_total_minor: int | None = None
    max_total_minor: int | None = None

    def given(self, *names: str) -> list[str]:
        return [name for name in names if getattr(self, name) is not None]


def page(
    session: Session, wanted: Filter, sort: str, limit: int, after: Place | None = None, *, whole: bool = False
) -> Sequence[OrderRow]:
    """The orders behind `after`; with what a list shows of them, or `whole`. A page costs the same however deep."""
    if not can_be(wanted.status, wanted.fulfillment_status, wanted.failure_code):
        return []
    if session.get_bind().dialect.name == "sqlite":
        query = _walk(wanted, sort, after, _lead(session, wanted, sort, after), hide=True)
    else:
        query = _walk(wanted, sort, after, "", hide=False)
    if not whole:
        query = query.options(load_only(*_SHOWN))
    return session.scalars(query.limit(limit)).all()


def line_counts(session: Session, order_ids: Sequence[str]) -> dict[str, int]:
    """How many lines each of these orders has."""
    query = select(OrderItemRow.order_id, func.count()).where(OrderItemRow.order_id.in_(order_ids))
    return {row[0]: row[1] for row in session.execute(query.group_by(OrderItemRow.order_id))}


def _walk(wanted: Filter, sort: str, after: Place | None, lead: str, *, hide: bool) -> Select[OrderRow]:
    """The list along the index of `lead`. With `hide`, SQLite sees no other."""
    key, falls = SORTS[sort]
    column = _seen(key, lead, hide=hide)
    query = select(OrderRow).where(*_conditions(wanted, lead, hide=hide))
    if after is not None:
        place = tuple_(column, OrderRow.id)
        query = query.where(place < after if falls else place > after)
    return query.order_by(*((part.desc() if falls else part) for part in (column, OrderRow.id)))


def _conditions(wanted: Filter, lead: str, *, hide: bool) -> list[ColumnElement[bool]]:
    found = [
        *(_seen(name, lead, hide=hide) == getattr(wanted, name) for name in wanted.given(*_UNIQUE, *_EQUAL)),
        *_created(wanted, _seen("created_at", lead, hide=hide)),
        *_worth(wanted, _seen("total_minor", lead, hide=hide)),
    ]
    if wanted.product_id is not None:
        found.append(_has(wanted.product_id, first=not hide or lead == "product_id", hide=hide))
    return found


def _seen(name: str, lead: str, *, hide: bool) -> Column:
    """A column as the planner may see it: with its index if that is in the lead, or one that has it behind."""
    column: Column = getattr(OrderRow, name)
    leads = {"created_at": (*_UNIQUE, *_EQUAL), "total_minor": _UNIQUE}.get(name, ())
    return column if not hide or lead in (name, *leads) else hidden(column)


def _created(wanted: Filter, column: Column) -> list[ColumnElement[bool]]:
    low, below = wanted.created_from, wanted.created_below
    found = [] if low is None else [column >= low]
    return found if below is None else [*found, column < below]


def _worth(wanted: Filter, column: Column) -> list[ColumnElement[bool]]:
    low, high = wanted.min_total_minor, wanted.max_total_minor
    found = [] if low is None else [column >= low]
    return found if high is None else [*found, column <= high]


def _has(product_id: str, *, first: bool, hide: bool) -> ColumnElement[bool]:
    """Whether an order has a line of a product: its lines come first and name the orders, or each order is asked."""
    item = OrderItemRow
    if first:
        return OrderRow.id.in_(select(item.order_id).where(item.product_id == product_id))
    order_id: Column = hidden(OrderRow.id) if hide else OrderRow.id
    return exists().where(item.product_id == product_id, item.order_id == order_id).correlate(OrderRow)


# ---------------------------------------------------------------- which index leads


def _lead(session: Session, wanted: Filter, sort: str, after: Place | None) -> str:
    """The column whose index finds a page soonest: the one with few orders, else one that has the list's order."""
    if unique := wanted.given(*_UNIQUE):
        return unique[0]
    key, _ = SORTS[sort]
    looks = _looks(wanted)
    if set(looks) <= {key}:
        return key
    counts = {name: _count(session, look, FEW) for name, look in looks.items()}
    if few := [name for name, count in counts.items() if count < FEW]:
        return min(few, key=lambda name: counts[name])
    if key == "total_minor":
        looks.pop(key, None)
        return _rarest(session, looks, _walk_length(session, wanted, sort, after)) or key if len(looks) > 1 else key
    lead, equal = key, wanted.given(*_EQUAL)
    if equal:
        lead = equal[0] if len(equal) == 1 else max(equal, key=lambda name: _reach(session, wanted, name, sort, after))
    if wanted.product_id is not None and _is_far(session, wanted, lead, sort, after):
        return "product_id"
    return lead


def _looks(wanted: Filter) -> dict[str, Select[Any]]:
    """For each filter, the ids of the orders it lets through, from its index alone."""
    created, id_ = OrderRow.created_at, OrderRow.id
    among = _created(wanted, created)
    found: dict[str, Select[Any]] = {
        name: select(id_).where(getattr(OrderRow, name) == getattr(wanted, name), *among).order_by(created.desc())
        for name in wanted.given(*_EQUAL)
    }
    if wanted.product_id is not None:
        found["product_id"] = select(OrderItemRow.order_id).where(OrderItemRow.product_id == wanted.product_id)
    if worth := _worth(wanted, OrderRow.total_minor):
        found["total_minor"] = select(id_).where(*worth)
    if among:
        found["created_at"] = select(id_).where(*among)
    return found


def _count(session: Session, look: Select[Any], most: int) -> int:
    return session.scalar(select(func.count()).select_from(look.limit(most).subquery())) or 0


def _walk_length(session: Session, wanted: Filter, sort: str, after: Place | None) -> int:
    """How many orders of the whole list one reads to find a page, guessed from the next FEW; at most MANY."""
    along = _walk(Filter(), sort, after, SORTS[sort][0], hide=True).with_only_columns(OrderRow.id).limit(FEW)
    found = select(OrderRow.id).where(OrderRow.id.in_(along), *_conditions(wanted, "", hide=True))
    fit = _count(session, found, A_PAGE)
    return FEW * A_PAGE // fit if fit else MANY


def _rarest(session: Session, looks: dict[str, Select[Any]], below: int) -> str | None:
    """The filter with the fewest orders, if that is below a number."""
    sizes = {name: _count(session, look, below) for name, look in looks.items()}
    name = min(sizes, key=lambda name: sizes[name])
    return name if sizes[name] < below else None


def _reach(session: Session, wanted: Filter, name: str, sort: str, after: Place | None) -> int:
    """How far in time (ms) the next FEW orders with this value lie apart: the rarer it is here, the farther."""
    created, falls = OrderRow.created_at, SORTS[sort][1]
    query = select(created).where(getattr(OrderRow, name) == getattr(wanted, name), *_created(wanted, created))
    if after is not None:
        query = query.where(created <= after[0] if falls else created >= after[0])
    near = query.order_by(created.desc() if falls else created).limit(FEW).subquery()
    count, first, last = session.execute(
        select(func.count(), func.min(near.c.created_at), func.max(near.c.created_at))
    ).one()
    return int(last - first) if count == FEW else _NO_FARTHER - count


def _is_far(session: Session, wanted: Filter, lead: str, sort: str, after: Place | None) -> bool:
    """Whether the product's next order lies far along the index: one that is sold no more, or was not sold yet.

    The ids of orders are made in the order of time, near enough to guess by.
    """
    created, falls, line = OrderRow.created_at, SORTS[sort][1], OrderItemRow.order_id
    nearest = select(func.max(line) if falls else func.min(line)).where(OrderItemRow.product_id == wanted.product_id)
    between = select(OrderRow.id)
    if lead in _EQUAL:
        between = between.where(getattr(OrderRow, lead) == getattr(wanted, lead))
    if after is not None:
        nearest = nearest.where(line < after[1] if falls else line > after[1])
        between = between.where(created < after[0] if falls else created > after[0])
    at = session.scalar(select(created).where(OrderRow.id == nearest.scalar_subquery()))
    if at is None:
        return True
    between = between.where(created > at if falls else created < at)
    return _count(session, between.where(*_created(wanted, created)), FAR) == FAR
