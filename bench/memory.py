"""What the idle shop weighs: `python -m bench.memory`.

The proportional set size (PSS, pages that processes share counted once) of every process of a shop as `make run`
starts it, some seconds after it has answered its first shopper. Linux only.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from tests.processes import RunningShop, running

MOST_MB = 250
COUNTED = ("web", "worker", "valkey")


def megabytes(shop: RunningShop) -> dict[str, float]:
    """By role, in millions of bytes."""
    return {
        role: round(sum(psutil.Process(pid).memory_full_info().pss for pid in pids) / 1e6, 1)
        for role, pids in shop.pids().items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with TemporaryDirectory(prefix="oc") as folder, running(RunningShop(Path(folder) / "var")) as shop:
        shopper = shop.shopper()
        shopper.add("beech-spoon")
        order = shopper.check_out(Prefer="wait=10").body
        if order["status"] != "confirmed":
            raise SystemExit(f"the first order is {order['status']}")
        found = megabytes(shop)
    weight = round(sum(found[role] for role in COUNTED), 1)
    report = {"idle_mb": weight, "budget_mb": MOST_MB, "by_role": found, "passed": weight <= MOST_MB}
    print(json.dumps(report))
    if given.json:
        given.json.write_text(json.dumps(report, indent=1))
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
