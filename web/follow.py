"""Following an order: from SQL, from the snapshot while there is no row, and by waiting for a change."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from threading import Event

from carts.inbox import Snapshot
from db import order_looks, orders
from db.models import OrderRow
from shop.errors import OrderNotFound, Unavailable
from shop.money import exponent
from shop.orders import OPEN
from web.instants import from_instant
from web.schemas import OrdersOut, OrdersPage, OrderSummary
from web.services import Services
from web.views import Document, order_out, order_summary, pending_order, pending_summary

LONGEST_WAIT_SECONDS = 25
OPEN_RETRY_AFTER_SECONDS = 1
CROWDED_RETRY_AFTER_SECONDS = 3
GIVING_BACK_MS = 60_000
"""A worker that died just then is back in seconds, and the cart with it."""
_WAIT = re.compile(r"(?:^|,)\s*wait\s*=\s*(\"?)([0-9]{1,30})\1\s*(?:$|[,;])", re.IGNORECASE)


def wait_seconds(prefer: str | None) -> int:
    """How long a Prefer header (RFC 7240) asks us to hold the answer, at most 25 s; 0 when it does not."""
    match = _WAIT.search(prefer or "")
    return min(int(match[2]), LONGEST_WAIT_SECONDS) if match else 0


def read_order(services: Services, order_id: str, session_id: str) -> Document:
    """The session's order as it stands. Never missing after a 202, never failed before its cart is back.

    Raises OrderNotFound or Unavailable.
    """
    try:
        if order := _settled(services, order_id, session_id):
            return order
    except Unavailable:
        snapshot = services.inbox.find(order_id, session_id)
        if snapshot is None:
            raise
        return _from_snapshot(snapshot)
    snapshot = services.inbox.find(order_id, session_id)
    if snapshot is None:
        raise OrderNotFound("There is no such order, or it was placed in another session.")
    if snapshot.status is not None and (order := _settled(services, order_id, session_id)):
        return order  # It was settled between our first look and the second.
    return _from_snapshot(snapshot)


def _settled(services: Services, order_id: str, session_id: str) -> Document | None:
    """An order in SQL. A failed one stands as it stood before until its cart is back, a moment after the commit.

    Not for ever: where the carts' store was put back to an older state, nobody gives back any more.
    """
    order = _from_sql(services, order_id, session_id)
    if order is None or order["status"] != "failed":
        return order
    if services.now() - from_instant(order["updated_at"]) > GIVING_BACK_MS:
        return order
    try:
        snapshot = services.inbox.find(order_id, session_id)
    except Unavailable:  # Nobody can look at a cart now either.
        return order
    if snapshot is None or snapshot.status not in (None, *OPEN):
        return order
    return _from_snapshot(snapshot)


def whose(services: Services, order_id: str, token: str) -> str | None:
    """The session of an order that a token opens; None when it opens nothing. Raises Unavailable."""
    if not services.order_tokens.opens(token, order_id):
        return None
    with services.database.looking() as look:
        return order_looks.session_of(look, order_id)


def _from_sql(services: Services, order_id: str, session_id: str) -> Document | None:
    with services.database.looking() as look:
        row = order_looks.order(look, order_id, session_id)
        if row is None:
            return None
        shipped = row.fulfillment_status != "unfulfilled"
        return order_out(
            row,
            order_looks.items(look, order_id),
            order_looks.shipments(look, order_id) if shipped else [],
            order_looks.payments(look, order_id) if _may_have_asked(services, row) else [],
            order_looks.timeline(look, order_id),
        )


def _may_have_asked(services: Services, row: OrderRow) -> bool:
    """Whether a provider was, or may have been, told anything about an order."""
    method = services.rules.payment_method(row.payment_method)
    return method is None or method.provider is not None or row.payment_status not in ("none", "pending", "voided")


def _from_snapshot(snapshot: Snapshot) -> Document:
    checkout = snapshot.checkout
    return pending_order(checkout, exponent(checkout.quote.currency), snapshot.status or "pending")


def follow(
    services: Services,
    order_id: str,
    session_id: str,
    seconds: int,
    has_seen: Callable[[Document], bool] | None = None,
) -> tuple[Document, int]:
    """The order once it is news, is terminal, or time is up, and the seconds after which to ask again.

    News is what the client has not seen (by its ETag), or, where it does not say what it has seen,
    anything but what we find at the first look.
    """
    if not seconds:
        return read_order(services, order_id, session_id), OPEN_RETRY_AFTER_SECONDS
    until = time.monotonic() + seconds
    with services.outcomes.waiter(order_id) as changed:
        first = order = read_order(services, order_id, session_id)
        if changed is None:
            return order, CROWDED_RETRY_AFTER_SECONDS
        while not order["terminal"] and (has_seen(order) if has_seen else order == first):
            left = until - time.monotonic()
            if left <= 0 or not changed.wait(left):
                break
            changed.clear()
            order = read_order(services, order_id, session_id)
    return order, OPEN_RETRY_AFTER_SECONDS


def outcome(services: Services, changed: Event, order_id: str, session_id: str, seconds: float) -> Document | None:
    """The order once it is terminal, None when time is up before; `changed` has been there since before it was."""
    until = time.monotonic() + seconds
    while changed.wait(max(0.0, until - time.monotonic())):
        changed.clear()
        order = read_order(services, order_id, session_id)
        if order["terminal"]:
            return order
    return None


def history(services: Services, session_id: str, per_page: int, cursor: str | None) -> OrdersOut:
    """The session's orders, newest first; on the first page those too that are not in SQL yet."""
    before = services.cursors.read(cursor, "orders") if cursor else None
    # These first: one that is settled after this look is in SQL by the next.
    waiting = [] if before else _waiting_ids(services, session_id)
    with services.database.reading() as session:
        rows = list(orders.history(session, session_id, per_page + 1, before and (before[0], before[1])))
        more = len(rows) > per_page
        rows = rows[:per_page]
        counts = orders.items(session, [row.id for row in rows])
        known = orders.statuses(session, waiting) if waiting else {}
    entries = _pending(services, session_id, [order_id for order_id in waiting if order_id not in known])
    entries += [order_summary(row, len(counts[row.id]), exponent(row.currency)) for row in rows]
    next_cursor = services.cursors.write("orders", rows[-1].created_at, rows[-1].id) if more else None
    return OrdersOut(items=entries, page=OrdersPage(per_page=per_page, next_cursor=next_cursor))


def _waiting_ids(services: Services, session_id: str) -> list[str]:
    try:
        return services.inbox.open_ids(session_id)
    except Unavailable:  # With Redis away past orders are still shown.
        return []


def _pending(services: Services, session_id: str, order_ids: list[str]) -> list[OrderSummary]:
    found = (services.inbox.find(order_id, session_id) for order_id in order_ids)
    return [
        pending_summary(snapshot.checkout, exponent(snapshot.checkout.quote.currency), snapshot.status or "pending")
        for snapshot in found
        if snapshot
    ]
