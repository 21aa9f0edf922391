"""How throughput and latency grow with the number of shoppers: `python -m bench.curve`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench.journeys import told
from bench.load import NoLoad, loaded_shop, play

SHOPPERS = (1, 2, 4, 8, 16, 32, 64)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.curve", description=__doc__)
    parser.add_argument("--seconds", type=float, default=6, help="for each number of shoppers")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = []
    try:
        with loaded_shop() as (shop, products):
            play(shop, products, shoppers=8, seconds=3)
            for shoppers in SHOPPERS:
                load = play(shop, products, shoppers=shoppers, seconds=given.seconds)
                print(told(f"{shoppers} shoppers", load), flush=True)
                found.append(
                    {
                        "shoppers": shoppers,
                        "journeys_a_second": round(load.rate, 1),
                        "cpu_ms": round(load.cpu_ms(), 2),
                        **{name: getattr(load, name) for name in ("p50_ms", "p90_ms", "p99_ms", "max_ms")},
                        "refused": load.refused + load.errors,
                    }
                )
    except NoLoad as error:
        print(f"bench.curve: {error}", file=sys.stderr)
        return 2
    report = {"curve": found, "passed": not any(point["refused"] for point in found)}
    if given.json:
        given.json.write_text(json.dumps(report, indent=1))
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
