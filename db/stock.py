"""Stock and its ledger: a quantity changes only together with a movement that says why (P4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from db.bulk import BulkInsert, BulkUpdate
from db.models import ProductRow, StockMovementRow

_PRODUCTS = ProductRow.__table__
_insert_movements = BulkInsert(insert(StockMovementRow))
_take = BulkUpdate(
    update(_PRODUCTS)  # type: ignore[arg-type]
    .where(_PRODUCTS.c.id == bindparam("product"), _PRODUCTS.c.stock_quantity >= bindparam("units"))
    .values(stock_quantity=_PRODUCTS.c.stock_quantity - bindparam("units"))
)


class Oversold(RuntimeError):
    """A product had fewer units than were decided on, although its row was locked: a bug, nothing is written."""


def take(session: Session, units: Mapping[str, int], movements: Sequence[dict[str, Any]]) -> None:
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


def movement(product_id: str, kind: str, quantity: int, at: int, order_id: str | None = None) -> dict[str, Any]:
    """A row of the ledger: `quantity` units more on the shelf, or fewer."""
    return {
        "product_id": product_id,
        "kind": kind,
        "quantity": quantity,
        "order_id": order_id,
        "reason": None,
        "at": at,
    }


def open_stock(session: Session, product_id: str, quantity: int, at: int) -> None:
    """The first entry of a new product's ledger."""
    _insert_movements(session, [movement(product_id, "opening", quantity, at)])


def ledger_balance(session: Session, product_id: str) -> int:
    """The sum of a product's movements; equal to its stock at every commit."""
    query = select(func.coalesce(func.sum(StockMovementRow.quantity), 0))
    return int(session.scalar(query.where(StockMovementRow.product_id == product_id)) or 0)
