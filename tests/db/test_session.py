"""Two kinds of transaction, and what a database that is away, locked or unknown means to us."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from db import session as sessions
from db.models import CounterRow, ProductRow
from db.session import Database, UnusableDatabase, database_errors, make_engine, sqlite_warning
from shop.errors import Unavailable
from tests.servers import free_port

# ---------------------------------------------------------------- how SQLite is set up


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 10_000), ("mmap_size", 0)],
)
def test_sqlite_is_set_up_as_designed(sqlite: Database, pragma: str, value: object) -> None:
    with sqlite.reading() as reading, sqlite.writing() as writing:
        for session in (reading, writing):
            assert session.execute(text(f"PRAGMA {pragma}")).scalar() == value


def test_a_row_cannot_point_to_nothing(sqlite: Database) -> None:
    with pytest.raises(IntegrityError), sqlite.writing() as session:
        session.add(ProductRow(id="A", sku="A", name="A", price_minor=1, category_id=9, created_at=1, updated_at=1))


# ---------------------------------------------------------------- transactions


def test_what_was_written_is_read_and_what_threw_is_not(database: Database) -> None:
    with database.writing() as session:
        session.add(CounterRow(name="kept", value=1))
    with pytest.raises(KeyError), database.writing() as session:  # noqa: PT012
        session.add(CounterRow(name="lost", value=1))
        session.flush()
        raise KeyError

    with database.reading() as session:
        assert session.get(CounterRow, "kept") is not None
        assert session.get(CounterRow, "lost") is None
    with database.writing() as session:
        session.delete(session.get_one(CounterRow, "kept"))


def test_a_row_can_be_used_after_its_transaction(database: Database) -> None:
    with database.reading() as session:
        row = session.get_one(CounterRow, "order_number")

    assert row.value == 1000


def test_a_second_writer_waits_for_the_first(sqlite: Database) -> None:
    entered = threading.Event()

    def second() -> None:
        with sqlite.writing() as session:
            row = session.get_one(CounterRow, "order_number")
            entered.set()
            row.value += 10

    thread = threading.Thread(target=second)
    with sqlite.writing() as session:
        row = session.get_one(CounterRow, "order_number")
        thread.start()
        assert not entered.wait(timeout=0.2)
        row.value += 1
    thread.join(timeout=10)

    with sqlite.reading() as session:
        assert session.get_one(CounterRow, "order_number").value == 1011


def test_a_reader_does_not_wait_for_a_writer_and_sees_one_moment(database: Database) -> None:
    with database.writing() as writer:
        writer.get_one(CounterRow, "order_number").value = 2000
        writer.flush()
        with database.reading() as reader:
            assert reader.get_one(CounterRow, "order_number").value == 1000

    with database.reading() as reader:
        assert reader.scalar(text("SELECT value FROM counters")) == 2000
        with database.writing() as writer:
            writer.get_one(CounterRow, "order_number").value = 3000
        assert reader.scalar(text("SELECT value FROM counters")) == 2000
    with database.reading() as reader:
        assert reader.scalar(text("SELECT value FROM counters")) == 3000


def test_a_reader_that_writes_after_all_fails_when_somebody_wrote_in_between(sqlite: Database) -> None:
    with pytest.raises(Unavailable), sqlite.reading() as session:  # noqa: PT012
        row = session.get_one(CounterRow, "order_number")
        with sqlite.writing() as other:
            other.get_one(CounterRow, "order_number").value = 2000
        row.value = 3000


# ---------------------------------------------------------------- away


def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/no/such/folder/shop.db")

    for transaction in (database.reading, database.writing):
        with pytest.raises(Unavailable), transaction() as session:
            session.get(CounterRow, "order_number")
    with pytest.raises(Unavailable):
        database.ping()
    with pytest.raises(Unavailable):
        database.checkpoint()


def test_a_database_that_stays_locked_is_unavailable(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "BUSY_TIMEOUT_MS", 50)
    other = Database(sqlite.engine.url.render_as_string())

    with sqlite.writing() as first, pytest.raises(Unavailable), other.writing() as second:  # noqa: PT012
        first.get_one(CounterRow, "order_number")
        second.get_one(CounterRow, "order_number")
    other.close()


def test_a_pool_that_stays_empty_is_unavailable() -> None:
    with pytest.raises(Unavailable), database_errors():
        raise PoolTimeout


@pytest.mark.real
def test_a_postgresql_that_closes_the_connection_is_unavailable_and_found_again(
    postgresql: Database, postgres_url: str
) -> None:
    admin = Database(postgres_url)
    with pytest.raises(Unavailable), postgresql.writing() as session, admin.writing() as other:  # noqa: PT012
        pid = session.scalar(text("SELECT pg_backend_pid()"))
        other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        session.execute(text("UPDATE counters SET value = 1"))
    admin.close()

    with postgresql.reading() as session:
        assert session.get_one(CounterRow, "order_number").value == 1000


@pytest.mark.real
def test_a_postgresql_that_nobody_started_is_unavailable() -> None:
    database = Database(f"postgresql://shop@127.0.0.1:{free_port()}/shop")

    with pytest.raises(Unavailable):
        database.ping()


@pytest.mark.real
def test_a_postgresql_that_only_reads_is_unavailable_for_writing(postgresql: Database) -> None:
    """As after a failover, on a server that is not the primary any more."""
    with pytest.raises(Unavailable), postgresql.writing() as session:  # noqa: PT012
        session.execute(text("SET TRANSACTION READ ONLY"))
        session.execute(text("UPDATE counters SET value = 1"))


def test_our_own_mistakes_stay_what_they_are(database: Database) -> None:
    with pytest.raises(IntegrityError), database.writing() as session:
        session.add(CounterRow(name="order_number", value=1))


# ---------------------------------------------------------------- the write-ahead log


def test_a_checkpoint_empties_the_log(sqlite: Database) -> None:
    with sqlite.writing() as session:
        session.get_one(CounterRow, "order_number").value = 2000
    assert sqlite.wal_bytes() > 0

    sqlite.checkpoint()

    assert sqlite.wal_bytes() == 0
    with sqlite.reading() as session:
        assert session.get_one(CounterRow, "order_number").value == 2000


def test_a_checkpoint_does_not_wait_for_a_reader_nor_keep_writers_waiting(sqlite: Database) -> None:
    with sqlite.reading() as reader:
        reader.get_one(CounterRow, "order_number")
        with sqlite.writing() as session:
            session.get_one(CounterRow, "order_number").value = 2000
        # On a thread: SQLite's own patience of ten seconds would hold the lock that writers need.
        thread = threading.Thread(target=sqlite.checkpoint)
        thread.start()
        thread.join(timeout=3)
        assert not thread.is_alive()

    sqlite.checkpoint()
    assert sqlite.wal_bytes() == 0


def test_a_connection_is_patient_again_after_a_checkpoint(sqlite: Database) -> None:
    sqlite.checkpoint()

    with sqlite.reading() as session:
        assert session.scalar(text("PRAGMA busy_timeout")) == 10_000


def test_there_is_no_log_where_nothing_was_written(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/new.db")

    assert database.wal_bytes() == 0


@pytest.mark.real
def test_postgresql_keeps_its_own_log(postgresql: Database) -> None:
    postgresql.checkpoint()

    assert postgresql.wal_bytes() == 0
    assert not postgresql.is_sqlite()


# ---------------------------------------------------------------- what cannot be served


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("shop.db", "not a database URL"),
        ("", "not a database URL"),
        ("postgresql://shop@host:port/shop", "not a database URL"),
        ("sqlite://", "share a file"),
        ("sqlite:///:memory:", "share a file"),
        ("mysql://shop@host/shop", "mysql is not supported"),
        ("postgresql+asyncpg://shop@host/shop", "asyncpg is not supported"),
    ],
)
def test_a_url_that_cannot_be_served_says_what_to_write(url: str, says: str) -> None:
    with pytest.raises(UnusableDatabase, match=says) as caught:
        make_engine(url)

    assert str(caught.value).startswith("DATABASE_URL")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_is_served(scheme: str) -> None:
    engine = make_engine(f"{scheme}://shop:secret@127.0.0.1:1/shop")

    assert engine.dialect.name == "postgresql"
    assert engine.dialect.driver == "psycopg"


@pytest.mark.parametrize(("version", "safe"), [((3, 51, 2), False), ((3, 51, 3), True), ((3, 53, 4), True)])
def test_an_unsafe_sqlite_is_told_of(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], safe: bool
) -> None:
    monkeypatch.setattr(sessions.SQLITE, "sqlite_version_info", version)
    monkeypatch.setattr(sessions.SQLITE, "sqlite_version", ".".join(map(str, version)))

    warning = sqlite_warning()

    assert (warning is None) == safe
    assert safe or "SQLite 3.51.2 can corrupt" in str(warning)


def test_the_sqlite_we_are_tested_with_is_safe() -> None:
    assert sqlite_warning() is None


def test_a_damaged_database_file_is_away(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    path.write_bytes(b"this is no database, " * 400)
    database = Database(f"sqlite:///{path}")

    with pytest.raises(Unavailable), database.reading() as session:
        session.execute(text("SELECT 1 FROM counters"))
    database.close()
