"""Whoever waits for an order is woken when it changes, even by a server that was away meanwhile."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import pytest
from redis import Redis

from carts import keys
from carts.connection import connect
from carts.inbox import Inbox, Settled
from carts.outcomes import Outcomes
from tests.servers import until, valkey

pytestmark = pytest.mark.real


@pytest.fixture
def outcomes(valkey_pair: tuple[Redis, Redis]) -> Outcomes:
    return Outcomes(valkey_pair[0], most_waiters=2)


def settle(redis: Redis, order_id: str) -> None:
    redis.publish(keys.outcomes(), order_id)


def listening(outcomes: Outcomes) -> None:
    """Start the subscription and let its first wake-up pass."""
    with outcomes.waiter("nobody") as event:
        assert event is not None
        assert event.wait(timeout=5)


def test_a_waiter_is_woken_by_its_order_and_no_other(outcomes: Outcomes, valkey_pair: tuple[Redis, Redis]) -> None:
    listening(outcomes)
    with outcomes.waiter("mine") as mine, outcomes.waiter("theirs") as theirs:
        assert mine is not None
        assert theirs is not None

        settle(valkey_pair[0], "theirs")
        assert theirs.wait(timeout=5)
        assert not mine.is_set()

        settle(valkey_pair[0], "mine")
        assert mine.wait(timeout=5)


def test_everyone_who_waits_for_an_order_is_woken(outcomes: Outcomes, valkey_pair: tuple[Redis, Redis]) -> None:
    listening(outcomes)
    with outcomes.waiter("mine") as one, outcomes.waiter("mine") as two:
        settle(valkey_pair[0], "mine")

        for event in (one, two):
            assert event is not None
            assert event.wait(timeout=5)


def test_orders_that_were_settled_together_wake_each_its_own_waiter(
    outcomes: Outcomes, valkey_pair: tuple[Redis, Redis]
) -> None:
    listening(outcomes)
    with outcomes.waiter("one") as one, outcomes.waiter("two") as two:
        ends = [Settled(order_id, "ada", "confirmed") for order_id in ("none", "one", "two")]
        Inbox(valkey_pair[0], 60).settled(ends)

        for event in (one, two):
            assert event is not None
            assert event.wait(timeout=5)


def test_one_waiter_too_many_gets_none_until_another_leaves(outcomes: Outcomes) -> None:
    with ExitStack() as others:
        for order_id in ("one", "two"):
            assert isinstance(others.enter_context(outcomes.waiter(order_id)), Event)

        with outcomes.waiter("three") as refused:
            assert refused is None
    with outcomes.waiter("three") as event:
        assert event is not None


def test_a_waiter_that_leaves_is_forgotten(outcomes: Outcomes) -> None:
    with outcomes.waiter("mine"):
        assert list(outcomes._waiters) == ["mine"]
    with pytest.raises(KeyError), outcomes.waiter("mine"):
        raise KeyError

    assert outcomes._waiters == {}
    assert outcomes._count == 0


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="oc") as name:
        yield Path(name)


def test_everyone_is_woken_when_the_server_is_back(folder: Path) -> None:
    with ExitStack() as rest:
        with valkey(folder) as url:
            client = rest.enter_context(connect(url))
            outcomes = Outcomes(client, most_waiters=2)
            listening(outcomes)
            mine = rest.enter_context(outcomes.waiter("mine"))
        assert mine is not None
        until(lambda: not outcomes._listening.is_set(), what="the subscription to break")
        assert not mine.is_set()

        # Whatever was published meanwhile is lost: the waiter is woken, to look for itself.
        rest.enter_context(valkey(folder))
        assert mine.wait(timeout=5)

        mine.clear()
        until(outcomes._listening.is_set, what="a new subscription")
        settle(client, "mine")
        assert mine.wait(timeout=5)


def test_the_subscription_outlives_a_client_that_is_closed_under_it(
    outcomes: Outcomes, valkey_pair: tuple[Redis, Redis]
) -> None:
    listening(outcomes)
    with outcomes.waiter("mine") as mine:
        assert mine is not None
        valkey_pair[0].close()

        def heard() -> bool:
            settle(valkey_pair[0], "mine")
            return mine.is_set()

        mine.clear()
        until(heard, what="the subscription to be back")


def test_a_waiter_gets_its_event_even_while_the_server_is_away(folder: Path) -> None:
    with connect(f"unix://{folder}/s") as client, Outcomes(client, most_waiters=2).waiter("mine") as mine:
        assert mine is not None
        assert not mine.is_set()
        with valkey(folder):
            assert mine.wait(timeout=5)
