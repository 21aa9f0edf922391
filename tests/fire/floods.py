"""Many shoppers at once: for few units, by double click, on one cart, and while nobody settles.

    python -m tests.fire.floods [--long] [--seed N] [--json FILE]

Real processes. Exactly as much is sold as there was, nobody is told of a server's error but an honest 503, and the
checker finds every promise kept. Exits with 1 when something was found.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from sqlalchemy import func, select

from db.models import OrderItemRow, OrderRow
from db.session import Database
from tests.fire.checker import Report, check, unfinished
from tests.fire.client import Cart, Log, LoggingShopper
from tests.fire.wire import QuickLoggingShopper, QuickShopper, hang_up
from tests.processes import Answer, RunningShop, running
from tests.servers import until

T = TypeVar("T")

ADMIN_KEY = "the-key-of-the-floods"
LINES = 96
"""Requests under way at a time, half of what the web takes in at once and more than it has cores for."""
TABS = 24
"""The same on one cart: with more, a checkout hardly ever finds it as it was priced."""
PATIENCE_SECONDS, DRAIN_SECONDS = 60, 600
SCARCE, CLICKED, SHARED, COMMON = "enamel-mug", "linen-notebook", "beech-spoon", "cedar-pencil"
PLENTY = 1_000_000
CARD = {"payment_method": "card", "payment_token": "tok_approve"}
LOST = frozenset({"cart_empty", "already_checked_out"})
SOLD_OUT = frozenset({"insufficient_stock", "out_of_stock"})
REFUSALS = {
    409: frozenset({"cart_changed", "quantity_limit_exceeded", *LOST, *SOLD_OUT}),
    404: frozenset({"item_not_found"}),
    503: frozenset({"service_unavailable", "overloaded"}),
}
"""Whatever else is answered but 200 and 202 is a violation."""


@dataclass(frozen=True, slots=True)
class Sizes:
    shoppers: int
    units: int
    clickers: int
    requests: int
    burst: int


SHORT = Sizes(shoppers=400, units=20, clickers=30, requests=200, burst=500)
LONG = Sizes(shoppers=10_000, units=100, clickers=200, requests=1_000, burst=20_000)


@dataclass
class Floods:
    """A running shop under water, and what was seen."""

    shop: RunningShop
    log: Log
    log_path: Path
    seed: int
    figures: dict[str, Any] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    answers: Counter[tuple[int, str]] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    """How long each answer of the flood that is under way took."""

    @property
    def stores(self) -> tuple[str, str]:
        return f"sqlite:///{self.shop.var_dir}/shop.db", f"unix://{self.shop.var_dir}/valkey/valkey.sock"

    # ------------------------------------------------------------ few units

    def few_units(self, shoppers: int, units: int) -> None:
        """Everybody has one of it in the cart, and all go to the till at once."""
        self._count(SCARCE, shoppers)
        people = [QuickLoggingShopper(self.shop.address, self.log) for _ in range(shoppers)]
        _at_once(people, lambda who: self._insist(lambda: who.add(SCARCE)))
        self._count(SCARCE, units)

        answers = self._flood("few_units", people, lambda who: self._insist(partial(who.check_out, key="flood")))
        self._drain("few_units")

        confirmed = self._sold(SCARCE)
        accepted = sum(answer.status == 202 for answer in answers)
        self.figures |= {"few_units_checkouts_accepted": accepted, "few_units_sold": confirmed}
        left = self._on_hand(SCARCE)
        self._demand((confirmed, left) == (units, 0), f"{units} units were sold as {confirmed}, {left} are left")
        kept = shoppers - sum(who.cart().body["total_quantity"] for who in people)
        self._demand(kept == units, f"{kept} carts are gone for {units} units")

    # ------------------------------------------------------------ double clicks

    def double_clicks(self, clickers: int) -> None:
        """Each submits twice at once; half of them with an idempotency key, half by card."""
        self._count(CLICKED, PLENTY)
        people = [QuickLoggingShopper(self.shop.address, self.log) for _ in range(clickers)]
        _at_once(people, lambda who: self._insist(lambda: who.add(CLICKED, 2)))
        clicks: list[Callable[[], Answer]] = []
        for number, who in enumerate(people):
            body, key = (CARD if number % 2 else None), ("twice" if number % 4 < 2 else None)
            clicks += [partial(tab.check_out, body, key) for tab in (who.twin(), who.twin())]

        answers = self._flood("double_clicks", clicks, self._insist)
        self._drain("double_clicks")

        for number, who in enumerate(people):
            pair = answers[2 * number : 2 * number + 2]
            named = {answer.body.get("id") or answer.body.get("order_id") for answer in pair}
            orders = who.orders(final=True)
            self._demand(len(named) == 1 and orders == list(named), f"two clicks named {named} and made {orders}")
            both = number % 4 < 2
            wanted = [202, 202] if both else [202, 409]
            statuses = sorted(answer.status for answer in pair)
            self._demand(statuses == wanted, f"two clicks {'with' if both else 'without'} a key were told {statuses}")
        sold = self._sold(CLICKED)
        self._demand(sold == 2 * clickers, f"{sold} units were sold to {clickers} shoppers who wanted 2 each")

    # ------------------------------------------------------------ one cart

    def one_cart(self, requests: int) -> None:
        """One session in many tabs: adds, removals and checkouts, all at the same time."""
        self._count(SHARED, PLENTY)
        self._count(COMMON, PLENTY)
        who, dice = QuickLoggingShopper(self.shop.address, self.log), random.Random(self.seed)
        tabs = [who.twin() for _ in range(requests)]

        answers = self._flood("one_cart", [partial(_press, tab, dice.random()) for tab in tabs], self._insist, TABS)
        self._drain("one_cart")

        changed = zip(tabs, answers, strict=True)
        carts = [tab.seen for tab, answer in changed if answer.status == 200 and tab.seen]
        now = who.cart() and who.seen
        ids = who.orders(final=True) or []
        self.figures["one_cart_orders"] = len(ids)
        for fault in unaccounted(carts, now or Cart(), self._claimed(ids)):
            self._demand(False, fault)

    def _claimed(self, order_ids: list[str]) -> dict[str, Cart]:
        """The carts of orders: the id of each, and its version and lines as they were ordered."""
        database = Database(self.stores[0])
        with database.reading() as session:
            rows = session.execute(
                select(OrderRow.cart_id, OrderRow.cart_version, OrderItemRow.product_id, OrderItemRow.quantity)
                .join(OrderItemRow, OrderItemRow.order_id == OrderRow.id)
                .where(OrderRow.id.in_(order_ids))
            ).all()
        database.close()
        lines: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
        for cart_id, version, product_id, quantity in rows:
            lines[cart_id, version][product_id] = quantity
        return {cart_id: Cart(cart_id, version, units) for (cart_id, version), units in lines.items()}

    # ------------------------------------------------------------ a burst

    def burst(self, checkouts: int) -> None:
        """The worker stands still, everybody checks out, the worker dies and another finds them all."""
        self._count(COMMON, PLENTY)
        people = [QuickLoggingShopper(self.shop.address, self.log) for _ in range(checkouts)]
        _at_once(people, lambda who: self._insist(lambda: who.add(COMMON)))
        before = self._sold(COMMON)
        stopped = self.shop.pids()["worker"]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)

        try:
            answers = self._flood("burst", people, lambda who: self._insist(partial(who.check_out, key="burst")))
            accepted = [answer for answer in answers if answer.status == 202]
            self._demand(len(accepted) == checkouts, f"{len(accepted)} of {checkouts} checkouts were accepted")
            self._demand(self._sold(COMMON) == before, "something was sold while nobody settled")
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGKILL)
        self._drain("burst")

        sold = self._sold(COMMON) - before
        self._demand(sold == checkouts, f"{sold} units were sold to {checkouts} shoppers")
        seconds = self.figures["burst_drained_after_seconds"]
        self.figures["burst_settled_per_second"] = round(checkouts / max(seconds, 0.1))

    # ------------------------------------------------------------ how

    def _flood(self, name: str, people: list[Any], life: Callable[[Any], Answer], lines: int = LINES) -> list[Answer]:
        """Let them all at it; what they were answered, and how long that took, in the figures."""
        self.seconds.clear()
        before, started = self.answers.copy(), time.monotonic()
        answers = _at_once(people, life, lines)
        took = time.monotonic() - started
        hundredths = statistics.quantiles(self.seconds, n=100)
        self.figures |= {
            f"{name}_requests": len(people),
            f"{name}_requests_per_second": round(len(people) / took),
            f"{name}_answer_p50_ms": round(hundredths[49] * 1000),
            f"{name}_answer_p99_ms": round(hundredths[98] * 1000),
        }
        for (status, code), times in sorted((self.answers - before).items()):
            self.figures[f"{name}_answers_{status}_{code}".rstrip("_")] = times
        return answers

    def _insist(self, ask: Callable[[], Answer]) -> Answer:
        """The first answer that is more than "not now"; whoever is told when to come back, comes then."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            started = time.monotonic()
            answer = ask()
            self.seconds.append(time.monotonic() - started)
            code = answer.body.get("code", "") if answer.status >= 300 else ""
            self.answers[answer.status, code] += 1
            if answer.status not in (200, 202) and code not in REFUSALS.get(answer.status, ()):
                self._demand(False, f"somebody was answered {answer.status} {answer.body}")
            if answer.status != 503 or time.monotonic() > end:
                return answer
            self._demand(bool(answer.headers.get("Retry-After")), "a 503 did not say when to come back")
            time.sleep(float(answer.headers.get("Retry-After", 1)))

    def _drain(self, name: str) -> None:
        started = time.monotonic()
        while left := unfinished(*self.stores):
            if time.monotonic() - started > DRAIN_SECONDS:
                self._demand(False, f"{name}: {len(left)} things are still under way, the first is {left[0]}")
                return
            time.sleep(0.2)
        self.figures[f"{name}_drained_after_seconds"] = round(time.monotonic() - started, 1)

    def _count(self, product_id: str, units: int) -> None:
        """A stock count by the merchant, seen by every web process."""
        key = {"Authorization": f"Bearer {ADMIN_KEY}"}
        body = {"counted": units}
        answer = QuickShopper(self.shop.address).ask("POST", f"/api/admin/products/{product_id}/stock", body, **key)
        assert answer.status in (200, 201), answer
        seen = [0]

        def is_seen() -> bool:
            seen[0] = seen[0] + 1 if self._on_hand(product_id) == units else 0
            return seen[0] == 10

        until(is_seen, PATIENCE_SECONDS, f"the stock of {product_id} to be seen")

    def _on_hand(self, product_id: str) -> int:
        found: int = QuickShopper(self.shop.address).ask("GET", f"/api/products/{product_id}").body["stock_quantity"]
        return found

    def _sold(self, product_id: str) -> int:
        """Units in confirmed orders."""
        database = Database(self.stores[0])
        with database.reading() as session:
            units = session.scalar(
                select(func.sum(OrderItemRow.quantity))
                .join(OrderRow, OrderRow.id == OrderItemRow.order_id)
                .where(OrderRow.status == "confirmed", OrderItemRow.product_id == product_id)
            )
        database.close()
        return int(units or 0)

    def _demand(self, kept: bool, message: str) -> None:
        if not kept:
            self.violations.append(message)

    def judge(self) -> Report:
        """The checker's report; what it found is among the violations."""
        report = check(self.shop.var_dir, *self.stores, [self.log_path])
        self.violations += [f"{each.promise}: {each.subject}: {each.message}" for each in report.violations]
        return report


def _at_once(people: list[Any], life: Callable[[Any], T], lines: int = LINES) -> list[T]:
    with ThreadPoolExecutor(lines) as pool:
        return list(pool.map(life, people))


def _press(tab: LoggingShopper, dice: float) -> Answer:
    if dice < 0.6:
        return tab.add(SHARED if dice < 0.4 else COMMON, 1 + int(dice * 100) % 3)
    if dice < 0.7:
        return tab.remove(SHARED)
    if dice < 0.85:
        return tab.set(COMMON, int(dice * 100) % 4)
    return tab.check_out()


def unaccounted(seen: list[Cart], now: Cart, ordered: dict[str, Cart]) -> Iterator[str]:
    """What is wrong with the carts that changes were answered with, given the cart that is left and those ordered.

    Every change makes a version of its own, so the answers in the order of their versions are the whole story: no
    version is missing or told in two ways, and the last of each cart is what was ordered, or what is there now, or
    it had one line and that was taken out.
    """
    told: dict[str, dict[int, Cart]] = defaultdict(dict)
    for cart in seen:
        if cart.id is None:
            continue  # Its last line was taken out: then it is no cart any more.
        known = told[cart.id].setdefault(cart.version, cart)
        if known.lines != cart.lines:
            yield f"version {cart.version} of cart {cart.id} was told as {known.lines} and as {cart.lines}"
    ends = ordered if now.id is None else {now.id: now, **ordered}
    for cart_id, versions in told.items():
        yield from _wrong_story(cart_id, versions, ends.get(cart_id))
    emptied, gone = sum(cart.id is None for cart in seen), sum(cart_id not in ends for cart_id in told)
    if gone != emptied:
        yield f"{emptied} carts were emptied, and {gone} are gone"
    for cart_id in ordered.keys() - told.keys():
        yield f"cart {cart_id} was ordered, and nobody had put anything into it"


def _wrong_story(cart_id: str, versions: dict[int, Cart], end: Cart | None) -> Iterator[str]:
    if missing := set(range(1, max(versions) + 1)) - set(versions):
        yield f"cart {cart_id} was told in versions {sorted(versions)}; {sorted(missing)} were nobody's"
    last = versions[max(versions)]
    if end is None and len(last.lines) > 1:
        yield f"cart {cart_id} is gone with {last.lines}"
    if end and (end.version, end.lines) != (last.version, last.lines):
        yield f"cart {cart_id} was {last} in the end; left or ordered is {end}"


# ---------------------------------------------------------------- the program


@contextmanager
def flooded(folder: Path, seed: int) -> Iterator[Floods]:
    """A shop to be flooded."""
    settings = {"ADMIN_API_KEY": ADMIN_KEY, "LOG_LEVEL": "warning"}
    log_path = folder / "shoppers.log"
    with Log(log_path) as log, running(RunningShop(folder / "var", settings=settings)) as shop:
        try:
            yield Floods(shop, log, log_path, seed)
        finally:
            hang_up()


def run(folder: Path, sizes: Sizes, seed: int) -> Floods:
    """All floods, one after the other, and the checker's judgement."""
    with flooded(folder, seed) as floods:
        floods.few_units(sizes.shoppers, sizes.units)
        floods.double_clicks(sizes.clickers)
        floods.one_cart(sizes.requests)
        floods.burst(sizes.burst)
        floods.figures |= floods.judge().counts
    return floods


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # So that what is running is closed.
    parser = argparse.ArgumentParser(prog="python -m tests.fire.floods", description=__doc__.split("\n")[0])
    parser.add_argument("--long", action="store_true", help=f"{LONG} in place of {SHORT}")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sizes, started = LONG if options.long else SHORT, time.monotonic()
    with TemporaryDirectory(prefix="oncecart-floods-") as folder:
        floods = run(Path(folder), sizes, options.seed)
    seconds = round(time.monotonic() - started, 1)
    found = floods.violations
    for name, figure in floods.figures.items():
        print(f"{name.replace('_', ' ')}: {figure}")
    print("\n".join(f"VIOLATION {each}" for each in found[:30]))
    print(f"floods: seed {options.seed}, {sizes}, {seconds} s, {len(found)} violations")
    if options.json:
        report = {
            "part": "floods",
            "cases": sum(floods.answers.values()),
            "seconds": seconds,
            "seeds": [options.seed],
            "violations": found,
            "figures": floods.figures,
        }
        options.json.write_text(json.dumps(report, indent=1))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
