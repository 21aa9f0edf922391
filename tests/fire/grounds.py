"""A shop that is killed again and again: at which place, who dies with it, and what its books say after."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from carts import keys
from db.models import OrderRow, ProductRow, StockMovementRow
from db.session import SQLITE, Database
from payments.sandbox import Sandbox
from payments.sandbox_store import Account
from shop.errors import Unavailable
from shop.orders import OPEN
from tasks.failpoints import FILE_VARIABLE
from tasks.queues import QUEUES
from tests.fire.client import Log, LoggingShopper
from tests.fire.evidence import unfinished
from tests.processes import Answer, RunningShop, Shopper, halt
from tests.servers import until
from tests.tasks.receivers import Receiver, receiver

T = TypeVar("T")
ADMIN_KEY = "the-key-of-the-crash-matrix"
PRODUCT = "enamel-mug"
STOCK = 1_000_000
REACH_SECONDS, RECOVERY_SECONDS = 20.0, 40.0
"""Far more than it takes: the machine may be busy."""
BATCH = 2
EVERY_SECONDS = 0.04
"""How often we look whether something has come: what is looked at must not get busy by it."""


class NotReached(AssertionError):
    """The case's point was not come to, so it proves nothing."""


class Abandoned(BaseException):
    """The run was interrupted."""


@dataclass
class Ground:
    """One shop of the matrix and everything that is needed to hurt it."""

    folder: Path
    database_url: str = ""
    stock: int = STOCK
    deaths: int = 0
    abandoned: bool = False
    shop: RunningShop = field(init=False)
    database: Database = field(init=False)
    log: Log = field(init=False)
    taker: Receiver = field(init=False)
    """The merchant's endpoint: it is to be told of every order's end."""
    _open: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        var = self.folder / "var"
        settings = {FILE_VARIABLE: str(self._orders), "ADMIN_API_KEY": ADMIN_KEY, "SETTLE_BATCH": str(BATCH)}
        if self.database_url:
            settings["DATABASE_URL"] = self.database_url
        settings["ORDER_URL"] = "/api/orders/{id}"  # Who comes back from the provider is to be answered in JSON.
        self.shop = RunningShop(var, settings=settings)
        self.database_url = self.database_url or f"sqlite:///{var}/shop.db"
        self.log = Log(self.log_path)

    @property
    def _orders(self) -> Path:
        return self.folder / "failpoint"

    @property
    def log_path(self) -> Path:
        return self.folder / "shoppers.log"

    @property
    def redis_url(self) -> str:
        return f"unix://{self.folder}/var/valkey/valkey.sock"

    def open(self) -> None:
        self.taker = self._open.enter_context(receiver())
        self._start()
        made = self.merchant("POST", "/webhooks", {"url": self.taker.url})
        assert made.status == 201, made.body
        self.database = Database(self.database_url, pool_size=1)
        with self.database.writing() as session:
            row = session.get_one(ProductRow, PRODUCT)
            moved = STOCK - row.stock_quantity
            session.add(StockMovementRow(product_id=PRODUCT, kind="adjusted", quantity=moved, at=row.updated_at))
            row.stock_quantity = STOCK

    def _start(self) -> None:
        if self.abandoned:
            raise Abandoned
        self.shop.open()

    def abandon(self) -> None:
        """Somebody interrupted the run: nothing of this shop stays behind, and nothing starts it again."""
        self.abandoned = True
        self._kill_all(self.shop.pids())

    def close(self) -> None:
        self.shop.close()
        for pid in self.shop.left_behind():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.log.close()
        self._open.close()
        if hasattr(self, "database"):  # It was opened.
            self.database.close()

    # ------------------------------------------------------------ who is there

    def shopper(self) -> LoggingShopper:
        return LoggingShopper(self.shop.address, self.log)

    def merchant(self, method: str, path: str, body: Any, **headers: str) -> Answer:
        headers["Authorization"] = f"Bearer {ADMIN_KEY}"
        return Shopper(self.shop.address).ask(method, f"/api/admin{path}", body, **headers)

    @contextmanager
    def redis(self) -> Iterator[Any]:
        with Redis.from_url(self.redis_url, decode_responses=True) as client:
            yield client

    def worker(self, queue: str) -> int:
        """The process that serves a queue: it beat last."""
        with self.redis() as redis:
            ((name, _),) = redis.zrevrange(keys.heartbeats(queue), 0, 0, withscores=True)
        return int(name.rsplit(":", 1)[1])

    @contextmanager
    def halted(self, queue: str) -> Iterator[None]:
        """Nobody serves a queue meanwhile, however long it takes on a busy machine; the database is free for others."""
        pid = self.worker(queue)
        until(lambda: self._halt(pid), RECOVERY_SECONDS, "a moment in which nobody writes")
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def _halt(self, pid: int) -> bool:
        """Let a process stand still, unless that keeps others from writing."""
        halt(pid)
        free = self._is_free()
        if not free:
            os.kill(pid, signal.SIGCONT)
        return free

    def _is_free(self) -> bool:
        """Whether the database can be written at once."""
        if self.database.is_sqlite():
            path = self.database_url.removeprefix("sqlite:///")
            with suppress(SQLITE.OperationalError), closing(SQLITE.connect(path, timeout=0)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                return True
            return False
        with suppress(OperationalError), self.database.engine.begin() as connection:
            connection.exec_driver_sql("LOCK TABLE stock_movements IN SHARE ROW EXCLUSIVE MODE NOWAIT")
            return True
        return False

    def is_steady(self) -> bool:
        """Whether every queue has a living process, no job waits and the web answers."""
        try:
            with self.redis() as redis:
                if any(redis.llen(f"rq:queue:{queue}") for queue in QUEUES):
                    return False
            workers = [self.worker(queue) for queue in QUEUES]
            running = self.shop.pids()["worker"]
            answers = self.shop.shopper().ask("GET", "/api/cart").status == 200
        except (RedisError, OSError, ValueError):
            return False
        return answers and all(pid in running for pid in workers)

    def write_something(self) -> None:
        """So that there is a write-ahead log to fold."""
        self._execute([f"UPDATE products SET updated_at = updated_at + 1 WHERE id = '{PRODUCT}'"])

    # ------------------------------------------------------------ deaths

    def arm(self, point: str) -> Path:
        """Let the next process that comes to a point stand still there; the file that will tell which."""
        self.deaths += 1
        marker = self.folder / f"reached-{self.deaths}"
        order = self.folder / "order"
        order.write_text(f"{point}:1:{marker}")
        order.rename(self._orders)
        return marker

    def disarm(self) -> None:
        self._orders.unlink(missing_ok=True)

    def reached(self, marker: Path, point: str) -> int:
        """Wait for it. Raises NotReached."""
        try:
            until(marker.exists, REACH_SECONDS, point)
        except AssertionError as error:
            raise NotReached(f"nobody came to {point}") from error
        finally:
            self.disarm()
        return int(marker.read_text())

    def kill(self, pid: int, victim: str) -> float:
        """Kill the process that stands still, and whoever else; when that was."""
        found = self.shop.pids()
        assert any(pid in pids for pids in found.values()), f"{pid} is not of this shop: {found}"
        at = time.monotonic()
        if victim == "all":
            self._kill_all(found)
            at = time.monotonic()
            self._start()
        else:
            for each in (pid, *(found["valkey"] if victim == "valkey" else ())):
                os.kill(each, signal.SIGKILL)
        return at

    def _kill_all(self, found: dict[str, list[int]]) -> None:
        starter = self.shop.process
        for pid in (
            *([starter.pid] if starter else []),
            *found["supervisord"],
            *found["valkey"],
            *found["web"],
            *found["worker"],
        ):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if starter:
            starter.communicate()
        while left := self.shop.left_behind():
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def revive(self) -> None:
        """After a case that failed: whatever stands still or is lost, the next case finds a shop that works."""
        self.disarm()
        self._kill_all(self.shop.pids())
        self._start()

    # ------------------------------------------------------------ the books

    def rest(self) -> None:
        """Return when nothing is under way. Raises AssertionError."""
        eventually(self._is_at_rest, RECOVERY_SECONDS, "the shop to be at rest")

    def _is_at_rest(self) -> bool:
        try:
            return not unfinished(self.database_url, self.redis_url)
        except Unavailable:
            return False

    def over(self, order_id: str) -> None:
        """Return when an order is terminal. Raises AssertionError."""
        eventually(lambda: self._is_over(order_id), RECOVERY_SECONDS, f"order {order_id} to be terminal")

    def _is_over(self, order_id: str) -> bool:
        with suppress(Unavailable):
            return self.state(order_id)[0] not in ("", *OPEN)
        return False

    def state(self, order_id: str) -> tuple[str, str]:
        """Status and payment status; empty before it is settled."""
        with self.database.reading() as session:
            row = session.get(OrderRow, order_id)
            return (row.status, row.payment_status) if row else ("", "")

    def was_told(self, order_id: str, event: str) -> bool:
        """Whether the merchant's endpoint was told that of an order, however often, under one id."""
        ids = {post.id for post in [*self.taker.got] if post.id.startswith(f"{order_id}_{event}_")}
        assert len(ids) <= 1, f"{event} of order {order_id} was told as {ids}"
        return bool(ids)

    def account(self, order_id: str) -> Account | None:
        with closing(Sandbox(self.folder / "var" / "sandbox.db")) as sandbox:
            return next((found for found in sandbox.books() if found.order_id == order_id), None)

    def on_hand(self) -> int:
        with self.database.reading() as session:
            return session.get_one(ProductRow, PRODUCT).stock_quantity

    def row(self, order_id: str) -> OrderRow:
        with self.database.reading() as session:
            return session.get_one(OrderRow, order_id)

    @contextmanager
    def refuses_stock_of(self, order_id: str) -> Iterator[Callable[[], None]]:
        """The database takes no movement of an order's, until what is yielded is called."""
        name, condition = f"refuse_{self.deaths}", f"NEW.order_id = '{order_id}'"
        refuse = f"CREATE TRIGGER {name} BEFORE INSERT ON stock_movements"
        if self.database.is_sqlite():
            begin = [f"{refuse} WHEN {condition} BEGIN SELECT RAISE(ABORT, 'refused by the matrix'); END"]
            end = [f"DROP TRIGGER IF EXISTS {name}"]
        else:
            body = "$$ BEGIN RAISE EXCEPTION 'refused by the matrix'; END $$"
            begin = [
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS {body}",
                f"{refuse} FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION {name}()",
            ]
            end = [f"DROP TRIGGER IF EXISTS {name} ON stock_movements", f"DROP FUNCTION IF EXISTS {name}()"]
        self._execute(begin)
        try:
            yield lambda: self._execute(end)
        finally:
            self._execute(end)

    def _execute(self, statements: list[str]) -> None:
        with self.database.writing() as session:
            for statement in statements:
                session.execute(text(statement))


def eventually(probe: Callable[[], T], seconds: float, what: str) -> T:
    """The first true answer of `probe`. Raises AssertionError when time is up."""
    end = time.monotonic() + seconds
    while not (answer := probe()):
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(EVERY_SECONDS)
    return answer


def patiently(ask: Callable[[], Answer], *good: int) -> Answer:
    """Ask until one of these statuses is answered, as a client does whose connection broke or who was told to wait."""

    def asked() -> Answer | None:
        try:
            answer = ask()
        except OSError:
            return None
        assert answer.status in (*good, 503), (answer.status, answer.body)
        return answer if answer.status in good else None

    return eventually(asked, RECOVERY_SECONDS, f"an answer of {good}")  # type: ignore[return-value]
