"""What a newcomer does: clone, `make run`, the README's conversation, stop, start again."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.processes import RunningShop, Shopper, running
from web.settings import ROOT

pytestmark = pytest.mark.e2e
INSTALL_SECONDS = 400
MERCHANT = "Run the shop as a merchant"


def clone(to: Path) -> Path:
    """What git would hand out: every tracked file and what is about to be, nothing else."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in names.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    return to


def conversation(title: str) -> str:
    """What the README says to type under a title, as printed."""
    found = re.search(rf"## {title}\n.*?```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_a_fresh_clone_sells_and_ships_as_the_readme_says_and_remembers_after_a_kill(tmp_path: Path) -> None:
    folder = clone(tmp_path / "oncecart")
    shop = RunningShop(folder / "var", command=["make", "run"], folder=folder, patience=INSTALL_SECONDS)
    with running(shop):
        pass  # The first start installs everything; what follows starts in seconds.
    with running(shop):
        said = subprocess.run(
            ["bash", "-euc", f"{conversation('Shop with curl')}\necho ----\n{conversation(MERCHANT)}"],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "SHOP": shop.address},
            capture_output=True,
            text=True,
            check=True,
        )
        bought, done = said.stdout.split("----\n")
        order = json.loads(bought.strip().splitlines()[-1])
        assert order["status"] == "confirmed"
        assert order["total_amount"] == "35.83"
        assert "every promise holds" in done
        answers = [json.loads(line) for line in done.splitlines() if line.startswith("{")]
        teapot, received, counted, ledger, to_ship, shipped = answers
        assert teapot["price"] == "36.50"
        assert (received["stock_quantity"], counted["stock_quantity"]) == (36, 35)
        assert [movement["quantity"] for movement in ledger["items"]] == [-1, 24, 12]
        assert [entry["id"] for entry in to_ship["items"]] == [order["id"]]
        assert (shipped["id"], shipped["fulfillment_status"]) == (order["id"], "shipped")
        assert (folder / "orders.csv").read_text().count("ada@example.com") == 1
        token = next(
            line.split("\t")[-1] for line in (folder / "jar").read_text().splitlines() if "oncecart_session" in line
        )
        shopper = Shopper(shop.address, token)
        shopper.add("linen-notebook", 2)
        accepted = shopper.check_out().body["id"]
        for role in ("worker", "web", "valkey", "supervisord"):
            shop.kill(role)
    with running(shop):
        again = Shopper(shop.address, token)
        assert again.order(order["id"])["fulfillment_status"] == "shipped"
        assert again.outcome(accepted)["status"] == "confirmed"
        assert len(again.ask("GET", "/api/orders").body["items"]) == 2
