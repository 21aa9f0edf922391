"""Who is alive: the heartbeats of the workers of each queue."""

from __future__ import annotations

from redis import Redis

from carts import keys
from carts.connection import answers, redis_errors

FORGOTTEN_AFTER_SECONDS = 60


class Heartbeats:
    def __init__(self, redis: Redis) -> None:
        self._redis = answers(redis)

    def beat(self, queue: str, worker: str, now_seconds: float) -> None:
        """Say that a worker is alive; workers silent for a minute are forgotten. Raises Unavailable."""
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            pipe.zadd(keys.heartbeats(queue), {worker: now_seconds})
            pipe.zremrangebyscore(keys.heartbeats(queue), 0, now_seconds - FORGOTTEN_AFTER_SECONDS)
            pipe.execute()

    def leave(self, queue: str, worker: str) -> None:
        with redis_errors():
            self._redis.zrem(keys.heartbeats(queue), worker)

    def last(self, queue: str) -> float | None:
        """When any worker of the queue was last alive, in seconds since the epoch."""
        with redis_errors():
            newest = self._redis.zrevrange(keys.heartbeats(queue), 0, 0, withscores=True)
        return float(newest[0][1]) if newest else None
