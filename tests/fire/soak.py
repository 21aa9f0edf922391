"""A shop under load, and everything that may befall it: `python -m tests.fire.soak [--long] [--seed N] [--postgres]`.

Shoppers who log what they are told use real processes, which are killed (SIGKILL: web, worker, Valkey, a process
of them or all at once), paused, filled up, locked out of their database and, in every other run, reach their Redis
over a line that delays, cuts and swallows. Nobody repairs anything. In the end all is at rest by itself,
tests/fire/checker.py finds nothing, and the time to recover is known: from each kill to the end of the first
checkout that was begun after it.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from db.models import ProductRow, StockMovementRow
from db.session import Database
from shop.errors import Unavailable
from tests.fire.checker import check, unfinished
from tests.fire.client import Log, LoggingShopper
from tests.fire.crowd import PRODUCTS, SCARCE, Crowd
from tests.fire.harm import Harm, Kill, kept
from tests.fire.proxy import CALM, BadLine, Faults, bad_line
from tests.processes import RunningShop, running
from tests.servers import postgres, postgres_programs, until

PLENTY, FEW = 1_000_000, 40
REST_SECONDS = 90
PEOPLE, PROBES = 5, 2
TROUBLE_SHARE = 0.35
"""Of the kills, those beside which some other trouble begins."""
ALONE_SHARE = 0.75
"""Of the kills, those after which nobody else is killed until the shop sells again, as long as there is time."""
HURRY_SECONDS = 0.5
QUIET = "recovery"
BAD_LINE = "recovery over the bad line"
DISTURBED = "recovery during a pause, a full Redis or a locked database"
STRUCK_AGAIN = "recovery when struck again meanwhile"
RECOVERIES = (QUIET, BAD_LINE, DISTURBED, STRUCK_AGAIN)


@dataclass(frozen=True, slots=True)
class Plan:
    """A run: how many kills, in about how many seconds, and whether the line to Redis is bad."""

    kills: int
    seconds: float
    bad_line: bool


LONG = (Plan(60, 200, bad_line=False), Plan(50, 170, bad_line=True))
SHORT = (Plan(18, 26, bad_line=False), Plan(12, 18, bad_line=True))


@dataclass
class Result:
    """What was done in all runs, and what was found."""

    seeds: list[int] = field(default_factory=list)
    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    recovered_ms: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """By what else befell the shop between the kill and the next checkout that was through; see `recoveries`."""
    rest_seconds: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        return {
            "kills": self.kills.total(),
            **{f"kills of {victim}": count for victim, count in sorted(self.kills.items())},
            **dict(sorted(self.troubles.items())),
            **{name: value for what in RECOVERIES for name, value in _spread(what, self.recovered_ms[what]).items()},
            "longest way to rest seconds": f"{max(self.rest_seconds, default=0):.1f}",
            **dict(self.counts),
        }

    def report(self) -> dict[str, Any]:
        return {
            "part": "soak",
            "cases": self.kills.total(),
            "seconds": round(self.seconds, 1),
            "seeds": self.seeds,
            "violations": len(self.violations),
            "figures": self.figures(),
        }


def _spread(what: str, found_ms: list[int]) -> dict[str, Any]:
    """The middle, the 99th percentile and the longest, in seconds."""
    if not found_ms:
        return {}
    ordered = sorted(found_ms)
    places = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    at = {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in places.items()}
    return {f"{what} {name} seconds": f"{ms / 1000:.2f}" for name, ms in at.items()} | {f"{what} of": len(ordered)}


def soak(plans: Sequence[Plan], seed: int, *, on_postgres: bool = False) -> Result:
    """Every plan, one after the other, each with a seed of its own and a shop of its own."""
    result, started = Result(), time.monotonic()
    for number, plan in enumerate(plans):
        result.seeds.append(seed + number)
        say(f"seed {seed + number}: {plan}{' on PostgreSQL' if on_postgres else ''}")
        run(plan, seed + number, result, on_postgres)
    result.seconds = time.monotonic() - started
    return result


def run(plan: Plan, seed: int, result: Result, on_postgres: bool) -> None:
    """A shop from its opening until it is at rest again, with all that happens to it."""
    folder = Path(tempfile.mkdtemp(prefix="soak"))
    found = len(result.violations)
    with ExitStack() as stack:
        shop, database_url, redis_url, line = _opened(plan, seed, folder, on_postgres, stack)
        stock_up(database_url)
        log = stack.enter_context(Log(folder / "log"))
        crowd = Crowd(shop.address, log, seed)
        harm = Harm(shop, redis_url, database_url, random.Random(seed))
        crowd.open(PEOPLE, PROBES)
        try:
            _hurt(plan, harm, line, crowd)
        except AssertionError as error:
            result.violations.append(f"P1: the shop did not recover: {error}")
        finally:
            harm.end()
            crowd.close()
        result.violations += [f"a shopper broke down: {error!r}" for error in crowd.errors]
        result.rest_seconds.append(_rest(shop, database_url, redis_url, result))
        for shopper in crowd.shoppers:
            until(partial(_has_read, shopper), REST_SECONDS, "a history to be read")
        report = check(folder / "var", database_url, redis_url, [folder / "log"])
        say(str(report))
        result.violations += [f"{each.promise}: {each.subject}: {each.message}" for each in report.violations]
        result.counts.update(report.counts)
        result.counts["orders slower than 45 s"] += len(crowd.late)
        result.kills.update(kill.victim for kill in harm.kills)
        result.troubles.update(harm.troubles)
        result.troubles.update(_met(line))
        for what, found_ms in recoveries(harm, crowd, over_bad_line=line is not None).items():
            result.recovered_ms[what] += found_ms
    if len(result.violations) == found:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        say(f"kept for you: {folder}")


def _opened(
    plan: Plan, seed: int, folder: Path, on_postgres: bool, stack: ExitStack
) -> tuple[RunningShop, str, str, BadLine | None]:
    """An open shop, its database, its Redis (without the line), and the line if it has a bad one."""
    var_dir, settings, line = folder / "var", {}, None
    database_url = f"sqlite:///{var_dir}/shop.db"
    if on_postgres:
        programs = postgres_programs()
        if programs is None:
            raise SystemExit("PostgreSQL's programs (initdb, pg_ctl) are not installed")
        settings["DATABASE_URL"] = database_url = stack.enter_context(postgres(programs))
    if plan.bad_line:
        keeper = stack.enter_context(kept(var_dir / "valkey"))
        line = stack.enter_context(bad_line(keeper.socket, seed))
        settings["REDIS_URL"] = line.url
    shop = stack.enter_context(running(RunningShop(var_dir, settings=settings)))
    return shop, database_url, f"unix://{var_dir}/valkey/valkey.sock", line


def stock_up(database_url: str) -> None:
    """Plenty of what the crowd buys, and few of one thing, which sells out."""
    with closing_database(database_url) as database, database.writing() as session:
        for product_id in PRODUCTS:
            row = session.get(ProductRow, product_id)
            assert row is not None, product_id
            wanted = FEW if product_id == SCARCE else PLENTY
            moved = wanted - row.stock_quantity
            session.add(StockMovementRow(product_id=row.id, kind="adjusted", quantity=moved, at=row.updated_at))
            row.stock_quantity = wanted


@contextmanager
def closing_database(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        database.close()


def _hurt(plan: Plan, harm: Harm, line: BadLine | None, crowd: Crowd) -> None:
    """Kill after kill while the crowd shops, then leave them alone until one more checkout is through."""
    if line:
        line.faults = Faults()
    end = time.monotonic() + plan.seconds
    for number in range(1, plan.kills + 1):
        if harm.dice.random() < TROUBLE_SHARE:
            harm.trouble()
        alone = harm.dice.random() < ALONE_SHARE and time.monotonic() < end - (plan.kills - number) * HURRY_SECONDS
        kill = harm.kill(alone)
        say(f"{number}: {kill.victim} is killed")
        if alone:
            _sells_again(crowd, kill)
        time.sleep(harm.dice.uniform(0.1, 2 * HURRY_SECONDS))
    harm.end()
    if line:
        line.faults = CALM
    _sells_again(crowd, harm.kills[-1])


def _sells_again(crowd: Crowd, kill: Kill) -> None:
    until(lambda: crowd.sold_since(kill.at), REST_SECONDS, "the shop to sell again")


def _rest(shop: RunningShop, database_url: str, redis_url: str, result: Result) -> float:
    """Wait until nothing is under way and everything runs; the seconds that it took."""
    started = time.monotonic()

    def left() -> list[str]:
        with suppress(Unavailable, OSError):
            ready = shop.shopper().ask("GET", "/readyz").status == 200
            return unfinished(database_url, redis_url) + ([] if ready else ["/readyz"])
        return ["a store is away"]

    while (remains := left()) and time.monotonic() - started < REST_SECONDS:
        time.sleep(0.25)
    if remains:
        result.violations.append(f"P1: not at rest after {REST_SECONDS} s: {', '.join(remains[:20])}")
    return time.monotonic() - started


def recoveries(harm: Harm, crowd: Crowd, *, over_bad_line: bool = False) -> dict[str, list[int]]:
    """The ms from each kill to the end of the first checkout that was begun after it, by what else befell the shop."""
    found: dict[str, list[int]] = defaultdict(list)
    for kill in harm.kills:
        if sold_at := crowd.sold_since(kill.at):
            disturbed = any(begun < sold_at and ended > kill.at for begun, ended in harm.troubled)
            what = STRUCK_AGAIN if not kill.alone else DISTURBED if disturbed else BAD_LINE if over_bad_line else QUIET
            found[what].append(sold_at - kill.at)
    return found


def _has_read(shopper: LoggingShopper) -> bool:
    """Whether the whole history was read, now that all is at rest."""
    with suppress(OSError):
        return shopper.orders(final=True) is not None
    return False


def _met(line: BadLine | None) -> dict[str, int]:
    return {f"chunks the line chose to {name}": times for name, times in line.happened.items()} if line else {}


def _shorter(plan: Plan, kills: int | None) -> Plan:
    return Plan(kills, plan.seconds * kills / plan.kills, plan.bad_line) if kills else plan


def say(message: str) -> None:
    print(message, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # So that what is running is closed.
    parser = argparse.ArgumentParser(prog="python -m tests.fire.soak", description=__doc__)
    parser.add_argument("--long", action="store_true", help="at least 100 kills instead of 30")
    parser.add_argument("--seed", type=int, help="of the dice; chosen and printed if not given")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL instead of SQLite")
    parser.add_argument("--kills", type=int, help="so many in each run instead")
    parser.add_argument("--only", choices=("direct", "bad-line"), help="only the runs of this kind")
    parser.add_argument("--json", type=Path, help="write what was found to this file")
    given = parser.parse_args(arguments)
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(1_000_000)
    plans = [
        _shorter(plan, given.kills)
        for plan in (LONG if given.long else SHORT)
        if given.only in (None, "bad-line" if plan.bad_line else "direct")
    ]
    result = soak(plans, seed, on_postgres=given.postgres)
    for name, figure in result.figures().items():
        say(f"{name}: {figure}")
    for violation in result.violations:
        say(f"VIOLATION {violation}")
    say(f"{len(result.violations)} violations in {result.seconds:.0f} s, seeds {result.seeds}")
    if given.json:
        given.json.write_text(json.dumps(result.report(), indent=1))
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main())
