"""What is done to a running shop: processes are killed and paused, its Redis is full, its database is locked."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from db.session import SQLITE, make_engine
from tests.fire.client import now_ms
from tests.processes import RunningShop
from tests.servers import until
from web.valkey import MAX_MEMORY, command

VICTIMS: dict[str, tuple[str, ...]] = {
    "a web process": ("web",),
    "the web": ("web",),
    "a worker process": ("worker",),
    "the worker": ("worker",),
    "Valkey": ("valkey",),
    "everything": ("valkey", "worker", "web"),
}
"""Who is killed, and the roles of whose processes that is."""
WEIGHTS = (3, 2, 4, 3, 4, 1)
PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Kill:
    """Who was killed, and when (ms since the epoch)."""

    victim: str
    at: int
    alone: bool
    """Whether nobody else is killed until the shop sells again."""


@dataclass
class Harm:
    """Does harm to a shop, by the dice, and notes what it did."""

    shop: RunningShop
    redis_url: str
    database_url: str
    dice: random.Random
    kills: list[Kill] = field(default_factory=list)
    troubles: Counter[str] = field(default_factory=Counter)
    troubled: list[tuple[int, int]] = field(default_factory=list)
    """From when until when there was other trouble (ms since the epoch)."""
    _trouble: threading.Thread | None = None

    def kill(self, alone: bool) -> Kill:
        """SIGKILL somebody; waits for them to be there."""
        (victim,) = self.dice.choices(list(VICTIMS), WEIGHTS)
        pids = until(lambda: self._pids(victim), PATIENCE_SECONDS, f"{victim} to be there")
        at = now_ms()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.kills.append(Kill(victim, at, alone))
        return self.kills[-1]

    def _pids(self, victim: str) -> list[int]:
        running = self.shop.pids()
        if victim.startswith("a "):
            children = running[VICTIMS[victim][0]][1:]
            return [self.dice.choice(children)] if children else []
        found = [pid for role in VICTIMS[victim] for pid in running[role]]
        return found if running[VICTIMS[victim][0]] else []

    def trouble(self) -> None:
        """Begin some seconds of trouble, unless there is some."""
        if self._trouble and self._trouble.is_alive():
            return
        kind = self.dice.choice((self._pause, self._fill_redis, self._lock_database))
        self._trouble = threading.Thread(target=self._make, args=(kind, self.dice.uniform(0.3, 2.5)))
        self._trouble.start()

    def _make(self, trouble: Callable[[float], None], seconds: float) -> None:
        begun = now_ms()
        try:
            trouble(seconds)
        finally:
            self.troubled.append((begun, now_ms()))

    def end(self) -> None:
        """Wait for the last trouble to be over."""
        if self._trouble:
            self._trouble.join()

    def _pause(self, seconds: float) -> None:
        role = random.Random(int(seconds * 1e6)).choice(("web", "worker", "valkey"))
        for pid in self.shop.pids()[role][-1:]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                self.troubles[f"pauses of {role}"] += 1
                time.sleep(seconds)
                os.kill(pid, signal.SIGCONT)

    def _fill_redis(self, seconds: float) -> None:
        with suppress(RedisError), closing(Redis.from_url(self.redis_url)) as redis:
            redis.config_set("maxmemory", "1")
            self.troubles["times of a full Redis"] += 1
            time.sleep(seconds)
        until(self._emptied, PATIENCE_SECONDS, "Redis to have room again")

    def _emptied(self) -> bool:
        with suppress(RedisError), closing(Redis.from_url(self.redis_url)) as redis:
            return bool(redis.config_set("maxmemory", MAX_MEMORY))
        return False

    def _lock_database(self, seconds: float) -> None:
        lock = self._lock_sqlite if self.database_url.startswith("sqlite") else self._lock_tables
        with suppress(SQLITE.OperationalError, SQLAlchemyError):  # Others may hold it for too long.
            lock(seconds * 2)

    def _lock_sqlite(self, seconds: float) -> None:
        path = self.database_url.removeprefix("sqlite:///")
        with closing(SQLITE.connect(path, timeout=20, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            self.troubles["times of a locked database"] += 1
            time.sleep(seconds)
            connection.execute("ROLLBACK")

    def _lock_tables(self, seconds: float) -> None:
        with self._engine() as engine, engine.begin() as connection:
            connection.exec_driver_sql("LOCK TABLE orders, payments, products IN ACCESS EXCLUSIVE MODE")
            self.troubles["times of a locked database"] += 1
            time.sleep(seconds)

    @contextmanager
    def _engine(self) -> Iterator[Any]:
        engine = make_engine(self.database_url)
        try:
            yield engine
        finally:
            engine.dispose()


@dataclass
class Keeper:
    """Keeps a Valkey of our own running on a folder, as supervisord does where the shop brings it."""

    folder: Path
    _server: subprocess.Popen[bytes] | None = None
    _closing: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def socket(self) -> Path:
        return self.folder / "valkey.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()
        until(self._answers, 20, "Valkey")

    def _keep(self) -> None:
        while not self._closing.is_set():
            # Never two at once on one folder: the next is started when the last is certainly gone.
            self._server = subprocess.Popen(
                command(self.folder, self.socket), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            self._server.wait()
            time.sleep(0.1)

    def _answers(self) -> bool:
        with suppress(RedisError), closing(Redis(unix_socket_path=str(self.socket))) as redis:
            return bool(redis.ping())
        return False

    def close(self) -> None:
        self._closing.set()
        if self._server:
            self._server.kill()
        if self._thread:
            self._thread.join(10)


@contextmanager
def kept(folder: Path) -> Iterator[Keeper]:
    keeper = Keeper(folder)
    try:
        keeper.open()
        yield keeper
    finally:
        keeper.close()
