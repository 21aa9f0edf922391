"""The crash matrix in short: each fail point once; `python -m tests.fire.matrix --long` takes every combination."""

from __future__ import annotations

import re

import pytest

from tasks.failpoints import POINTS
from tests.fire import matrix
from tests.fire.places import LONG, OLD, OUTCOMES, UNWRITABLE, VICTIMS, cases, not_applicable, places, short_cases
from tests.servers import postgres_programs


def test_every_point_has_a_course_and_every_combination_is_played_or_has_a_reason_why_not() -> None:
    played = {(case.point, case.outcome, case.victim) for case in cases()}
    left_out = {(point, outcome) for point, outcome, _ in not_applicable()}

    assert [place.point for place in places()] == list(POINTS)
    assert {(point, outcome) for point, outcome, _ in played} | left_out == {(p, o) for p in POINTS for o in OUTCOMES}
    assert not {(point, outcome) for point, outcome, _ in played} & left_out
    assert len(played) == len(cases()) == (len(POINTS) * len(OUTCOMES) - len(left_out)) * len(VICTIMS)


def test_the_short_form_takes_each_point_that_processes_come_to_once() -> None:
    elsewhere = {point for point, _, reason in not_applicable() if reason in (LONG, OLD, UNWRITABLE)}

    assert {case.point for case in short_cases()} == set(POINTS) - elsewhere
    assert len({case.point for case in short_cases()}) == len(short_cases())


def test_the_same_seed_gives_the_same_cases_in_the_same_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert matrix.main(["--list"]) == 0
    names = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("not applicable: ")]

    assert names == [case.name for case in cases()]
    assert all(re.fullmatch(r"[a-z]+\.[a-z_]+/[a-z]+/[a-z]+", name) for name in names)


def test_a_case_that_does_not_exist_is_said_to() -> None:
    with pytest.raises(SystemExit, match=r"no such case: pay\.asked/invoice/process; see --list"):
        matrix.main(["--case", "pay.asked/invoice/process"])


@pytest.mark.e2e
def test_a_death_at_each_point_leaves_every_promise_kept() -> None:
    wanted = short_cases()

    results, violations = matrix.run(wanted)

    assert [(result.name, result.wrong) for result in results if result.wrong] == []
    assert [result.name for result in results] == [case.name for case in wanted]
    assert violations == []


@pytest.mark.e2e
@pytest.mark.real
@pytest.mark.skipif(postgres_programs() is None, reason="PostgreSQL is not installed")
def test_so_it_does_on_postgresql() -> None:
    chosen = ("settle.writing", "settle.giving_up", "pay.called", "cancel.writing")
    wanted = [case for case in short_cases(postgres=True) if case.point in chosen]

    results, violations = matrix.run(wanted, shops=2, on_postgres=True)

    assert [(result.name, result.wrong) for result in results if result.wrong] == []
    assert len(results) == len(chosen)
    assert violations == []
