"""The queues and how each is rung. A job is only a doorbell: it carries nothing and may be lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import structlog
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

CHECKOUT: Final = "checkout"
PAYMENTS: Final = "payments"
QUEUES: Final = (CHECKOUT, PAYMENTS)
SETTLE: Final = "tasks.checkout.settle"
PAY: Final = "tasks.pay.pay"
"""Dotted names stand in queued jobs: moving a function strands the jobs in flight."""
JOB_OF: Final = {CHECKOUT: SETTLE, PAYMENTS: PAY}
OURS: Final = frozenset(JOB_OF.values())

JOB_TIMEOUT_SECONDS = 120
RESULT_SECONDS = 60
FAILURE_SECONDS = 3600

log = structlog.get_logger()


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
    return Redis.from_url(url, retry=retry, socket_connect_timeout=1.0, socket_timeout=5.0)


def open_queue(name: str, connection: Redis) -> Queue:
    return Queue(name, connection=connection, serializer=JSONSerializer, job_class=OurJob)


class Bell:
    """Rings the worker of a queue. Never fails: what is due is in the stores, and upkeep rings again."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._function = JOB_OF[queue.name]

    @property
    def connection(self) -> Redis:
        """RQ's own client."""
        return self._queue.connection

    def ring(self) -> bool:
        """Enqueue the queue's one job, unless one waits already; True when a job waits now."""
        try:
            if self._queue.count == 0:
                self._queue.enqueue(
                    self._function,
                    job_timeout=JOB_TIMEOUT_SECONDS,
                    result_ttl=RESULT_SECONDS,
                    failure_ttl=FAILURE_SECONDS,
                )
        except RedisError as error:
            log.warning("bell.unheard", queue=self._queue.name, error=str(error))
            return False
        return True
