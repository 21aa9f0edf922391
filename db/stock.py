"""Stock and its ledger: a quantity changes only together with a movement that says why (P4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, Text, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from db.bulk import BulkInsert, BulkUpdate
from db.models import ProductRow, StockMovementRow

_PRODUCTS = ProductRow.__table__
Movement = tuple[str, str, int, str | None, str | None, int]
"""A row of the ledger: product_id, kind, quantity (more on the shelf, or fewer), order_id, reason, at."""
insert_movements = BulkInsert(StockMovementRow, "product_id", "kind", "quantity", "order_id", "reason", "at")
_insert_returns = BulkInsert(StockMovementRow, "product_id", "kind", "quantity", "order_id", "reason", "at", "actor")
_open_ledgers = BulkInsert(StockMovementRow, "product_id", "kind", "quantity", "at", "actor")
_take = BulkUpdate(
    update(_PRODUCTS)  # type: ignore[arg-type] # a Table, though typed as any FromClause
    .where(_PRODUCTS.c.id == bindparam("product"), _PRODUCTS.c.stock_quantity >= bindparam("units"))
    .values(stock_quantity=_PRODUCTS.c.stock_quantity - bindparam("units"))
)
_taken = func.unnest(bindparam("products", type_=ARRAY(Text)), bindparam("units", type_=ARRAY(BigInteger)))
_wanted = _taken.table_valued("product", "units", name="wanted").render_derived()
_take_held = (
    update(_PRODUCTS)  # type: ignore[arg-type] # a Table, though typed as any FromClause
    .where(_PRODUCTS.c.id == _wanted.c.product, _PRODUCTS.c.stock_quantity >= _wanted.c.units)
    .values(stock_quantity=_PRODUCTS.c.stock_quantity - _wanted.c.units)
)
_put_back = BulkUpdate(
    update(_PRODUCTS)  # type: ignore[arg-type] # a Table, though typed as any FromClause
    .where(_PRODUCTS.c.id == bindparam("product"))
    .values(stock_quantity=_PRODUCTS.c.stock_quantity + bindparam("units"))
)


class Oversold(RuntimeError):
    """A product had fewer units than were decided on, although its row was locked: a bug, nothing is written."""


def take(session: Session, units: Mapping[str, int], movements: Sequence[Movement]) -> None:
    """Take units off the shelves and write the movements that say so, one for each order and product.

    One conditional statement a product; raises Oversold if one of them finds too few.
    """
    if not units:
        return
    rows = [{"product": product_id, "units": quantity} for product_id, quantity in sorted(units.items())]
    _must_be(_take(session, rows), len(rows))
    insert_movements(session, movements)


def take_held(session: Session, units: Mapping[str, int], movements: Sequence[Movement]) -> None:
    """`take` off products that are locked, in one statement, in whatever order. PostgreSQL only.

    The movements wait for the locks too: the ids of a product's ledger must be in the order in which its stock moved.
    Raises Oversold if there are too few.
    """
    if units:
        values = {"products": list(units), "units": list(units.values())}
        _must_be(session.connection().execute(_take_held, values).rowcount, len(units))
        insert_movements(session, movements)


def _must_be(found: int, wanted: int) -> None:
    if found != wanted:
        raise Oversold(f"{found} of {wanted} products had the stock that was decided on")


def open_stock(session: Session, product_id: str, quantity: int, at: int, actor: str | None = None) -> None:
    """The first entry of a new product's ledger."""
    _open_ledgers(session, [(product_id, "opening", quantity, at, actor)])


@dataclass(frozen=True, slots=True)
class Note:
    """What the ledger says of a merchant's movement beside its quantity."""

    kind: str
    at: int
    reason: str | None = None
    actor: str | None = None
    key: str | None = None


def move(session: Session, product_id: str, quantity: int, note: Note) -> tuple[StockMovementRow, int] | None:
    """Put units on the shelf or take them off, and say so in the ledger; the movement and the stock after it.

    None when there are too few. A quantity of 0 is a movement too. The product must exist.
    """
    left = session.scalar(
        update(_PRODUCTS)  # type: ignore[arg-type] # a Table, though typed as any FromClause
        .where(_PRODUCTS.c.id == product_id, _PRODUCTS.c.stock_quantity + quantity >= 0)
        .values(stock_quantity=_PRODUCTS.c.stock_quantity + quantity)
        .returning(_PRODUCTS.c.stock_quantity)
    )
    if left is None:
        return None
    row = StockMovementRow(
        product_id=product_id,
        kind=note.kind,
        quantity=quantity,
        order_id=None,
        reason=note.reason,
        at=note.at,
        actor=note.actor,
        key=note.key,
    )
    session.add(row)
    session.flush()
    return row, left


def by_key(session: Session, product_id: str, key: str) -> StockMovementRow | None:
    """The movement that a request with this Idempotency-Key made."""
    ledger = select(StockMovementRow).where(StockMovementRow.product_id == product_id)
    return session.scalar(ledger.where(StockMovementRow.key == key))


def stock_after(session: Session, movement: StockMovementRow) -> int:
    """The stock after a movement: what is there now, without what has moved since."""
    since = (
        select(func.coalesce(func.sum(StockMovementRow.quantity), 0))
        .where(StockMovementRow.product_id == movement.product_id, StockMovementRow.id > movement.id)
        .scalar_subquery()
    )
    # One statement: stock and ledger as they were at one moment.
    query = select(ProductRow.stock_quantity - since).where(ProductRow.id == movement.product_id)
    return int(session.execute(query).scalar_one())


def movements(
    session: Session, product_id: str, limit: int, before: tuple[int, int] | None = None
) -> list[tuple[StockMovementRow, int]]:
    """A product's ledger, newest first: each movement and the stock after it.

    `before` is the id of the last movement seen and the stock before it; the ledger only grows at its
    other end, so the page costs the same however long it is.
    """
    query = (
        select(StockMovementRow, ProductRow.stock_quantity)
        .join(ProductRow, ProductRow.id == StockMovementRow.product_id)
        .where(StockMovementRow.product_id == product_id)
        .order_by(StockMovementRow.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(StockMovementRow.id < before[0])
    # One statement: the newest movement and the stock belong to the same moment.
    rows = session.execute(query).all()
    balance = before[1] if before else rows[0][1] if rows else 0
    found = []
    for row, _ in rows:
        found.append((row, balance))
        balance -= row.quantity
    return found


def ledger_balance(session: Session, product_id: str) -> int:
    """The sum of a product's movements; equal to its stock at every commit."""
    query = select(func.coalesce(func.sum(StockMovementRow.quantity), 0))
    return int(session.scalar(query.where(StockMovementRow.product_id == product_id)) or 0)


def give_back(session: Session, movements: Sequence[Movement], actor: str | None = None) -> None:
    """Put units back on the shelves, and write the movements that say so (`released` or `returned`).

    Locked in the database's order of ids, as settlements do (it need not be Python's), so that they cannot deadlock.
    """
    units: dict[str, int] = {}
    for product_id, _, quantity, *_rest in movements:
        units[product_id] = units.get(product_id, 0) + quantity
    if units:
        ids = _PRODUCTS.c.id
        session.execute(select(ids).where(ids.in_(list(units))).order_by(ids).with_for_update(key_share=True)).all()
        _put_back(session, [{"product": product_id, "units": quantity} for product_id, quantity in units.items()])
        _insert_returns(session, [(*movement, actor) for movement in movements])
