"""What a Redis that is away, full or careless means to us."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeout

from carts import keys
from carts.connection import MUST_BE, UnsafeRedis, check_persistence, connect, redis_errors
from carts.inbox import NEARLY_FULL_MS, Inbox, Settled
from carts.products import ProductCache
from carts.store import Carts
from carts.workers import Heartbeats
from shop.cart import EMPTY
from shop.errors import Unavailable
from tests.carts.sample import LIFETIME_SECONDS, checkout, filled, held
from tests.servers import valkey


@pytest.fixture(scope="module")
def own_url() -> Iterator[str]:
    """A Valkey whose settings these tests may spoil."""
    with valkey() as url:
        yield url


@pytest.fixture
def own(own_url: str) -> Iterator[Redis]:
    with connect(own_url) as client:
        client.flushall()
        yield client
        client.config_set("maxmemory", 0)
        for name, value in MUST_BE.items():
            client.config_set(name, value)


@pytest.mark.parametrize(
    "error",
    [
        RedisConnectionError("away"),
        RedisTimeout("slow"),
        BusyLoadingError("LOADING"),
        AuthenticationError("who?"),
        OutOfMemoryError("OOM command not allowed"),
        ReadOnlyError("READONLY"),
        ResponseError("OOM command not allowed in a script"),
        ResponseError("MISCONF Errors writing to the AOF file"),
    ],
)
def test_a_redis_in_trouble_is_unavailable(error: Exception) -> None:
    with pytest.raises(Unavailable) as caught, redis_errors():
        raise error

    assert caught.value.__cause__ is error


def test_our_own_mistakes_stay_what_they_are() -> None:
    with pytest.raises(ResponseError, match="WRONGTYPE"), redis_errors():
        raise ResponseError("WRONGTYPE Operation against a key")


def test_every_store_says_when_its_server_is_gone(tmp_path: Path) -> None:
    with connect(f"unix://{tmp_path}/nobody") as nobody:
        carts, inbox = Carts(nobody, 60, 3), Inbox(nobody, 60)
        calls = [
            lambda: carts.get("ada"),
            lambda: carts.add("ada", "MUG", 1, 1000, 9),
            lambda: carts.set("ada", "MUG", 1),
            lambda: carts.clear("ada"),
            lambda: inbox.accept(checkout("ada", EMPTY)),
            lambda: carts.get("ada", "a-key"),
            lambda: inbox.last_checked_out("ada"),
            lambda: inbox.find("an-order", "ada"),
            lambda: inbox.open_ids("ada"),
            lambda: inbox.peek(1),
            lambda: inbox.count_try("an-order"),
            lambda: inbox.settled([Settled("an-order", "ada", "failed")]),
            inbox.size,
            inbox.oldest_age_seconds,
            inbox.ring,
            inbox.answer_doorbell,
            lambda: inbox.hold_lease("one"),
            lambda: inbox.release_lease("one"),
            lambda: ProductCache(nobody).get(["MUG"]),
            lambda: ProductCache(nobody).put([], 0) or ProductCache(nobody).drop(["MUG"]),
            lambda: Heartbeats(nobody).beat("checkout", "one", 0),
            lambda: Heartbeats(nobody).leave("checkout", "one"),
            lambda: Heartbeats(nobody).last("checkout"),
            lambda: check_persistence(nobody),
        ]
        for call in calls:
            with pytest.raises(Unavailable):
                call()


def contents(redis: Redis) -> dict[str, bytes]:
    """Every key and its value, as the server would write them to a file."""
    return {name: redis.dump(name) for name in redis.scan_iter()}


@pytest.mark.real
def test_a_full_server_refuses_and_leaves_nothing_half_done(own: Redis) -> None:
    carts, inbox = Carts(own, LIFETIME_SECONDS, 3), Inbox(own, LIFETIME_SECONDS)
    cart = filled(carts, "ada", MUG=2)
    own.config_set("maxmemory", 1)
    before = contents(own)

    for call in (
        lambda: carts.add("ada", "MUG", 1, 1000, 9),
        lambda: carts.set("ada", "MUG", 1),
        lambda: inbox.accept(checkout("ada", cart, "a-key")),
    ):
        with pytest.raises(Unavailable):
            call()
        assert contents(own) == before

    own.config_set("maxmemory", 0)
    assert carts.get("ada") == cart
    inbox.accept(checkout("ada", cart, "a-key"))
    assert inbox.size() == 1


@pytest.mark.real
@pytest.mark.parametrize(("part", "noted"), [(0, False), (0.85, False), (0.93, True)])
def test_a_server_that_is_nearly_full_is_noted(own: Redis, part: float, noted: bool) -> None:
    inbox = Inbox(own, LIFETIME_SECONDS)
    own.setrange("ballast", 30_000_000, "x")  # So much that what its clients need does not count.
    used = int(own.info("memory")["used_memory"])
    own.config_set("maxmemory", int(used / part) if part else 0)

    assert inbox.note_memory() is noted

    assert inbox.is_nearly_full() is noted
    assert own.pttl(keys.nearly_full()) <= NEARLY_FULL_MS


@pytest.mark.real
def test_that_it_is_nearly_full_is_noted_even_when_it_takes_nothing_more(own: Redis) -> None:
    inbox = Inbox(own, LIFETIME_SECONDS)
    own.set(keys.nearly_full(), "1", px=60_000)
    own.config_set("maxmemory", 1)

    assert inbox.note_memory() is True

    assert 0 < own.pttl(keys.nearly_full()) <= NEARLY_FULL_MS


@pytest.mark.real
def test_a_full_server_can_be_emptied(own: Redis) -> None:
    carts = Carts(own, LIFETIME_SECONDS, 3)
    filled(carts, "ada", MUG=2, CUP=1)
    own.config_set("maxmemory", 1)

    carts.set("ada", "MUG", 0)
    assert held(carts, "ada") == {"CUP": 1}
    carts.clear("ada")

    assert carts.get("ada").id is None


@pytest.mark.real
@pytest.mark.parametrize("status", ["confirmed", "failed"])
def test_a_checkout_is_settled_wholly_or_not_at_all_by_a_full_server(own: Redis, status: str) -> None:
    carts, inbox = Carts(own, LIFETIME_SECONDS, 3), Inbox(own, LIFETIME_SECONDS)
    asked = checkout("ada", filled(carts, "ada", MUG=2))
    inbox.accept(asked)
    own.config_set("maxmemory", 1)

    try:
        inbox.settled([Settled(asked.order_id, "ada", status)])
    except Unavailable:
        assert inbox.size() == 1
        assert carts.get("ada").id is None
        assert own.exists(keys.claimed_cart(asked.order_id))
    else:
        assert inbox.size() == 0
        assert held(carts, "ada") == ({"MUG": 2} if status == "failed" else {})

    own.config_set("maxmemory", 0)
    inbox.settled([Settled(asked.order_id, "ada", status)])
    assert inbox.size() == 0
    assert held(carts, "ada") == ({"MUG": 2} if status == "failed" else {})


@pytest.mark.real
def test_a_server_set_up_as_we_start_it_is_safe(own: Redis) -> None:
    check_persistence(own)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("appendonly", "no"),
        ("appendfsync", "everysec"),
        ("appendfsync", "no"),
        ("no-appendfsync-on-rewrite", "yes"),
        ("maxmemory-policy", "allkeys-lru"),
    ],
)
def test_an_unsafe_setting_is_named_with_what_to_set(own: Redis, name: str, value: str) -> None:
    own.config_set(name, value)

    with pytest.raises(UnsafeRedis) as caught:
        check_persistence(own)

    assert str(caught.value) == (
        f"REDIS_URL: the server has {name} {value}, so an accepted checkout could be lost; set {name} {MUST_BE[name]}"
    )


@pytest.mark.real
def test_every_unsafe_setting_is_named_at_once(own: Redis) -> None:
    own.config_set("appendonly", "no")
    own.config_set("appendfsync", "everysec")

    with pytest.raises(UnsafeRedis, match=r"appendonly no, .*set appendonly yes, appendfsync always"):
        check_persistence(own)


@pytest.mark.real
def test_a_server_that_hides_its_settings_says_how_to_go_on(own: Redis, own_url: str) -> None:
    own.execute_command("ACL", "SETUSER", "guest", "on", "nopass", "~*", "+@all", "-config")

    with connect(own_url.replace("unix://", "unix://guest:x@")) as guest, pytest.raises(UnsafeRedis) as caught:
        check_persistence(guest)

    assert "cannot read the server's settings" in str(caught.value)
    assert "appendfsync always" in str(caught.value)
    assert "REDIS_CHECK=off" in str(caught.value)
