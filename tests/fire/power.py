"""The power goes, again and again, in a shop under load: `python -m tests.fire.power [--long] [--seed N]`.

Every process works on a disk that notes what was synced (tests/fire/disk.py says what it models). At a random
moment, often between a write and its fsync, the power goes off for both stores at once; what was not synced is
taken back, and the shop starts again on what is left. Then everything that a client was told must be true:
every 202 is an order that ends, a confirmed order is still confirmed, and tests/fire/checker.py finds nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from shop.errors import Unavailable
from tests.fire.checker import judge
from tests.fire.client import Log, LoggingShopper
from tests.fire.disk import Disk, Loss, compiler
from tests.fire.evidence import AWAY, damage, gather, unfinished
from tests.processes import RunningShop, Shopper, halt
from tests.servers import until
from web.settings import ROOT

ADMIN_KEY = "the-key-of-the-power-cuts"
PRODUCTS = ("enamel-mug", "beech-spoon", "linen-notebook", "cedar-pencil", "sage-candle")
STOCK = 1_000_000
SHOPPERS = 16
PAYMENTS: tuple[dict[str, str], ...] = (
    {},
    {},
    {"payment_method": "card", "payment_token": "tok_approve"},
    {"payment_method": "card", "payment_token": "tok_decline"},
    {"payment_method": "card", "payment_token": "tok_timeout_after"},
)
LONG_CUTS, SHORT_CUTS = 24, 2
REST_SECONDS = 60
CODE = ("app.py", "worker.py", "shop.toml", "supervisord.conf", "web", "tasks", "carts", "db", "payments", "shop")

BUGS = {
    "Valkey syncs every second": ("carts/durability.py", '"appendfsync": "always"', '"appendfsync": "everysec"'),
    "SQLite syncs at checkpoints": ("db/session.py", '"synchronous=FULL"', '"synchronous=NORMAL"'),
    "SQLite never syncs": ("db/session.py", '"synchronous=FULL"', '"synchronous=OFF"'),
}
"""What the cuts must notice, or they prove nothing."""
MOST_CUTS_FOR_A_BUG = 8
SIGNS_OF_LOSS = (": P1: ", "were put in the cart; ", "is damaged", "does not open again: it ended")


@dataclass
class Run:
    """What was done, and what was found."""

    seed: int
    cuts: Counter[str] = field(default_factory=Counter)
    """By the moment that was chosen."""
    undone: Counter[str] = field(default_factory=Counter)
    """Unsynced changes that were at stake, by file."""
    differing: Counter[str] = field(default_factory=Counter)
    """Cuts after which a file was not as the processes had left it."""
    names: int = 0
    changes: int = 0
    syncs: Counter[str] = field(default_factory=Counter)
    """By file."""
    counts: dict[str, int] = field(default_factory=dict)
    starts: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    bugs: dict[str, str] = field(default_factory=dict)
    """What was noticed of each of BUGS."""

    def note(self, loss: Loss) -> None:
        self.undone.update(loss.files)
        self.differing.update(loss.changed)
        self.names += len(loss.names)
        self.changes += loss.records
        self.syncs.update(loss.syncs)

    def as_json(self, seconds: float) -> dict[str, Any]:
        figures = {
            "cuts": dict(self.cuts),
            "unsynced_changes_at_stake": {name: count for name, count in sorted(self.undone.items()) if count},
            "cuts_that_changed": {name: count for name, count in sorted(self.differing.items()) if count},
            "names_undone": self.names,
            "changes_noted": self.changes,
            "fsyncs": dict(sorted(self.syncs.items())),
            "start_seconds_p50": round(statistics.median(self.starts), 1) if self.starts else None,
            "checked": self.counts,
            "deliberate_bugs": self.bugs,
        }
        return {
            "part": "power",
            "cases": self.cuts.total(),
            "seconds": round(seconds, 1),
            "seeds": [self.seed],
            "violations": self.violations,
            "figures": figures,
        }


# ---------------------------------------------------------------- the shoppers


@dataclass
class Crowd:
    """Shoppers who keep their sessions over every cut, and write down what they were told."""

    shop: RunningShop
    log: Log
    dice: random.Random
    shoppers: list[LoggingShopper] = field(default_factory=list)
    accepted: int = 0
    _dark: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.shoppers = [LoggingShopper(self.shop.address, self.log) for _ in range(SHOPPERS)]

    @contextmanager
    def at_work(self) -> Iterator[None]:
        self._dark.clear()
        with ThreadPoolExecutor(SHOPPERS) as street:
            seeds = [self.dice.randrange(1 << 32) for _ in self.shoppers]
            work = [street.submit(self._shop_on, *each) for each in zip(self.shoppers, seeds, strict=True)]
            try:
                yield
            finally:
                self._dark.set()
        for each in work:
            each.result()

    def _shop_on(self, shopper: LoggingShopper, seed: int) -> None:
        dice = random.Random(seed)
        # Nobody answers any more: the power is off.
        with suppress(OSError):
            while not self._dark.is_set():
                self._buy(shopper, dice)

    def _buy(self, shopper: LoggingShopper, dice: random.Random) -> None:
        if shopper.add(dice.choice(PRODUCTS), dice.choice((1, 1, 2))).status != 200:
            time.sleep(0.05)
            return
        answer = shopper.check_out(dice.choice(PAYMENTS), key=f"{dice.randrange(1 << 64):x}")
        if answer.status != 202:
            return
        self.accepted += 1
        if dice.random() < 0.5:
            shopper.order(answer.body["id"], Prefer="wait=2")

    def look_back(self, *, final: bool) -> None:
        """Read every history to its end, when all is at rest; nobody buys any more after the final time."""
        with ThreadPoolExecutor(8) as street:
            list(street.map(lambda shopper: shopper.orders(final=final), self.shoppers))


# ---------------------------------------------------------------- the cuts


@dataclass
class PowerCuts:
    """A shop in a folder of its own whose power goes."""

    place: Path
    seed: int
    folder: Path = ROOT
    """The code that runs."""
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.run = Run(self.seed)
        var_dir = self.place.resolve() / "var"
        var_dir.mkdir()
        self.disk = Disk(var_dir, self.place)
        settings = {**self.settings, **self.disk.environment, "ADMIN_API_KEY": ADMIN_KEY}
        self.shop = RunningShop(var_dir, settings=settings, folder=self.folder)
        self.log = Log(self.place / "shoppers.log")
        self.crowd = Crowd(self.shop, self.log, self.dice)

    def cut(self, cuts: int, *, check_each: bool, stop_at_violation: bool = False) -> Run:
        """Open the shop and cut its power so often; it is judged after each cut, or after the last."""
        try:
            if not self.start():
                return self.run
            self.stock_up()
            while self.run.cuts.total() < cuts:
                self.cut_under_load()
                if check_each and self.dice.random() < 0.25:
                    self.cut_while_starting()
                if not self.start():
                    return self.run
                done = self.run.cuts.total() >= cuts
                if check_each or done:
                    self.judge(final=done)
                if self.run.violations and stop_at_violation:
                    break
            return self.run
        finally:
            self.kill_everything()
            self.log.close()

    def start(self) -> bool:
        """Switch the power on and open the shop; that it does not open is a violation."""
        self.disk.on()
        began = time.monotonic()
        try:
            self.shop.open()
        except AssertionError as error:
            self.run.violations.append(f"the shop does not open again: {error}")
            return False
        self.run.starts.append(time.monotonic() - began)
        return True

    def stock_up(self) -> None:
        for product_id in PRODUCTS:
            path, body = f"/api/admin/products/{product_id}/stock", {"counted": STOCK}
            answer = Shopper(self.shop.address).ask("POST", path, body, Authorization=f"Bearer {ADMIN_KEY}")
            assert answer.status < 300, answer.body

    def cut_under_load(self) -> None:
        moment = self.dice.choice(("at any time", "at a change", "with the worker behind", "with the log rewritten"))
        known = self.crowd.accepted
        with self.crowd.at_work():
            until(lambda: self.crowd.accepted > known + SHOPPERS, REST_SECONDS, "the shop to be busy")
            time.sleep(self.dice.uniform(0.1, 1.0))
            if moment == "with the worker behind":
                # What is accepted now is in no database yet: nothing but the log can bring it back.
                until(self.halt_worker, REST_SECONDS, "a moment in which the worker writes nothing")
                time.sleep(self.dice.uniform(0.1, 0.6))
            if moment == "with the log rewritten":
                self.rewrite_log()
                time.sleep(self.dice.uniform(0.0, 0.2))
            if moment == "at a change":
                self.disk.off(after=self.dice.randint(1, 300))
                until(self.disk.is_off, REST_SECONDS, "the power to go")
            else:
                self.disk.off()
            self.lose(moment)

    def halt_worker(self) -> bool:
        """Let the worker stand still, unless that keeps others from writing."""
        pids = self.shop.pids()["worker"]
        for pid in pids:
            halt(pid)
        if self.disk.is_free():
            return True
        self.signal(signal.SIGCONT, pids)
        return False

    def cut_while_starting(self) -> None:
        """Cut the power of a shop that is just coming back."""
        self.disk.on()
        self.shop.launch()
        time.sleep(self.dice.uniform(0.3, 5.0))
        self.disk.off()
        self.lose("while starting")

    def lose(self, moment: str) -> None:
        self.kill_everything()
        self.run.cuts[moment] += 1
        self.run.note(self.disk.lose(self.dice))
        print(
            f"power: cut {self.run.cuts.total()} {moment}, {self.crowd.accepted} checkouts accepted so far", flush=True
        )

    def rewrite_log(self) -> None:
        redis = Redis(unix_socket_path=str(self.shop.var_dir / "valkey" / "valkey.sock"))
        with closing(redis), suppress(RedisError):  # It does so already.
            redis.bgrewriteaof()

    # ------------------------------------------------------------ the verdict

    def judge(self, *, final: bool) -> None:
        """Wait until all is at rest; then the checker, the files and the shoppers must agree."""
        var_dir = self.shop.var_dir
        database_url, redis_url = f"sqlite:///{var_dir}/shop.db", f"unix://{var_dir}/valkey/valkey.sock"
        found: list[str] = []
        remains: list[str] = []
        try:
            until(lambda: self.at_rest(database_url, redis_url), REST_SECONDS, "the shop to be at rest")
        except AssertionError:
            remains = unfinished(database_url, redis_url)
            found.append(f"not at rest after {REST_SECONDS} s: {remains[:5]}")
        damaged = [f"{name} is damaged: {how}" for name, how in damage(var_dir, database_url)]
        found += damaged
        if not damaged and remains != AWAY:  # Else nobody can be asked.
            self.crowd.look_back(final=final)
            report = judge(gather(var_dir, database_url, redis_url, [self.place / "shoppers.log"]))
            self.run.counts = report.counts
            found += [f"{each.promise}: {each.subject}: {each.message}" for each in report.violations]
        cut = self.run.cuts.total()
        self.run.violations += [f"after cut {cut}: {each}" for each in found]

    def at_rest(self, database_url: str, redis_url: str) -> bool:
        try:
            return not unfinished(database_url, redis_url)
        except Unavailable:
            return False

    # ------------------------------------------------------------ the end of everything

    def kill_everything(self) -> None:
        """SIGKILL to all that works in the folder, until nothing does."""
        starter = self.shop.process
        if starter is not None:
            starter.kill()

        def gone() -> bool:
            left = self.working()
            self.signal(signal.SIGKILL, left)
            return not left

        until(gone, REST_SECONDS, "everything to be dead")
        if starter is not None:
            starter.communicate()
            self.shop.process = None

    def working(self) -> list[int]:
        """Everything that was started with our journal, or works in our folder: more than the shop's roles."""
        mark, found = f"POWER_JOURNAL={self.disk.journal}".encode(), []
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                ours = mark in (entry / "environ").read_bytes().split(b"\0")
                if ours or (entry / "cwd").readlink().is_relative_to(self.shop.var_dir):
                    found.append(int(entry.name))
        return found

    def signal(self, number: signal.Signals, pids: Sequence[int]) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def with_a_bug(to: Path, file: str, old: str, new: str) -> Path:
    """A copy of the code with one text replaced. Raises ValueError when the text is not there."""
    for name in CODE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            to.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, to / name)
    text = (to / file).read_text()
    if old not in text:
        raise ValueError(f"{file} does not say {old!r}")
    (to / file).write_text(text.replace(old, new))
    return to


def notice_bugs(place: Path, run: Run) -> None:
    """Cut the power of shops that do not sync: that nothing is lost there is a violation."""
    for number, (name, bug) in enumerate(BUGS.items()):
        code, ground = place / f"code-{number}", place / f"ground-{number}"
        ground.mkdir()
        print(f"power: a shop where {name}", flush=True)
        cuts = PowerCuts(ground, run.seed + number, with_a_bug(code, *bug))
        found = cuts.cut(MOST_CUTS_FOR_A_BUG, check_each=True, stop_at_violation=True)
        lost = [each for each in found.violations if any(sign in each for sign in SIGNS_OF_LOSS)]
        run.bugs[name] = f"{len(lost)} violations after {found.cuts.total()} cuts: {lost[0]}" if lost else "not noticed"
        if not lost:
            said = f", but {found.violations[0]}" if found.violations else ""
            run.violations.append(f"not noticed in {found.cuts.total()} cuts: {name}{said}")
        shutil.rmtree(ground)
        shutil.rmtree(code)


def why_not() -> str | None:
    """Why power cannot be cut on this machine, if so."""
    if sys.platform != "linux" or sys.maxsize < 1 << 32:
        return "the disk of tests/fire/power.c is for 64-bit Linux"
    return None if compiler() else "there is no C compiler to build tests/fire/power.c with"


def main(arguments: Sequence[str] | None = None) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # So that what is running is closed.
    parser = argparse.ArgumentParser(prog="python -m tests.fire.power", description=__doc__)
    parser.add_argument("--long", action="store_true", help=f"{LONG_CUTS} cuts, and then in shops that do not sync")
    parser.add_argument("--cuts", type=int, help="another number of cuts")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--keep", action="store_true", help="keep the folder when there is a violation")
    given = parser.parse_args(arguments)
    if reason := why_not():
        print(f"power: skipped: {reason}")
        return 0
    cuts = given.cuts or (LONG_CUTS if given.long else SHORT_CUTS)
    print(f"power: {cuts} cuts, seed {given.seed}", flush=True)
    place, began = Path(tempfile.mkdtemp(prefix="oc")), time.monotonic()
    run = PowerCuts(place, given.seed).cut(cuts, check_each=given.long or cuts > SHORT_CUTS)
    if given.long:
        notice_bugs(place, run)
    said = run.as_json(time.monotonic() - began)
    print(json.dumps(said, indent=2))
    if given.json:
        given.json.write_text(json.dumps(said, indent=2) + "\n")
    if not (run.violations and given.keep):
        shutil.rmtree(place)
    return 1 if run.violations else 0


if __name__ == "__main__":
    raise SystemExit(main())
