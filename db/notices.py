"""Notices in SQL: what is to be told to whom, who is telling it now, and what came of it.

They are written in the transaction of what they tell, so that nothing is told that is not so, and nothing that is
so goes untold. Whoever sends one holds it for LEASE_MS at a time; dies the sender, another sends it again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, exists, func, select, update
from sqlalchemy.orm import Session

from db.bulk import BulkInsert
from db.models import AttemptRow, EndpointRow, NoticeRow
from shop.notices import MAIL, Listener, News

LEASE_MS = 5_000
"""Renewed while a message is being sent."""
KNOWN_SECONDS = 2.0
"""So long a process believes to know the endpoints: a new one hears of everything from then on."""
SHORT = 200
"""Characters that are kept of an answer."""
_columns = (
    *("id", "order_id", "event", "number", "target", "status"),
    *("tries", "attempts", "next_at", "detail", "created_at", "updated_at"),
)
# A notice that is there already was told in this very way before, by a shop whose other store was restored.
_insert = BulkInsert(NoticeRow, *_columns, if_new=True)


class Audience:
    """Who is told: shoppers, where mail is set up, and the merchant's endpoints. Each Database has one."""

    def __init__(self, mails: bool = False) -> None:
        self.mails = mails
        self._listeners: tuple[Listener, ...] = ()
        self._known_until = 0.0

    def listeners(self, session: Session) -> Sequence[Listener]:
        """The active endpoints, as they were at most KNOWN_SECONDS ago."""
        if time.monotonic() >= self._known_until:
            query = select(EndpointRow.id, EndpointRow.events).where(EndpointRow.is_active)
            self._listeners = tuple(Listener(row[0], row[1]) for row in session.execute(query.order_by(EndpointRow.id)))
            self._known_until = time.monotonic() + KNOWN_SECONDS
        return self._listeners

    def forget(self) -> None:
        """The endpoints have just been changed."""
        self._known_until = 0.0


def announce(session: Session, news: Iterable[News], now: int) -> None:
    """Write the notices of what has become of orders; none where nobody listens. Part of the same transaction."""
    audience: Audience = session.info["audience"]
    listeners = audience.listeners(session)
    if not listeners and not audience.mails:
        return
    rows = []
    for each in news:
        targets = [listener.id for listener in listeners if listener.hears(each.event)]
        if audience.mails and each.is_mailed:
            targets.append(MAIL)
        rows += [_row(each.id_for(target), each.order_id, each.event, each.number, target, now) for target in targets]
    _insert(session, rows)


def add(session: Session, notice_id: str, event: str, target: str, now: int) -> NoticeRow:
    """A notice about no order."""
    values = zip(_columns, _row(notice_id, None, event, 0, target, now), strict=True)
    row = NoticeRow(**dict(values))
    session.add(row)
    session.flush()
    return row


def _row(
    notice_id: str, order_id: str | None, event: str, number: int, target: str, now: int
) -> tuple[str | int | None, ...]:
    return (notice_id, order_id, event, number, target, "waiting", 0, 0, now, None, now, now)


# ---------------------------------------------------------------- sending


@dataclass(frozen=True, slots=True)
class Work:
    """A notice that we hold for LEASE_MS."""

    id: str
    order_id: str | None
    event: str
    number: int
    target: str
    tries: int
    attempt: int
    """Which one this is of all: a late answer of an earlier one is only logged."""
    created_at: int


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a try, and what becomes of its notice."""

    work: Work
    at: int
    ms: int
    sent: bool
    code: int | None
    answer: str
    again_in_ms: int | None = None
    """None: it is over."""
    gone: bool = False
    """The endpoint says that it never wants anything again."""


@dataclass(frozen=True, slots=True)
class Due:
    """A notice that is to be sent now, if nobody else takes it first."""

    id: str
    target: str
    order_id: str | None


def due(session: Session, room: Mapping[str, int], now: int) -> list[Due]:
    """The notices that are due, the longest due first, for each target as many as there is room for.

    Each target is looked for by itself, so that a long line before one hides nobody behind it.
    """
    n = NoticeRow
    found: list[Due] = []
    for target, most in room.items():
        query = select(n.id, n.target, n.order_id).where(n.target == target, n.next_at <= now)
        found += (Due(*row) for row in session.execute(query.order_by(n.next_at, n.id).limit(most)))
    return found


def claim(session: Session, ids: Sequence[str], now: int) -> list[Work]:
    """Take those of these notices that are still due, for LEASE_MS. What another holds is passed over."""
    n = NoticeRow
    if not ids:
        return []
    free = select(n.id).where(n.id.in_(ids), n.next_at <= now).order_by(n.id).with_for_update(skip_locked=True)
    taken = (
        update(n)
        .where(n.id.in_(session.scalars(free).all()), n.next_at <= now)
        .values(next_at=now + LEASE_MS, tries=n.tries + 1, attempts=n.attempts + 1, updated_at=now)
        .returning(n.id, n.order_id, n.event, n.number, n.target, n.tries, n.attempts, n.created_at)
        .execution_options(synchronize_session=False)
    )
    works = [Work(*tuple(row)) for row in session.execute(taken)]
    return sorted(works, key=lambda work: (work.created_at, work.id))


def renew(session: Session, works: Iterable[Work], now: int) -> None:
    """Hold what is still being sent."""
    for work in sorted(works, key=lambda work: work.id):
        session.execute(update(NoticeRow).where(*_held(work)).values(next_at=now + LEASE_MS))


def _held(work: Work) -> tuple[ColumnElement[bool], ...]:
    return (NoticeRow.id == work.id, NoticeRow.attempts == work.attempt, NoticeRow.next_at.is_not(None))


def record(session: Session, results: Sequence[Result], now: int) -> None:
    """Write down what came of tries. One that somebody has tried again since is logged, and changes nothing."""
    for result in sorted(results, key=lambda each: each.work.id):
        work, over = result.work, result.sent or result.again_in_ms is None
        session.execute(
            update(NoticeRow)
            .where(*_held(work))
            .values(
                status="sent" if result.sent else "failed" if over else "waiting",
                next_at=None if over else now + (result.again_in_ms or 0),
                detail=result.answer[:SHORT],
                updated_at=now,
            )
        )
    _log(session, results)


_insert_attempts = BulkInsert(AttemptRow, "notice_id", "attempt", "at", "outcome", "code", "answer", "ms", if_new=True)


def _log(session: Session, results: Sequence[Result]) -> None:
    rows = [
        (each.work.id, each.work.attempt, each.at, *(_OUTCOMES[each.sent], each.code, each.answer[:SHORT], each.ms))
        for each in results
    ]
    _insert_attempts(session, rows)


_OUTCOMES = {True: "sent", False: "failed"}


# ---------------------------------------------------------------- keeping house


def stranded(session: Session, targets: Iterable[str], before: int) -> bool:
    """Whether anything has been due since before an instant for somebody who is none of these."""
    return bool(session.scalar(select(exists().where(*_stranded(targets, before)))))


def strand(session: Session, targets: Iterable[str], known: Iterable[str], before: int, now: int) -> None:
    """Let nothing wait for who is none of these targets: who is known at least can be told again, by hand."""
    there = NoticeRow.target.in_(list(known))
    for status, detail, which in (
        ("failed", "not sent: its endpoint is switched off", there),
        ("dropped", "not sent: its endpoint was removed", ~there),
    ):
        given_up = update(NoticeRow).where(*_stranded(targets, before), which)
        session.execute(given_up.values(status=status, next_at=None, detail=detail, updated_at=now))


def _stranded(targets: Iterable[str], before: int) -> tuple[ColumnElement[bool], ...]:
    return (NoticeRow.next_at < before, NoticeRow.target.not_in(list(targets)))


def oldest(session: Session) -> int | None:
    """When the oldest notice was written, in ms."""
    return session.scalar(select(func.min(NoticeRow.created_at)))


def prune(session: Session, before: int, most: int) -> int:
    """Delete up to `most` notices that were written before an instant and wait no more; how many those were."""
    query = select(NoticeRow.id).where(NoticeRow.created_at < before, NoticeRow.next_at.is_(None))
    ids = session.scalars(query.order_by(NoticeRow.created_at, NoticeRow.id).limit(most).with_for_update()).all()
    session.execute(delete(AttemptRow).where(AttemptRow.notice_id.in_(ids)))
    session.execute(delete(NoticeRow).where(NoticeRow.id.in_(ids)))
    return len(ids)
