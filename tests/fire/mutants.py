"""Deliberate bugs, each of which a named test must catch.

    python -m tests.fire.mutants [--long] [--case NAME] [--list] [--seed N] [--json FILE]

A bug is a patch in tests/fire/mutants/. The lines above its diff say what is wrong, which promise that breaks, what
must catch it, and what the catcher must say: a failed import proves nothing.

    Bug: the worker forgets a checkout before it is written.
    Breaks: P1: no accepted checkout is lost
    Caught by: pytest tests/tasks/test_settle.py::test_name
    Says: a regular expression, searched in the failure's message
    Caught by: fire power --cuts 6 --seed 1
    Says: a regular expression, searched in what the part printed

Every patch is tried on a copy of the working tree; the tree itself is never touched, and without a patch its
copy must pass the same tests.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from web.settings import ROOT

PATCHES = Path(__file__).with_name("mutants")
QUICK = ("cart_not_given_back", "late_answers_count", "order_of_any_session")
"""What the short form tries: a loss, a wrong charge and a leak, caught within seconds."""
PATIENCE_SECONDS = 600
_HEADER = re.compile(r"^(Bug|Breaks|Caught by|Says): (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Catcher:
    """A test or a part of the proof, and what its failure says."""

    kind: str
    """`pytest` or `fire`."""
    arguments: tuple[str, ...]
    says: str

    @property
    def name(self) -> str:
        return " ".join(("fire", *self.arguments)) if self.kind == "fire" else self.arguments[0].partition("::")[2]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A deliberate bug."""

    name: str
    bug: str
    breaks: str
    catchers: tuple[Catcher, ...]
    path: Path


@dataclass(frozen=True, slots=True)
class Found:
    """How a catcher ended."""

    failures: list[str] | None
    """What was said, one for each failed test; None when it ended in another way, as by a failed import."""
    output: str
    seconds: float
    skipped: bool = False
    """Whether it cannot be run on this machine."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a bug was caught by one of its catchers, or (without a bug) whether a catcher was silent."""

    case: str
    by: str
    told: str
    seconds: float
    kept: bool | None
    """None: it could not be tried here."""

    @property
    def word(self) -> str:
        return {True: "ok", False: "VIOLATION", None: "skipped"}[self.kept]

    def __str__(self) -> str:
        return f"{self.word:<10}{self.case}: {self.told} ({self.by}, {self.seconds:.1f} s)"


def read(path: Path) -> Mutant:
    """A patch and what its header says. Raises ValueError for a header that lacks something."""
    said = _HEADER.findall(path.read_text(encoding="utf-8").partition("\n--- ")[0])
    whole = {field: text for field, text in said if field in ("Bug", "Breaks")}
    catchers = tuple(
        _catcher(text, said[i + 1][1])
        for i, (field, text) in enumerate(said)
        if field == "Caught by" and said[i + 1 : i + 2] and said[i + 1][0] == "Says"
    )
    if len(whole) != 2 or not catchers or len(catchers) != sum(field == "Caught by" for field, _ in said):
        raise ValueError(f"{path.name}: say Bug, Breaks, and what it is Caught by, each with what that Says")
    return Mutant(path.stem, whole["Bug"], whole["Breaks"], catchers, path)


def _catcher(text: str, says: str) -> Catcher:
    kind, *arguments = shlex.split(text)
    return Catcher(kind, tuple(arguments), says)


def mutants() -> list[Mutant]:
    return [read(path) for path in sorted(PATCHES.glob("*.patch"))]


# ---------------------------------------------------------------- copies


@contextmanager
def scratch() -> Iterator[Path]:
    """A copy of the working tree: all that git knows or would add."""
    names = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(names, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    with tempfile.TemporaryDirectory(prefix="oc-mutant-") as folder:
        for name in filter(None, listed.split("\0")):
            source, copy = ROOT / name, Path(folder, name)
            if source.is_file():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, copy)
        yield Path(folder)


def apply(mutant: Mutant, tree: Path, *, only_check: bool = False) -> str | None:
    """Put a bug into a copy. Answers why that cannot be done, or None."""
    command = ["git", "apply", "--verbose", *(["--check"] if only_check else []), str(mutant.path)]
    # Above a copy there must be no repository: git would take its root for ours and apply nothing.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    applied = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    return None if applied.returncode == 0 else applied.stderr.strip()


# ---------------------------------------------------------------- catchers


def run(catchers: Sequence[Catcher], tree: Path, seed: int) -> Found:
    """Run tests, or one part of the proof, in a copy."""
    started = time.monotonic()
    report = tree / ".report"
    arguments = [argument for catcher in catchers for argument in catcher.arguments]
    if catchers[0].kind == "fire":
        command = [sys.executable, "-m", f"tests.fire.{arguments[0]}", *arguments[1:], "--json", str(report)]
    else:
        quiet = ["-q", "--tb=short", "-p", "no:cacheprovider", f"--hypothesis-seed={seed}", f"--junitxml={report}"]
        command = [sys.executable, "-m", "pytest", *quiet, *arguments]
    code, output = _patiently(command, tree)
    seconds = time.monotonic() - started
    if code == 0 and _is_skipped(report, catchers[0].kind):
        return Found([], output, seconds, skipped=True)
    return Found(failures(report, catchers[0].kind, code, output), output, seconds)


def _patiently(command: Sequence[str], tree: Path) -> tuple[int | None, str]:
    """Run a command; its exit code, or None when it did not end in time, and what it printed."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV", "GIT_"))}
    with subprocess.Popen(
        command,
        cwd=tree,
        env={**outside, "PYTHONPATH": str(tree)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            output = process.communicate(timeout=PATIENCE_SECONDS)[0]
        except subprocess.TimeoutExpired:
            return None, _end(process)
        return process.returncode, output


def _end(process: subprocess.Popen[str]) -> str:
    """Let a process that takes too long put away what it has started, and then end it with all that is left."""
    process.send_signal(signal.SIGINT)
    try:
        return process.communicate(timeout=20)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0]


def _is_skipped(report: Path, kind: str) -> bool:
    """Of a run that ended well: a part that cannot be run leaves no report, a skipped test says so in it."""
    if kind == "fire":
        return not report.exists()
    cases = list(ElementTree.parse(report).iter("testcase"))
    return bool(cases) and all(case.find("skipped") is not None for case in cases)


def failures(report: Path, kind: str, code: int | None, output: str) -> list[str] | None:
    """What was said by what failed as a test or a part fails; None for any other end, as by a failed import."""
    if code not in (0, 1) or not report.exists():
        return None
    if kind == "fire":
        is_bad = bool(json.loads(report.read_text())["violations"])
        return None if is_bad != bool(code) else [output] * is_bad
    cases = list(ElementTree.parse(report).iter("testcase"))
    if not cases or any(case.find("error") is not None for case in cases):
        return None
    return [str(failure.get("message")) for case in cases for failure in case.iter("failure")]


# ---------------------------------------------------------------- verdicts


def check_clean(catchers: Sequence[Catcher], seed: int) -> Verdict:
    """The tree as it is must pass what is to catch the bugs."""
    with scratch() as tree:
        found = run(catchers, tree, seed)
    by = catchers[0].name if len(catchers) == 1 else f"{len(catchers)} tests"
    told = "nothing to be found" if found.failures == [] else f"does not pass by itself: {_end_of(found)}"
    return Verdict("the tree as it is", by, told, found.seconds, None if found.skipped else found.failures == [])


def check_caught(mutant: Mutant, seed: int) -> list[Verdict]:
    """Put a bug into a copy for each of its catchers, all of which must fail, and for the right reason."""
    verdicts = []
    for catcher in mutant.catchers:
        with scratch() as tree:
            if why := apply(mutant, tree):
                return [Verdict(mutant.name, "git apply", f"does not apply: {why}", 0.0, False)]
            verdicts.append(judge(mutant, catcher, run([catcher], tree, seed)))
    return verdicts


def judge(mutant: Mutant, catcher: Catcher, found: Found) -> Verdict:
    """Whether that was the failure that the bug had to bring about."""
    if found.skipped:
        return _verdict(mutant, catcher, found, "cannot be tried here", kept=None)
    if found.failures is None:
        return _verdict(mutant, catcher, found, f"did not end as a test that fails: {_end_of(found)}")
    if not found.failures:
        return _verdict(mutant, catcher, found, "was not noticed")
    right = next((text for text in found.failures if re.search(catcher.says, text)), None)
    if right is None:
        return _verdict(mutant, catcher, found, f"was noticed, but not by {catcher.says!r}: {found.failures[0]}")
    lines = right.splitlines()
    line = next((line for line in lines if re.search(catcher.says, line)), lines[0])
    return _verdict(mutant, catcher, found, f"caught: {line.strip()[:120]}", kept=True)


def _verdict(mutant: Mutant, catcher: Catcher, found: Found, told: str, *, kept: bool | None = False) -> Verdict:
    return Verdict(mutant.name, catcher.name, told, found.seconds, kept)


def _end_of(found: Found) -> str:
    return "\n" + "\n".join(found.output.splitlines()[-20:])


def check(tried: Sequence[Mutant], seed: int, jobs: int = 2) -> Iterator[Verdict]:
    """Try bugs, each with all of its catchers, and before that these catchers without any bug."""
    catchers = {(each.kind, each.arguments): each for mutant in tried for each in mutant.catchers}.values()
    tests = [each for each in catchers if each.kind == "pytest"]
    groups = [*([tests] if tests else []), *([each] for each in catchers if each.kind == "fire")]
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda group: check_clean(group, seed), groups)
        for verdicts in pool.map(lambda mutant: check_caught(mutant, seed), tried):
            yield from verdicts


def main(arguments: Sequence[str] | None = None) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # So that what is running is closed.
    parser = argparse.ArgumentParser(prog="python -m tests.fire.mutants", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--long", action="store_true", help=f"try every bug; else {', '.join(QUICK)}")
    parser.add_argument("--case", action="append", help="try this bug; may be given several times")
    parser.add_argument("--list", action="store_true", help="name the bugs and what catches them")
    parser.add_argument(
        "--seed", type=int, default=1, help="for tests that draw their examples; a fire part has its own"
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    known = {mutant.name: mutant for mutant in mutants()}
    if given.list:
        print("\n".join(f"{name}: {each.bug}\n    {each.breaks}" for name, each in known.items()))
        return 0
    if unknown := set(given.case or ()) - known.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    tried = [known[name] for name in given.case or (known if given.long else QUICK)]
    started, verdicts = time.monotonic(), []
    for verdict in check(tried, given.seed, given.jobs):
        print(verdict, flush=True)
        verdicts.append(verdict)
    return _conclude(tried, verdicts, time.monotonic() - started, given.seed, given.json)


def _conclude(tried: Sequence[Mutant], verdicts: Sequence[Verdict], seconds: float, seed: int, to: Path | None) -> int:
    bad = [verdict for verdict in verdicts if verdict.kept is False]
    by_case = {mutant: [verdict for verdict in verdicts if verdict.case == mutant.name] for mutant in tried}
    caught = [mutant for mutant in tried if all(each.kept for each in by_case[mutant])]
    print(f"{len(tried)} deliberate bugs, {len(caught)} caught, {len(bad)} violations, {seconds:.0f} s, seed {seed}")
    words = {True: "caught by", False: "NOT caught by", None: "skipped:"}
    figures = {"deliberate bugs": len(tried), "caught": len(caught)} | {
        mutant.bug.rstrip("."): "; ".join(f"{words[each.kept]} {each.by} in {each.seconds:.1f} s" for each in told)
        for mutant, told in by_case.items()
    }
    if to:
        found = {"part": "mutants", "cases": len(tried), "seconds": round(seconds, 1), "seeds": [seed]}
        to.write_text(json.dumps({**found, "violations": len(bad), "figures": figures}, indent=2))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
