"""Settling: from accepted checkouts to orders, a batch a transaction."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import structlog
from redis.exceptions import ResponseError

from carts.inbox import Settled, Waiting
from db import orders, products
from shop.catalogue import Product
from shop.checkout import Address, Checkout
from shop.errors import Unavailable
from shop.pricing import Quote
from shop.rules import Rules
from shop.settlement import Decision, decide, give_up
from shop.shipping import ShippingCost
from tasks.failpoints import failpoint
from tasks.runtime import Runtime, current
from tasks.tracing import now_ns

MOST_TRIES = 5
PLENTY_OF_CARTS = 10
"""While more of a product are there than so many full carts hold, a copy of it that is seconds old decides nothing."""
COMPANY_SECONDS = 0.01
LONGEST_RUN_SECONDS = 30.0
"""After this a run rings for the next one and ends, well before RQ's time-out for a job."""

log = structlog.get_logger()


def settle() -> int:
    """Turn the oldest accepted checkouts into orders, a batch a transaction, until none waits.

    May run twice and be killed anywhere: what is in SQL already is only cleaned up after.
    Answers how many checkouts it settled.
    """
    runtime = current()
    # First: whoever is accepted from here on rings again.
    failpoint("settle.woken")
    runtime.inbox.answer_doorbell()
    failpoint("settle.begun")
    settled = _drain(runtime, time.monotonic() + LONGEST_RUN_SECONDS)
    failpoint("settle.releasing")
    runtime.inbox.release_lease(runtime.worker)
    failpoint("settle.released")
    return settled


Done = tuple[list[Settled], set[str]]
"""What the inbox must be told after a commit: what SQL says of each order, and the products that got scarce."""


def _drain(runtime: Runtime, until: float) -> int:
    """Settle batch after batch while we hold the lease and anything waits. Raises Unavailable.

    A full batch means that more wait: then the inbox is told of the batch before and asked for the one
    after while this one is written, so that neither store waits for the other.
    """
    inbox, most, holder = runtime.inbox, runtime.settle_batch, runtime.worker
    settled = 0
    threw: set[str] = set()
    done: Done = [], set()
    batch = _next(runtime)
    if len(batch) == most:
        inbox.load_scripts()
    while batch:
        under_way = threw.union(waiting.order_id for waiting in batch)
        if len(batch) == most:
            before = done
            failpoint("settle.looking")
            with inbox.look_ahead(before, holder, most, under_way) as sent:
                failpoint("settle.looked")
                done, failed = settle_batch(runtime, batch)
                try:
                    following = inbox.ahead(sent)
                except ResponseError:
                    # The server refused or forgot a script: tell and ask again, the plain way.
                    failed |= _tell(runtime, before)
                    following = inbox.peek(most, skip=under_way | failed)
        else:
            failed = _tell(runtime, done)
            done, threw_now = settle_batch(runtime, batch)
            failed |= threw_now | _tell(runtime, done)
            done = [], set()
            following = _following(runtime, threw | failed)
        threw |= failed
        settled += len(batch) - len(failed)
        batch = following
        if batch and time.monotonic() > until:
            failpoint("settle.leaving")
            runtime.bell.ring()
            failpoint("settle.left")
            break
    _tell(runtime, done)
    return settled


def _next(runtime: Runtime, skip: Collection[str] = ()) -> list[Waiting]:
    """The next batch; none when another worker holds the lease."""
    return runtime.inbox.peek(runtime.settle_batch, skip=skip) if _holds(runtime) else []


def _holds(runtime: Runtime) -> bool:
    failpoint("settle.holding")
    holds = runtime.inbox.hold_lease(runtime.worker)
    failpoint("settle.held")
    return holds


def _following(runtime: Runtime, skip: Collection[str]) -> list[Waiting]:
    """The next batch after one that was not full: those who come within a moment, and none when nobody does for long.

    A commit costs the same for one as for many, and a job of RQ's as much as some twenty orders; so whoever comes
    first waits a few milliseconds for company, and a worker that has just worked stays awake for the next.
    """
    asleep_at = time.monotonic() + runtime.awake_seconds
    while runtime.awake_seconds:
        time.sleep(COMPANY_SECONDS)
        # A look first: it is no write, and so costs the store no sync.
        if batch := runtime.inbox.peek(runtime.settle_batch, skip=skip):
            return batch if _holds(runtime) else []
        if time.monotonic() > asleep_at:
            return []
    return _next(runtime, skip)


def _tell(runtime: Runtime, done: Done) -> set[str]:
    """Tell the inbox what was settled; if that throws, one by one. Answers the ids that are still in it."""
    orders_, sold = done
    try:
        if orders_:
            _tell_inbox(runtime, orders_, sold)
    except Unavailable:
        raise
    except Exception:
        log.exception("settle.tell_threw", checkouts=len(orders_))
        return {order.order_id for order in orders_ if not _told_alone(runtime, order)}
    return set()


def _tell_inbox(runtime: Runtime, orders_: Sequence[Settled], sold: Collection[str] = ()) -> None:
    failpoint("settle.telling")
    runtime.inbox.settled(orders_, sold)
    failpoint("settle.told")


def _told_alone(runtime: Runtime, order: Settled) -> bool:
    try:
        _tell_inbox(runtime, [order])
    except Unavailable:
        raise
    except Exception:
        # Its order is written and stands; the inbox is told by a later run.
        log.exception("settle.tell_threw", order_id=order.order_id)
        return False
    return True


def settle_batch(runtime: Runtime, batch: Sequence[Waiting]) -> tuple[Done, set[str]]:
    """Settle a batch in one transaction; if that throws, one by one. Answers what to tell the inbox, and who threw.

    Raises Unavailable when a store is away: then nothing is anybody's fault, and upkeep rings again.
    """
    try:
        return commit(runtime, batch), set()
    except Unavailable:
        raise
    except Exception:
        # Whatever it is, one poisoned checkout must not hold up the others.
        log.exception("settle.batch_threw", checkouts=len(batch))
        return ([], set()), {waiting.order_id for waiting in batch if not _settled_alone(runtime, waiting)}


def _settled_alone(runtime: Runtime, waiting: Waiting) -> bool:
    try:
        done = commit(runtime, [waiting])
    except Unavailable:
        raise
    except Exception:
        # Counted; after the last try the shopper gets an answer and the cart.
        failpoint("settle.counting")
        tries = runtime.inbox.count_try(waiting.order_id)
        failpoint("settle.counted")
        log.exception("settle.threw", order_id=waiting.order_id, tries=tries)
        return tries >= MOST_TRIES and _given_up(runtime, waiting, tries)
    return not _tell(runtime, done)  # Settled it is; one that cannot be told yet is no failed try.


def commit(runtime: Runtime, batch: Sequence[Waiting]) -> Done:
    """Write a batch's orders in one transaction: when this returns, it has happened.

    Answers what the inbox must be told: what SQL says of each, and the products that got scarce.
    """
    started, started_ns = time.perf_counter(), now_ns()
    try:
        statuses, decisions, scarce = _write(runtime, batch)
        confirmed: set[str] = set()
    except orders.Repeated:
        statuses, decisions, scarce = _write(runtime, batch, careful=True)
        with runtime.database.reading() as session:
            confirmed = orders.numbered(session, statuses)
    if any(decision.payment for decision in decisions):
        failpoint("settle.ringing")
        runtime.payments_bell.ring()
        failpoint("settle.rung")
    failed = 0
    for decision in decisions:
        if decision.failure is not None:
            failed += 1
            log.info("order.failed", order_id=decision.checkout.order_id, code=decision.failure.code)
    ms = round((time.perf_counter() - started) * 1000, 1)
    log.info("settle.batch", checkouts=len(batch), confirmed=len(decisions) - failed, failed=failed, ms=ms)
    if runtime.traces:
        ended = {waiting.order_id: statuses[waiting.order_id] for waiting in batch}
        runtime.traces.settled(ended, started_ns, runtime.inbox.traceparents)
    ends = (Settled(w.order_id, w.session_id, statuses[w.order_id], w.order_id in confirmed) for w in batch)
    return [*ends], scarce


def _write(
    runtime: Runtime, batch: Sequence[Waiting], *, careful: bool = False
) -> tuple[dict[str, str], list[Decision], set[str]]:
    """One transaction: the status of every order of the batch, what was decided of the new ones, what got scarce.

    Raises orders.Repeated when some of it is there already: after a death between the commit and the
    tidying, or when a restored store accepted a cart again; or orders.Outdated, when another shard's
    settlement was quicker at the last units. `careful` looks for the first, and holds the products from
    the beginning. Both are so seldom that the constraints, and a late look, may tell.
    """
    at_once = careful or runtime.database.is_sqlite()  # Nobody could wait less there: each transaction is alone.
    lines = [line for waiting in batch if waiting.checkout for line in waiting.checkout.quote.lines]
    with orders.repeated_errors(), runtime.database.writing() as session:
        on_hand = products.lock(session, {line.product_id for line in lines}, hold=at_once)
        statuses = orders.statuses(session, [waiting.order_id for waiting in batch]) if careful else {}
        fresh = [_readable(waiting) for waiting in batch if waiting.order_id not in statuses]
        taken_by = orders.taken_by(session, fresh) if careful else {}
        decisions = decide(fresh, on_hand, runtime.rules, taken_by)
        written = orders.write(session, decisions, runtime.now(), None if at_once else on_hand)
        failpoint("settle.writing")
    failpoint("settle.committed")
    return statuses | written, decisions, _scarce(on_hand, decisions, runtime.rules)


def _scarce(on_hand: Mapping[str, Product], decisions: Sequence[Decision], rules: Rules) -> set[str]:
    """The products that were sold and of which few are left: what is cached of them may now decide something."""
    units: Counter[str] = Counter()
    for decision in decisions:
        if decision.failure is None:
            for line in decision.quote.lines:
                units[line.product_id] += line.quantity
    plenty = PLENTY_OF_CARTS * rules.cart.max_quantity
    return {product_id for product_id, sold in units.items() if on_hand[product_id].stock_quantity - sold < plenty}


class UnreadableSnapshot(ValueError):
    """An accepted checkout that this version of the code cannot read."""


def _readable(waiting: Waiting) -> Checkout:
    if waiting.checkout is None:
        raise UnreadableSnapshot(waiting.order_id)
    return waiting.checkout


def _given_up(runtime: Runtime, waiting: Waiting, tries: int) -> bool:
    """Write the end of a checkout that cannot be settled; with its data if they can be written, else without.

    False when SQL takes neither: then it stays in the inbox, for what no row tells has not ended.
    """
    order_id, blank = waiting.order_id, _blank(waiting)
    for checkout in (waiting.checkout or blank, blank):
        try:
            with runtime.database.writing() as session:
                written = orders.statuses(session, [order_id])
                written = written or orders.write(session, [give_up(checkout, tries)], runtime.now())
                failpoint("settle.giving_up")
            failpoint("settle.given_up")
        except Unavailable:
            raise
        except Exception:
            # The first form may hold just what SQL does not take; the blank one has nothing that could be wrong.
            log.exception("settle.give_up_threw", order_id=order_id)
            continue
        return _told_alone(runtime, Settled(order_id, waiting.session_id, written[order_id]))
    return False


def _blank(waiting: Waiting) -> Checkout:
    """A checkout of which only the ids and the time are known."""
    nothing = ShippingCost("", "", 0, 0, 0, 0, 0)
    quote = Quote("XXX", False, (), nothing, (), (), 0, 0, 0, 0)
    nobody = Address("", "", "", "", "")
    order_id, at = waiting.order_id, waiting.accepted_at
    return Checkout(order_id, waiting.session_id, order_id, 0, "", None, nobody, "", "", quote, accepted_at=at)
