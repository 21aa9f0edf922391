"""Heartbeats say which worker was alive, and when."""

from __future__ import annotations

from redis import Redis

from carts import keys
from carts.workers import Heartbeats


def test_a_queue_nobody_served_was_never_alive(redis: Redis) -> None:
    assert Heartbeats(redis).last("checkout") is None


def test_the_last_beat_of_any_worker_of_the_queue_counts(redis: Redis) -> None:
    hearts = Heartbeats(redis)
    hearts.beat("checkout", "one", 1000.5)
    hearts.beat("checkout", "two", 990.0)
    hearts.beat("payments", "three", 2000.0)

    assert hearts.last("checkout") == 1000.5


def test_a_worker_that_leaves_is_not_waited_for(redis: Redis) -> None:
    hearts = Heartbeats(redis)
    hearts.beat("checkout", "one", 1000)
    hearts.leave("checkout", "one")
    hearts.leave("checkout", "one")

    assert hearts.last("checkout") is None


def test_workers_silent_for_a_minute_are_forgotten(redis: Redis) -> None:
    hearts = Heartbeats(redis)
    hearts.beat("checkout", "old", 1000)
    hearts.beat("checkout", "young", 1001)
    hearts.beat("checkout", "one", 1060.5)

    assert redis.zrange(keys.heartbeats("checkout"), 0, -1) == ["young", "one"]
