"""The migrations make exactly the tables of the models, on both databases."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, inspect, select, text
from sqlalchemy.exc import IntegrityError

from db.migrate import is_current, upgrade
from db.models import SEARCH_INDEXES, Base, CounterRow
from db.session import Database
from shop.errors import Unavailable
from tests.carts.sample import at_once
from web.settings import ROOT


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Database]:
    """A database file that no migration has seen."""
    database = Database(f"sqlite:///{tmp_path}/empty.db")
    yield database
    database.close()


@pytest.fixture
def empty_postgresql(postgres_url: str) -> Iterator[Database]:
    admin = Database(postgres_url)
    with admin.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("DROP DATABASE IF EXISTS empty WITH (FORCE)"))
        connection.execute(text("CREATE DATABASE empty"))
    database = Database(postgres_url.rsplit("/", 1)[0] + "/empty")
    yield database
    database.close()
    admin.close()


def _is_ours(name: str | None, *_of: object) -> bool:
    """Whether the models speak of it: not what makes one database's search, and keeps it (`product_search_data`)."""
    return name is None or not name.startswith(tuple(SEARCH_INDEXES))


def test_the_migrations_make_the_models_and_nothing_else(database: Database) -> None:
    with database.engine.connect() as connection:
        opts = {"compare_type": True, "compare_server_default": True, "include_name": _is_ours}
        context = MigrationContext.configure(connection, opts=opts)

        assert compare_metadata(context, Base.metadata) == []
        tables = filter(_is_ours, inspect(connection).get_table_names())
        assert set(tables) == {*Base.metadata.tables, "alembic_version"}


def test_every_constraint_of_the_models_is_in_the_database(database: Database) -> None:
    with database.engine.connect() as connection:
        there = inspect(connection)
        for name, table in Base.metadata.tables.items():
            checks = {constraint.name for constraint in table.constraints if isinstance(constraint, CheckConstraint)}
            assert {check["name"] for check in there.get_check_constraints(name)} == checks
            indexes = {index.name: index.unique for index in table.indexes}
            found = {
                index["name"]: bool(index["unique"])
                for index in there.get_indexes(name)
                if "duplicates_constraint" not in index and _is_ours(index["name"])
            }
            assert found == indexes


def test_migrating_again_changes_nothing(database: Database) -> None:
    with database.writing() as session:
        session.get_one(CounterRow, "order_number").value = 1234

    upgrade(database)

    assert is_current(database)
    with database.reading() as session:
        assert session.scalar(select(CounterRow.value)) == 1234


def test_a_database_without_its_tables_is_not_current_and_not_ready(empty: Database) -> None:
    assert not is_current(empty)
    with pytest.raises(Unavailable):
        empty.ping()

    upgrade(empty)

    assert is_current(empty)
    empty.ping()


def test_two_processes_that_migrate_a_file_at_once_take_turns(empty: Database) -> None:
    urls = [empty.engine.url.render_as_string()] * 2

    _migrate_together(urls)

    assert is_current(empty)


@pytest.mark.real
def test_two_hosts_that_migrate_at_once_take_turns(empty_postgresql: Database) -> None:
    urls = [empty_postgresql.engine.url.render_as_string(hide_password=False)] * 2

    _migrate_together(urls)

    assert is_current(empty_postgresql)


def _migrate_together(urls: list[str]) -> None:
    """`python -m db.migrate` as two processes: Alembic keeps its context in globals."""

    def migrate(number: int) -> int:
        command = [sys.executable, "-m", "db.migrate"]
        return subprocess.run(command, cwd=ROOT, env={**os.environ, "DATABASE_URL": urls[number]}).returncode

    assert at_once(len(urls), migrate) == [0] * len(urls)


def test_every_table_of_sqlite_is_strict(sqlite: Database) -> None:
    with sqlite.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'").all()

    tables = {name: strict for name, strict in rows if name in Base.metadata.tables}
    assert tables == dict.fromkeys(Base.metadata.tables, 1)


def test_a_whole_number_does_not_take_text(sqlite: Database) -> None:
    with sqlite.engine.connect() as connection, pytest.raises(Exception, match="cannot store TEXT value in INTEGER"):
        connection.exec_driver_sql("UPDATE counters SET value = 'many'")


# ---------------------------------------------------------------- from an older shop


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def any_empty(request: pytest.FixtureRequest) -> Database:
    name = "empty" if request.param == "sqlite" else "empty_postgresql"
    found: Database = request.getfixturevalue(name)
    return found


def _old_order(order_id: str, email: str, failure: str | None) -> dict[str, object]:
    texts = ("session_id", "cart_id", "fingerprint", "currency", "shipping_method", "payment_method")
    amounts = ("cart_version", "subtotal_minor", "total_minor", "tax_minor", "shipping_minor")
    times = ("created_at", "accepted_at", "updated_at")
    return {
        "id": order_id,
        "email": email,
        "failure": failure,
        "status": "failed" if failure else "confirmed",
        "payment_status": "pending",
        "fulfillment_status": "unfulfilled",
        "billing_address": "{}",
        "quote": "{}",
        **dict.fromkeys(texts, order_id),
        **dict.fromkeys((*amounts, *times), 1),
    }


def test_the_orders_of_an_older_shop_can_be_found_and_shipped(any_empty: Database) -> None:
    upgrade(any_empty, "0001")
    rows = [_old_order("a", "Ada@Example.com", None), _old_order("b", "b@x.org", '{"code": "out_of_stock"}')]
    names = ", ".join(rows[0])
    marks = ", ".join(f":{name}" for name in rows[0])
    with any_empty.writing() as session:
        session.execute(text(f"INSERT INTO orders ({names}) VALUES ({marks})"), rows)

    upgrade(any_empty)

    with any_empty.writing() as session:
        found = session.execute(text("SELECT id, email_lower, failure_code FROM orders ORDER BY id")).all()
        session.execute(text("UPDATE orders SET fulfillment_status = 'partially_shipped' WHERE id = 'a'"))
    assert [tuple(row) for row in found] == [("a", "ada@example.com", None), ("b", "b@x.org", "out_of_stock")]
    with pytest.raises(IntegrityError), any_empty.writing() as session:
        session.execute(text("UPDATE orders SET fulfillment_status = 'lost' WHERE id = 'a'"))


def test_a_migrated_file_is_sound(empty: Database) -> None:
    upgrade(empty, "0001")
    upgrade(empty)

    with empty.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
