"""The stores the tests run on.

`shop` is a whole shop on fakeredis and SQLite. `any_shop` is the same on every pair of stores there
is: the contracts of the stores and of the pipeline hold on a real Valkey and a real PostgreSQL too.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fakeredis
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from redis import Redis
from werkzeug.routing import Rule

from carts.connection import connect
from db.migrate import upgrade
from db.models import Base
from db.session import Database
from shop.rules import Rules, parse
from tasks.queues import connect_queue
from tests.harness import UNLIMITED, Clock, Shop
from tests.servers import postgres, postgres_programs, valkey
from web.settings import ROOT, Settings

hypothesis_settings.register_profile(
    "suite", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], print_blob=True
)
hypothesis_settings.load_profile("suite")


def _remembering_builders() -> None:
    """Let equal rules of all applications share the functions that Werkzeug writes for them.

    It compiles two for each rule of each application, which is two fifths of the time of a test that has one.
    """
    written: dict[tuple[object, ...], Any] = {}
    write = Rule._compile_builder

    def builder(rule: Rule, append_unknown: bool = True) -> Any:
        key = rule.rule, tuple(rule._trace), repr(rule.defaults), append_unknown
        if key not in written:
            written[key] = write(rule, append_unknown)
        return written[key]

    Rule._compile_builder = builder  # type: ignore[method-assign] # there is no other door


_remembering_builders()

for name in Settings.model_fields:  # The machine's own settings must not reach the tests.
    os.environ.pop(name.upper(), None)


@pytest.fixture(scope="session")
def rules() -> Rules:
    return parse((ROOT / "shop.toml").read_text())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, var_dir=tmp_path, web_threads=8, **UNLIMITED)


# ---------------------------------------------------------------- databases


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated database file to copy."""
    path = tmp_path_factory.mktemp("template") / "shop.db"
    database = Database(f"sqlite:///{path}")
    upgrade(database)
    database.checkpoint()
    database.close()
    return path


@pytest.fixture
def sqlite(sqlite_template: Path, tmp_path: Path) -> Iterator[Database]:
    path = tmp_path / "shop.db"
    shutil.copy(sqlite_template, path)
    database = Database(f"sqlite:///{path}")
    yield database
    database.close()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL's programs (initdb, pg_ctl) are not installed")
    with postgres(programs) as url:
        database = Database(url)
        upgrade(database)
        database.close()
        yield url


@pytest.fixture
def postgresql(postgres_url: str) -> Iterator[Database]:
    database = Database(postgres_url)
    names = ", ".join(table for table in Base.metadata.tables if table != "counters")
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")
        connection.exec_driver_sql("UPDATE counters SET value = 1000")
    yield database
    database.close()


# ---------------------------------------------------------------- Redis


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    with valkey() as url:
        yield url


@pytest.fixture
def fake_pair() -> tuple[Redis, Redis]:
    """One fake server, and two clients of it: ours (text) and RQ's (bytes)."""
    server = fakeredis.FakeServer()
    return (
        fakeredis.FakeRedis(server=server, decode_responses=True),
        fakeredis.FakeRedis(server=server),
    )


@pytest.fixture
def valkey_pair(valkey_url: str) -> Iterator[tuple[Redis, Redis]]:
    pair = connect(valkey_url), connect_queue(valkey_url)
    pair[0].flushall()
    yield pair
    for client in pair:
        client.close()


# ---------------------------------------------------------------- shops


@pytest.fixture
def shop(rules: Rules, fake_pair: tuple[Redis, Redis], sqlite: Database, clock: Clock, settings: Settings) -> Shop:
    return Shop(rules, *fake_pair, sqlite, clock, settings)


@pytest.fixture(
    params=[
        "fakeredis+sqlite",
        pytest.param("valkey+sqlite", marks=pytest.mark.real),
        pytest.param("valkey+postgresql", marks=pytest.mark.real),
    ]
)
def any_shop(request: pytest.FixtureRequest, rules: Rules, clock: Clock, settings: Settings) -> Shop:
    redis, database = request.param.split("+")
    pair = request.getfixturevalue("fake_pair" if redis == "fakeredis" else "valkey_pair")
    return Shop(rules, *pair, request.getfixturevalue(database), clock, settings)


@pytest.fixture
def real_shop(
    rules: Rules, valkey_pair: tuple[Redis, Redis], sqlite: Database, clock: Clock, settings: Settings
) -> Shop:
    """On a real Valkey: for what fakeredis cannot do (blocking, concurrency, pub/sub across threads)."""
    return Shop(rules, *valkey_pair, sqlite, clock, settings)
