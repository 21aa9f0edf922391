"""Four settle workers on one PostgreSQL, as processes: they fight over few units, stand still, and are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from carts import keys
from carts.connection import answers, connect
from carts.inbox import Inbox
from carts.shards import shard_of
from db import stock
from db.models import ProductRow
from db.session import Database
from tasks.queues import checkout_queues
from tests.processes import RunningShop, Shopper, running
from tests.servers import until
from web.settings import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.real]
SHARDS = 4
MUG = "enamel-mug"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[RunningShop]:
    """An open shop with four shards; whatever the tests did to it, its audit finds nothing in the end."""
    database = Database(postgres_url)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("CREATE DATABASE shards")
    database.close()
    settings = {"DATABASE_URL": postgres_url.removesuffix("/postgres") + "/shards", "SETTLE_SHARDS": str(SHARDS)}
    with running(RunningShop(tmp_path_factory.mktemp("shards") / "var", settings=settings)) as found:
        yield found
        command = [sys.executable, "-m", "flask", "--app", "app", "audit"]
        audit = subprocess.run(command, cwd=ROOT, env=found.environment, capture_output=True, text=True)
        assert audit.returncode == 0, audit.stdout + audit.stderr


def redis(shop: RunningShop) -> Any:
    return answers(connect(f"unix://{shop.var_dir}/valkey/valkey.sock"))


def workers(shop: RunningShop) -> dict[str, int]:
    """The process of each shard's queue, once all of them are there."""

    def alive() -> dict[str, int] | None:
        with redis(shop) as client:
            names = {queue: client.zrevrange(keys.heartbeats(queue), 0, 0) for queue in checkout_queues(SHARDS)}
        found = {queue: int(newest[0].rsplit(":", 1)[1]) for queue, newest in names.items() if newest}
        return found if len(found) == SHARDS and set(found.values()) <= set(shop.pids()["worker"]) else None

    return until(alive, 30, "a worker of every shard") or {}


def count_stock(shop: RunningShop, product_id: str, quantity: int) -> None:
    """Count a product's stock, with the movement that says so."""
    database = Database(shop.settings["DATABASE_URL"])
    with database.writing() as session:
        row = session.get(ProductRow, product_id)
        assert row is not None
        stock.move(session, product_id, quantity - row.stock_quantity, stock.Note("adjusted", row.updated_at))
    database.close()


def on_hand(shop: RunningShop, product_id: str) -> int:
    database = Database(shop.settings["DATABASE_URL"])
    with database.reading() as session:
        row = session.get(ProductRow, product_id)
        found = row.stock_quantity if row else -1
    database.close()
    return found


def checked_out(shop: RunningShop, product_id: str) -> tuple[Shopper, str]:
    """A new shopper's accepted checkout of one unit."""
    shopper = shop.shopper()
    until(lambda: shopper.add(product_id).status == 200, what="the new stock to be seen")
    answer = shopper.check_out()
    assert answer.status == 202, answer.body
    return shopper, answer.body["id"]


def test_four_workers_that_fight_over_few_units_sell_exactly_those(shop: RunningShop) -> None:
    count_stock(shop, MUG, 60)
    stopped = list(workers(shop).values())
    for pid in stopped:  # So that all there is to fight over is there when they begin.
        os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(8) as many:
        accepted = list(many.map(lambda _: checked_out(shop, MUG), range(300)))
    with redis(shop) as client:
        waits = [Inbox(client, 60, own=shard, shards=SHARDS).size() for shard in range(SHARDS)]
    assert waits == [sum(shard_of(order_id, SHARDS) == shard for _, order_id in accepted) for shard in range(SHARDS)]

    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    orders = [shopper.outcome(order_id) for shopper, order_id in accepted]

    assert Counter(order["status"] for order in orders) == {"confirmed": 60, "failed": 240}
    assert {order["failure"]["code"] for order in orders if order["failure"]} <= {"out_of_stock", "insufficient_stock"}
    numbers = sorted(int(order["number"]) for order in orders if order["number"])
    assert numbers == list(range(numbers[0], numbers[0] + 60))
    assert on_hand(shop, MUG) == 0


def test_a_killed_worker_holds_up_nobody_and_its_own_end_too(shop: RunningShop) -> None:
    count_stock(shop, MUG, 500)
    accepted = []
    for _ in range(10):
        accepted += [checked_out(shop, MUG) for _ in range(5)]
        os.kill(workers(shop)["checkout-1"], signal.SIGKILL)

    assert {shopper.outcome(order_id)["status"] for shopper, order_id in accepted} == {"confirmed"}
    assert on_hand(shop, MUG) == 450


def test_a_worker_that_stands_still_is_stood_in_for_and_doubles_nothing_when_it_goes_on(shop: RunningShop) -> None:
    count_stock(shop, MUG, 500)
    still = workers(shop)["checkout-2"]
    os.kill(still, signal.SIGSTOP)
    accepted = [checked_out(shop, MUG) for _ in range(20)]
    its = {order_id for _, order_id in accepted if shard_of(order_id, SHARDS) == 2}

    outcomes = {order_id: shopper.outcome(order_id) for shopper, order_id in accepted if order_id not in its}
    assert {order["status"] for order in outcomes.values()} == {"confirmed"}

    outcomes |= {order_id: shopper.outcome(order_id) for shopper, order_id in accepted if order_id in its}
    os.kill(still, signal.SIGCONT)
    outcomes |= {order_id: shopper.outcome(order_id) for shopper, order_id in accepted}

    assert {order["status"] for order in outcomes.values()} == {"confirmed"}
    assert on_hand(shop, MUG) == 480
    late = checked_out(shop, MUG)
    assert late[0].outcome(late[1])["status"] == "confirmed"


def test_readiness_names_every_shard(shop: RunningShop) -> None:
    checks = shop.shopper().ask("GET", "/readyz").body["checks"]

    assert {name for name in checks if name.startswith("worker:checkout")} == {
        "worker:checkout",
        "worker:checkout-1",
        "worker:checkout-2",
        "worker:checkout-3",
    }


@pytest.mark.parametrize(("word", "shards"), [("checkout-4", "4"), ("chekout", "2"), ("checkout-1", "1")])
def test_a_queue_that_is_not_there_is_refused_by_one_line(shop: RunningShop, word: str, shards: str) -> None:
    environment = shop.environment | {"SETTLE_SHARDS": shards}
    command = [sys.executable, "worker.py", word]
    refused = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)

    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert line.startswith(
        f"oncecart: no such queue: {word}; with SETTLE_SHARDS={shards} there are checkout, checkout-0"
    )
