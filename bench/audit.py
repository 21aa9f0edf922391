"""How long `flask audit` takes on a large shop, and in how much memory: `python -m bench.audit --orders 1000000`.

Fills a scratch shop on SQLite (or takes the folder of one that `bench.fill` made), starts a Valkey as
`make run` does, and runs the very command that an operator types.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.fill import target
from bench.settle import valkey
from web.settings import ROOT

SECONDS_A_MILLION = 120.0
START_SECONDS = 3.0
"""What starting Python and reading the settings may take on a busy machine, whatever the shop's size."""
MOST_MIB = 300
MILLION = 1_000_000
AUDIT = (sys.executable, "-m", "flask", "--app", "app", "audit")


def audit(folder: Path) -> tuple[int, float, float]:
    """Run `flask audit` on a folder's shop: its exit code, the seconds it took, its peak memory in MiB."""
    with tempfile.TemporaryDirectory(prefix="oc") as name, valkey(Path(name) / "valkey"):
        stores = {"VAR_DIR": str(folder), "REDIS_URL": f"unix://{name}/valkey/s", "DATABASE_URL": target(str(folder))}
        started = time.monotonic()
        process = subprocess.Popen(AUDIT, cwd=ROOT, env={**os.environ, **stores})
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    kib = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return process.returncode, seconds, kib / 1024


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure flask audit against its budget.")
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="A shop of so many orders that bench.fill made; it is kept.")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="oc") as name:
        folder: Path = given.folder or Path(name)
        if given.folder is None:
            # In a process of its own: what runs the audit passes its own peak memory on to it.
            filling = (sys.executable, "-m", "bench.fill", "--products", "1000", "--orders", str(given.orders), name)
            subprocess.run(filling, cwd=ROOT, check=True)
        code, seconds, mib = audit(folder)
    budget = START_SECONDS + SECONDS_A_MILLION * given.orders / MILLION
    result = {
        "audit_orders": given.orders,
        "seconds": round(seconds, 1),
        "budget_seconds": round(budget, 1),
        "orders_per_second": round(given.orders / seconds),
        "peak_mib": round(mib),
        "budget_mib": MOST_MIB,
        "clean": code == 0,
        "passed": code == 0 and seconds <= budget and mib <= MOST_MIB,
    }
    print(json.dumps(result))
    sys.exit(0 if result["passed"] else 1)


if __name__ == "__main__":
    main()
