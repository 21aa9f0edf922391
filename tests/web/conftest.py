"""A shopper in a whole shop, and a shop that lasts for all tests of a file that leave nothing behind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import fakeredis
import pytest

from db.session import Database
from shop.rules import Rules
from tests.harness import UNLIMITED, Client, Clock, Shop
from web.settings import Settings


@pytest.fixture
def shopper(shop: Shop) -> Client:
    return shop.shopper()


@pytest.fixture(scope="module")
def lasting_shop(rules: Rules, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("lasting")
    database = Database(f"sqlite:///{shutil.copy(sqlite_template, folder / 'shop.db')}")
    server = fakeredis.FakeServer()
    pair = fakeredis.FakeRedis(server=server, decode_responses=True), fakeredis.FakeRedis(server=server)
    yield Shop(rules, *pair, database, Clock(), Settings(_env_file=None, var_dir=folder, web_threads=8, **UNLIMITED))
    database.close()
