"""What watching a shop costs it: `python -m bench.ops`.

A flood of checkouts on a shop as `make run` starts it, again and again, in turns: watched (an open ops page that asks
each second, and a Prometheus that scrapes) and not watched. A turn lasts from the first checkout that is sent until
the last one is settled. Machines are noisy: each watched turn is held against the two beside it.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode

from bench.load import loaded_shop
from carts.connection import connect
from carts.figures import Figures
from tests.processes import RunningShop, Shopper

KEY = "the-key-of-the-benchmark"
CHECKOUTS = 5000
TURNS = 7
SHOPPERS = 16
SCRAPE_SECONDS = 15.0
MOST = 1.05
"""A watched turn may take so many times as long."""
PATIENCE_SECONDS = 300
SETTINGS = {
    "ADMIN_API_KEY": KEY,
    "RATE_LIMIT_ADDRESS": "0",
    "RATE_LIMIT_SESSIONS": "off",
    "RATE_LIMIT_CHECKOUT": "off",
}


class Watcher:
    """An ops page that is open, and a Prometheus."""

    def __init__(self, shop: RunningShop) -> None:
        self._shop = shop
        self._browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        page = self._read("/ops/login", urlencode({"key": KEY}).encode())
        self._word = re.findall(r'name="ops-token" content="([0-9a-f]+)"', page)[0]
        self._stop = threading.Event()
        self._since = 0
        self.looks = self.scrapes = 0

    def _read(self, path: str, body: bytes | None = None, **headers: str) -> str:
        request = urllib.request.Request(self._shop.address + path, body, headers)
        with self._browser.open(request, timeout=30) as answer:
            return str(answer.read().decode())

    def look(self) -> None:
        found = json.loads(self._read(f"/ops/live.json?since={self._since}", **{"X-Ops-Token": self._word}))
        self._since = found["at"] // 1000 - 3
        self.looks += 1
        if self.looks % 10 == 1:
            self._read("/ops/attention.json", **{"X-Ops-Token": self._word})

    def scrape(self) -> None:
        self._read("/metrics")
        self.scrapes += 1

    @contextmanager
    def watching(self) -> Iterator[None]:
        self._stop.clear()
        threads = [
            threading.Thread(target=self._repeat, args=(self.look, 1.0)),
            threading.Thread(target=self._repeat, args=(self.scrape, SCRAPE_SECONDS)),
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _repeat(self, what: Callable[[], object], seconds: float) -> None:
        while True:
            what()
            if self._stop.wait(seconds):
                return


def flood(shop: RunningShop, products: list[str], checkouts: int) -> float:
    """Fill so many carts, then check them all out; the seconds from the first checkout until all are settled."""
    store = Figures(connect(f"unix://{shop.var_dir}/valkey/valkey.sock"))
    wanted = store.look(()).totals.get("settled", 0) + checkouts

    def fill(number: int) -> Shopper:
        shopper = shop.shopper()
        answer = shopper.add(products[number % len(products)])
        assert answer.status == 200, answer.body
        return shopper

    def check_out(shopper: Shopper) -> None:
        answer = shopper.check_out()
        assert answer.status == 202, answer.body

    with ThreadPoolExecutor(SHOPPERS) as pool:
        shoppers = list(pool.map(fill, range(checkouts)))
        began = time.perf_counter()
        list(pool.map(check_out, shoppers))
    until = time.monotonic() + PATIENCE_SECONDS
    while store.look(()).totals.get("settled", 0) < wanted:
        if time.monotonic() > until:
            raise TimeoutError("the checkouts are not settled")
        time.sleep(0.02)
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.ops", description=__doc__)
    parser.add_argument("--checkouts", type=int, default=CHECKOUTS)
    parser.add_argument("--turns", type=int, default=TURNS, help="watched ones; there is one more that is not")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with loaded_shop(SETTINGS) as (shop, products):
        watcher = Watcher(shop)
        flood(shop, products, given.checkouts // 5)
        alone = [flood(shop, products, given.checkouts)]
        watched = []
        for turn in range(given.turns):
            with watcher.watching():
                watched.append(flood(shop, products, given.checkouts))
            alone.append(flood(shop, products, given.checkouts))
            print(f"turn {turn + 1}: alone {alone[-2]:.2f} s, watched {watched[-1]:.2f} s, alone {alone[-1]:.2f} s")
    ratios = [2 * mine / (alone[turn] + alone[turn + 1]) for turn, mine in enumerate(watched)]
    report = {
        "watched_to_alone": round(statistics.median(ratios), 3),
        "least": round(min(ratios), 3),
        "most": round(max(ratios), 3),
        "checkouts": given.checkouts,
        "looks": watcher.looks,
        "scrapes": watcher.scrapes,
        "passed": statistics.median(ratios) <= MOST,
    }
    print(json.dumps(report))
    if given.json:
        given.json.write_text(json.dumps(report, indent=1))
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
