"""The cached catalogue: what was put in, as old as it is, and never worse than nothing."""

from __future__ import annotations

import pytest
from redis import Redis

from carts import keys
from carts.products import KEPT_SECONDS, Cached, ProductCache
from shop.catalogue import Product

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


def test_the_newest_is_kept(redis: Redis) -> None:
    cache = ProductCache(redis)
    cache.put([MUG], at=1)
    cache.put([MUG], at=2)

    assert cache.get(["MUG"])["MUG"].at == 2


def test_a_dropped_product_is_gone(redis: Redis) -> None:
    cache = ProductCache(redis)
    cache.put([MUG, CUP], at=1)

    cache.drop(["MUG", "JAR"])

    assert list(cache.get(["MUG", "CUP"])) == ["CUP"]


def test_nothing_asked_is_nothing_found(redis: Redis) -> None:
    cache = ProductCache(redis)

    cache.put([], at=1)
    cache.drop([])

    assert cache.get([]) == {}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"at": 1, "product": {"id": "MUG", "colour": "red"}}'])
def test_what_another_version_cached_counts_as_missing(redis: Redis, text: str) -> None:
    cache = ProductCache(redis)
    cache.put([CUP], at=1)
    redis.set(keys.product("MUG"), text)

    assert list(cache.get(["MUG", "CUP"])) == ["CUP"]
