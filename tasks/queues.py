"""The queues and how each is rung. A job is only a doorbell: it carries nothing and may be lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from carts.shards import queue_of
from shop.errors import BadSettings

CHECKOUT: Final = queue_of(0)
PAYMENTS: Final = "payments"
QUEUES: Final = (CHECKOUT, PAYMENTS)
"""Those of a shop with one shard; see `queues_of`."""
SETTLE: Final = "tasks.checkout.settle"
PAY: Final = "tasks.pay.pay"
"""Dotted names stand in queued jobs: moving a function strands the jobs in flight."""
OURS: Final = frozenset({SETTLE, PAY})

JOB_TIMEOUT_SECONDS = 120
RESULT_SECONDS = 60
FAILURE_SECONDS = 3600

log = structlog.get_logger()


def checkout_queues(shards: int) -> dict[str, int]:
    """The queue of each shard of the inbox, and its number."""
    return {queue_of(shard): shard for shard in range(shards)}


def queues_of(shards: int, words: Sequence[str] = ()) -> list[str]:
    """The queues that words of a command line mean; all of them without any.

    `checkout` means those of every shard, `checkout-0` that of the first. Raises BadSettings.
    """
    checkouts = list(checkout_queues(shards))
    meant = {
        CHECKOUT: checkouts,
        **{f"{CHECKOUT}-{shard}": [queue] for shard, queue in enumerate(checkouts)},
        PAYMENTS: [PAYMENTS],
    }
    if unknown := sorted(set(words) - set(meant)):
        raise BadSettings(
            f"no such queue: {', '.join(unknown)}; with SETTLE_SHARDS={shards} there are {', '.join(meant)}"
        )
    return list(dict.fromkeys(queue for word in words or QUEUES for queue in meant[word]))


class ForeignJob(RuntimeError):
    """A job names a function that is not ours. Whoever can write to Redis could name any."""


class OurJob(Job):
    """A job that runs only our own functions, and no callbacks, whatever its hash in Redis says."""

    success_callback = failure_callback = stopped_callback = None

    @property
    def func(self) -> Callable[..., Any]:
        if self.func_name not in OURS:
            raise ForeignJob(f"{self.func_name!r} is not one of our jobs")
        function: Callable[..., Any] = super().func
        return function


def connect_queue(url: str, retries: int = 1) -> Redis:
    """A client for RQ, which wants bytes.

    Who rings must not wait for a server that is away; a worker tries every tenth of a second, so that
    it is back as soon as its server is.
    """
    retry = Retry(ConstantBackoff(0.1), retries)
    return Redis.from_url(url, retry=retry, socket_connect_timeout=1.0, socket_timeout=3.0)


def open_queue(name: str, connection: Redis) -> Queue:
    return Queue(name, connection=connection, serializer=JSONSerializer, job_class=OurJob)


class Bell:
    """Rings the worker of a queue, or of one of several. Never fails: what is due is in the stores, and upkeep
    rings again."""

    def __init__(self, *queues: Queue) -> None:
        self._queues = queues

    @property
    def connection(self) -> Redis:
        """RQ's own client."""
        return self._queues[0].connection

    def ring(self, which: int = 0) -> bool:
        """Enqueue the queue's one job, unless one waits already; True when a job waits now."""
        queue = self._queues[which]
        try:
            if queue.count == 0:
                queue.enqueue(
                    PAY if queue.name == PAYMENTS else SETTLE,
                    job_timeout=JOB_TIMEOUT_SECONDS,
                    result_ttl=RESULT_SECONDS,
                    failure_ttl=FAILURE_SECONDS,
                )
        except RedisError as error:
            log.warning("bell.unheard", queue=queue.name, error=str(error))
            return False
        return True
