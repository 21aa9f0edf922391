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
from tasks.failpoints import FILE_VARIABLE, POINTS, VARIABLE, arm, failpoint
from tests.servers import until
from tests.tasks.steps import Step, steps, unknown_methods
from web.settings import ROOT

CHILD = """
from tasks.failpoints import arm_from_environment, failpoint
arm_from_environment()
for n in range(1, 4):
    print(n, flush=True)
    failpoint("pay.asked")
"""
CATALOGUE = "the merchant's catalogue is one transaction; the cache that is told after it is stale for seconds at most"
BY_HAND = "a person runs it, sees whether it ended, and may run it again"
MERCHANT = "one transaction is the whole step, and the merchant sees whether it happened"
CART = "one script is the whole step: it happened or it did not, and the shopper sees which"
WITHOUT = {
    "tasks/pay.py _call": "pay.asking and pay.asked stand around it, in _ask",
    "tasks/notices.py _tell": "notices.sending and notices.sent stand around it, in _deliver",
    "tasks/queues.py ring": "whoever rings has a place before it and one after",
    "tasks/upkeep.py _adopt": "a script a shard is the whole step, and the next round goes on",
    "tasks/audit.py reconcile": BY_HAND,
    "web/cli.py reconcile_command": BY_HAND,
    "web/cli_keys.py create": BY_HAND,
    "web/cli_keys.py revoke": BY_HAND,
    "web/cli_products.py _forget": CATALOGUE,
    "web/prepare.py prepare": BY_HAND,
    "web/start.py prepare": "the shop is not open yet, and the next start does it again",
    "web/admin/bulk.py upsert_products": CATALOGUE,
    "web/admin/catalogue.py create_product": CATALOGUE,
    "web/admin/catalogue.py change_product": CATALOGUE,
    "web/admin/catalogue.py delete_product": CATALOGUE,
    "web/admin/catalogue.py create_category": CATALOGUE,
    "web/admin/catalogue.py change_category": CATALOGUE,
    "web/admin/catalogue.py delete_category": CATALOGUE,
    "web/admin/stock.py change_stock": CATALOGUE,
    "web/admin/orders.py return_order": CATALOGUE,
    "web/outgoing.py add": MERCHANT,
    "web/outgoing.py change": MERCHANT,
    "web/outgoing.py rotate": MERCHANT,
    "web/outgoing.py remove": MERCHANT,
    "web/outgoing.py test": MERCHANT,
    "web/outgoing.py redeliver": MERCHANT,
    "web/outgoing.py redeliver_failed": MERCHANT,
    "web/resolving.py retry": BY_HAND,
    "web/resolving.py resolve": BY_HAND,
    "web/resolving.py _tell": "what it misses the worker tells later, as it does after cancel.committed",
    "web/payments.py decide_sandbox_payment": "this is the provider's side: its file has a transaction of its own",
    "app.py add_to_cart": CART,
    "app.py update_cart": CART,
    "app.py remove_from_cart": CART,
    "app.py clear_cart": CART,
}
"""Functions that change a store without a place before and after, and why they need none."""


def sources() -> Iterator[Path]:
    for folder in ("tasks", "web"):
        yield from sorted((ROOT / folder).rglob("*.py"))
    yield from (ROOT / "app.py", ROOT / "worker.py")


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


def unguarded() -> set[str]:
    return {f"{step.path} {step.function}" for path in sources() for step in steps(path, ROOT) if not step.guarded}


def test_every_step_that_changes_a_store_has_a_place_before_and_after_it_or_a_reason_why_not() -> None:
    assert unguarded() == set(WITHOUT)


def test_every_method_of_a_store_is_known_to_change_something_or_not_to() -> None:
    assert [f"{path.name}: {method}" for path in sources() for method in unknown_methods(path)] == []


@pytest.mark.parametrize(
    ("body", "guarded"),
    [
        ("failpoint('a')\n    inbox.ring()\n    failpoint('b')", [True]),
        ("inbox.ring()\n    failpoint('b')", [False]),
        ("failpoint('a')\n    self._bell.ring()\n    at.inbox.ring()\n    failpoint('b')", [False, False]),
        ("with at.database.writing() as s:\n        failpoint('a')\n    failpoint('b')", [True]),
        ("failpoint('a')\n    with at.database.writing() as s:\n        s.add(1)\n    failpoint('b')", [True]),
        (
            "with at.database.writing() as s:\n        failpoint('a')\n        inbox.ring()\n    failpoint('b')",
            [False, False],
        ),
        ("if not inbox.ring():\n        return\n    failpoint('b')", [False]),
    ],
)
def test_the_reader_of_the_source_sees_what_lacks_a_place(tmp_path: Path, body: str, guarded: list[bool]) -> None:
    source = tmp_path / "new.py"
    source.write_text(f"def step(inbox, at, self):\n    {body}\n")

    found: list[Step] = list(steps(source, tmp_path))

    assert [step.guarded for step in found] == guarded


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


LIVELY = """
import sys, time
from tasks.failpoints import arm_from_environment, failpoint
arm_from_environment()
while True:
    failpoint("pay.asked")
    time.sleep(0.01)
    print("alive", flush=True)
"""


def test_a_running_process_stops_at_the_place_that_a_file_names_and_says_who_it_is(tmp_path: Path) -> None:
    orders, marker = tmp_path / "orders", tmp_path / "marker"
    environment = {**os.environ, FILE_VARIABLE: str(orders)}
    child = subprocess.Popen([sys.executable, "-c", LIVELY], cwd=ROOT, env=environment, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"alive\n"
        (tmp_path / "new").write_text(f"pay.told:1:{marker}")
        (tmp_path / "new").rename(orders)
        assert child.stdout.readline() == b"alive\n"
        assert not marker.exists()

        (tmp_path / "new").write_text(f"pay.asked:2:{marker}")
        (tmp_path / "new").rename(orders)

        until(marker.exists, what="the place to be reached")
        assert marker.read_text() == str(child.pid)
        until(lambda: " T " in Path(f"/proc/{child.pid}/stat").read_text(), what="the process to stand still")
    finally:
        child.kill()
        child.communicate()


def test_of_processes_that_come_to_the_place_the_first_alone_stops(tmp_path: Path) -> None:
    (tmp_path / "orders").write_text(f"pay.asked:1:{tmp_path}/marker")
    (tmp_path / "marker").write_text("1")
    environment = {**os.environ, FILE_VARIABLE: str(tmp_path / "orders")}

    child = subprocess.run([sys.executable, "-c", CHILD], cwd=ROOT, env=environment, capture_output=True, text=True)

    assert child.stdout == "1\n2\n3\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["marker", "orders"]
