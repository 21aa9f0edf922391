"""The places at which a test can let a process die."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks import failpoints
from tasks.failpoints import POINTS, VARIABLE, arm, failpoint
from web.settings import ROOT

CHILD = """
from tasks.failpoints import arm_from_environment, failpoint
arm_from_environment()
for n in range(1, 4):
    print(n, flush=True)
    failpoint("pay.asked")
"""


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.disarm()


def test_the_list_names_every_place_in_the_source_once() -> None:
    found = [
        name
        for folder in ("carts", "db", "payments", "tasks", "web", "shop")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name in re.findall(r'\bfailpoint\("([^"]+)"\)', path.read_text())
    ]

    assert sorted(found) == sorted(POINTS)


def test_nothing_happens_at_a_place_that_is_not_armed() -> None:
    arm("pay.told", lambda: pytest.fail("not here"))

    failpoint("pay.asked")


def test_a_place_that_does_not_exist_cannot_be_armed() -> None:
    with pytest.raises(ValueError, match=r"there is no place 'pay\.nowhere'"):
        arm("pay.nowhere", lambda: None)


@pytest.mark.parametrize(("wanted", "said"), [("pay.asked", "1\n"), ("pay.asked:3", "1\n2\n3\n")])
def test_a_process_dies_where_its_environment_says(wanted: str, said: str) -> None:
    environment = {**os.environ, VARIABLE: wanted}

    child = subprocess.run([sys.executable, "-c", CHILD], cwd=ROOT, env=environment, capture_output=True, text=True)

    assert child.returncode == -signal.SIGKILL
    assert child.stdout == said


def test_with_a_file_only_the_first_process_dies(tmp_path: Path) -> None:
    environment = {**os.environ, VARIABLE: f"pay.asked:2:{tmp_path}/died"}

    children = [
        subprocess.run([sys.executable, "-c", CHILD], cwd=ROOT, env=environment, capture_output=True, text=True)
        for _ in range(2)
    ]

    assert [child.returncode for child in children] == [-signal.SIGKILL, 0]
