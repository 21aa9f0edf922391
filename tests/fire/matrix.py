"""Every fail point with every kind of payment and every kind of death, each alone, on real processes.

    python -m tests.fire.matrix [--long] [--postgres] [--shops N] [--seed N] [--json FILE]
    python -m tests.fire.matrix --list
    python -m tests.fire.matrix --case settle.committed/approve/valkey

A case: somebody buys, a process comes to the point and is killed there, alone or with Valkey or with everything;
whoever was not answered asks again; then the order is over as it should be, the provider's books, the stock and
the cart agree, and a replay finds the same order. A case whose point nobody comes to has failed. In the end the
checker judges each shop as a whole. The short form takes each point once, with one kind of payment each.
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
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from db.session import Database
from tests.fire.checker import check
from tests.fire.courses import Story
from tests.fire.grounds import RECOVERY_SECONDS, Ground, NotReached, eventually
from tests.fire.places import Case, cases, not_applicable, short_cases
from tests.servers import postgres, postgres_programs

SHOPS = 4
"""Each works on its own cases, one after the other; most of the time a shop waits."""
SEED = 1
SLOWEST = 10
TRIES = 2
"""A point may be missed when somebody else was faster; missed twice, the case has failed."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a case: `wrong` is None when all was as it should be."""

    name: str
    seconds: float
    recovered_seconds: float
    missed: int
    wrong: str | None


def play(ground: Ground, case: Case) -> Result:
    """Run a case on a shop that works, and leave one that works."""
    started, missed, recovered, wrong = time.monotonic(), 0, 0.0, None
    try:
        eventually(ground.is_steady, RECOVERY_SECONDS, "the shop to work")
        for attempt in range(1, TRIES + 1):
            story = Story(ground, case, attempt)
            try:
                story.run()
            except NotReached:
                missed += 1
                if attempt == TRIES:
                    raise
                continue
            finally:
                story.verify()
            recovered = story.recovered_seconds
            break
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this case's, and the others go on
        wrong = f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-4)}"
        ground.revive()
        ground.stock = ground.on_hand()  # What this case did to it is no fault of the next one's.
    return Result(case.name, round(time.monotonic() - started, 2), round(recovered, 2), missed, wrong)


def play_all(ground: Ground, wanted: Sequence[Case]) -> tuple[list[Result], list[str]]:
    """Every case on one shop, and what the checker finds of it in the end."""
    results = []
    try:
        ground.open()
        for case in wanted:
            results.append(play(ground, case))
            if len(results) % 50 == 0:
                print(f"{ground.folder.name}: {len(results)} of {len(wanted)} cases", flush=True)
            if wrong := results[-1].wrong:
                print(f"FAILED {case.name}: {wrong}", flush=True)
        ground.rest()
        report = check(ground.folder / "var", ground.database_url, ground.redis_url, [ground.log_path])
        print(f"{ground.folder.name}: {report}", flush=True)
        return results, [str(finding) for finding in report.violations]
    finally:
        ground.close()


@contextmanager
def databases(count: int, wanted: bool) -> Iterator[list[str]]:
    """The URL of a database for each shop; empty for SQLite in its folder."""
    programs = postgres_programs() if wanted else None
    if wanted and programs is None:
        raise SystemExit("PostgreSQL is not installed")
    with postgres(programs) if programs else nullcontext("") as url:
        if not url:
            yield [""] * count
            return
        server = Database(url)
        with server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for n in range(count):
                connection.exec_driver_sql(f"CREATE DATABASE shop{n}")
        server.close()
        yield [f"{url.removesuffix('/postgres')}/shop{n}" for n in range(count)]


def run(wanted: Sequence[Case], *, shops: int = SHOPS, on_postgres: bool = False) -> tuple[list[Result], list[str]]:
    """Deal the cases to shops and play them all; the results in the order of the cases, and what the checker found."""
    shops = min(shops, len(wanted))
    folder = Path(tempfile.mkdtemp(prefix="ocm"))
    try:
        with databases(shops, on_postgres) as urls, ThreadPoolExecutor(shops) as pool:
            grounds = [Ground(folder / f"shop{n}", url) for n, url in enumerate(urls)]
            try:
                played = list(pool.map(play_all, grounds, [wanted[n::shops] for n in range(shops)]))
            except BaseException:
                for ground in grounds:
                    ground.abandon()
                raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found = {result.name: result for results, _ in played for result in results}
    return [found[case.name] for case in wanted if case.name in found], [each for _, bad in played for each in bad]


def figures(results: Sequence[Result], seconds: float, on_postgres: bool) -> dict[str, Any]:
    recovered = [result.recovered_seconds for result in results if result.wrong is None] or [0.0]
    p99 = quantiles(recovered, n=100, method="inclusive")[98] if len(recovered) > 1 else recovered[0]
    return {
        "deaths": len(results),
        "points_missed_once": sum(result.missed for result in results),
        "combinations_that_cannot_be": len(not_applicable(on_postgres)),
        "seconds_from_death_to_books_closed_p50": round(median(recovered), 2),
        "seconds_from_death_to_books_closed_p99": round(p99, 2),
        "seconds_from_death_to_books_closed_max": max(recovered),
        "minutes": round(seconds / 60, 1),
    }


def chosen(options: argparse.Namespace) -> list[Case]:
    """The cases that were asked for, in the order of the seed."""
    every = cases(options.postgres)
    if options.case:
        found = [case for case in every if case.name in options.case]
        if missing := set(options.case) - {case.name for case in found}:
            raise SystemExit(f"no such case: {', '.join(sorted(missing))}; see --list")
        return found
    wanted = every if options.long else short_cases(options.postgres)
    random.Random(options.seed).shuffle(wanted)
    return wanted


def list_cases(on_postgres: bool) -> None:
    for case in cases(on_postgres):
        print(case.name)
    for point, outcome, reason in not_applicable(on_postgres):
        print(f"not applicable: {point}/{outcome}: {reason}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fire.matrix", description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true", help="every combination")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL instead of SQLite")
    parser.add_argument("--shops", type=int, default=SHOPS, help="how many shops work on it at once")
    parser.add_argument("--seed", type=int, default=SEED, help="of the order in which the cases come")
    parser.add_argument("--case", action="append", help="only this one; may be repeated")
    parser.add_argument("--list", action="store_true", help="name every case, and what cannot be and why")
    parser.add_argument("--json", type=Path, help="write what was found into this file")
    options = parser.parse_args(arguments)
    if options.list:
        list_cases(options.postgres)
        return 0
    wanted, started = chosen(options), time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"{len(wanted)} cases, seed {options.seed}", flush=True)
    results, violations = run(wanted, shops=options.shops, on_postgres=options.postgres)
    seconds = time.monotonic() - started
    failed = [result for result in results if result.wrong]
    bad = len(failed) + len(violations) + len(wanted) - len(results)
    told = figures(results, seconds, options.postgres)
    for name, value in told.items():
        print(f"{name.replace('_', ' ')}: {value}")
    for result in sorted(results, key=lambda result: -result.seconds)[:SLOWEST]:
        print(f"slowest: {result.name} took {result.seconds} s, {result.recovered_seconds} s after the death")
    for result in failed:
        print(f"FAILED {result.name}")
    print(f"{bad} violations in {len(results)} cases, {seconds:.0f} s, seed {options.seed}")
    if options.json:
        report = {
            "part": "matrix",
            "cases": len(results),
            "seconds": round(seconds, 1),
            "seeds": [options.seed],
            "violations": bad,
            "figures": told,
            "failed": [asdict(result) for result in failed],
            "findings": violations,
        }
        options.json.write_text(json.dumps(report, indent=1))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
