"""Notices as the merchant looks at them: found, with the log of their attempts, and begun again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select, text, tuple_, update
from sqlalchemy.orm import Session

from db.models import AttemptRow, NoticeRow
from db.notices import LEASE_MS
from shop.errors import NoticeNotFound

Place = tuple[int, str]
"""`created_at` and id of the last one seen."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which notices are wanted; None stands for any."""

    status: str | None = None
    target: str | None = None
    order_id: str | None = None
    event: str | None = None


def page(session: Session, wanted: Filter, limit: int, after: Place | None = None) -> Sequence[NoticeRow]:
    """The newest first, behind `after`."""
    n = NoticeRow
    query = select(n).where(*_conditions(wanted))
    if after is not None:
        query = query.where(tuple_(n.created_at, n.id) < after)
    return session.scalars(query.order_by(n.created_at.desc(), n.id.desc()).limit(limit)).all()


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    n = NoticeRow
    columns = ((n.status, wanted.status), (n.target, wanted.target), (n.order_id, wanted.order_id))
    found = [column == value for column, value in (*columns, (n.event, wanted.event)) if value is not None]
    # As the partial indexes have it: of those that wait, or were given up, there are few.
    if wanted.status == "waiting":
        found.append(n.next_at.is_not(None))
    elif wanted.status in ("failed", "dropped"):
        found.append(text("notices.status IN ('failed', 'dropped')"))  # type: ignore[arg-type] # a condition it is
    return found


def get(session: Session, notice_id: str) -> NoticeRow:
    """Raises NoticeNotFound."""
    return _found(session.get(NoticeRow, notice_id), notice_id)


def lock(session: Session, notice_id: str) -> NoticeRow:
    """A notice, held until the transaction ends. Raises NoticeNotFound."""
    return _found(session.scalar(select(NoticeRow).where(NoticeRow.id == notice_id).with_for_update()), notice_id)


def _found(row: NoticeRow | None, notice_id: str) -> NoticeRow:
    if row is None:
        raise NoticeNotFound(f"There is no notice {notice_id}.")
    return row


def attempts(session: Session, notice_id: str) -> Sequence[AttemptRow]:
    """The log of a notice, the first attempt first."""
    query = select(AttemptRow).where(AttemptRow.notice_id == notice_id)
    return session.scalars(query.order_by(AttemptRow.attempt)).all()


def begin_again(session: Session, row: NoticeRow, now: int) -> None:
    """Send a notice once more, at once, under the same id. The row is locked; one on its way is left to arrive."""
    if row.next_at is not None and row.attempts and row.next_at <= now + LEASE_MS:
        return
    row.status, row.next_at, row.tries = "waiting", now, 0
    row.updated_at = max(now, row.updated_at + 1)
    session.flush()


def begin_failed_again(session: Session, since: int, targets: Iterable[str], now: int) -> int:
    """Send again whatever was written since an instant and was given up, to these targets; how many those are."""
    n = NoticeRow
    failed = (n.status == "failed", n.created_at >= since, n.target.in_(list(targets)))
    again = update(n).where(*failed).values(status="waiting", next_at=now, tries=0, updated_at=now)
    return len(session.scalars(again.returning(n.id)).all())


def counts(session: Session, since: int) -> dict[str, int]:
    """How many notices wait, and how many that were written since an instant were given up."""
    n = NoticeRow
    waiting = select(func.count()).where(n.next_at.is_not(None))
    failed = select(func.count()).where(text("notices.status IN ('failed', 'dropped')"), n.status == "failed")
    return {
        "waiting": session.scalar(waiting) or 0,
        "failed": session.scalar(failed.where(n.created_at >= since)) or 0,
    }
