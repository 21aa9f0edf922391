"""The whole shop against a small model of what is true: whatever happens in whatever order, the two agree.

    python -m tests.fire.model [--long] [--seed N] [--stores valkey+postgresql] [--json FILE]

`tests.fire.truth` is the model; `tests.fire.whole_shop` does to both what can happen. Rounds of examples, each with
the next seed, until time is up; the shortest story that breaks the model is printed.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from structlog.testing import capture_logs

from db.migrate import upgrade
from db.session import Database
from tests.fire.whole_shop import InMemory, Servers, Stores, WholeShop
from tests.servers import postgres, postgres_programs, valkey


@dataclass(frozen=True)
class Size:
    """Examples of a round, steps of an example, and how long rounds are begun."""

    examples: int
    steps: int
    seconds: float


SHORT, LONG = Size(40, 25, 0), Size(50, 50, 300)


def run(seed_: int, size: Size, shrink: bool = True) -> None:
    """One round. Raises the error of the shortest story that breaks the model."""
    how = settings(
        max_examples=size.examples,
        stateful_step_count=size.steps,
        deadline=None,
        database=None,
        print_blob=False,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    with capture_logs():
        run_state_machine_as_test(seed(seed_)(WholeShop), settings=how)


@contextmanager
def stores_of(name: str) -> Iterator[Stores]:
    if name != "valkey+postgresql":
        yield InMemory()
        return
    programs = postgres_programs()
    if programs is None:
        raise SystemExit("PostgreSQL's programs (initdb, pg_ctl) are not installed")
    with valkey() as redis_url, postgres(programs) as database_url:
        database = Database(database_url)
        upgrade(database)
        database.close()
        yield Servers(redis_url, database_url)


def story(error: Exception) -> str:
    where = [f"{frame.name}: {frame.line}" for frame in traceback.extract_tb(error.__traceback__)[-2:]]
    return "\n".join([*where, f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])


def rounds(first_seed: int, size: Size, shrink: bool) -> Iterator[tuple[int, str | None]]:
    """Each round's seed, and the story that broke it if one did; that is the last."""
    until = time.monotonic() + size.seconds
    for number in range(first_seed, sys.maxsize):
        try:
            run(number, size, shrink)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what we are looking for
            yield number, story(error)
            return
        yield number, None
        if time.monotonic() >= until:
            return


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # So that what is running is closed.
    parser = argparse.ArgumentParser(prog="python -m tests.fire.model", description=__doc__)
    parser.add_argument("--long", action="store_true", help="rounds for five minutes")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--examples", type=int, help="of a round")
    parser.add_argument("--steps", type=int, help="of an example")
    parser.add_argument("--seconds", type=float, help="after which no round is begun")
    parser.add_argument("--raw", action="store_true", help="tell the first story that breaks it, not the shortest")
    parser.add_argument("--stores", choices=["fakeredis+sqlite", "valkey+postgresql"], default="fakeredis+sqlite")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    usual = LONG if options.long else SHORT
    seconds = usual.seconds if options.seconds is None else options.seconds
    size = Size(options.examples or usual.examples, options.steps or usual.steps, seconds)
    seeds, violations = [], []
    started = time.monotonic()
    with stores_of(options.stores) as stores:
        WholeShop.stores = stores
        for number, broke in rounds(options.seed, size, not options.raw):
            seeds.append(number)
            violations += [broke] if broke else []
            print(f"seed {number}: {dict(WholeShop.figures)}", flush=True)
    took, figures = round(time.monotonic() - started, 1), dict(WholeShop.figures)
    print(f"model on {options.stores}: {figures} in {took} s, {len(violations)} violations")
    for violation in violations:
        print(violation)
    if options.json:
        report = {"part": "model", "cases": figures.get("examples", 0), "seconds": took, "seeds": seeds}
        report |= {"violations": violations, "figures": {"stores": options.stores, **figures}}
        options.json.write_text(json.dumps(report, indent=1))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
