"""The rows of what providers are to be told: how one begins."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy.orm import Session

from db.bulk import BulkInsert
from db.models import PaymentRow

_COLUMNS = tuple(PaymentRow.__table__.columns.keys())
_in_order = itemgetter(*_COLUMNS)
_insert = BulkInsert(PaymentRow, *_COLUMNS)


def new_row(
    order_id: str,
    kind: str,
    provider: str,
    amount_minor: int,
    currency: str,
    now: int,
    *,
    number: int = 0,
    token: str | None = None,
    captures: bool = False,
    provider_id: str | None = None,
    asked_at: int | None = None,
    reason: str | None = None,
    actor: str | None = None,
) -> dict[str, Any]:
    """A row for an operation that is due at once. Its key says what it is: there cannot be two of the same."""
    return {
        "key": f"{order_id}-{kind}{f'-{number}' if number else ''}",
        "order_id": order_id,
        "kind": kind,
        "provider": provider,
        "status": "due",
        "amount_minor": amount_minor,
        "currency": currency,
        "token": token,
        "captures": captures,
        "provider_id": provider_id,
        "result_id": None,
        "action_url": None,
        "action_until": None,
        "created_at": now,
        "asked_at": asked_at,
        "next_at": now,
        "tries": 0,
        "leased_by": None,
        "tells": False,
        "detail": None,
        "reason": reason,
        "actor": actor,
        "updated_at": now,
        "request_key": None,
        "request_print": None,
    }


def number_of(key: str) -> int:
    """Which refund of its order a key stands for."""
    return int(key.rpartition("-")[2])


def insert(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Write many of them."""
    _insert(session, [_in_order(row) for row in rows])
