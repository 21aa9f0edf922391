"""Whatever was lost, upkeep rings for what the stores still hold; and it outlives what it repairs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest

from carts import keys
from carts.workers import Heartbeats
from tasks import upkeep as upkeep_module
from tasks.queues import CHECKOUT, PAYMENTS
from tasks.upkeep import Upkeep
from tests.harness import Shop
from tests.servers import until

Logged = list[MutableMapping[str, Any]]


def upkeep_of(shop: Shop) -> Upkeep:
    return Upkeep(shop.runtime, Heartbeats(shop.redis), CHECKOUT)


def lose_the_job(shop: Shop, seconds_ago: float = 10) -> str:
    """A checkout that was accepted a while ago, and whose job and doorbell are gone."""
    shop.stocked(MUG=9)
    order_id = shop.checkout(MUG=1)
    shop.queue.empty()
    shop.redis.delete(keys.doorbell(CHECKOUT))
    shop.redis.zincrby(keys.inbox(), -seconds_ago, order_id)
    return order_id


def test_a_checkout_whose_job_was_lost_is_rung_for_and_settled(any_shop: Shop) -> None:
    order_id = lose_the_job(any_shop)

    upkeep_of(any_shop).round()
    any_shop.work_until_idle()

    assert any_shop.order(order_id).status == "confirmed"


def test_a_fresh_checkout_is_left_to_its_own_ring(any_shop: Shop) -> None:
    lose_the_job(any_shop, seconds_ago=-0.5)

    upkeep_of(any_shop).round()

    assert any_shop.queue.count == 0


def test_a_ringing_bell_is_not_rung(any_shop: Shop) -> None:
    lose_the_job(any_shop)
    any_shop.runtime.inbox.ring()

    upkeep_of(any_shop).round()

    assert any_shop.queue.count == 0


def test_every_round_says_that_the_worker_is_alive_until_it_leaves(any_shop: Shop) -> None:
    upkeep = upkeep_of(any_shop)

    upkeep.round()
    assert any_shop.services.heartbeats.last(CHECKOUT) == any_shop.clock() / 1000

    upkeep.leave()
    assert any_shop.services.heartbeats.last(CHECKOUT) is None


def test_a_quiet_moment_empties_the_write_ahead_log(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.stocked(MUG=1)
    assert shop.database.wal_bytes() > 0
    upkeep = upkeep_of(shop)
    upkeep.round()
    assert shop.database.wal_bytes() > 0

    monkeypatch.setattr(upkeep_module, "CHECKPOINT_EVERY_SECONDS", -1.0)
    upkeep.round()
    assert shop.database.wal_bytes() == 0


def test_a_busy_moment_leaves_the_log_alone(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep_module, "CHECKPOINT_EVERY_SECONDS", -1.0)
    lose_the_job(shop)

    upkeep_of(shop).round()

    assert shop.database.wal_bytes() > 0


@pytest.fixture
def nearly_full(real_shop: Shop) -> Iterator[Shop]:
    """A shop whose carts' store may use a bit more memory than it does."""
    redis = real_shop.redis
    before = redis.config_get("maxmemory")["maxmemory"]
    redis.setrange("ballast", 30_000_000, "x")  # So much that what its clients need does not count.
    redis.config_set("maxmemory", int(int(redis.info("memory")["used_memory"]) / 0.95))
    yield real_shop
    redis.config_set("maxmemory", before)


@pytest.mark.real
def test_a_store_that_is_nearly_full_is_noted_in_each_round_and_reported_once(
    nearly_full: Shop, logged: Logged
) -> None:
    upkeep = upkeep_of(nearly_full)

    for _ in range(2):
        upkeep.round()
        assert 4000 < nearly_full.redis.pttl(keys.nearly_full()) <= 5000
        nearly_full.redis.pexpire(keys.nearly_full(), 3000)
    nearly_full.redis.delete("ballast")
    for _ in range(2):
        upkeep.round()

    assert nearly_full.redis.pttl(keys.nearly_full()) <= 3000
    assert [entry["event"] for entry in logged] == ["upkeep.nearly_full", "upkeep.room_again"]


@pytest.mark.real
def test_the_worker_of_the_payments_leaves_that_to_the_others(nearly_full: Shop) -> None:
    Upkeep(nearly_full.pay_runtime, Heartbeats(nearly_full.redis), PAYMENTS).round()

    assert not nearly_full.services.inbox.is_nearly_full()


def test_a_store_that_is_away_is_reported_once_and_when_it_is_back(shop: Shop, logged: Logged) -> None:
    upkeep = upkeep_of(shop)
    server = shop.redis.connection_pool.connection_kwargs["server"]

    server.connected = False
    for _ in range(3):
        upkeep.step()
    upkeep.leave()
    server.connected = True
    for _ in range(2):
        upkeep.step()

    events = [entry["event"] for entry in logged if entry["event"].startswith("upkeep.")]
    assert events == ["upkeep.away", "upkeep.left_silently", "upkeep.back"]


def test_upkeep_survives_what_nobody_thought_of(shop: Shop, monkeypatch: pytest.MonkeyPatch, logged: Logged) -> None:
    upkeep = upkeep_of(shop)

    def broken() -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as trouble:
        trouble.setattr(upkeep, "round", broken)
        upkeep.step()
    upkeep.step()

    assert [entry["event"] for entry in logged] == ["upkeep.threw"]
    assert shop.services.heartbeats.last(CHECKOUT) is not None


def test_upkeep_goes_on_until_it_is_told_to_stop(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep_module, "EVERY_SECONDS", 0.001)
    stop = threading.Event()
    thread = threading.Thread(target=upkeep_of(shop).run, args=(stop,))
    thread.start()
    until(lambda: shop.services.heartbeats.last(CHECKOUT))

    stop.set()
    thread.join(timeout=5)

    assert not thread.is_alive()
