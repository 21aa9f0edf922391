"""The merchant's webhook endpoints in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.orm import Session

from db.models import EndpointRow, NoticeRow
from shop.errors import EndpointNotFound
from shop.notices import HOPELESS_AFTER_MS

GONE = "it answered 410 Gone"
HOPELESS = f"it took nothing for {HOPELESS_AFTER_MS // 86_400_000} days"


def every(session: Session) -> Sequence[EndpointRow]:
    """The oldest first."""
    return session.scalars(select(EndpointRow).order_by(EndpointRow.created_at, EndpointRow.id)).all()


def count(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(EndpointRow)) or 0


def get(session: Session, endpoint_id: str) -> EndpointRow:
    """Raises EndpointNotFound."""
    return _found(session.get(EndpointRow, endpoint_id), endpoint_id)


def lock(session: Session, endpoint_id: str) -> EndpointRow:
    """An endpoint, held until the transaction ends. Raises EndpointNotFound."""
    query = select(EndpointRow).where(EndpointRow.id == endpoint_id).with_for_update()
    return _found(session.scalar(query), endpoint_id)


def _found(row: EndpointRow | None, endpoint_id: str) -> EndpointRow:
    if row is None:
        raise EndpointNotFound(f"There is no endpoint {endpoint_id}.")
    return row


def add(session: Session, **columns: Any) -> EndpointRow:
    row = EndpointRow(is_active=True, **columns)
    session.add(row)
    session.flush()
    return row


def change(session: Session, row: EndpointRow, given: Mapping[str, Any], now: int) -> None:
    """Give an endpoint other columns; one that is switched on again begins anew. The row is locked."""
    for name, value in given.items():
        setattr(row, name, value)
    if given.get("is_active") or "url" in given:
        row.switched_off = row.failing_since = None
    row.updated_at = max(now, row.updated_at + 1)
    session.flush()


def rotate(session: Session, row: EndpointRow, secret: str, until: int, now: int) -> None:
    """Sign with a new secret, and until an instant with the one before too."""
    row.old_secret, row.old_secret_until, row.secret = row.secret, until, secret
    row.updated_at = max(now, row.updated_at + 1)
    session.flush()


def remove(session: Session, row: EndpointRow, now: int) -> None:
    """What waits for it is dropped; the log of what it was sent stays."""
    waits = (NoticeRow.target == row.id, NoticeRow.next_at.is_not(None))
    dropped = update(NoticeRow).where(*waits)
    session.execute(dropped.values(status="dropped", next_at=None, detail="the endpoint was removed", updated_at=now))
    session.execute(delete(EndpointRow).where(EndpointRow.id == row.id))


# ---------------------------------------------------------------- health


def took(session: Session, endpoint_ids: Iterable[str]) -> None:
    """These have taken a message: whatever they refused before is forgotten."""
    of_these = (EndpointRow.id.in_(sorted(endpoint_ids)), EndpointRow.failing_since.is_not(None))
    session.execute(update(EndpointRow).where(*of_these).values(failing_since=None))


def refused(session: Session, endpoint_ids: Iterable[str], gone: Iterable[str], now: int) -> list[str]:
    """These took nothing. Answers those that are switched off by it: who is gone, or has refused for days."""
    e = EndpointRow
    session.execute(
        update(e).where(e.id.in_(sorted(endpoint_ids)), e.failing_since.is_(None)).values(failing_since=now)
    )
    off: list[str] = []
    for why, which in (
        (GONE, e.id.in_(sorted(gone))),
        (HOPELESS, and_(e.id.in_(sorted(endpoint_ids)), e.failing_since <= now - HOPELESS_AFTER_MS)),
    ):
        switched = update(e).where(which, e.is_active).values(is_active=False, switched_off=why, updated_at=now)
        off += session.scalars(switched.returning(e.id))
    return off
