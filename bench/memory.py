"""What the idle shop weighs: `python -m bench.memory`.

The proportional set size (PSS, pages that processes share counted once) of every process of a shop as `make run`
starts it on a fresh machine, with requirements.txt and nothing else installed (some libraries import whatever they
find), once it has taken an order. Another shop of the same environment would share pages with it. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from tests.processes import RunningShop, running
from web.settings import ROOT

MOST_MB = 250
COUNTED = ("web", "worker", "valkey")


def megabytes(shop: RunningShop, kind: str) -> dict[str, float]:
    """By role, in millions of bytes: `pss`, or `uss`, the pages that one process alone has."""
    return {
        role: round(sum(getattr(psutil.Process(pid).memory_full_info(), kind) for pid in pids) / 1e6, 1)
        for role, pids in shop.pids().items()
    }


def fresh_environment(folder: Path) -> Path:
    """The Python of a new virtual environment that has what a shop needs, and no more."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    requirements = ["-r", str(ROOT / "requirements.txt")]
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements], check=True
    )
    return python


def weigh(prepared: RunningShop) -> tuple[dict[str, float], dict[str, float]]:
    """What a shop weighs once it has taken an order, and what of that is in pages of one process alone."""
    with running(prepared) as shop:
        shopper = shop.shopper()
        shopper.add("beech-spoon")
        order = shopper.check_out(Prefer="wait=10").body
        if order["status"] != "confirmed":
            raise SystemExit(f"the first order is {order['status']}")
        return megabytes(shop, "pss"), megabytes(shop, "uss")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--python", type=Path, help="of an environment that is there; unset: a new one is made")
    given = parser.parse_args()
    with TemporaryDirectory(prefix="oc") as name:
        folder = Path(name)
        python = given.python or fresh_environment(folder / "venv")
        found, alone = weigh(RunningShop(folder / "var", command=[str(python), "-m", "web.start"]))
    weight = round(sum(found[role] for role in COUNTED), 1)
    report: dict[str, Any] = {"idle_mb": weight, "budget_mb": MOST_MB, "by_role": found, "alone": alone}
    report["passed"] = weight <= MOST_MB
    print(json.dumps(report))
    if given.json:
        given.json.write_text(json.dumps(report, indent=1))
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
