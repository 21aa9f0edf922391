"""Which shard a checkout enters, and who may take over what waits in another."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import pytest
from redis import Redis

from carts import keys
from carts.inbox import ADOPTED_AT_ONCE, SILENT_SECONDS, STRAY_SECONDS, Inbox
from carts.shards import MOST_SHARDS, queue_of, shard_of

LIFETIME_SECONDS = 3600
IDS = [str(UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)) for number in range(4000)]


@pytest.mark.parametrize(
    ("order_id", "of_4", "of_16"),
    [
        ("0199d2f0-0000-7000-8000-000000000001", 2, 10),
        ("0199d2f0-0000-7000-8000-000000000002", 0, 0),
        ("0199d2f0-0000-7000-8000-000000000003", 2, 6),
        ("nobodys", 0, 4),
    ],
)
def test_the_shard_of_an_order_is_the_same_for_ever(order_id: str, of_4: int, of_16: int) -> None:
    assert shard_of(order_id, 1) == 0
    assert shard_of(order_id, 4) == of_4
    assert shard_of(order_id, 16) == of_16


@pytest.mark.parametrize("shards", [2, 3, 4, 7, 16])
def test_orders_are_spread_evenly(shards: int) -> None:
    counts = Counter(shard_of(order_id, shards) for order_id in IDS)

    assert set(counts) == set(range(shards))
    assert max(counts.values()) < 1.3 * len(IDS) / shards


def test_the_first_shard_has_the_names_that_were_there_before_shards() -> None:
    assert [queue_of(shard) for shard in (0, 1, 15)] == ["checkout", "checkout-1", "checkout-15"]
    assert [keys.inbox(shard) for shard in (0, 1, 15)] == ["accepted", "accepted-1", "accepted-15"]


# ---------------------------------------------------------------- adopting


def now_seconds(redis: Redis) -> float:
    seconds, microseconds = redis.time()  # type: ignore[misc]
    return float(seconds) + float(microseconds) / 1e6


def own(redis: Redis, shard: int = 0, shards: int = 2) -> Inbox:
    return Inbox(redis, LIFETIME_SECONDS, queue_of(shard), shards, own=shard)


def left(redis: Redis, shard: int, *order_ids: str, seconds_ago: float = 2 * STRAY_SECONDS) -> None:
    """Checkouts that wait in a shard."""
    redis.zadd(keys.inbox(shard), {order_id: now_seconds(redis) - seconds_ago for order_id in order_ids})


def waiting(redis: Redis, shard: int) -> list[str]:
    return list(redis.zrange(keys.inbox(shard), 0, -1))  # type: ignore[arg-type]


def test_what_waits_where_nobody_serves_is_adopted_with_its_time(redis: Redis) -> None:
    left(redis, 3, "a", "b")
    left(redis, 15, "c", seconds_ago=100)
    before = redis.zscore(keys.inbox(3), "a")

    assert own(redis, 1).adopt() == 3

    assert waiting(redis, 1) == ["c", "a", "b"]
    assert redis.zscore(keys.inbox(1), "a") == before
    assert [redis.exists(keys.inbox(shard)) for shard in (0, 3, 15)] == [0, 0, 0]


def test_what_was_adopted_is_not_adopted_again(redis: Redis) -> None:
    left(redis, 3, "a")

    assert [own(redis).adopt() for _ in range(3)] == [1, 0, 0]
    assert waiting(redis, 0) == ["a"]


def test_a_checkout_that_has_just_come_is_left_to_its_own_worker(redis: Redis) -> None:
    left(redis, 3, "old")
    left(redis, 3, "new", seconds_ago=-1)

    assert own(redis).adopt() == 1
    assert waiting(redis, 3) == ["new"]


def test_a_shard_whose_worker_is_alive_is_left_alone(redis: Redis) -> None:
    left(redis, 1, "a")
    redis.zadd(keys.heartbeats("checkout-1"), {"somebody": now_seconds(redis) - SILENT_SECONDS / 2})
    assert own(redis).adopt() == 0

    redis.zadd(keys.heartbeats("checkout-1"), {"somebody": now_seconds(redis) - SILENT_SECONDS - 2})
    assert own(redis).adopt() == 1


def test_at_first_only_shards_beyond_the_last_are_adopted_from(redis: Redis) -> None:
    left(redis, 1, "a")
    left(redis, 2, "b")

    assert own(redis).adopt(from_all=False) == 1
    assert (waiting(redis, 0), waiting(redis, 1)) == (["b"], ["a"])


def test_a_shard_that_is_being_settled_is_left_alone(redis: Redis) -> None:
    left(redis, 1, "a")
    other = own(redis, 1)
    assert other.hold_lease("somebody")
    assert own(redis).adopt() == 0

    other.release_lease("somebody")
    assert own(redis).adopt() == 1


def test_a_long_inbox_is_adopted_in_portions(redis: Redis) -> None:
    left(redis, 2, *IDS[: ADOPTED_AT_ONCE + 1])

    assert [own(redis).adopt() for _ in range(3)] == [ADOPTED_AT_ONCE, 1, 0]
    assert set(waiting(redis, 0)) == set(IDS[: ADOPTED_AT_ONCE + 1])


def test_two_who_adopt_at_once_share_it(redis: Redis) -> None:
    left(redis, 5, *IDS[: ADOPTED_AT_ONCE + 10])
    for queue in ("checkout", "checkout-1"):
        redis.zadd(keys.heartbeats(queue), {"somebody": now_seconds(redis)})

    assert [own(redis, 0).adopt(), own(redis, 1).adopt()] == [ADOPTED_AT_ONCE, 10]
    assert sorted(waiting(redis, 0) + waiting(redis, 1)) == sorted(IDS[: ADOPTED_AT_ONCE + 10])


def test_the_whole_inbox_is_seen_whatever_the_number_is_now(redis: Redis) -> None:
    left(redis, 0, "a", seconds_ago=5)
    left(redis, 15, "b", seconds_ago=50)
    web, worker = Inbox(redis, LIFETIME_SECONDS), own(redis, 0)

    assert (web.size(), worker.size(), own(redis, 1).size()) == (2, 1, 0)
    assert 50 <= web.oldest_age_seconds() < 60
    assert 5 <= worker.oldest_age_seconds() < 15
    assert own(redis, 1).oldest_age_seconds() == 0


@pytest.mark.parametrize("shard", range(0, MOST_SHARDS, 5))
def test_the_audit_finds_what_waits_in_any_shard(redis: Redis, shard: int) -> None:
    redis.hset(keys.accepted("a"), mapping={"session_id": "ada", "accepted_at": "1000"})
    web = Inbox(redis, LIFETIME_SECONDS)
    assert [kept.waits for kept in web.look(["a"])] == [False]

    left(redis, shard, "a")

    assert [kept.waits for kept in web.look(["a"])] == [True]
    assert [[kept.order_id for kept in portion] for portion in web.kept()] == [["a"]]
