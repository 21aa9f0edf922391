"""Keys to the admin API: their hashes, and what each may do."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db.models import ApiKeyRow


def get(session: Session, key_id: str) -> ApiKeyRow | None:
    """A key that was not revoked."""
    return session.scalar(select(ApiKeyRow).where(ApiKeyRow.id == key_id, ApiKeyRow.revoked_at.is_(None)))


def named(session: Session, name: str) -> ApiKeyRow | None:
    return session.scalar(select(ApiKeyRow).where(ApiKeyRow.name == name))


def add(session: Session, key_id: str, name: str, hash_: str, scopes: Sequence[str], at: int) -> None:
    """Remember a new key. Names are unique, those of revoked keys too: they say who did something."""
    session.add(ApiKeyRow(id=key_id, name=name, hash=hash_, scopes=list(scopes), created_at=at))
    session.flush()


def every(session: Session) -> Sequence[ApiKeyRow]:
    return session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.created_at, ApiKeyRow.id)).all()


def revoke(session: Session, name: str, at: int) -> bool:
    """Whether there was a key of this name that was still good."""
    query = update(ApiKeyRow).where(ApiKeyRow.name == name, ApiKeyRow.revoked_at.is_(None)).values(revoked_at=at)
    return session.execute(query.returning(ApiKeyRow.id)).first() is not None
