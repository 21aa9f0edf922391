"""The worker: one process per queue, each with its upkeep clock; a dead one is started again.

`python worker.py` serves all queues, `python worker.py checkout` only those of settling, one for each of
SETTLE_SHARDS, and `python worker.py checkout-2` only the third of them. The parent keeps nothing open that
a fork could share: no connection, no thread.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess

import structlog
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from carts.connection import connect
from carts.inbox import Inbox
from carts.workers import Heartbeats
from db.session import Database, sqlite_warning
from shop.errors import BadSettings
from shop.rules import Rules
from tasks import runtime
from tasks.failpoints import arm_from_environment
from tasks.notices import Postman
from tasks.processes import die_with_parent, fail, share_memory, spare_the_collector
from tasks.queues import PAYMENTS, Bell, OurJob, checkout_queues, connect_queue, open_queue, queues_of
from tasks.tracing import connect_traces
from tasks.upkeep import Upkeep
from web.log import configure_logging
from web.postage import open_mail
from web.providers import check_providers, connect_providers
from web.settings import Settings, read_rules, read_settings
from web.stores import check_redis, now_ms

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 1.0
STEADY_SECONDS = 10.0
"""A process that lived this long is started again without delay."""
STOP_SECONDS = 1.5
AWAKE_SECONDS = 0.5

log = structlog.get_logger()
fork = multiprocessing.get_context("fork")


class DoorWorker(SimpleWorker):
    """RQ's worker, with short patience: its server is back in seconds, and so must it be.

    RQ waits 45 s for a job, and 10 more before it takes a connection for dead: whose server fell silent without
    hanging up would settle nothing for so long.
    """

    max_connection_wait_time = 1.0
    dequeue_timeout = 1
    connection_timeout = 3


def serve_queue(queue: str, settings: Settings, rules: Rules, parent: int) -> None:
    """Serve one queue until told to stop: RQ in the main thread, upkeep beside it."""
    die_with_parent(signal.SIGKILL, parent)  # Safe anywhere, and a stopped process hears nothing else.
    configure_logging(settings.log_level, f"worker:{queue}")
    arm_from_environment()
    redis = connect(settings.redis_url)
    open_rq = open_queue(queue, connect_queue(settings.redis_url, retries=50))
    work = runtime.Runtime(
        inbox=Inbox(
            redis,
            rules.cart.lifetime_seconds,
            queue,
            settings.settle_shards,
            own=checkout_queues(settings.settle_shards).get(queue),
        ),
        database=Database(settings.database_url, pool_size=2, mails=bool(settings.smtp_url)),
        rules=rules,
        bell=Bell(open_rq),
        payments_bell=Bell(open_queue(PAYMENTS, open_rq.connection)),
        now=now_ms,
        worker=f"{socket.gethostname()}:{os.getpid()}",
        settle_batch=settings.settle_batch,
        awake_seconds=AWAKE_SECONDS,
        providers=connect_providers(settings, rules) if queue == PAYMENTS else {},
        public_url=settings.public_url,
        traces=connect_traces(settings.otel_exporter_otlp_endpoint, "oncecart-worker"),
    )
    runtime.start(work)
    stop = threading.Event()
    upkeep = Upkeep(work, Heartbeats(redis), queue)
    beside = [threading.Thread(target=upkeep.run, args=(stop,), name="upkeep", daemon=True)]
    if queue == PAYMENTS:  # Settling must not wait for the post, and a process of its own would be one too many.
        postman = Postman(work, open_mail(settings, rules))
        beside.append(threading.Thread(target=postman.run, args=(stop,), name="postman", daemon=True))
    for thread in beside:
        thread.start()
    log.info("worker.serves", queue=queue, pid=os.getpid())
    spare_the_collector()
    DoorWorker(
        [open_rq],
        connection=open_rq.connection,
        job_class=OurJob,
        serializer=JSONSerializer,
        worker_ttl=60,
        maintenance_interval=60,
        log_job_description=False,
    ).work(logging_level="ERROR")
    stop.set()
    for thread in beside:
        thread.join(timeout=1.0)
    upkeep.leave()
    if work.traces:
        work.traces.close()


@dataclass
class Child:
    """The process of one queue, and how long to wait before the next if it dies young."""

    queue: str
    settings: Settings
    rules: Rules
    process: ForkProcess | None = None
    born: float = 0.0
    delay: float = field(default=FIRST_DELAY_SECONDS)
    due: float = 0.0

    def start(self) -> None:
        arguments = (self.queue, self.settings, self.rules, os.getpid())
        self.process = fork.Process(target=serve_queue, args=arguments, name=f"worker:{self.queue}")
        self.process.start()
        self.born = time.monotonic()

    def bury(self) -> None:
        """Note that the process ended, and when the next is due."""
        lived = time.monotonic() - self.born
        self.delay = FIRST_DELAY_SECONDS if lived > STEADY_SECONDS else min(self.delay * 2, LONGEST_DELAY_SECONDS)
        self.due = time.monotonic() + self.delay
        code = self.process.exitcode if self.process else None
        log.warning("worker.died", queue=self.queue, exitcode=code, again_in=round(self.delay, 1))
        self.process = None


class Stop(Exception):
    """SIGTERM or SIGINT came."""


def supervise(children: list[Child]) -> None:
    """Keep every child running until a signal asks to stop, then stop them all."""

    def stop(_signal: int, _frame: object) -> None:
        raise Stop

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        while True:
            for child in children:
                if child.process is None and time.monotonic() >= child.due:
                    child.start()
            wait([child.process.sentinel for child in children if child.process], timeout=FIRST_DELAY_SECONDS)
            for child in children:
                if child.process and not child.process.is_alive():
                    child.bury()
    except Stop:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        end(children)


def end(children: list[Child]) -> None:
    """Ask every child to stop, wait a little, insist."""
    running = [child.process for child in children if child.process]
    for process in running:
        process.terminate()
    until = time.monotonic() + STOP_SECONDS
    for process in running:
        process.join(max(0.0, until - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def main(words: list[str]) -> None:
    try:
        settings = read_settings()
        rules = read_rules(settings.shop_file)
        queues = queues_of(settings.settle_shards, words)
        check_providers(settings, rules)
        Database(settings.database_url).close()
        with connect(settings.redis_url) as redis:
            check_redis(settings, redis)
    except BadSettings as error:
        fail(error)
    if os.environ.get("SUPERVISOR_ENABLED"):
        die_with_parent()
    configure_logging(settings.log_level, "worker")
    if warning := sqlite_warning():
        log.warning("sqlite.unsafe", detail=warning)
    share_memory()
    supervise([Child(queue, settings, rules) for queue in queues])


if __name__ == "__main__":
    main(sys.argv[1:])
