"""The clock beside the jobs: the only recovery we rely on.

Every half second it says that this worker is alive and rings for anything that is due and stale.
Whatever was lost before, a job, a worker, a server, is picked up from the stores here: also by the
workers of the other shards of the inbox, when a whole machine is gone.
"""

from __future__ import annotations

import os
import threading
import time

import structlog

from carts.inbox import SILENT_SECONDS
from carts.workers import Heartbeats
from db import payments
from shop.errors import Unavailable
from tasks.failpoints import failpoint
from tasks.queues import PAYMENTS
from tasks.runtime import Runtime

EVERY_SECONDS = 0.5
STALE_SECONDS = 1.0
CHECKPOINT_EVERY_SECONDS = 5.0

log = structlog.get_logger()


class Upkeep:
    """One round of upkeep for one queue; `run` repeats it until the process is told to stop."""

    def __init__(self, runtime: Runtime, heartbeats: Heartbeats, queue: str) -> None:
        self._runtime = runtime
        self._heartbeats = heartbeats
        self._queue = queue
        self._away: str | None = None
        self._full = False
        self._began_at = self._checkpointed_at = time.monotonic()

    def round(self) -> None:
        """Say we are alive, ring for what waits too long, tidy up when nothing does. Raises Unavailable."""
        if self._queue != PAYMENTS:
            self._note_memory()
        failpoint("upkeep.beating")
        self._heartbeats.beat(self._queue, self._runtime.worker, self._runtime.now() / 1000)
        failpoint("upkeep.beat")
        if self._queue != PAYMENTS:
            self._adopt()
            age = self._runtime.inbox.oldest_age_seconds()
            self._ring(age > STALE_SECONDS, age)
            if age == 0:
                self._checkpoint()
        else:
            waited = self._due_payments()
            self._ring(waited is not None, (waited or 0) / 1000)

    def _note_memory(self) -> None:
        """Stop new checkouts while the carts' store is nearly full, before what was accepted cannot be settled."""
        failpoint("upkeep.noting")
        full = self._runtime.inbox.note_memory()
        failpoint("upkeep.noted")
        if full != self._full:
            log.warning("upkeep.nearly_full" if full else "upkeep.room_again", queue=self._queue)
        self._full = full

    def _adopt(self) -> None:
        """Take over what no other shard's worker is there for, or ever will be."""
        # Workers that start together are to have said that they live before anybody takes them for dead.
        from_all = time.monotonic() - self._began_at > SILENT_SECONDS
        if adopted := self._runtime.inbox.adopt(from_all=from_all):
            log.info("upkeep.adopted", queue=self._queue, checkouts=adopted)

    def _due_payments(self) -> int | None:
        """How long the oldest due payment has waited, in ms. Most become due long after anybody rang for them."""
        with self._runtime.database.reading() as session:
            return payments.due(session, self._runtime.now())

    def _ring(self, due: bool, age: float) -> None:
        if not due:
            return
        failpoint("upkeep.due")
        if self._runtime.inbox.ring():
            failpoint("upkeep.ringing")
            log.info("upkeep.ring", queue=self._queue, oldest_seconds=round(age, 1))
            self._runtime.bell.ring()
            failpoint("upkeep.rung")

    def _checkpoint(self) -> None:
        """Empty SQLite's write-ahead log in a quiet moment, so that it does not grow and reads stay fast."""
        due = time.monotonic() - self._checkpointed_at > CHECKPOINT_EVERY_SECONDS
        if due and self._runtime.database.wal_bytes() > 0:
            failpoint("upkeep.folding")
            self._runtime.database.checkpoint()
            failpoint("upkeep.folded")
            self._checkpointed_at = time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Repeat the round every half second; a store that is away is reported once, then when it is back."""
        while not stop.wait(EVERY_SECONDS):
            self.step()

    def step(self) -> None:
        """A round that survives anything: upkeep must outlive what it is there to repair."""
        try:
            self.round()
        except Unavailable as error:
            if self._away is None:
                log.warning("upkeep.away", queue=self._queue, error=str(error))
            self._away = str(error)
        except Exception:
            log.exception("upkeep.threw", queue=self._queue)
        else:
            if self._away is not None:
                log.info("upkeep.back", queue=self._queue)
            self._away = None

    def leave(self) -> None:
        """Say goodbye, so that nobody waits for this worker's heartbeat."""
        try:
            failpoint("upkeep.leaving")
            self._heartbeats.leave(self._queue, self._runtime.worker)
            failpoint("upkeep.left")
        except Unavailable:
            log.info("upkeep.left_silently", queue=self._queue, pid=os.getpid())
