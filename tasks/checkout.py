"""Settling: from accepted checkouts to orders, a batch a transaction."""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog

from carts.inbox import Settled, Waiting
from db import orders, products
from shop.checkout import Address, Checkout
from shop.errors import Unavailable
from shop.pricing import Quote
from shop.settlement import Decision, decide, give_up
from shop.shipping import ShippingCost
from tasks.runtime import Runtime, current

MOST_TRIES = 5
LONGEST_RUN_SECONDS = 30.0
"""After this a run rings for the next one and ends, well before RQ's time-out for a job."""

log = structlog.get_logger()


def settle() -> int:
    """Turn the oldest accepted checkouts into orders, a batch a transaction, until none waits.

    May run twice and be killed anywhere: what is in SQL already is only cleaned up after.
    Answers how many checkouts it settled.
    """
    runtime = current()
    inbox = runtime.inbox
    # First: whoever is accepted from here on rings again.
    inbox.answer_doorbell()
    until = time.monotonic() + LONGEST_RUN_SECONDS
    settled = 0
    threw: set[str] = set()
    while inbox.hold_lease(runtime.worker):
        waiting = inbox.peek(runtime.settle_batch + len(threw))
        batch = [checkout for checkout in waiting if checkout.order_id not in threw]
        if not batch:
            break
        threw |= settle_batch(runtime, batch)
        settled += len(batch)
        if time.monotonic() > until:
            runtime.bell.ring()
            break
    inbox.release_lease(runtime.worker)
    return settled - len(threw)


def settle_batch(runtime: Runtime, batch: Sequence[Waiting]) -> set[str]:
    """Settle a batch in one transaction; if that throws, one by one. Answers the ids that still threw.

    Raises Unavailable when a store is away: then nothing is anybody's fault, and upkeep rings again.
    """
    try:
        _commit(runtime, batch)
    except Unavailable:
        raise
    except Exception:
        log.exception("settle.batch_threw", checkouts=len(batch))
        return {waiting.order_id for waiting in batch if not _settled_alone(runtime, waiting)}
    return set()


def _settled_alone(runtime: Runtime, waiting: Waiting) -> bool:
    try:
        _commit(runtime, [waiting])
    except Unavailable:
        raise
    except Exception:
        tries = runtime.inbox.count_try(waiting.order_id)
        log.exception("settle.threw", order_id=waiting.order_id, tries=tries)
        if tries < MOST_TRIES:
            return False
        _give_up(runtime, waiting, tries)
    return True


def _commit(runtime: Runtime, batch: Sequence[Waiting]) -> None:
    started = time.perf_counter()
    if orphans := [waiting.order_id for waiting in batch if not waiting.session_id]:
        # Never seen: an id comes into the inbox together with its hash, which has no end before this.
        for order_id in orphans:
            log.error("settle.no_snapshot", order_id=order_id)
            runtime.inbox.forget(order_id)
    batch = [waiting for waiting in batch if waiting.session_id]
    wanted = {line.product_id for waiting in batch if waiting.checkout for line in waiting.checkout.quote.lines}
    now = runtime.now()
    with runtime.database.writing() as session:
        on_hand = products.lock(session, wanted)
        statuses = orders.statuses(session, [waiting.order_id for waiting in batch])
        fresh = [_readable(waiting) for waiting in batch if waiting.order_id not in statuses]
        decisions: list[Decision] = []
        if fresh:
            decisions = decide(fresh, on_hand, runtime.rules, orders.taken_by(session, fresh))
            statuses |= orders.write(session, decisions, now)
    # Here it has happened. Everything below only tidies up, and the next run would do it again.
    sold = {line.product_id for decision in decisions if not decision.failure for line in decision.quote.lines}
    runtime.inbox.settled([Settled(w.order_id, w.session_id, statuses[w.order_id]) for w in batch], sold)
    for decision in decisions:
        if decision.failure:
            log.info("order.failed", order_id=decision.checkout.order_id, code=decision.failure.code)
    confirmed = sum(decision.failure is None for decision in decisions)
    ms = round((time.perf_counter() - started) * 1000, 1)
    log.info("settle.batch", checkouts=len(batch), confirmed=confirmed, failed=len(decisions) - confirmed, ms=ms)


class UnreadableSnapshot(ValueError):
    """An accepted checkout that this version of the code cannot read."""


def _readable(waiting: Waiting) -> Checkout:
    if waiting.checkout is None:
        raise UnreadableSnapshot(waiting.order_id)
    return waiting.checkout


def _give_up(runtime: Runtime, waiting: Waiting, tries: int) -> None:
    """Write the end of a checkout that cannot be settled; with its data if they can be written, else without."""
    blank = _blank(waiting)
    for checkout in (waiting.checkout or blank, blank):
        try:
            with runtime.database.writing() as session:
                orders.write(session, [give_up(checkout, tries)], runtime.now())
        except Unavailable:
            raise
        except Exception:
            log.exception("settle.give_up_threw", order_id=waiting.order_id)
            continue
        break
    runtime.inbox.settled([Settled(waiting.order_id, waiting.session_id, "failed")])


def _blank(waiting: Waiting) -> Checkout:
    """A checkout of which only the ids and the time are known."""
    nothing = ShippingCost("", "", 0, 0, 0, 0, 0)
    quote = Quote("XXX", False, (), nothing, (), (), 0, 0, 0, 0)
    nobody = Address("", "", "", "", "")
    order_id, at = waiting.order_id, waiting.accepted_at
    return Checkout(order_id, waiting.session_id, order_id, 0, "", None, nobody, "", "", quote, accepted_at=at)
