"""Holding the two stores against each other: what was accepted, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator

from carts.inbox import Inbox, Kept
from db import orders
from db.audit import CHECKS, Counted, Findings, Violation
from db.session import Database
from shop.orders import OPEN

LONGEST_WAIT_MS = 60_000


def accepted(inbox: Inbox, database: Database, now: int) -> Findings:
    """P1, P7: every accepted checkout waits or has its order; no settled one still holds its cart.

    The shop may be busy: what looks wrong is looked at once more at the end. `now` is in ms.
    """
    rows = 0
    suspects: list[str] = []
    for portion in inbox.kept():
        rows += len(portion)
        suspects += [kept.order_id for kept, _ in _wrong(portion, database, now)]
        yield Counted(rows)
    for first in range(0, len(suspects), 500):
        again = inbox.look(sorted(set(suspects))[first : first + 500])
        for kept, (promise, message) in _wrong(again, database, now):
            yield Violation(promise, f"order {kept.order_id}", message)


def _wrong(portion: list[Kept], database: Database, now: int) -> Iterator[tuple[Kept, tuple[str, str]]]:
    # Redis was read first: whatever had its order then has it now.
    with database.reading() as session:
        known = orders.statuses(session, [kept.order_id for kept in portion])
    for kept in portion:
        status = known.get(kept.order_id)
        if kept.waits:
            seconds = (now - kept.accepted_at) // 1000
            if now - kept.accepted_at > LONGEST_WAIT_MS:
                yield kept, ("P1", f"has waited for {seconds} s")
        elif kept.status is None:
            yield kept, ("P1", "was accepted, and neither waits nor was settled")
        elif status is None and kept.status != "failed":
            yield kept, ("P1", f"was settled as {kept.status}, but SQL does not know it: run flask reconcile")
        elif kept.has_cart and not (kept.status in OPEN and status in OPEN):  # One that is paid for keeps it so far.
            yield kept, ("P7", f"was settled as {kept.status}, but its cart is still claimed")
        elif status is not None and (status == "failed") != (kept.status == "failed"):
            yield kept, ("P1", f"is {status} in SQL and {kept.status} in Redis")


def reconcile(inbox: Inbox, database: Database) -> Iterator[tuple[str, bool]]:
    """Let every accepted checkout that SQL does not know wait once more: after an older database was restored.

    A failed one took nothing and gave its cart back, so it stays as it is. Yields each order id, and
    whether it could be put back. May be repeated.
    """
    for portion in inbox.kept():
        with database.reading() as session:
            known = orders.statuses(session, [kept.order_id for kept in portion])
        for kept in portion:
            if kept.order_id not in known and not kept.waits and kept.status != "failed":
                yield kept.order_id, inbox.put_back(kept.order_id)


__all__ = ["CHECKS", "Counted", "Findings", "Violation", "accepted", "reconcile"]
