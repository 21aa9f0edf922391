"""Whole shops under whole journeys: what wrk does to one, and what that costs each of its processes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from sqlalchemy import select

from db.models import ProductRow, StockMovementRow
from db.session import Database
from tests.processes import RunningShop, running

SCRIPT = Path(__file__).with_name("journeys.lua")
PRODUCTS = 20
PLENTY = 100_000_000


class NoLoad(RuntimeError):
    """The load could not be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw in one run, and the CPU of the shop's processes in seconds by role."""

    journeys: int
    seconds: float
    refused: int
    follows: int
    requests: int
    errors: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    cpu_seconds: Mapping[str, float]

    @property
    def rate(self) -> float:
        """Journeys a second."""
        return self.journeys / self.seconds

    def cpu_ms(self, *roles: str) -> float:
        """Milliseconds of CPU a journey, of these roles or of all that serve it."""
        wanted = roles or ("web", "worker", "valkey")
        return 1000 * sum(self.cpu_seconds.get(role, 0.0) for role in wanted) / max(1, self.journeys)


@contextmanager
def loaded_shop(settings: Mapping[str, str] | None = None) -> Iterator[tuple[RunningShop, list[str]]]:
    """An open shop as `make run` starts it, and the products of which it has more than anybody wants."""
    with TemporaryDirectory(prefix="oc") as folder:
        var_dir = Path(folder) / "var"
        with running(RunningShop(var_dir, settings={"LOG_LEVEL": "warning", **(settings or {})})) as shop:
            yield shop, stock_up(shop.settings.get("DATABASE_URL") or f"sqlite:///{var_dir}/shop.db")


def stock_up(database_url: str) -> list[str]:
    """Receive plenty of some products; their ids."""
    database = Database(database_url)
    with database.writing() as session:
        wanted = select(ProductRow).where(ProductRow.is_active).order_by(ProductRow.id).limit(PRODUCTS)
        rows = session.scalars(wanted).all()
        for row in rows:
            session.add(StockMovementRow(product_id=row.id, kind="received", quantity=PLENTY, at=row.updated_at))
            row.stock_quantity += PLENTY
        found = [row.id for row in rows]
    database.close()
    return found


def play(
    shop: RunningShop, products: list[str], *, shoppers: int, seconds: float, think_ms: int = 0, poll: bool = False
) -> Load:
    """So many shoppers at once, one journey after the other. Raises NoLoad."""
    size = [f"-t{shoppers}", f"-c{shoppers}", f"-d{seconds:.0f}s", "--timeout", "30s"]
    arguments = [",".join(products), "poll" if poll else "wait", str(think_ms)]
    before = cpu_seconds(shop)
    run = subprocess.run(
        [wrk(), *size, "-s", str(SCRIPT), shop.address, "--", *arguments], capture_output=True, text=True, check=False
    )
    after = cpu_seconds(shop)
    told = re.search(r"^JOURNEYS (.*)$", run.stdout, re.MULTILINE)
    if told is None:
        raise NoLoad(run.stdout + run.stderr)
    if refused := re.search(r"^REFUSED (.*)$", run.stdout, re.MULTILINE):
        print(f"refused, for instance: {refused[1]}", flush=True)
    spent = {role: after[role] - before.get(role, 0.0) for role in after}
    return Load(**json.loads(told[1]), cpu_seconds=spent)


def wrk() -> str:
    """The load generator's path. Raises NoLoad."""
    found = shutil.which("wrk")
    if found is None:
        raise NoLoad("wrk is not installed; on Debian: apt-get install wrk")
    return found


def cpu_seconds(shop: RunningShop) -> dict[str, float]:
    """What each role's processes have used so far, by the operating system's accounting."""
    found: dict[str, float] = {}
    for role, pids in shop.pids().items():
        found[role] = sum(_used(pid) for pid in pids)
    return found


def _used(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
