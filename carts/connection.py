"""How we talk to Redis (or Valkey), and whether it keeps what it promises to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeout
from redis.retry import Retry

from carts.durability import MUST_BE
from shop.errors import BadSettings, Unavailable

RETRY_AFTER_SECONDS = 2


def connect(url: str, *, timeout_seconds: float = 3.0) -> Redis:
    """A client that gives up soon (a shopper waits) and re-sends twice at most.

    Re-sending is safe: every script of ours recognises its own earlier execution.
    """
    retry = Retry(ExponentialBackoff(cap=0.2, base=0.02), 2)
    return Redis.from_url(
        url,
        decode_responses=True,
        retry=retry,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=1.0,
        health_check_interval=0,
    )


def answers(redis: Redis) -> Any:
    """The client as we read it: redis-py types an answer as bytes or str or more, ours are str."""
    return redis


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turn a Redis that is away, full or loading into Unavailable; leave our own mistakes as they are."""
    try:
        yield
    except (RedisConnectionError, RedisTimeout, OutOfMemoryError, ReadOnlyError) as error:
        raise Unavailable(
            "The cart store is away for a moment; nothing was changed that you would not find again."
        ) from error
    except ResponseError as error:
        if "OOM" in str(error) or "MISCONF" in str(error):
            raise Unavailable("The cart store is full; nothing was changed.") from error
        raise


@cache
def script(name: str) -> str:
    """The text of `lua/<name>.lua`."""
    return (Path(__file__).parent / "lua" / f"{name}.lua").read_text(encoding="utf-8")


class UnsafeRedis(BadSettings):
    """This Redis may lose what we promise to keep; the message is one line that says what to change."""


def check_persistence(redis: Redis) -> None:
    """Raise UnsafeRedis unless the server's settings keep every acknowledged write.

    Raises Unavailable when the server does not answer.
    """
    try:
        with redis_errors():
            found = {name: answers(redis).config_get(name).get(name, "") for name in MUST_BE}
    except ResponseError as error:
        raise UnsafeRedis(
            f"REDIS_URL: cannot read the server's settings ({error}); see that it has "
            f"{_settings(MUST_BE)} and set REDIS_CHECK=off"
        ) from error
    wrong = {name: value for name, value in found.items() if value != MUST_BE[name]}
    if wrong:
        raise UnsafeRedis(
            f"REDIS_URL: the server has {_settings(wrong)}, so an accepted checkout could be lost; "
            f"set {_settings({name: MUST_BE[name] for name in wrong})}"
        )


def _settings(values: dict[str, str]) -> str:
    return ", ".join(f"{name} {value or '(empty)'}" for name, value in values.items())
