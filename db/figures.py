"""What monitors and the ops page ask of SQL: counted up to a limit, along an index, however many orders there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, func, select, true
from sqlalchemy.orm import Session

from db import payments, resolving
from db.models import OrderRow, PaymentRow, ProductRow
from db.planner import unindexed
from shop.orders import OPEN

MOST: Final = 1000
"""Nobody needs to know more exactly; where a figure is this, there may be more."""


@dataclass(frozen=True, slots=True)
class Attention:
    """What is under way and what stands for a person, each up to MOST."""

    open_orders: dict[str, int]
    """By status: orders that have not come to their end."""
    due: int
    """Payments that a provider is to be told about now."""
    due_ms: int
    """How long the oldest of them has waited; 0 when there is none."""
    unknown: int
    """Orders of which nobody knows yet whether they were paid."""
    unresolved: int
    """Payments that stand for a person."""
    low_stock: int
    """Products that are sold and at or below their threshold."""


def attention(session: Session, now: int) -> Attention:
    return Attention(
        open_orders={status: _up_to_most(session, _orders("status", status)) for status in sorted(OPEN)},
        due=_up_to_most(session, select(PaymentRow.key).where(PaymentRow.next_at <= now)),
        due_ms=payments.due(session, now) or 0,
        unknown=_up_to_most(session, _orders("payment_status", "unknown")),
        unresolved=len(resolving.unresolved(session, now, MOST)),
        low_stock=_up_to_most(session, _low_stock()),
    )


def _orders(column: str, value: str) -> Select[Any]:
    return select(OrderRow.id).where(getattr(OrderRow, column) == value)


def _low_stock() -> Select[Any]:
    # Word for word what the index ix_products_low_stock says of itself.
    low = ProductRow.stock_quantity <= ProductRow.low_stock_threshold
    return select(ProductRow.id).where(low, unindexed(ProductRow.is_active) == true())


def _up_to_most(session: Session, query: Select[Any]) -> int:
    return session.scalar(select(func.count()).select_from(query.limit(MOST).subquery())) or 0
