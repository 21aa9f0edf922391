"""Stock and its ledger: a quantity changes only together with a movement that says why (P4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from db.bulk import BulkInsert, BulkUpdate
from db.models import ProductRow, StockMovementRow

_PRODUCTS = ProductRow.__table__
Movement = tuple[str, str, int, str | None, str | None, int]
"""A row of the ledger: product_id, kind, quantity (more on the shelf, or fewer), order_id, reason, at."""
_insert_movements = BulkInsert(StockMovementRow, "product_id", "kind", "quantity", "order_id", "reason", "at")
_take = BulkUpdate(
    update(_PRODUCTS)  # type: ignore[arg-type]
    .where(_PRODUCTS.c.id == bindparam("product"), _PRODUCTS.c.stock_quantity >= bindparam("units"))
    .values(stock_quantity=_PRODUCTS.c.stock_quantity - bindparam("units"))
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
    found = _take(session, rows)
    if found != len(rows):
        raise Oversold(f"{found} of {len(rows)} products had the stock that was decided on")
    _insert_movements(session, movements)


def open_stock(session: Session, product_id: str, quantity: int, at: int) -> None:
    """The first entry of a new product's ledger."""
    _insert_movements(session, [(product_id, "opening", quantity, None, None, at)])


def ledger_balance(session: Session, product_id: str) -> int:
    """The sum of a product's movements; equal to its stock at every commit."""
    query = select(func.coalesce(func.sum(StockMovementRow.quantity), 0))
    return int(session.scalar(query.where(StockMovementRow.product_id == product_id)) or 0)
