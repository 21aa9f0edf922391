"""The pay stage with real processes and real deaths: the shop finds its way by itself, and the books close."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from db.models import ProductRow, StockMovementRow
from db.session import Database
from payments.sandbox import Sandbox
from tasks.failpoints import VARIABLE
from tests.harness import CHECKOUT_BODY
from tests.processes import RunningShop, Shopper, running
from tests.servers import until
from web.settings import ROOT

pytestmark = pytest.mark.e2e

TOKENS = {
    "tok_approve": "confirmed",
    "tok_timeout_after": "confirmed",
    "tok_action_approved": "confirmed",
    "tok_decline": "failed",
}
EVERY_ORDER_COMES_TO = (
    *(f"settle.{step}" for step in ("begun", "writing", "committed", "rung", "told")),
    *(
        f"pay.{step}"
        for step in ("begun", "writing", "written", "leased", "asking", "asked", "called", "telling", "told")
    ),
)
"""All at once here; each alone, and all the others, in tests/fire/matrix.py."""
MANY, PATIENCE_SECONDS = 200, 12.0


def stock_up(shop: RunningShop, quantity: int) -> None:
    database = Database(f"sqlite:///{shop.var_dir}/shop.db")
    with database.writing() as session:
        row = session.get(ProductRow, "enamel-mug")
        assert row is not None
        moved = quantity - row.stock_quantity
        session.add(StockMovementRow(product_id=row.id, kind="adjusted", quantity=moved, at=row.updated_at))
        row.stock_quantity = quantity
    database.close()


def buys(shopper: Shopper, token: str) -> str:
    """A mug by card, whatever dies meanwhile; the order's id."""
    body = {**CHECKOUT_BODY, "payment_method": "card", "payment_token": token}

    def accepted() -> str | None:
        shopper.add("enamel-mug")
        answer = shopper.ask("POST", "/api/checkout", body)
        return answer.body["id"] if answer.status == 202 else None

    return str(until(accepted, 20, "a checkout to be accepted"))


def audit(shop: RunningShop) -> None:
    command = [sys.executable, "-m", "flask", "--app", "app", "audit"]
    said = subprocess.run(command, cwd=ROOT, env=shop.environment, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr


def accounts(shop: RunningShop) -> dict[str, Any]:
    sandbox = Sandbox(shop.var_dir / "sandbox.db")
    try:
        return {account.order_id: account for account in sandbox.books()}
    finally:
        sandbox.close()


def minor(order: dict[str, Any]) -> int:
    return int(order["total_amount"].replace(".", ""))


def captured_once(shop: RunningShop, order: dict[str, Any]) -> bool:
    """Whether the provider has the order's money, once and to the cent, and nothing of a failed one."""
    account = accounts(shop).get(order["id"])
    if order["status"] == "failed":
        return account is None or (account.charges, account.held_minor, account.captured_minor) == (0, 0, 0)
    assert account is not None
    assert (account.charges, account.misuses) == (1, 0)
    return (account.held_minor, account.captured_minor) == (0, minor(order))


@pytest.fixture(scope="module")
def open_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    with running(RunningShop(tmp_path_factory.mktemp("shop") / "var")) as shop:
        stock_up(shop, 5000)
        yield shop
        audit(shop)


def test_workers_that_are_killed_at_every_step_are_followed_by_others_that_finish(tmp_path: Path) -> None:
    """At each fail point one process dies; with four orders under way at a time, until all have."""
    deaths = [tmp_path / point for point in EVERY_ORDER_COMES_TO]
    wanted = ",".join(f"{path.name}:2:{path}" for path in deaths)
    ends: list[dict[str, Any]] = []
    with running(RunningShop(tmp_path / "var", settings={VARIABLE: wanted})) as shop:
        stock_up(shop, 1000)
        until_all_died = time.monotonic() + 90
        while not all(path.exists() for path in deaths):
            shoppers = {token: shop.shopper() for token in TOKENS}
            bought = {token: buys(shopper, token) for token, shopper in shoppers.items()}
            found = {token: shoppers[token].outcome(order_id) for token, order_id in bought.items()}
            assert {token: order["status"] for token, order in found.items()} == TOKENS
            ends += found.values()
            assert time.monotonic() < until_all_died, [path.name for path in deaths if not path.exists()]

        for order in ends:
            until(lambda order=order: captured_once(shop, order), 30, "the money to be taken")
        audit(shop)


def test_two_hundred_payments_of_a_slow_provider_do_not_wait_for_one_another(open_shop: RunningShop) -> None:
    shoppers = [open_shop.shopper() for _ in range(MANY)]
    with ThreadPoolExecutor(16) as pool:
        started = time.monotonic()
        bought = list(pool.map(lambda shopper: buys(shopper, "tok_slow_300"), shoppers))
        ends = list(pool.map(Shopper.outcome, shoppers, bought))
        seconds = time.monotonic() - started

    assert {order["status"] for order in ends} == {"confirmed"}
    until(lambda: all(captured_once(open_shop, order) for order in ends[-20:]), 20, "the money to be taken")
    assert seconds < PATIENCE_SECONDS
