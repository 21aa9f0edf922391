"""The stores in Redis, on fakeredis and on a real Valkey."""

from __future__ import annotations

import pytest
from redis import Redis

from carts.inbox import Inbox
from carts.store import Carts
from tests.carts.sample import LIFETIME_SECONDS


@pytest.fixture(params=["fakeredis", pytest.param("valkey", marks=pytest.mark.real)])
def redis(request: pytest.FixtureRequest) -> Redis:
    pair = request.getfixturevalue("fake_pair" if request.param == "fakeredis" else "valkey_pair")
    client: Redis = pair[0]
    return client


@pytest.fixture
def carts(redis: Redis) -> Carts:
    return Carts(redis, LIFETIME_SECONDS, max_lines=3)


@pytest.fixture
def inbox(redis: Redis) -> Inbox:
    return Inbox(redis, LIFETIME_SECONDS)
