"""What is counted as the inbox is told what was settled, and read by monitors."""

from __future__ import annotations

import os
import time

import pytest
from redis import Redis
from uuid_utils import uuid7

from carts import keys
from carts.figures import Figures, added, batch_counts, confirm_counts
from carts.inbox import FIGURES_SECONDS, Accepted, Inbox, Settled
from carts.store import Carts
from carts.workers import WEB, Heartbeats, Processes
from shop.figures import CONFIRM_BOUNDS_MS
from tests.carts.sample import checkout, filled

HERE = "this-host"
NOBODY = 2**22 + 1
"""No process of Linux has this number."""


@pytest.fixture
def figures(redis: Redis) -> Figures:
    return Figures(redis)


def accepted_checkout(inbox: Inbox, carts: Carts) -> str:
    """The id of a checkout that waits in the inbox, of a session of its own."""
    session_id = uuid7().hex
    found = checkout(session_id, filled(carts, session_id, MUG=1))
    assert isinstance(inbox.accept(found), Accepted)
    return found.order_id


def end(inbox: Inbox, order_id: str, status: str) -> None:
    inbox.settled([Settled(order_id, "s", status)])


def totals(figures: Figures) -> dict[str, int]:
    found = figures.look(()).totals
    return {name: n for name, n in found.items() if not name.startswith(("took", "batch"))}


def test_a_new_store_has_none(figures: Figures) -> None:
    seen = figures.look(["checkout"])

    assert (seen.totals, seen.seconds, seen.waiting, seen.oldest_ms) == ({}, {}, 0, 0)
    assert seen.workers == {"checkout": {}}


def test_what_leaves_the_inbox_is_counted_once(inbox: Inbox, carts: Carts, figures: Figures) -> None:
    first, second = accepted_checkout(inbox, carts), accepted_checkout(inbox, carts)
    assert (figures.look(()).accepted, figures.look(()).waiting) == (2, 2)

    for _ in range(2):
        inbox.settled([Settled(first, "s", "confirmed"), Settled(second, "s", "failed")])

    assert totals(figures) == {"settled": 2, "confirmed": 1, "failed": 1}
    assert (figures.look(()).accepted, figures.look(()).waiting) == (2, 0)
    assert batch_counts(figures.look(()).totals)[1] == 1


def test_an_order_that_is_paid_is_settled_first_and_confirmed_later(
    inbox: Inbox, carts: Carts, figures: Figures
) -> None:
    order_id = accepted_checkout(inbox, carts)

    end(inbox, order_id, "processing")
    assert totals(figures) == {"settled": 1}
    end(inbox, order_id, "requires_action")
    end(inbox, order_id, "confirmed")
    end(inbox, order_id, "confirmed")
    end(inbox, order_id, "processing")

    assert totals(figures) == {"settled": 1, "confirmed": 1, "paid": 1}


def test_a_payment_that_is_declined_is_no_paid_order(inbox: Inbox, carts: Carts, figures: Figures) -> None:
    order_id = accepted_checkout(inbox, carts)

    end(inbox, order_id, "processing")
    end(inbox, order_id, "failed")

    assert totals(figures) == {"settled": 1, "failed": 1}


@pytest.mark.parametrize(("age_ms", "bucket"), [(0, 0), (90, 10), (4_000, 21), (10**7, len(CONFIRM_BOUNDS_MS))])
def test_the_time_to_confirm_is_kept_by_how_long_it_was(
    inbox: Inbox, carts: Carts, figures: Figures, redis: Redis, age_ms: int, bucket: int
) -> None:
    order_id = accepted_checkout(inbox, carts)
    redis.hset(keys.accepted(order_id), "accepted_at", str(figures.look(()).at - age_ms + (0 if age_ms else 60_000)))

    end(inbox, order_id, "confirmed")

    counts = confirm_counts(figures.look(()).totals)
    assert sum(counts) == 1
    assert counts.index(1) in (bucket, bucket + 1)


@pytest.mark.parametrize(("size", "bucket"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (9, 4)])
def test_batches_are_kept_by_how_large_they_were(
    inbox: Inbox, carts: Carts, figures: Figures, size: int, bucket: int
) -> None:
    order_ids = [accepted_checkout(inbox, carts) for _ in range(size)]

    inbox.settled([Settled(order_id, "s", "confirmed") for order_id in order_ids])

    counts = batch_counts(figures.look(()).totals)
    assert (sum(counts), counts[bucket]) == (1, 1)


def test_a_second_has_figures_of_its_own_for_a_quarter_of_an_hour(
    inbox: Inbox, carts: Carts, figures: Figures, redis: Redis
) -> None:
    end(inbox, accepted_checkout(inbox, carts), "confirmed")

    now = figures.look(()).at // 1000
    minutes = range(now // 60 - 1, now // 60 + 1)
    seen = figures.look((), minutes)

    (second,) = seen.seconds
    assert now - 60 < second <= now
    assert added(seen.seconds.values())["settled"] == 1
    assert 0 < redis.ttl(keys.figures_of_minute(second // 60)) <= FIGURES_SECONDS


def test_the_oldest_of_all_shards_is_the_oldest(figures: Figures, redis: Redis) -> None:
    now = time.time()
    redis.zadd(keys.inbox(0), {"younger": now - 5})
    redis.zadd(keys.inbox(3), {"older": now - 60})

    seen = figures.look(())

    assert seen.waiting == 2
    assert 59_000 < seen.oldest_ms < 70_000


# ---------------------------------------------------------------- processes


def test_a_process_that_says_goodbye_did_not_die(figures: Figures, redis: Redis) -> None:
    processes = Processes(redis)
    for _ in range(2):
        processes.began(WEB, f"{HERE}:{NOBODY}", time.time())
        processes.left(WEB, f"{HERE}:{NOBODY}")

    seen = figures.look(())
    assert (seen.of_roles("began"), seen.of_roles("died")) == ({WEB: 2}, {})


def test_a_death_is_counted_once_as_its_successor_begins(figures: Figures, redis: Redis) -> None:
    processes = Processes(redis)
    processes.began(WEB, f"{HERE}:{NOBODY}", time.time())
    processes.began(WEB, f"elsewhere:{NOBODY}", time.time())

    for pid in (os.getpid(), os.getppid()):
        processes.began(WEB, f"{HERE}:{pid}", time.time())

    assert figures.look(()).of_roles("died") == {WEB: 1}


def test_a_process_that_comes_back_under_its_number_has_died(figures: Figures, redis: Redis) -> None:
    for _ in range(2):
        Processes(redis).began("checkout", "container:7", time.time())

    assert figures.look(()).of_roles("died") == {"checkout": 1}


def test_a_web_that_is_closed_leaves_no_dead(figures: Figures, redis: Redis) -> None:
    processes = Processes(redis)
    for pid in (os.getpid(), os.getppid()):
        processes.began(WEB, f"{HERE}:{pid}", time.time())
    processes.all_left(WEB, HERE)

    processes.began(WEB, f"{HERE}:{os.getpid()}", time.time())

    assert figures.look(()).of_roles("died") == {}


def test_a_worker_is_counted_with_its_first_beat_alone(figures: Figures, redis: Redis) -> None:
    heartbeats = Heartbeats(redis)
    for _ in range(3):
        heartbeats.beat("payments", f"{HERE}:1", time.time())
    heartbeats.leave("payments", f"{HERE}:1")

    assert figures.look(()).of_roles("began") == {"payments": 1}
    assert redis.zcard(keys.processes("payments")) == 0
