"""Metrics of several web processes are those of one shop, whatever dies."""

from __future__ import annotations

import os
import re
import signal
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.processes import RunningShop, running
from tests.servers import until

pytestmark = pytest.mark.e2e

MANY = 200
SAMPLE = re.compile(r"^(oncecart_\w+)(\{[^}]*\})? (\S+)$", re.MULTILINE)


def figures(shop: RunningShop) -> dict[str, float]:
    """What /metrics says; asked again when the process that was asked has just been killed."""
    return until(lambda: figures_told(shop), what="/metrics to answer")


def figures_told(shop: RunningShop) -> dict[str, float]:
    try:
        with urllib.request.urlopen(f"{shop.address}/metrics", timeout=20) as answer:
            text = answer.read().decode()
    except ConnectionError:
        return {}
    return {f"{name}{labels}": float(value) for name, labels, value in SAMPLE.findall(text)}


def asked(shop: RunningShop, route: str, status: str = "2xx", method: str = "GET") -> float:
    labels = f'{{method="{method}",route="{route}",status="{status}"}}'
    return figures(shop).get(f"oncecart_http_requests_total{labels}", 0)


def died(shop: RunningShop, role: str) -> float:
    return figures(shop)[f'oncecart_process_deaths_total{{role="{role}"}}']


def ask_many(shop: RunningShop) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: shop.shopper().ask("GET", "/healthz").status, range(MANY)))
    assert answers == [200] * MANY


def counting_processes(shop: RunningShop) -> int:
    """How many processes have counted requests: each has a file of its own."""
    return len(list((shop.var_dir / "metrics" / "web-1").glob("histogram_*.db")))


def test_requests_are_counted_to_the_last_one_by_several_processes_and_over_their_deaths(tmp_path: Path) -> None:
    with running(RunningShop(tmp_path / "var", settings={"WEB_WORKERS": "2"})) as shop:
        ask_many(shop)
        until(lambda: bool(ask_many(shop)) or counting_processes(shop) == 2, what="both processes to have served")
        before = asked(shop, "/healthz")
        assert before % MANY == 0

        _, victim, other = shop.pids()["web"]
        os.kill(victim, signal.SIGKILL)
        until(lambda: died(shop, "web") == 1, what="the process to be replaced")
        # What it had counted is still there, and its successor goes on with it.
        assert asked(shop, "/healthz") == before
        ask_many(shop)

        assert asked(shop, "/healthz") == before + MANY
        assert counting_processes(shop) == 2
        assert other in shop.pids()["web"]


def test_a_killed_worker_is_counted_and_a_closed_shop_is_not(tmp_path: Path) -> None:
    shop = RunningShop(tmp_path / "var")
    with running(shop):
        shop.kill("worker", slice(1, 2))
        until(lambda: sum(died(shop, role) for role in ("checkout", "payments")) == 1, what="the worker to be replaced")
        shopper = shop.shopper()
        shopper.add("beech-spoon")
        accepted = shopper.check_out().body["id"]
        assert shopper.outcome(accepted)["status"] == "confirmed"
        assert figures(shop)["oncecart_checkouts_settled_total"] == 1
    with running(shop):
        found = figures(shop)

    assert (
        sum(found[f'oncecart_process_deaths_total{{role="{role}"}}'] for role in ("web", "checkout", "payments")) == 1
    )
    # Requests begin anew with the web; what the shop has sold does not.
    assert found["oncecart_checkouts_accepted_total"] == found["oncecart_checkouts_settled_total"] == 1
