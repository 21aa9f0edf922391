"""The cached catalogue: what was put in, as old as it is, and never worse than nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from redis import Redis

from carts import keys
from carts.products import KEPT_SECONDS, STAMP_SECONDS, Cached, Look, ProductCache
from shop.catalogue import Product

AT = 1_795_000_000_123
MUG = Product("MUG", "SKU-1", "Mug", 1250, 3, "reduced", 350, "/mug.svg", {"Colour": "Sand"})
CUP = Product("CUP", "SKU-2", "Cup", 900, 0, is_active=False)


def test_what_was_put_is_found_with_its_age(redis: Redis) -> None:
    cache = ProductCache(redis)

    cache.put([MUG, CUP], at=1_700_000_000_123)

    assert cache.get(["CUP", "JAR", "MUG"]) == {
        "CUP": Cached(CUP, 1_700_000_000_123),
        "MUG": Cached(MUG, 1_700_000_000_123),
    }
    assert KEPT_SECONDS - 5 <= redis.ttl(keys.product("MUG")) <= KEPT_SECONDS


def test_what_was_looked_at_is_replaced(redis: Redis) -> None:
    cache = ProductCache(redis)
    cache.put([MUG], at=1)

    cache.put([MUG], at=2, stamps=cache.look(["MUG"]).stamps)

    assert cache.get(["MUG"])["MUG"].at == 2


def test_of_two_that_saw_the_same_the_first_to_put_wins(redis: Redis) -> None:
    cache = ProductCache(redis)
    cache.put([CUP], at=1)
    stamps = cache.look(["MUG", "CUP"]).stamps

    cache.put([MUG, CUP], at=3, stamps=stamps)
    cache.put([MUG, CUP], at=2, stamps=stamps)

    assert {i: cached.at for i, cached in cache.get(["MUG", "CUP"]).items()} == {"MUG": 3, "CUP": 3}


def test_an_outdated_product_is_due_and_still_there(redis: Redis) -> None:
    cache = ProductCache(redis)
    cache.put([MUG, CUP], at=AT)

    cache.outdate(["MUG", "JAR"])

    found = cache.get(["MUG", "CUP", "JAR"])
    assert found["MUG"].product == MUG
    assert found["MUG"].at < AT - 500_000_000_000
    assert found["CUP"] == Cached(CUP, AT)
    assert "JAR" not in found
    assert KEPT_SECONDS - 5 <= redis.ttl(keys.product("MUG")) <= KEPT_SECONDS
    assert STAMP_SECONDS - 5 <= redis.ttl(keys.product("JAR")) <= STAMP_SECONDS


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("how", [ProductCache.outdate, ProductCache.drop])
def test_what_was_read_before_a_change_cannot_come_back_after_it(
    redis: Redis, cached: bool, how: Callable[[ProductCache, list[str]], None]
) -> None:
    cache = ProductCache(redis)
    cache.put([MUG] if cached else [], at=AT)
    before = cache.look(["MUG"])
    how(cache, ["MUG"])

    cache.put([MUG], AT + 1, before.stamps)

    entry = cache.get(["MUG"]).get("MUG")
    assert entry is None or entry.at < AT
    cache.put([MUG], AT + 2, cache.look(["MUG"]).stamps)
    assert cache.get(["MUG"])["MUG"].at == AT + 2


def test_each_change_counts_for_whoever_read_between_two_of_them(redis: Redis) -> None:
    cache = ProductCache(redis)
    cache.put([MUG], at=AT)
    cache.outdate(["MUG"])
    between = cache.look(["MUG"])
    cache.outdate(["MUG"])

    cache.put([MUG], AT + 1, between.stamps)

    assert cache.get(["MUG"])["MUG"].at < AT


def test_a_dropped_product_is_gone(redis: Redis) -> None:
    cache = ProductCache(redis)
    cache.put([MUG, CUP], at=1)

    cache.drop(["MUG", "JAR"])

    assert list(cache.get(["MUG", "CUP"])) == ["CUP"]


def test_nothing_asked_is_nothing_found(redis: Redis) -> None:
    cache = ProductCache(redis)

    cache.put([], at=1)
    cache.outdate([])
    cache.drop([])

    assert cache.look([]) == Look({}, {})
    assert cache.get([]) == {}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"at": 1, "product": {"id": "MUG", "colour": "red"}}'])
def test_what_another_version_cached_counts_as_missing(redis: Redis, text: str) -> None:
    cache = ProductCache(redis)
    cache.put([CUP], at=1)
    redis.set(keys.product("MUG"), text)

    assert list(cache.get(["MUG", "CUP"])) == ["CUP"]
