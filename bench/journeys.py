"""Whole journeys a second, and what one costs: `python -m bench.journeys`.

A shop as `make run` starts it, on this machine's own disk, and wrk beside it on the same cores: each shopper begins a
session, adds two products, checks out with `Prefer: wait` and follows the order until it is over, then is the next
shopper. First as many as the shop can serve; then about half of that, for the time from the click to the confirmation.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench.load import Load, NoLoad, loaded_shop, play

WANTED_A_SECOND = 741
MOST_CPU_MS = 2.4
MOST_P50_MS, MOST_P99_MS = 25.0, 150.0
SHOPPERS = 32


def told(name: str, load: Load) -> str:
    cpu = ", ".join(f"{role} {load.cpu_ms(role):.2f}" for role in ("web", "worker", "valkey"))
    return (
        f"{name}: {load.rate:.0f} journeys a second, {load.cpu_ms():.2f} ms of CPU each ({cpu}), "
        f"click to end p50 {load.p50_ms:.1f} p99 {load.p99_ms:.1f} max {load.max_ms:.0f} ms, "
        f"{load.refused} refused, {load.errors} errors, {load.follows} follows"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.journeys", description=__doc__)
    parser.add_argument("--shoppers", type=int, default=SHOPPERS, help="at once, at full load")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--poll", action="store_true", help="ask again and again instead of waiting")
    parser.add_argument("--full-only", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    full: list[Load] = []
    half: list[Load] = []
    try:
        with loaded_shop() as (shop, products):
            play(shop, products, shoppers=given.shoppers, seconds=3, poll=given.poll)
            for _ in range(given.rounds):
                load = play(shop, products, shoppers=given.shoppers, seconds=given.seconds, poll=given.poll)
                full.append(load)
                print(told("full load", load), flush=True)
                if given.full_only:
                    continue
                # So long between two journeys that the same shoppers ask half as often.
                think_ms = round(2000 * given.shoppers / load.rate - 1000 * given.shoppers / load.rate / 2)
                load = play(
                    shop, products, shoppers=given.shoppers, seconds=given.seconds, think_ms=think_ms, poll=given.poll
                )
                half.append(load)
                print(told("half load", load), flush=True)
    except NoLoad as error:
        print(f"bench.journeys: {error}", file=sys.stderr)
        return 2
    found = {
        "journeys_a_second": round(min(load.rate for load in full)),
        "cpu_ms_a_journey": round(max(load.cpu_ms() for load in full), 2),
        **{f"{role}_cpu_ms": round(full[-1].cpu_ms(role), 2) for role in ("web", "worker", "valkey")},
        "full_p50_ms": full[-1].p50_ms,
        "full_p99_ms": full[-1].p99_ms,
        "refused": sum(load.refused + load.errors for load in (*full, *half)),
    }
    passed = found["journeys_a_second"] >= WANTED_A_SECOND and found["cpu_ms_a_journey"] <= MOST_CPU_MS
    if half:
        found |= {
            "half_load_journeys_a_second": round(half[-1].rate),
            "half_p50_ms": max(load.p50_ms for load in half),
            "half_p99_ms": max(load.p99_ms for load in half),
        }
        passed = passed and found["half_p50_ms"] <= MOST_P50_MS and found["half_p99_ms"] <= MOST_P99_MS
    report = {**found, "passed": passed and not found["refused"]}
    print(json.dumps(report))
    if given.json:
        given.json.write_text(json.dumps(report, indent=1))
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
