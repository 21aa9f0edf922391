"""The sandbox's books: one SQLite file for every thread and process that speaks to it."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from shop.payments import (
    Absent,
    ActionRequired,
    Approved,
    Declined,
    Done,
    NoAnswer,
    Refused,
    State,
    Unknown,
    Unreachable,
    Voided,
)

try:
    import pysqlite3.dbapi2 as _newer_sqlite
except ImportError:  # No wheel for this machine: the standard library's will do.
    _newer_sqlite = None

SQLITE: ModuleType = _newer_sqlite or sqlite3
SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE payments (
    id INTEGER PRIMARY KEY,
    provider_id TEXT NOT NULL UNIQUE,
    order_id TEXT NOT NULL,
    token TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    currency TEXT NOT NULL,
    capture INTEGER NOT NULL,
    return_url TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('action_required', 'authorized', 'captured', 'declined', 'voided')),
    decline TEXT,
    authorized_minor INTEGER NOT NULL DEFAULT 0 CHECK (authorized_minor >= 0),
    captured_minor INTEGER NOT NULL DEFAULT 0 CHECK (captured_minor BETWEEN 0 AND authorized_minor),
    refunded_minor INTEGER NOT NULL DEFAULT 0 CHECK (refunded_minor BETWEEN 0 AND captured_minor),
    created_at INTEGER NOT NULL,
    answered_at INTEGER NOT NULL
) STRICT;
CREATE INDEX payments_by_order ON payments (order_id, id);
CREATE TABLE keys (
    key TEXT PRIMARY KEY,
    asked TEXT NOT NULL,
    answer TEXT NOT NULL,
    first_at INTEGER NOT NULL,
    answered_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE lost_calls (key TEXT PRIMARY KEY, calls INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE calls (
    id INTEGER PRIMARY KEY,
    operation TEXT NOT NULL,
    key TEXT,
    order_id TEXT,
    provider_id TEXT,
    amount_minor INTEGER,
    currency TEXT,
    at INTEGER NOT NULL,
    answer TEXT NOT NULL,
    misuse INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX calls_by_order ON calls (order_id, id);
"""

Answer = State | Absent | Done | Refused | NoAnswer
_ANSWERS: dict[str, type[Answer]] = {
    kind.__name__: kind
    for kind in (Absent, ActionRequired, Approved, Declined, Done, Refused, Unknown, Unreachable, Voided)
}


class Busy(Exception):
    """The books could not be had in time; nothing was written."""


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as the sandbox has it; amounts in minor units of its currency."""

    provider_id: str
    order_id: str
    token: str
    amount_minor: int
    """As asked for."""
    currency: str
    capture: bool
    return_url: str
    status: str
    """action_required, authorized, captured, declined or voided."""
    decline: str | None
    authorized_minor: int
    captured_minor: int
    refunded_minor: int
    created_at: int
    answered_at: int
    """When the first call has its answer, by the machine's clock; until then nobody can know."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a key's first call asked and was answered."""

    asked: str
    answer: Answer
    answered_at: int


@dataclass(frozen=True, slots=True)
class Call:
    """One call the sandbox received, and what it told the caller."""

    operation: str
    key: str | None
    order_id: str | None
    provider_id: str | None
    amount_minor: int | None
    currency: str | None
    at: int
    answer: Answer
    misuse: bool = False
    """A mistake of the caller's: a key used for two things, or an order and a payment that are not one another's."""


@dataclass(frozen=True, slots=True)
class Account:
    """All that an order cost its shopper, over all payments ever made for it; minor units."""

    order_id: str
    charges: int
    """Payments that were ever approved, also if they were given up later: more than one is one too many."""
    authorized_minor: int
    """Ever approved."""
    held_minor: int
    """Reserved still: neither taken nor given up."""
    captured_minor: int
    refunded_minor: int
    open: int
    """Payments that wait for the shopper."""
    misuses: int
    """Calls that were mistakes of ours; see Call.misuse."""


_PAYMENT_COLUMNS = ", ".join(Payment.__dataclass_fields__)
_CALL_COLUMNS = ", ".join(Call.__dataclass_fields__)
_PAYMENT = f"SELECT {_PAYMENT_COLUMNS} FROM payments"  # noqa: S608 - our own names
_CALL = f"SELECT {_CALL_COLUMNS} FROM calls"  # noqa: S608
_ACCOUNTS = """
SELECT order_id, SUM(charge), SUM(authorized), SUM(held), SUM(captured), SUM(refunded), SUM(open), SUM(misuse) FROM (
    SELECT order_id, authorized_minor > 0 AS charge, authorized_minor AS authorized,
           IIF(status = 'authorized', authorized_minor, 0) AS held, captured_minor AS captured,
           refunded_minor AS refunded, status = 'action_required' AS open, 0 AS misuse
    FROM payments
    UNION ALL SELECT COALESCE(order_id, ''), 0, 0, 0, 0, 0, 0, 1 FROM calls WHERE misuse
) GROUP BY order_id ORDER BY order_id
"""


def payload(answer: Answer) -> str:
    return json.dumps({"is": type(answer).__name__, **asdict(answer)}, separators=(",", ":"))


def parsed(text: str) -> Answer:
    fields = json.loads(text)
    return _ANSWERS[fields.pop("is")](**fields)


class Transaction:
    """The queries of one transaction that holds the write lock."""

    def __init__(self, connection: Any) -> None:
        self._execute = connection.execute

    def known(self, key: str, since: int) -> Known | None:
        """What was answered to a key first used at `since` or later."""
        row = self._execute(
            "SELECT asked, answer, answered_at FROM keys WHERE key = ? AND first_at >= ?", (key, since)
        ).fetchone()
        return row and Known(row[0], parsed(row[1]), row[2])

    def remember(self, key: str, known: Known, now: int) -> None:
        self._execute(
            "INSERT OR REPLACE INTO keys (key, asked, answer, first_at, answered_at) VALUES (?, ?, ?, ?, ?)",
            (key, known.asked, payload(known.answer), now, known.answered_at),
        )

    def count_lost(self, key: str, at_most: int) -> bool:
        """Whether a call with this key is among the first `at_most`, and gets lost."""
        counted = self._execute(
            "INSERT INTO lost_calls VALUES (?, 1) ON CONFLICT DO UPDATE SET calls = calls + 1 WHERE calls < ? "
            "RETURNING calls",
            (key, at_most),
        ).fetchone()
        return counted is not None

    def payment(self, provider_id: str) -> Payment | None:
        return _payment(self._execute(f"{_PAYMENT} WHERE provider_id = ?", (provider_id,)).fetchone())

    def payment_of(self, order_id: str) -> Payment | None:
        """The payment of an order: the one with money in it, else the one that waits for the shopper, else the last."""
        best = "ORDER BY authorized_minor > 0 AND status != 'voided' DESC, status = 'action_required' DESC, id DESC"
        return _payment(self._execute(f"{_PAYMENT} WHERE order_id = ? {best} LIMIT 1", (order_id,)).fetchone())

    def add(self, payment: Payment) -> None:
        row = tuple(asdict(payment).values())
        places = ", ".join("?" * len(row))
        self._execute(f"INSERT INTO payments ({_PAYMENT_COLUMNS}) VALUES ({places})", row)  # noqa: S608

    def update(self, payment: Payment) -> None:
        """Write what may change of a payment."""
        self._execute(
            "UPDATE payments SET status = ?, decline = ?, authorized_minor = ?, captured_minor = ?, refunded_minor = ? "
            "WHERE provider_id = ?",
            (
                payment.status,
                payment.decline,
                payment.authorized_minor,
                payment.captured_minor,
                payment.refunded_minor,
                payment.provider_id,
            ),
        )

    def log(self, call: Call) -> None:
        """Keep a call; the order of one that names only a payment is looked up."""
        self._execute(
            f"INSERT INTO calls ({_CALL_COLUMNS}) VALUES (?1, ?2, "  # noqa: S608
            "COALESCE(?3, (SELECT order_id FROM payments WHERE provider_id = ?4)), ?4, ?5, ?6, ?7, ?8, ?9)",
            (
                call.operation,
                call.key,
                call.order_id,
                call.provider_id,
                call.amount_minor,
                call.currency,
                call.at,
                payload(call.answer),
                call.misuse,
            ),
        )

    def setting(self, name: str, default: str) -> str:
        """A setting that every process shares: the first to ask decides."""
        self._execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (name, default))
        value: str = self._execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()[0]
        return value


class Books:
    """The file. One connection a process writes: in a queue of threads, which costs less than rivals for the lock."""

    def __init__(self, path: Path, patience_seconds: float) -> None:
        self._path = path
        self._patience_seconds = patience_seconds
        self._writers: dict[int, _Writer] = {}
        path.parent.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """A transaction. Raises Busy when nothing was begun, SQLITE.Error when nobody knows what was written."""
        # By process: a connection must not be used on both sides of a fork.
        writer = self._writers.setdefault(os.getpid(), _Writer(self._path, self._patience_seconds))
        with writer.transaction() as transaction:
            yield transaction

    def accounts(self) -> Iterator[Account]:
        """By order, as the books stand at the first."""
        with closing(connect(self._path, self._patience_seconds)) as connection:
            for row in connection.execute(_ACCOUNTS):
                yield Account(*row)

    def calls(self, order_id: str | None = None) -> Iterator[Call]:
        """Every call, or every call about one order, in the order they were decided."""
        where, parameters = ("WHERE order_id = ?", (order_id,)) if order_id else ("", ())
        with closing(connect(self._path, self._patience_seconds)) as connection:
            for row in connection.execute(f"{_CALL} {where} ORDER BY id", parameters):
                call = Call(*row)
                yield replace(call, answer=parsed(row[7]), misuse=bool(call.misuse))

    def payment(self, provider_id: str) -> Payment | None:
        """Read without a trace."""
        with closing(connect(self._path, self._patience_seconds)) as connection:
            return Transaction(connection).payment(provider_id)

    def close(self) -> None:
        """Close this process's connection; the next call opens another."""
        writer = self._writers.pop(os.getpid(), None)
        if writer:
            writer.close()


class _Writer:
    def __init__(self, path: Path, patience_seconds: float) -> None:
        self._path = path
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._connection: Any = None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        if not self._lock.acquire(timeout=self._patience_seconds):
            raise Busy("too many calls at once")
        try:
            connection = self._begun()
            try:
                yield Transaction(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        finally:
            self._lock.release()

    def _begun(self) -> Any:
        try:
            if self._connection is None:
                self._connection = connect(self._path, self._patience_seconds)
            self._connection.execute("BEGIN IMMEDIATE")
        except SQLITE.Error as error:
            raise Busy(f"the books cannot be opened: {error}") from error
        return self._connection

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def connect(path: Path, patience_seconds: float) -> Any:
    """A connection to the books, which are begun if there are none; transactions are opened by hand."""
    connection = SQLITE.connect(str(path), timeout=patience_seconds, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA synchronous=FULL")
        if connection.execute("PRAGMA user_version").fetchone()[0] < SCHEMA_VERSION:
            _use_a_log(connection, patience_seconds)
            _begin_books(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _use_a_log(connection: Any, patience_seconds: float) -> None:
    """Turn the file to write-ahead logging. Among processes that do so at once SQLite refuses all but one, unasked."""
    until = time.monotonic() + patience_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except SQLITE.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.005)  # The busy timeout does not count here: waiting for the others is left to us.
        else:
            return


def _begin_books(connection: Any) -> None:
    connection.execute("BEGIN IMMEDIATE")
    # Again, now that nobody else can: another process may have been faster.
    if connection.execute("PRAGMA user_version").fetchone()[0] < SCHEMA_VERSION:
        for statement in SCHEMA.split(";")[:-1]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _payment(row: tuple[Any, ...] | None) -> Payment | None:
    if row is None:
        return None
    payment = Payment(*row)
    return replace(payment, capture=bool(payment.capture))
