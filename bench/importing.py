"""How long `flask products import` takes, and in how much memory: `python -m bench.importing --products 100000`.

Makes a file of so many products in random order, starts a Valkey as `make run` does, and runs the very
command that a merchant types on an empty shop, then once more: the second time changes nothing.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.settle import valkey
from db.migrate import upgrade
from db.session import Database
from web.settings import ROOT

SECONDS_A_HUNDRED_THOUSAND = 60.0
MOST_MIB = 200
COLUMNS = ("sku", "name", "description", "price", "category", "stock_quantity", "images", "weight_grams")


def write_file(path: Path, products: int) -> None:
    """A catalogue with descriptions of some 500 characters, in no order."""
    numbers = list(range(products))
    random.Random(7).shuffle(numbers)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for n in numbers:
            text = f"Number {n}: made to be used every day, and to be mended. " * 9
            price = f"{n % 90 + 5}.{n % 100:02d}"
            image = f"https://images.example/{n}.jpg"
            rows.writerow([f"SKU-{n}", f"Product {n}", text, price, f"Category {n % 40}", n % 50, image, 250])


def command(file: Path, folder: Path, redis_url: str) -> tuple[str, float, float]:
    """Run the import: what it said at the end, the seconds it took, its peak memory in MiB."""
    arguments = (sys.executable, "-m", "flask", "--app", "app", "products", "import", str(file))
    stores = {"VAR_DIR": str(folder), "REDIS_URL": redis_url, "DATABASE_URL": f"sqlite:///{folder}/shop.db"}
    started = time.monotonic()
    process = subprocess.Popen(arguments, cwd=ROOT, env={**os.environ, **stores}, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.read().strip()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the import failed: {said}")
    kib = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return said, time.monotonic() - started, kib / 1024


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure flask products import against its budget.")
    parser.add_argument("--products", type=int, default=100_000)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="oc") as name, valkey(Path(name) / "valkey"):
        folder = Path(name)
        database = Database(f"sqlite:///{folder}/shop.db")
        upgrade(database)
        database.close()
        write_file(folder / "products.csv", given.products)
        redis_url = f"unix://{name}/valkey/s"
        first, seconds, mib = command(folder / "products.csv", folder, redis_url)
        again, seconds_again, _ = command(folder / "products.csv", folder, redis_url)
    budget = max(5.0, SECONDS_A_HUNDRED_THOUSAND * given.products / 100_000)
    idle = f"{given.products:,} unchanged" in again
    result = {
        "import_products": given.products,
        "seconds": round(seconds, 1),
        "seconds_again": round(seconds_again, 1),
        "budget_seconds": round(budget, 1),
        "peak_mib": round(mib),
        "budget_mib": MOST_MIB,
        "said": [first, again],
        "passed": idle and seconds <= budget and mib <= MOST_MIB,
    }
    print(json.dumps(result))
    sys.exit(0 if result["passed"] else 1)


if __name__ == "__main__":
    main()
