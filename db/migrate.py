"""Bringing the database to the newest migration: `python -m db.migrate`."""

from __future__ import annotations

import os
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from db.session import Database, database_errors, take_turns

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(database: Database, to: str = "head") -> None:
    """Apply what is missing up to a migration, all in one transaction; harmless when nothing is. Raises Unavailable."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database_errors(), database.engine.execution_options(writes=True).begin() as connection:
        if not database.is_sqlite():
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # A large shop's new index takes its time.
        take_turns(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, to)


def is_current(database: Database) -> bool:
    """Whether the database has every migration this code was written for."""
    newest = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() == newest


if __name__ == "__main__":
    upgrade(Database(os.environ["DATABASE_URL"]))
