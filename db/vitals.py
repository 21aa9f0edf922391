"""How the database is: what `flask doctor` asks it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from db.session import SQLITE, Database, database_errors

_SYNCHRONOUS = {0: "off", 1: "normal", 2: "full", 3: "extra"}


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the database says of itself; the members that only the other kind has are None."""

    server: str
    """Its kind and version."""
    version: tuple[int, ...]
    migrated: bool
    """Whether it has every migration that this code was written for."""
    clock_ms: int | None = None
    journal_mode: str | None = None
    synchronous: str | None = None


def file(database: Database) -> Path | None:
    """The file of an SQLite database."""
    return Path(str(database.engine.url.database)) if database.is_sqlite() else None


def look(database: Database) -> Vitals:
    """Ask the database. Raises Unavailable when it is away."""
    from db.migrate import is_current  # Alembic is 10 MB, and no serving process needs it.

    with database_errors():
        migrated = is_current(database)
        with database.engine.connect() as connection:
            if database.is_sqlite():
                mode, level = (
                    connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                    for name in ("journal_mode", "synchronous")
                )
                version = SQLITE.sqlite_version_info
                return Vitals(
                    server=f"SQLite {SQLITE.sqlite_version}",
                    version=version,
                    migrated=migrated,
                    journal_mode=str(mode),
                    synchronous=_SYNCHRONOUS.get(int(level), str(level)),
                )
            query = "SELECT current_setting('server_version'), extract(epoch FROM clock_timestamp()) * 1000"
            text, clock_ms = connection.exec_driver_sql(query).one()
            version = tuple(int(part) for part in connection.dialect.server_version_info or ())
            return Vitals(f"PostgreSQL {text}", version, migrated, clock_ms=int(clock_ms))
