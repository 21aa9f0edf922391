"""`make bench`: every budget, one after the other, and docs/performance.md with its plots from what they found."""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.servers import postgres_programs
from web.settings import ROOT

PAGE = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "performance"


@dataclass(frozen=True, slots=True)
class Program:
    """A benchmark: what it measures, what is wanted, and what of its report is the figure."""

    title: str
    budget: str
    command: tuple[str, ...]
    figures: tuple[str, ...]
    """Members of its report, as paths with dots, that the page shows."""
    needs_postgres: bool = False


PROGRAMS = (
    Program(
        "Whole journeys",
        "at least 741 a second, at most 2.4 ms of CPU each; half load: p50 25 ms, p99 150 ms",
        ("journeys", "--rounds", "3"),
        (
            "journeys_a_second",
            "cpu_ms_a_journey",
            "web_cpu_ms",
            "worker_cpu_ms",
            "valkey_cpu_ms",
            "half_load_journeys_a_second",
            "half_p50_ms",
            "half_p99_ms",
        ),
    ),
    Program(
        "Settling",
        "at least 0.7 of bare sqlite3 writing the same rows",
        ("settle",),
        ("ratio", "settle_orders_per_second", "bare_sqlite3_orders_per_second"),
    ),
    Program(
        "Requests",
        "at most 1.6 times the CPU of a bare Flask route with the same store round trips",
        ("routes",),
        (
            "routes.add.ratio",
            "routes.checkout.ratio",
            "routes.order.ratio",
            "routes.add.us",
            "routes.checkout.us",
            "routes.order.us",
        ),
    ),
    Program(
        "Size of the catalogue and of success",
        "product list at most 1.5 times as long with 1 M products as with 1 k; orders at most 1.3 times",
        ("size", "--products", "1000000", "--orders", "1000000"),
        ("passed_figures", "figures_in_all"),
    ),
    Program(
        "Memory, idle", "at most 250 MB", ("memory",), ("idle_mb", "by_role.web", "by_role.worker", "by_role.valkey")
    ),
    Program(
        "Recovery after a SIGKILL, the longest of five",
        "at most 3 s",
        ("recovery",),
        tuple(
            f"recovery_seconds.{victim}.max"
            for victim in ("a web process", "the whole web", "a worker process", "the whole worker", "valkey")
        ),
    ),
    Program(
        "Four settle workers on PostgreSQL",
        "at least 1.5 times one, with 5 ms to the database",
        ("shards",),
        ("far_ratio", "near_ratio"),
        needs_postgres=True,
    ),
    Program("Import of 100,000 products", "at most 60 s and 200 MiB", ("importing",), ("seconds", "peak_mib")),
    Program(
        "Audit of 300,000 orders", "at most 60 s a million", ("audit", "--orders", "300000"), ("seconds", "peak_mib")
    ),
    Program("Throughput against shoppers", "nobody is refused", ("curve",), ()),
)


def run(program: Program, folder: Path) -> dict[str, Any]:
    """Run a program; what it reported, its last line of JSON if it writes no file, and whether it passed."""
    name, *options = program.command
    report = folder / f"{name}.json"
    print(f"== {program.title}: {program.budget}", flush=True)
    command = [sys.executable, "-m", f"bench.{name}", *options]
    started = time.monotonic()
    if "--json" in subprocess.run([*command, "--help"], cwd=ROOT, capture_output=True, text=True, check=False).stdout:
        command += ["--json", str(report)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        said = ""
        for line in child.stdout or ():
            print(line, end="", flush=True)
            said = line if line.startswith("{") else said
    found: dict[str, Any] = json.loads(report.read_text() if report.exists() else said or "{}")
    return found | {"passed": child.returncode == 0, "took": time.monotonic() - started}


def label(path: str) -> str:
    """A path in words: `routes.add.us` is "add us"."""
    return path.partition(".")[2].replace(".", " ").replace("_", " ") or path.replace("_", " ")


def value(found: Mapping[str, Any], path: str) -> Any:
    """A member of a report by its path with dots; None when it is not there."""
    member: Any = found
    for name in path.split("."):
        member = member.get(name) if isinstance(member, Mapping) else None
    return member


def page(results: Sequence[tuple[Program, dict[str, Any]]]) -> str:
    """docs/performance.md."""
    when = datetime.now(UTC).date().isoformat()
    machine = f"Python {platform.python_version()}, {platform.system()} on {platform.machine()}"
    lines = [
        "# Performance",
        "",
        (
            f"Written by `make bench` on {when}, on the cores that also carried the load generator. {machine}. "
            "Each row is a program that can be run alone; it measures its reference in the same run, so the ratios "
            "stand on any machine. What was found by profiling, and what was tried, is in "
            "[decision 6](decisions/0006-what-a-request-costs.md)."
        ),
        "",
        "| what | budget | verdict | figures | command |",
        "|---|---|---|---|---|",
    ]
    for program, found in results:
        figures = "; ".join(
            f"{label(path)} {value(found, path)}" for path in program.figures if value(found, path) is not None
        )
        verdict = "met" if found["passed"] else "**not met**"
        lines.append(
            f"| {program.title} | {program.budget} | {verdict} | {figures} | `python -m bench.{program.command[0]}` |"
        )
    lines += [f"\n![{plot.stem}](performance/{plot.name})" for plot in sorted(PLOTS.glob("*.svg"))]
    return "\n".join(lines) + "\n"


def plot(results: Sequence[tuple[Program, dict[str, Any]]]) -> None:
    """Throughput and latency against the number of shoppers, and cost against size, as SVG files."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "oncecart"
    from matplotlib import pyplot

    PLOTS.mkdir(exist_ok=True)
    by_name = {program.command[0]: found for program, found in results}
    if curve := by_name.get("curve", {}).get("curve"):
        shoppers = [point["shoppers"] for point in curve]
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
        left.plot(shoppers, [point["journeys_a_second"] for point in curve], marker="o")
        left.set(xlabel="shoppers at once", ylabel="whole journeys a second", xscale="log", ylim=(0, None))
        for name in ("p50_ms", "p90_ms", "p99_ms"):
            right.plot(shoppers, [point[name] for point in curve], marker="o", label=name.removesuffix("_ms"))
        right.set(xlabel="shoppers at once", ylabel="click to confirmation, ms", xscale="log", yscale="log")
        right.legend()
        figure.savefig(PLOTS / "shoppers.svg", metadata={"Date": None})
    if sizes := by_name.get("size", {}).get("figures"):
        ratios = sorted(figure["ratio"] for figure in sizes)
        figure, axis = pyplot.subplots(figsize=(9, 3.5), layout="constrained")
        axis.plot([100 * (n + 1) / len(ratios) for n in range(len(ratios))], ratios)
        axis.axhline(1.5, linestyle="--", linewidth=1)
        axis.set(xlabel="per cent of the questions asked", ylabel="cost, large against small", yscale="log")
        figure.savefig(PLOTS / "size.svg", metadata={"Date": None})


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.all", description=__doc__)
    parser.add_argument("--only", help="comma separated names of programs; then no page is written")
    given = parser.parse_args()
    wanted = set(given.only.split(",")) if given.only else None
    results = []
    with TemporaryDirectory() as folder:
        for program in PROGRAMS:
            if wanted is not None and program.command[0] not in wanted:
                continue
            if program.needs_postgres and postgres_programs() is None:
                print(f"== {program.title}: skipped, PostgreSQL's programs are not installed")
                continue
            results.append((program, run(program, Path(folder))))
    if wanted is None:
        plot(results)
        PAGE.write_text(page(results), encoding="utf-8")
        print(f"{PAGE.relative_to(ROOT)} is written")
    missed = [program.title for program, found in results if not found["passed"]]
    print(f"not met: {', '.join(missed)}" if missed else f"{len(results)} budgets, every one of them met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
