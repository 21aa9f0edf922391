"""Who is alive: the heartbeats of the workers of each queue, and how many processes have died."""

from __future__ import annotations

import os
from typing import Final

from redis import Redis

from carts import keys
from carts.connection import answers, redis_errors

FORGOTTEN_AFTER_SECONDS = 60
MONTH_SECONDS = 30 * 24 * 3600
WEB: Final = "web"
"""The role of web processes; that of a worker is its queue."""


class Heartbeats:
    def __init__(self, redis: Redis) -> None:
        self._redis = answers(redis)
        self._processes = Processes(redis)
        self._begun: set[tuple[str, str]] = set()

    def beat(self, queue: str, worker: str, now_seconds: float) -> None:
        """Say that a worker is alive; workers silent for a minute are forgotten. Raises Unavailable."""
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            pipe.zadd(keys.heartbeats(queue), {worker: now_seconds})
            pipe.zremrangebyscore(keys.heartbeats(queue), 0, now_seconds - FORGOTTEN_AFTER_SECONDS)
            pipe.execute()
        if (queue, worker) not in self._begun:
            self._processes.began(queue, worker, now_seconds)
            self._begun.add((queue, worker))

    def leave(self, queue: str, worker: str) -> None:
        with redis_errors():
            self._redis.zrem(keys.heartbeats(queue), worker)
        self._processes.left(queue, worker)

    def last(self, queue: str) -> float | None:
        """When any worker of the queue was last alive, in seconds since the epoch."""
        with redis_errors():
            newest = self._redis.zrevrange(keys.heartbeats(queue), 0, 0, withscores=True)
        return float(newest[0][1]) if newest else None


class Processes:
    """Counts how often a process began, and how often one was gone that had not said goodbye.

    A process is called `<host>:<pid>`. Whoever begins looks which of its own host's are gone, so a death is
    counted as its successor begins. Figures, by which nothing is decided. Every method may raise Unavailable.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = answers(redis)

    def began(self, role: str, process: str, now_seconds: float) -> None:
        with redis_errors():
            known = self._redis.zrange(keys.processes(role), 0, -1)
            died = [each for each in known if each == process or _is_gone(each, process)]
            # Two that begin at once see the same dead: who takes one off the list counts it.
            deaths = self._redis.zrem(keys.processes(role), *died) if died else 0
            pipe = self._redis.pipeline(transaction=False)
            pipe.zremrangebyscore(keys.processes(role), 0, now_seconds - MONTH_SECONDS)
            pipe.zadd(keys.processes(role), {process: now_seconds})
            pipe.hincrby(keys.figures(), f"began:{role}", 1)
            if deaths:
                pipe.hincrby(keys.figures(), f"died:{role}", deaths)
            pipe.execute()

    def left(self, role: str, process: str) -> None:
        """A process ends as it should."""
        with redis_errors():
            self._redis.zrem(keys.processes(role), process)

    def all_left(self, role: str, host: str) -> None:
        """Every process of this host ends as it should."""
        with redis_errors():
            for each in self._redis.zrange(keys.processes(role), 0, -1):
                if each.rpartition(":")[0] == host:
                    self._redis.zrem(keys.processes(role), each)


def _is_gone(process: str, observer: str) -> bool:
    """Whether a process of the observer's host has ended; of another host's nobody here can tell."""
    host, _, pid = process.rpartition(":")
    if host != observer.rpartition(":")[0] or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # Somebody else's: the number is in use again.
        return True
    return False
