"""The merchant works while the shop is full: nobody pays more than they saw, and the books close."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from db.session import Database
from payments.sandbox import Sandbox
from payments.sandbox_store import Account
from tests.harness import CHECKOUT_BODY
from tests.processes import Answer, RunningShop, Shopper, running
from tests.servers import until
from web.settings import ROOT

pytestmark = pytest.mark.e2e

ADMIN_KEY = "the-merchant-s-own-key"
PRODUCTS = ("enamel-mug", "beech-spoon", "linen-notebook", "cedar-pencil", "sage-candle")
OPENING_STOCK = 20
CHEAPEST = Decimal("1.00")
SHOPPERS, CHECKOUTS = 12, 240
LEAST_ROUNDS = 12
"""So often at least each of the merchant's people does their work, however fast the shoppers are done."""
PAYMENTS: tuple[dict[str, str], ...] = (
    {"payment_method": "invoice"},
    {"payment_method": "card", "payment_token": "tok_approve"},
    {"payment_method": "card", "payment_token": "tok_decline"},
)
REFUSED_SHOPPERS = {
    404: {"product_not_found"},  # It is not sold just now.
    409: {"product_unavailable", "out_of_stock", "insufficient_stock", "price_changed", "cart_changed", "cart_empty"},
    503: {"service_unavailable", "overloaded"},
}
REFUSED_MERCHANT = {
    409: {"transition_not_allowed", "insufficient_stock"},
    412: {"precondition_failed"},
    503: {"service_unavailable", "overloaded"},
}
FAILURES = {"insufficient_stock", "out_of_stock", "product_unavailable", "price_changed", "payment_declined"}
TERMINAL = ("confirmed", "failed", "cancelled")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningShop]:
    settings = {"ADMIN_API_KEY": ADMIN_KEY}
    if request.param == "postgresql":
        settings["DATABASE_URL"] = empty_database(request.getfixturevalue("postgres_url"))
    with running(RunningShop(tmp_path / "var", settings=settings)) as found:
        yield found


def empty_database(postgres_url: str) -> str:
    """The URL of a new database on the tests' PostgreSQL."""
    database = Database(postgres_url)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("CREATE DATABASE market")
    database.close()
    return postgres_url.removesuffix("/postgres") + "/market"


# ---------------------------------------------------------------- the shoppers


@dataclass(frozen=True)
class Accepted:
    """A checkout with its 202, and the total that it showed."""

    shopper: Shopper
    order_id: str
    shown: Decimal


@dataclass
class Crowd:
    """Shoppers, each of whom fills a cart, asks what it costs and checks out at no more than that, again and again."""

    shop: RunningShop
    accepted: list[Accepted] = field(default_factory=list)
    answers: Counter[tuple[int, str]] = field(default_factory=Counter)

    def shop_on(self, number: int) -> None:
        shopper, dice = self.shop.shopper(), random.Random(number)
        for _ in range(CHECKOUTS // SHOPPERS):
            while not self._fill_and_check_out(shopper, dice):
                self._asked(shopper, "DELETE", "/api/cart/clear")

    def _fill_and_check_out(self, shopper: Shopper, dice: random.Random) -> bool:
        """Whether it came to a checkout, accepted or refused; what is refused stays in the cart no longer."""
        for product_id in dice.sample(PRODUCTS, dice.choice((1, 2))):
            item = {"product_id": product_id, "quantity": dice.choice((1, 1, 1, 2))}
            self._asked(shopper, "POST", "/api/cart/add", item)
        shipping = {"shipping_info": CHECKOUT_BODY["shipping_info"], "shipping_method": "standard"}
        quote = self._asked(shopper, "POST", "/api/checkout/quote", shipping)
        if quote.status != 200:
            return False
        shown = quote.body["total_amount"]
        body = {**CHECKOUT_BODY, **dice.choice(PAYMENTS), "expected_total": shown}
        answer = self._asked(shopper, "POST", "/api/checkout", body)
        if answer.status == 202:
            assert Decimal(answer.body["total_amount"]) <= Decimal(shown)
            self.accepted.append(Accepted(shopper, answer.body["id"], Decimal(answer.body["total_amount"])))
        else:
            self._asked(shopper, "DELETE", "/api/cart/clear")
        return True

    def _asked(self, shopper: Shopper, method: str, path: str, body: Any = None) -> Answer:
        answer = shopper.ask(method, path, body)
        self.answers[answer.status, answer.body.get("code", "")] += 1
        return answer


# ---------------------------------------------------------------- the merchant's people


@dataclass
class Merchant:
    """People with the admin key, each with one kind of work, until the shoppers have gone."""

    shop: RunningShop
    closing: threading.Event = field(default_factory=threading.Event)
    answers: Counter[tuple[int, str]] = field(default_factory=Counter)
    raised: dict[str, Decimal] = field(default_factory=lambda: dict.fromkeys(PRODUCTS, Decimal(0)))
    """By how much each price was raised in all."""
    cancelled: set[str] = field(default_factory=set)
    _noting: threading.Lock = field(default_factory=threading.Lock)

    @property
    def work(self) -> tuple[Callable[[random.Random], None], ...]:
        return (self.price, self.price, self.receive, self.count, self.pause, self.cancel)

    def work_on(self, number: int) -> None:
        dice, rounds = random.Random(1_000 + number), 0
        while not self.closing.is_set() or rounds < LEAST_ROUNDS:
            self.work[number](dice)
            rounds += 1

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        answer = Shopper(self.shop.address).ask(
            method, f"/api/admin{path}", body, Authorization=f"Bearer {ADMIN_KEY}", **headers
        )
        with self._noting:
            self.answers[answer.status, answer.body.get("code", "")] += 1
        return answer

    def edit(self, product_id: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> bool:
        """Change what is there, and look again when somebody else was faster; whether it was changed."""
        while True:
            seen = self.ask("GET", f"/products/{product_id}")
            if seen.status != 200:
                return False
            wanted = {"If-Match": seen.headers["ETag"]}
            status = self.ask("PATCH", f"/products/{product_id}", change(seen.body), **wanted).status
            if status != 412:
                return status == 200

    def price(self, dice: random.Random) -> None:
        product_id, step = dice.choice(PRODUCTS), Decimal(dice.randint(-40, 60)) / 100
        done: list[Decimal] = []

        def raise_it(product: dict[str, Any]) -> dict[str, Any]:
            price = Decimal(product["price"])
            done.append(max(price + step, CHEAPEST) - price)
            return {"price": str(price + done[-1])}

        if self.edit(product_id, raise_it):
            with self._noting:
                self.raised[product_id] += done[-1]

    def receive(self, dice: random.Random) -> None:
        self.ask("POST", f"/products/{dice.choice(PRODUCTS)}/stock", {"quantity": 2, "reason": "received"})

    def count(self, dice: random.Random) -> None:
        counted = {"counted": dice.randint(0, OPENING_STOCK)}
        self.ask("POST", f"/products/{dice.choice(PRODUCTS)}/stock", counted)

    def pause(self, dice: random.Random) -> None:
        product_id = dice.choice(PRODUCTS)
        for is_active in (False, True):
            self.edit(product_id, partial(_marked, is_active))

    def cancel(self, dice: random.Random) -> None:
        confirmed = self.ask("GET", "/orders?status=confirmed&per_page=20").body["items"]
        if confirmed:
            order_id = dice.choice(confirmed)["id"]
            if self.ask("POST", f"/orders/{order_id}/cancel", {"reason": "Second thoughts"}).status == 200:
                self.cancelled.add(order_id)


def _marked(is_active: bool, _product: dict[str, Any]) -> dict[str, Any]:
    return {"is_active": is_active}


# ---------------------------------------------------------------- the day


def test_a_merchant_at_work_in_a_full_shop_breaks_no_promise(shop: RunningShop) -> None:
    merchant, crowd = Merchant(shop), Crowd(shop)
    opening = {product_id: price_of(merchant, product_id) for product_id in PRODUCTS}
    for product_id in PRODUCTS:
        merchant.ask("POST", f"/products/{product_id}/stock", {"counted": OPENING_STOCK})

    with ThreadPoolExecutor(len(merchant.work)) as office, ThreadPoolExecutor(SHOPPERS) as street:
        at_work = [office.submit(merchant.work_on, number) for number in range(len(merchant.work))]
        try:
            list(street.map(crowd.shop_on, range(SHOPPERS)))
        finally:
            merchant.closing.set()
        for each in at_work:
            each.result()
    ends = {each.order_id: each.shopper.outcome(each.order_id) for each in crowd.accepted}

    assert undocumented(crowd.answers, REFUSED_SHOPPERS) == {}
    assert undocumented(merchant.answers, REFUSED_MERCHANT) == {}
    by_status = {status: [end for end in ends.values() if end["status"] == status] for status in TERMINAL}
    assert sum(len(found) for found in by_status.values()) == len(ends)
    assert {end["failure"]["code"] for end in by_status["failed"]} <= FAILURES
    assert {end["id"] for end in by_status["cancelled"]} == merchant.cancelled
    shown = {each.order_id: each.shown for each in crowd.accepted}
    sold = by_status["confirmed"] + by_status["cancelled"]
    assert [end for end in sold if Decimal(end["total_amount"]) > shown[end["id"]]] == []
    raised = {product_id: price_of(merchant, product_id) - opening[product_id] for product_id in PRODUCTS}
    assert raised == merchant.raised, "a price was changed by somebody who had not seen the one before"
    assert all(by_status.values()), "the day was too quiet to tell anything"
    assert merchant.answers[412, "precondition_failed"] > 0
    until(lambda: unsettled(shop, ends.values()) == [], 20, "the provider's books to agree with the orders")
    assert_the_audit_finds_nothing(shop)


def undocumented(answers: Counter[tuple[int, str]], documented: dict[int, set[str]]) -> dict[tuple[int, str], int]:
    return {
        (status, code): times
        for (status, code), times in answers.items()
        if status >= 300 and code not in documented.get(status, ())
    }


def unsettled(shop: RunningShop, ends: Collection[dict[str, Any]]) -> list[tuple[str, str, Account]]:
    """The orders whose shoppers have paid, by the provider's own books, another amount than they should have."""
    sandbox = Sandbox(shop.var_dir / "sandbox.db")
    accounts = {account.order_id: account for account in sandbox.books()}
    sandbox.close()
    found = []
    for end in ends:
        account = accounts.get(end["id"])
        by_card = end["payment_method"] == "card"
        if account is None:
            if by_card and end["status"] == "confirmed":
                found.append((end["id"], "confirmed, and never asked for", Account(end["id"], 0, 0, 0, 0, 0, 0, 0)))
            continue
        total = int(Decimal(end["total_amount"]) * 100) if end["status"] == "confirmed" else 0
        paid = account.captured_minor - account.refunded_minor
        if (paid, account.held_minor) != (total, 0) or account.charges > 1:
            found.append((end["id"], end["status"], account))
    return found


def price_of(merchant: Merchant, product_id: str) -> Decimal:
    return Decimal(merchant.ask("GET", f"/products/{product_id}").body["price"])


def assert_the_audit_finds_nothing(shop: RunningShop) -> None:
    command = [sys.executable, "-m", "flask", "--app", "app", "audit"]
    audit = subprocess.run(command, cwd=ROOT, env=shop.environment, capture_output=True, text=True)
    assert audit.returncode == 0, audit.stdout + audit.stderr
    assert audit.stdout.endswith("every promise holds\n")
