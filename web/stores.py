"""What every process of the shop does with Redis before it serves, and the shop's clock."""

from __future__ import annotations

import time
from contextlib import suppress

from redis import Redis

from carts.connection import check_persistence
from shop.errors import Unavailable
from web.settings import Settings


def now_ms() -> int:
    """The clock of the shop: milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def check_redis(settings: Settings, redis: Redis) -> None:
    """Raise BadSettings if the server is set up so that it would lose what we promise to keep.

    A server that is away may come later: whoever needs it waits, or answers 503 until then.
    """
    if settings.redis_check == "on":
        with suppress(Unavailable):
            check_persistence(redis)
