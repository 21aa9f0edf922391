"""What all processes together have counted of somebody's requests; see web/limits.py."""

from __future__ import annotations

from redis import Redis

from carts import keys
from carts.connection import redis_errors


class Tallies:
    """Counts in Redis. A method may raise Unavailable."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def add(self, key: str, window: int, requests: int, seconds: int) -> int:
        """Add to what was counted of a key in a window; answers the sum. It is forgotten after so many seconds."""
        name = keys.tally(key, window)
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            pipe.incrby(name, requests)
            pipe.expire(name, seconds)
            return int(pipe.execute()[0])
