"""The short form: every deliberate bug still applies and names tests that exist, and three of them are caught."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from tests.fire.mutants import (
    PATCHES,
    QUICK,
    Catcher,
    Found,
    Mutant,
    apply,
    check,
    failures,
    judge,
    mutants,
    read,
    scratch,
)
from web.settings import ROOT

pytestmark = pytest.mark.e2e
MUTANTS = mutants()


def names_of_tests(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_bug_applies_to_the_code_as_it_is() -> None:
    with scratch() as tree:
        faults = {mutant.name: apply(mutant, tree, only_check=True) for mutant in MUTANTS}

    assert {name: fault for name, fault in faults.items() if fault} == {}
    assert len(faults) >= 14


def test_every_bug_names_a_catcher_that_exists() -> None:
    for catcher in (catcher for mutant in MUTANTS for catcher in mutant.catchers):
        if catcher.kind == "fire":
            assert (ROOT / "tests" / "fire" / f"{catcher.arguments[0]}.py").exists()
        else:
            path, _, name = catcher.arguments[0].partition("::")
            assert name.partition("[")[0] in names_of_tests(ROOT / path)


def test_every_patch_is_one_that_git_reads() -> None:
    paths = [str(path) for path in sorted(PATCHES.iterdir())]

    read_ = subprocess.run(["git", "apply", "--numstat", *paths], cwd=ROOT, capture_output=True, text=True, check=True)

    assert len(read_.stdout.splitlines()) >= len(paths) == len(MUTANTS)


@pytest.mark.parametrize(
    "text",
    [
        "Bug: b\nBreaks: P1\n",
        "Bug: b\nBreaks: P1\nCaught by: pytest t.py::t\n",
        "Breaks: P1\nCaught by: fire x\nSays: y\n",
    ],
    ids=["by nothing", "for no reason", "no bug"],
)
def test_a_bug_without_a_whole_header_is_refused(tmp_path: Path, text: str) -> None:
    patch = tmp_path / "half.patch"
    patch.write_text(f"{text}\n--- a/x\n+++ b/x\n")

    with pytest.raises(ValueError, match=r"half\.patch: say Bug, Breaks"):
        read(patch)


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        (Found(["AssertionError: assert 2 == 1\n +  where 2 = sold"], "", 1.0), True),
        (Found(["AssertionError: assert 3 == 1", "assert 2 == 1"], "", 1.0), True),
        (Found(["ImportError: cannot import name 'sold'"], "", 1.0), False),
        (Found([], "1 passed", 1.0), False),
        (Found(None, "no tests ran", 1.0), False),
        (Found([], "1 skipped", 1.0, skipped=True), None),
    ],
    ids=["caught", "caught by one of two", "caught by accident", "unnoticed", "not tried", "skipped"],
)
def test_only_the_right_failure_of_a_catcher_counts(found: Found, kept: bool | None) -> None:
    catcher = Catcher("pytest", ("tests/t.py::test_it_is_sold_once",), "assert 2 == 1")
    mutant = Mutant("sold_twice", "a unit is sold twice", "P3", (catcher,), PATCHES / "sold_twice.patch")

    assert judge(mutant, catcher, found).kept is kept


def test_a_part_fails_by_its_report_and_its_exit_code_alike(tmp_path: Path) -> None:
    report = tmp_path / "report"
    report.write_text('{"violations": ["P1: lost"]}')
    assert failures(report, "fire", 1, "P1: lost") == ["P1: lost"]
    assert failures(report, "fire", 0, "") is None

    report.write_text('{"violations": 0}')
    assert failures(report, "fire", 0, "") == []
    assert failures(report, "fire", 1, "it fell over") is None
    assert failures(tmp_path / "none", "fire", 1, "it fell over") is None


def test_some_bugs_are_caught_and_without_them_there_is_nothing_to_catch() -> None:
    verdicts = list(check([mutant for mutant in MUTANTS if mutant.name in QUICK], seed=1))

    assert [str(verdict) for verdict in verdicts if verdict.kept is not True] == []
    assert {verdict.case for verdict in verdicts} == {"the tree as it is", *QUICK}
