"""`make fire`: every part of the proof, one after the other, and docs/proof.md from what they found."""

from __future__ import annotations

import argparse
import json
import platform
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.servers import postgres_programs
from web.settings import ROOT

PAGE = ROOT / "docs" / "proof.md"


@dataclass(frozen=True, slots=True)
class Part:
    """A program of the proof: what it shows, and how it is run."""

    title: str
    shows: str
    command: tuple[str, ...]
    needs_postgres: bool = False
    alone: bool = False
    """It takes times that others would spoil."""


PARTS = (
    Part("Whole-shop model", "random shoppers, merchants, deaths and clocks against a small model", ("model",)),
    Part("Crash matrix", "every fail point, kind of payment and kind of death, alone", ("matrix",)),
    Part("Crash matrix, PostgreSQL", "the same on PostgreSQL", ("matrix", "--postgres"), needs_postgres=True),
    Part(
        "Soak",
        "real processes under load: kills, pauses, a full Redis, a locked SQLite, a bad line",
        ("soak",),
        alone=True,
    ),
    Part("Soak, PostgreSQL", "the same on PostgreSQL", ("soak", "--postgres"), needs_postgres=True, alone=True),
    Part("Power cuts", "both stores at once lose all that was not fsynced", ("power",)),
    Part("Floods", "many shoppers for few units, double clicks, one cart, a burst", ("floods",)),
    Part("Bad input", "generated and hand-made requests that no client should send", ("bad_input",)),
    Part("The proof is proved", "deliberate bugs, each of which a part above must catch", ("mutants",)),
)


_running: list[subprocess.Popen[bytes]] = []


def run(part: Part, seed: int | None, folder: Path) -> dict[str, Any]:
    """Run a part in its long form; what it reported, and whether it was clean."""
    name, *options = part.command
    report = folder / f"{'-'.join(part.command)}.json"
    command = [sys.executable, "-m", f"tests.fire.{name}", "--long", "--json", str(report), *options]
    if seed is not None:
        command += ["--seed", str(seed)]
    print(f"== {part.title}: {part.shows}", flush=True)
    started = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT) as child:
        _running.append(child)
        code = child.wait()
        _running.remove(child)
    found: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {}
    return found | {"title": part.title, "shows": part.shows, "took": time.monotonic() - started, "clean": code == 0}


def page(results: list[dict[str, Any]]) -> str:
    """docs/proof.md."""
    when = datetime.now(UTC).date().isoformat()
    clean = sum(result["clean"] for result in results)
    machine = f"Python {platform.python_version()}, {platform.system()} on {platform.machine()}"
    said = f"Written by `make fire` on {when}: {clean} of {len(results)} parts clean. {machine}."
    yours = "Every part prints its seeds and can be run alone: `python -m tests.fire.<part> --help`."
    lines = [
        "# The proof",
        "",
        f"{said} {yours}",
        "",
        "| part | what it shows | cases | violations | time | seeds |",
        "|---|---|---|---|---|---|",
    ]
    for found in results:
        seeds = ", ".join(map(str, found.get("seeds", []))) or "none"
        listed = found.get("violations", "not finished")
        verdict = len(listed) if isinstance(listed, list) else listed
        lines.append(
            f"| {found['title']} | {found['shows']} | {found.get('cases', '')} | {verdict} "
            f"| {found['took']:.0f} s | {seeds} |"
        )
    for found in results:
        if figures := found.get("figures"):
            lines += ["", f"## {found['title']}", "", "| figure | value |", "|---|---|"]
            lines += [f"| {name.replace('_', ' ')} | {value} |" for name, value in figures.items()]
    return "\n".join(lines) + "\n"


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="the same for every part; left out, each chooses and prints its own")
    parser.add_argument("--only", help="comma separated names of parts: model, matrix, soak, power, ...")
    parser.add_argument("--at-once", type=int, default=2, help="parts under way at once; most of the time they wait")
    options = parser.parse_args()
    wanted = set(options.only.split(",")) if options.only else None
    has_postgres = postgres_programs() is not None
    parts = []
    for part in PARTS:
        if wanted is not None and part.command[0] not in wanted:
            continue
        if part.needs_postgres and not has_postgres:
            print(f"== {part.title}: skipped, PostgreSQL's programs are not installed")
            continue
        parts.append(part)
    with TemporaryDirectory() as folder, ThreadPoolExecutor(options.at_once) as pool:
        under_way = {part: pool.submit(run, part, options.seed, Path(folder)) for part in parts if not part.alone}
        try:
            found = {part: future.result() for part, future in under_way.items()}
            found |= {part: run(part, options.seed, Path(folder)) for part in parts if part.alone}
        except KeyboardInterrupt:  # They have shops to close, each of them several processes.
            pool.shutdown(wait=False, cancel_futures=True)
            for child in _running:
                child.send_signal(signal.SIGINT)
            raise
    results = [found[part] for part in parts]
    if wanted is None:
        PAGE.write_text(page(results), encoding="utf-8")
        print(f"{PAGE.relative_to(ROOT)} is written")
    bad = [found["title"] for found in results if not found["clean"]]
    print(f"not clean: {', '.join(bad)}" if bad else f"{len(results)} parts, every one of them clean")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
