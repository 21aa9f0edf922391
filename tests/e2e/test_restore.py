"""The day the disk was lost: an older backup is put in place, and what it does not know is settled again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select

from db import stock
from db.models import OrderRow, ProductRow
from db.session import Database
from tests.processes import RunningShop, Shopper, running
from tests.servers import until
from web.settings import ROOT

pytestmark = pytest.mark.e2e
SPOON, BOOK = "beech-spoon", "linen-notebook"


def flask(shop: RunningShop, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flask", "--app", "app", *arguments]
    return subprocess.run(command, cwd=ROOT, env=shop.environment, capture_output=True, text=True)


def buy(shop: RunningShop, shoppers: int, product_id: str, quantity: int) -> dict[str, Shopper]:
    """Let new shoppers check out: who is behind each order that was accepted."""
    accepted = {}
    for _ in range(shoppers):
        shopper = shop.shopper()
        assert shopper.add(product_id, quantity).status == 200
        answer = shopper.check_out()
        assert answer.status == 202
        accepted[answer.body["id"]] = shopper
    return accepted


def kill_everything(shop: RunningShop) -> None:
    """What a power cut does to the processes: none has time for anything."""
    assert shop.process is not None
    os.kill(shop.process.pid, signal.SIGKILL)
    for pid in shop.left_behind():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue  # It died with its parent.
    until(lambda: shop.left_behind() == [], 15, "everything to end")
    shop.close()


def shelves(database: Database) -> dict[str, tuple[int, int]]:
    """Each product's stock, and what its ledger adds up to."""
    with database.reading() as session:
        rows = session.execute(select(ProductRow.id, ProductRow.stock_quantity))
        return {product_id: (units, stock.ledger_balance(session, product_id)) for product_id, units in rows}


def test_every_accepted_order_is_there_again_after_an_older_backup_was_put_in_place(tmp_path: Path) -> None:
    var, backup = tmp_path / "var", tmp_path / "shop-backup.db"
    with running(RunningShop(var)) as shop:
        first = shelves(database := Database(f"sqlite:///{var}/shop.db"))
        database.close()
        before = buy(shop, 3, SPOON, 1)
        known = {order_id: shopper.outcome(order_id) for order_id, shopper in before.items()}
        kept = flask(shop, "backup", str(backup))
        assert kept.returncode == 0, kept.stderr
        after = buy(shop, 5, SPOON, 2) | buy(shop, 3, BOOK, 1)
        for order_id, shopper in after.items():
            assert shopper.outcome(order_id)["status"] == "confirmed"
        last = buy(shop, 2, BOOK, 2)  # Some of these may still wait when it all ends.
        kill_everything(shop)

    for name in ("shop.db", "shop.db-wal", "shop.db-shm"):
        (var / name).unlink(missing_ok=True)
    shutil.copy(backup, var / "shop.db")

    accepted = before | after | last
    with running(RunningShop(var)) as shop:
        shoppers = {order_id: Shopper(shop.address, who.token) for order_id, who in accepted.items()}
        for order_id in last:
            shoppers[order_id].outcome(order_id)
        mended = flask(shop, "reconcile")
        assert mended.returncode == 0, mended.stdout + mended.stderr
        assert " checkouts wait again, 0 cannot be read\n" in mended.stdout
        assert set(after) <= {line.split(":")[0].strip() for line in mended.stdout.splitlines()}

        ends = {order_id: shopper.outcome(order_id) for order_id, shopper in shoppers.items()}
        assert {end["status"] for end in ends.values()} == {"confirmed"}
        assert {order_id: ends[order_id] for order_id in known} == known
        assert len({end["number"] for end in ends.values()}) == len(accepted) == 13
        for order_id, shopper in shoppers.items():
            assert [order["id"] for order in shopper.ask("GET", "/api/orders").body["items"]] == [order_id]
            assert shopper.ask("GET", "/api/cart").body["items"] == []

        database = Database(f"sqlite:///{var}/shop.db")
        until(lambda: _orders(database) == len(accepted), what="every order to be in SQL again")
        there = shelves(database)
        database.close()
        assert there == {product_id: (units, units) for product_id, (units, _) in there.items()}
        sold = {product_id: first[product_id][0] - there[product_id][0] for product_id in there}
        assert {product_id: units for product_id, units in sold.items() if units} == {SPOON: 3 + 10, BOOK: 3 + 4}
        audit = flask(shop, "audit")
        assert audit.returncode == 0, audit.stdout + audit.stderr
        assert audit.stdout.endswith("every promise holds\n")


def _orders(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(OrderRow)) or 0
