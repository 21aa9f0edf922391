"""The soak in its short form, and the tools it hurts a shop with."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeout
from redis.retry import Retry

from tasks.queues import CHECKOUT, Bell, connect_queue, open_queue
from tests.fire.client import Log
from tests.fire.crowd import Completed, Crowd
from tests.fire.harm import Harm, Kill, kept
from tests.fire.proxy import CALM, BadLine, Faults, bad_line
from tests.fire.soak import BAD_LINE, DISTURBED, QUIET, SHORT, STRUCK_AGAIN, recoveries, soak
from tests.processes import RunningShop, running
from tests.servers import until

ALWAYS = 1000.0


@pytest.mark.e2e
def test_thirty_kills_and_other_troubles_under_load_break_no_promise() -> None:
    seed = random.SystemRandom().randrange(1_000_000)

    result = soak(SHORT, seed)

    assert result.violations == [], f"python -m tests.fire.soak --seed {seed}"
    assert result.kills.total() == 30
    assert result.counts["orders accepted"] > 30
    assert sum(map(len, result.recovered_ms.values())) == 30


def test_recovery_is_the_time_until_a_checkout_that_was_begun_after_the_kill_is_through() -> None:
    crowd = Crowd("http://nowhere", Log.__new__(Log), seed=1)
    crowd.completed += [Completed(90, 150), Completed(110, 400), Completed(120, 300), Completed(500, 510)]
    harm = Harm(RunningShop.__new__(RunningShop), "", "", random.Random(1))
    harm.kills += [
        Kill("Valkey", 100, alone=True),
        Kill("the web", 200, alone=False),
        Kill("the web", 450, alone=True),
        Kill("the web", 600, alone=True),
    ]

    assert recoveries(harm, crowd) == {QUIET: [200, 60], STRUCK_AGAIN: [310]}
    assert recoveries(harm, crowd, over_bad_line=True) == {BAD_LINE: [200, 60], STRUCK_AGAIN: [310]}

    harm.troubled += [(50, 110), (300, 450), (510, 520)]
    assert recoveries(harm, crowd) == {DISTURBED: [200], QUIET: [60], STRUCK_AGAIN: [310]}


# ---------------------------------------------------------------- the bad line


@pytest.fixture
def line(valkey_url: str) -> Iterator[BadLine]:
    with bad_line(Path(valkey_url.removeprefix("unix://")), seed=1) as found:
        yield found


@pytest.fixture
def client(line: BadLine, valkey_pair: tuple[Redis, Redis]) -> Iterator[Redis]:
    with Redis.from_url(line.url, decode_responses=True, socket_timeout=0.5, retry=Retry(NoBackoff(), 0)) as found:
        found.ping()
        yield found


@pytest.mark.real
def test_a_dropped_reply_leaves_done_what_was_asked(
    line: BadLine, client: Redis, valkey_pair: tuple[Redis, Redis]
) -> None:
    line.faults = Faults(0, ALWAYS, 0, 0, 0)

    with pytest.raises(RedisConnectionError):
        client.incr("n")

    assert valkey_pair[0].get("n") == "1"
    assert line.happened["drop"] == 1


@pytest.mark.real
def test_a_cut_request_is_not_carried_out(line: BadLine, client: Redis, valkey_pair: tuple[Redis, Redis]) -> None:
    line.faults = Faults(0, 0, 0, ALWAYS, 0)

    with pytest.raises(RedisConnectionError):
        client.incr("n")

    assert valkey_pair[0].get("n") is None


@pytest.mark.real
def test_half_a_reply_is_none(line: BadLine, client: Redis, valkey_pair: tuple[Redis, Redis]) -> None:
    valkey_pair[0].set("text", "x" * 1000)
    line.faults = Faults(0, 0, ALWAYS, 0, 0)

    with pytest.raises(RedisConnectionError):
        client.get("text")


@pytest.mark.real
def test_a_swallowed_reply_is_waited_for_in_vain(line: BadLine, client: Redis) -> None:
    line.faults = Faults(0, 0, 0, 0, ALWAYS)

    with pytest.raises(RedisTimeout):
        client.get("text")


@pytest.mark.real
def test_a_late_reply_comes_and_a_calm_line_loses_nothing(line: BadLine, client: Redis) -> None:
    line.faults = Faults(ALWAYS, 0, 0, 0, 0)
    assert client.incr("n") == 1
    line.faults = CALM

    assert [client.incr("n") for _ in range(100)] == list(range(2, 102))
    assert line.happened.keys() <= {"delay"}


@pytest.mark.e2e
def test_a_worker_whose_server_fell_silent_settles_again_within_seconds(tmp_path: Path) -> None:
    with (
        kept(tmp_path / "valkey") as keeper,
        bad_line(keeper.socket, seed=1) as line,
        running(RunningShop(tmp_path / "var", settings={"REDIS_URL": line.url})) as shop,
        closing(connect_queue(keeper.url)) as direct,
    ):
        queue = open_queue(CHECKOUT, direct)
        line.faults = Faults(0, 0, 0, 0, swallow=ALWAYS)
        assert Bell(queue).ring()
        until(lambda: queue.count == 0, what="the ring to be sent to the worker")
        line.faults = CALM
        shopper = shop.shopper()
        shopper.add("enamel-mug")
        order = shopper.outcome(shopper.check_out().body["id"])

    assert order["status"] == "confirmed"
