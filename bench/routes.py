"""What a request costs beyond Flask and its stores: `python -m bench.routes`.

A shop as `make run` starts it, and a bare Flask application (bench/bare.py) under the same server with as many
processes and threads, whose routes talk to the same Valkey and read the same SQLite with the same scripts and
statements. wrk asks both, in turns; the figure is the CPU time of the web processes for one request, by the
operating system's own accounting. A checkout is what an add and a checkout cost together, less an add.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.bare import DATABASE, LENGTHS, REDIS
from bench.load import NoLoad, loaded_shop, wrk
from tests.processes import RunningShop, Shopper
from tests.servers import free_port, until
from web.settings import ROOT

BUDGET = 1.6
ROUNDS, SECONDS, SHOPPERS = 5, 4.0, 8
SCRIPT = Path(__file__).with_name("routes.lua")
KINDS = ("add", "checkout", "order")


@dataclass(frozen=True, slots=True)
class Target:
    """Who is asked: where, and its processes."""

    address: str
    pids: list[int]
    token: str


def cost_us(target: Target, kind: str, products: list[str], order_id: str, seconds: float) -> float:
    """Microseconds of CPU of the target's processes for one request. Raises NoLoad."""
    size = [f"-t{SHOPPERS}", f"-c{SHOPPERS}", f"-d{seconds:.0f}s"]
    before = used(target.pids)
    run = subprocess.run(
        [wrk(), *size, "-s", str(SCRIPT), target.address, "--", kind, ",".join(products), order_id, target.token],
        capture_output=True,
        text=True,
        check=False,
    )
    spent = used(target.pids) - before
    told = re.search(r"^DONE (.*)$", run.stdout, re.MULTILINE)
    found = json.loads(told[1]) if told else {"good": 0, "bad": 0}
    if not found["good"] or found["bad"]:
        raise NoLoad(run.stdout + run.stderr)
    return float(1e6 * spent / found["good"])


def used(pids: list[int]) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return float(sum(each.user + each.system for each in times))


@contextmanager
def bare(shop: RunningShop, lengths: list[int]) -> Iterator[Target]:
    """The bare application on the shop's stores."""
    port = free_port()
    environment = shop.environment | {
        "PORT": str(port),
        REDIS: f"unix://{shop.var_dir}/valkey/valkey.sock",
        DATABASE: str(shop.var_dir / "shop.db"),
        LENGTHS: ",".join(map(str, lengths)),
    }
    process = subprocess.Popen([sys.executable, "-m", "bench.bare"], cwd=ROOT, env=environment)
    try:
        address = f"http://127.0.0.1:{port}"
        until(lambda: answers(address), 20, "the bare application")
        yield Target(address, [each.pid for each in psutil.Process(process.pid).children(recursive=True)], "bare")
    finally:
        process.terminate()
        process.wait()


def answers(address: str) -> bool:
    try:
        return Shopper(address).ask("POST", "/api/cart/add", {"product_id": "x"}).status == 200
    except OSError:
        return False


def measure(rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    """For each kind of request what ours and the bare one cost: the median of the rounds, and that of their ratios."""
    with loaded_shop() as (shop, products):
        shopper = shop.shopper()
        added = len(json.dumps(shopper.add(products[0]).body))
        accepted = shopper.check_out()
        order = shopper.outcome(accepted.body["id"])
        lengths = [added, len(json.dumps(accepted.body)), len(json.dumps(order))]
        ours = Target(shop.address, shop.pids()["web"][1:], shopper.token or "")
        with bare(shop, lengths) as other:
            found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
            for number in range(rounds + 1):
                cost = {
                    kind: [cost_us(each, kind, products, order["id"], seconds) for each in (ours, other)]
                    for kind in KINDS
                }
                # Half of those requests were adds.
                cost["checkout"] = [2 * both - add for both, add in zip(cost["checkout"], cost["add"], strict=True)]
                if number:  # The first round only warms everything up.
                    for kind, (mine, theirs) in cost.items():
                        found[kind].append((mine, theirs))
    return {
        kind: {
            "us": round(statistics.median(mine for mine, _ in pairs)),
            "bare_us": round(statistics.median(theirs for _, theirs in pairs)),
            "ratio": round(statistics.median(mine / theirs for mine, theirs in pairs), 2),
        }
        for kind, pairs in found.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.routes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each kind, of each application, in a round")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    try:
        found = measure(given.rounds, given.seconds)
    except NoLoad as error:
        print(f"bench.routes: {error}", file=sys.stderr)
        return 2
    for kind, figures in found.items():
        print(f"{kind}: {figures['us']} us of CPU, bare {figures['bare_us']}: {figures['ratio']} times")
    report = {"routes": found, "budget": BUDGET, "passed": all(f["ratio"] <= BUDGET for f in found.values())}
    print(json.dumps(report))
    if given.json:
        given.json.write_text(json.dumps(report, indent=1))
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
