"""Opening the database: one Database a process, made after any fork, and its two kinds of transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from db.lookups import Look
from db.models import CounterRow
from db.notices import Audience
from shop.errors import BadSettings, Unavailable
from shop.search import product_words

try:
    import pysqlite3.dbapi2 as _newer_sqlite
except ImportError:  # No wheel for this machine: the standard library's will do, see sqlite_warning().
    _newer_sqlite = None

SQLITE: ModuleType = _newer_sqlite or sqlite3
SAFE_SQLITE = (3, 51, 3)
BUSY_TIMEOUT_MS = 10_000
CACHE_KIB = 16_384
"""For each connection, at most: a large batch must not spill its pages before its commit."""
WAL_PAGES = 16_000
"""Fold the write-ahead log in at 64 MB: at the default of 4 MB every other batch under load would do it,
inside its commit. In quiet moments upkeep does it (Database.checkpoint)."""
LOCK_KEY = 0x0CECA47
"""PostgreSQL's advisory lock for migrating and seeding."""
CATALOGUE_KEY = 0x0CECA48
"""The one for whoever makes or names categories, taken before any row: an import, or the merchant's API."""
AWAY = "The order store is away for a moment."
READ_ONLY = "25006"
"""PostgreSQL's word for a write to a server that is not, or not any more, the primary."""


class UnusableDatabase(BadSettings):
    """DATABASE_URL cannot be used; the message is one line that says what to change."""


class Database:
    """An engine for `url` and its transactions.

    `reading()` is a short deferred transaction for a consistent look. `writing()` is the only way to
    change anything: on SQLite it takes the write lock first (BEGIN IMMEDIATE), because a transaction
    that reads and then writes fails at once when somebody wrote in between, whatever the time-out.
    Both turn a database that is away into Unavailable.
    """

    def __init__(self, url: str, *, pool_size: int = 5, mails: bool = False) -> None:
        """`mails`: whether shoppers are to be told by mail what becomes of their orders."""
        self.engine = make_engine(url, pool_size)
        self.audience = Audience(mails)
        self._writer = self.engine.execution_options(writes=True)
        # One snapshot for all statements of a look, as SQLite's transactions have it by themselves.
        snapshot = {} if self.is_sqlite() else {"isolation_level": "REPEATABLE READ"}
        self._reader = self.engine.execution_options(**snapshot)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with database_errors(), Session(self._reader, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def looking(self) -> Iterator[Look]:
        """As `reading`, for lookups alone (db.lookups): nothing of SQLAlchemy's but its pool."""
        with database_errors():
            if not self.is_sqlite():
                with self._reader.connect() as connection:
                    yield Look(connection.dialect, lambda text, values: connection.exec_driver_sql(text, values).all())
                return
            try:
                # closing: the pool ends the transaction.
                with closing(self.engine.raw_connection()) as pooled:
                    cursor = pooled.cursor()
                    cursor.execute("BEGIN")
                    yield Look(self.engine.dialect, lambda text, values: cursor.execute(text, values).fetchall())
            except SQLITE.DatabaseError as error:
                if isinstance(error, SQLITE.OperationalError) or type(error) is SQLITE.DatabaseError:
                    raise Unavailable(AWAY) from error
                raise

    @contextmanager
    def writing(self) -> Iterator[Session]:
        told = {"audience": self.audience}  # For db.notices.announce, wherever in a transaction something happens.
        with database_errors(), Session(self._writer, expire_on_commit=False, info=told) as session, session.begin():
            yield session

    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    def checkpoint(self) -> None:
        """Fold SQLite's write-ahead log into the database file and empty it, if nobody is in the way."""
        if self.is_sqlite():
            with database_errors(), self.engine.connect() as connection:
                # Without patience: while it waits for a reader, a checkpoint keeps every writer out.
                connection.exec_driver_sql("PRAGMA busy_timeout=0")
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
                connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")

    def ping(self) -> None:
        """Raise Unavailable unless the database answers and has its tables."""
        with self.reading() as session:
            session.execute(select(1).select_from(CounterRow)).first()

    def backup(self, to: Path) -> None:
        """Copy the SQLite database, as it is at one instant, while it is in use; checked before it is in place.

        Raises FileExistsError rather than replace a file, Unavailable when the copy cannot be made.
        """
        if to.exists():
            raise FileExistsError(f"{to} exists already")
        unfinished = to.with_name(f".{to.name}.unfinished")
        unfinished.unlink(missing_ok=True)
        try:
            with database_errors(), self.engine.connect() as connection:
                copy = SQLITE.connect(str(unfinished))
                with closing(copy):
                    # All pages at once: in steps it would begin anew whenever somebody writes in between.
                    connection.connection.driver_connection.backup(copy)  # type: ignore[union-attr]
                    copy.execute("PRAGMA journal_mode=DELETE")
                    (verdict,) = copy.execute("PRAGMA integrity_check").fetchone()
            if verdict != "ok":
                raise Unavailable(f"The copy is damaged: {verdict}")
            unfinished.rename(to)
        except SQLITE.Error as error:
            raise Unavailable(f"The database cannot be copied to {to}: {error}") from error
        finally:
            unfinished.unlink(missing_ok=True)

    def wal_bytes(self) -> int:
        """The size of SQLite's write-ahead log; 0 where there is none."""
        if not self.is_sqlite():
            return 0
        log = Path(f"{self.engine.url.database}-wal")
        return log.stat().st_size if log.exists() else 0

    def close(self) -> None:
        self.engine.dispose()


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn a database that is away, locked, read-only or out of connections into Unavailable."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        raise Unavailable(AWAY) from error
    except DBAPIError as error:
        read_only = getattr(error.orig, "sqlstate", None) == READ_ONLY
        # The plain class: the file is damaged or no database at all. Its subclasses speak of one statement.
        damaged = type(error) is DatabaseError
        if error.connection_invalidated or read_only or damaged:
            raise Unavailable(AWAY) from error
        raise


def take_turns(connection: Connection, key: int = LOCK_KEY) -> None:
    """Wait until nobody else does the same until their transaction ends. SQLite's are exclusive anyway."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({key})")


def make_engine(url: str, pool_size: int = 5) -> Engine:
    """An engine set up as DESIGN section 4 says. Raises UnusableDatabase for a URL we cannot serve."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # ValueError: a port that is no number.
        raise UnusableDatabase(
            "DATABASE_URL is not a database URL; write sqlite:////path/shop.db or postgresql://..."
        ) from error
    if parsed.drivername == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise UnusableDatabase("DATABASE_URL: the web and the worker share a file; write sqlite:////path/shop.db")
        engine = create_engine(parsed, module=SQLITE, pool_size=pool_size, max_overflow=60, pool_timeout=5)
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        parsed = parsed.set(drivername="postgresql+psycopg")
        options = "-c statement_timeout=30000 -c lock_timeout=10000 -c timezone=UTC"
        return create_engine(
            parsed,
            pool_size=pool_size,
            max_overflow=20,
            pool_timeout=5,
            pool_pre_ping=True,
            paramstyle="format",  # Positional, as on SQLite: see db.bulk.
            connect_args={"connect_timeout": 3, "options": options},
        )
    raise UnusableDatabase(f"DATABASE_URL: {parsed.drivername} is not supported; use sqlite or postgresql")


def _configure_sqlite(connection: Any, _record: Any) -> None:
    # None: we begin transactions ourselves, in _begin_sqlite. FULL: NORMAL lost every acknowledged
    # order in a simulated power cut.
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "mmap_size=0",
        f"wal_autocheckpoint={WAL_PAGES}",
        f"cache_size=-{CACHE_KIB}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    # SQLite's own knows only a to z: a search for "Éclair" would not find it.
    connection.create_function("lower", 1, str.lower, deterministic=True)
    connection.create_function("search_words", 3, product_words, deterministic=True)


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def sqlite_warning() -> str | None:
    """What to say when this SQLite has the WAL-reset bug (3.7.0 to 3.51.2), else None."""
    if SQLITE.sqlite_version_info >= SAFE_SQLITE:
        return None
    return (
        f"SQLite {SQLITE.sqlite_version} can corrupt a database in WAL mode (fixed in 3.51.3): "
        "install the pysqlite3 wheel, or use PostgreSQL"
    )
