"""Opening the stores that the settings name, for every process of the shop."""

from __future__ import annotations

import time

from redis import Redis

from carts.connection import UnsafeRedis, check_persistence
from db.session import Database, UnusableDatabase
from web.settings import BadSettings, Settings


def now_ms() -> int:
    """The clock of the shop: milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def open_database(settings: Settings, pool_size: int) -> Database:
    """The database of DATABASE_URL; nothing is connected yet. Raises BadSettings."""
    try:
        return Database(settings.database_url, pool_size=pool_size)
    except UnusableDatabase as error:
        raise BadSettings(str(error)) from error


def check_redis(settings: Settings, redis: Redis) -> None:
    """Raise BadSettings if the server would lose what we promise to keep, Unavailable if it is away."""
    if settings.redis_check == "off":
        return
    try:
        check_persistence(redis)
    except UnsafeRedis as error:
        raise BadSettings(str(error)) from error
