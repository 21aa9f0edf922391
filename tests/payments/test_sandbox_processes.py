"""Many callers at once, killed callers and forked ones: one charge a key at the sandbox, whatever happens."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from payments.sandbox import Sandbox
from payments.sandbox_store import SQLITE, connect
from shop.payments import Approved
from tests.payments.payer import pay_all, request_for
from web.settings import ROOT


def start_payer(path: Path, token: str, orders: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.payments.payer", str(path), token, str(orders)]
    return subprocess.Popen(command, cwd=ROOT)


def wait_for_charges(sandbox: Sandbox, at_least: int, process: subprocess.Popen[bytes]) -> None:
    while sum(a.charges for a in sandbox.books()) < at_least:
        assert process.poll() is None


@pytest.mark.e2e
def test_processes_with_the_same_keys_charge_once(tmp_path: Path) -> None:
    processes = [start_payer(tmp_path / "sandbox.db", "tok_approve", 50) for _ in range(4)]

    assert [process.wait() for process in processes] == [0] * 4

    sandbox = Sandbox(tmp_path / "sandbox.db")
    assert [a.charges for a in sandbox.books()] == [1] * 50
    assert sum(1 for _ in sandbox.calls()) == 200


def test_who_begins_the_books_waits_for_others_that_begin_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = SQLITE.connect(tmp_path / "sandbox.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(time, "sleep", lambda _seconds: other.execute("COMMIT"))

    connect(tmp_path / "sandbox.db", 10.0).close()

    assert not other.in_transaction
    other.close()


@pytest.mark.e2e
def test_who_is_killed_while_waiting_for_the_answer_was_charged_once(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path / "sandbox.db")
    process = start_payer(tmp_path / "sandbox.db", "tok_slow_2000", 1)
    wait_for_charges(sandbox, 1, process)

    process.kill()
    process.wait()
    answer = sandbox.authorize(request_for("o0", "tok_slow_2000"))

    assert isinstance(answer, Approved)
    assert [a.charges for a in sandbox.books()] == [1]
    sandbox.close()


@pytest.mark.e2e
def test_kills_at_any_moment_leave_one_charge_a_key(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path / "sandbox.db")
    for charges in (1, 5, 60, 150):
        process = start_payer(tmp_path / "sandbox.db", "tok_approve", 1_000)
        wait_for_charges(sandbox, charges, process)
        process.kill()
        process.wait()

    pay_all(sandbox, "tok_approve", 1_000)

    assert [a.charges for a in sandbox.books()] == [1] * 1_000
    assert sum(a.held_minor for a in sandbox.books()) == 4_200_000
    sandbox.close()


@pytest.mark.e2e
def test_children_of_a_process_that_spoke_to_the_sandbox_have_connections_of_their_own(tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from payments.sandbox import Sandbox
from tests.payments.payer import request_for
sandbox = Sandbox(Path(sys.argv[1]))
def pay(who):
    for n in range(30):
        sandbox.authorize(request_for(f"{who}-{n}", "tok_approve"))
pay("before")
children = []
for child in range(3):
    pid = os.fork()
    if pid == 0:
        pay(f"child{child}")
        os._exit(0)
    children.append(pid)
pay("parent")
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
pay("after")
assert [a.charges for a in sandbox.books()] == [1] * 180
"""
    command = [sys.executable, "-c", script, str(tmp_path / "sandbox.db")]

    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert result.returncode == 0, result.stderr


def test_32_callers_at_once_are_all_answered(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path / "sandbox.db")
    barrier = threading.Barrier(32)

    def pay(n: int) -> bool:
        barrier.wait()
        answers = [sandbox.authorize(request_for(f"o{n}-{i}", "tok_approve")) for i in range(10)]
        return all(isinstance(answer, Approved) for answer in answers)

    with ThreadPoolExecutor(32) as threads:
        assert all(threads.map(pay, range(32)))

    assert sum(a.charges for a in sandbox.books()) == 320
    sandbox.close()
