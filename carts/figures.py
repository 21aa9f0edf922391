"""The pipeline in figures, for monitors and the ops page; nothing is decided by them.

They are counted where the inbox is told what was settled (lua/settled.lua), in the same script: nobody waits for
them. Names: `settled` (left the inbox), `batch:<n>` by the size of the batch they left in, `confirmed`, `failed` and
`cancelled`, `paid` (confirmed by a payment), `took:<n>` and `took_ms` from the acceptance to the confirmation,
`began:<role>` and `died:<role>` of processes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from carts import keys
from carts.connection import answers, redis_errors
from carts.shards import MOST_SHARDS
from shop.figures import BATCH_BOUNDS, CONFIRM_BOUNDS_MS


@dataclass(frozen=True, slots=True)
class Seen:
    """What the carts' store knows of the pipeline, of one moment."""

    at: int
    """By the store's own clock, ms."""
    totals: Mapping[str, int]
    """Since the store was new."""
    seconds: Mapping[int, Mapping[str, int]]
    """The same of single seconds (since the epoch) that were asked for; one without any is not in it."""
    waiting: int
    oldest_ms: int
    """How long the oldest of the inbox has waited; 0 when none does."""
    workers: Mapping[str, Mapping[str, float]]
    """For each queue its workers, and when each was last alive (s)."""
    used_bytes: int
    most_bytes: int
    """0: the store may use all there is, or does not say."""

    @property
    def accepted(self) -> int:
        """Every accepted checkout has left the inbox or is in it."""
        return self.totals.get("settled", 0) + self.waiting

    def of_roles(self, name: str) -> dict[str, int]:
        """`began` or `died`, by role."""
        prefix = f"{name}:"
        return {field.removeprefix(prefix): n for field, n in self.totals.items() if field.startswith(prefix)}


def confirm_counts(figures: Mapping[str, int]) -> list[int]:
    """How many were confirmed within each of CONFIRM_BOUNDS_MS, and how many later."""
    return [figures.get(f"took:{n}", 0) for n in range(len(CONFIRM_BOUNDS_MS) + 1)]


def batch_counts(figures: Mapping[str, int]) -> list[int]:
    """How many batches were of up to each of BATCH_BOUNDS, and how many were larger."""
    counts = [figures.get(f"batch:{n}", 0) for n in range(len(BATCH_BOUNDS))]
    return [*counts, sum(n for name, n in figures.items() if name.startswith("batch:")) - sum(counts)]


def added(many: Iterable[Mapping[str, int]]) -> Counter[str]:
    """The figures of several seconds together."""
    total: Counter[str] = Counter()
    for figures in many:
        total.update(figures)
    return total


class Figures:
    def __init__(self, redis: Redis) -> None:
        self._redis = answers(redis)

    def look(self, queues: Sequence[str], minutes: Sequence[int] = ()) -> Seen:
        """Everything at once, with the seconds of some minutes (since the epoch). Raises Unavailable."""
        with redis_errors():
            # A transaction: the inbox and what has left it are to be of one moment.
            pipe = self._redis.pipeline(transaction=True)
            pipe.time()
            pipe.hgetall(keys.figures())
            for shard in range(MOST_SHARDS):
                pipe.zcard(keys.inbox(shard))
                pipe.zrange(keys.inbox(shard), 0, 0, withscores=True)
            for queue in queues:
                pipe.zrange(keys.heartbeats(queue), 0, -1, withscores=True)
            for minute in minutes:
                pipe.hgetall(keys.figures_of_minute(minute))
            (seconds, microseconds), totals, *rest = pipe.execute()
            memory = self._memory()
        now = int(seconds) * 1000 + int(microseconds) // 1000
        inboxes, rest = rest[: 2 * MOST_SHARDS], rest[2 * MOST_SHARDS :]
        oldest = min((found[0][1] for found in inboxes[1::2] if found), default=now / 1000)
        return Seen(
            at=now,
            totals={name: int(value) for name, value in totals.items()},
            seconds=_by_second(zip(minutes, rest[len(queues) :], strict=True)),
            waiting=sum(inboxes[::2]),
            oldest_ms=max(0, round(now - oldest * 1000)),
            workers={queue: dict(beats) for queue, beats in zip(queues, rest, strict=False)},
            used_bytes=int(memory.get("used_memory", 0)),
            most_bytes=int(memory.get("maxmemory", 0)),
        )

    def _memory(self) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = self._redis.info("memory")
        except ResponseError:  # Some hosted servers, and those of the unit tests, keep this to themselves.
            return {}
        return found


def _by_second(minutes: Iterable[tuple[int, Mapping[str, str]]]) -> dict[int, dict[str, int]]:
    found: dict[int, dict[str, int]] = {}
    for minute, fields in minutes:
        for field, value in fields.items():
            second, _, name = field.partition(":")
            found.setdefault(60 * minute + int(second), {})[name] = int(value)
    return found
