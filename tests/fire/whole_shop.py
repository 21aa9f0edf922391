"""Whatever shoppers, a merchant, time and a sudden death can do to a shop, done to it and to the truth about it.

When something is done is left to the shop (a job may die half-way); what becomes of it is not.
"""

from __future__ import annotations

import atexit
import itertools
import shutil
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import fakeredis
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)
from redis import Redis
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from carts import keys
from carts.connection import connect
from db.audit import Counted
from db.migrate import upgrade
from db.models import Base, OrderRow, PaymentRow, ProductRow, StockMovementRow
from db.session import Database
from payments.sandbox_store import Account
from shop.orders import OPEN, TRANSITIONS
from shop.payments import Approved, Declined
from shop.rules import Rules, parse
from tasks import failpoints, runtime
from tasks import pay as pay_job
from tasks.audit import CHECKS, accepted
from tasks.checkout import settle
from tasks.queues import connect_queue
from tests.fire.truth import (
    DAY,
    MINUTE,
    PRICES,
    PRODUCTS,
    SHOPPERS,
    TOKENS,
    WEIGHT_GRAMS,
    Order,
    Shelf,
    Truth,
    ends,
    money,
)
from tests.harness import ADDRESS, UNLIMITED, Client, Clock, Shop
from tests.tasks.crashes import Killed, Nth, die
from web.sessions import HEADER
from web.settings import ROOT, Settings

COMMON: dict[str, Any] = {"email": "ada@example.com", "shipping_info": ADDRESS, "shipping_method": "standard"}
ADMIN_KEY = "the-key-of-the-merchant-of-the-tests"


FOLDERS = next((folder for folder in ("/dev/shm",) if Path(folder).is_dir()), None)
"""In memory where that can be: no power is cut here, and the disk is what would take the time."""


class Stores(Protocol):
    """Where a shop of the model lives; empty for each example."""

    def open(self, folder: Path) -> tuple[Redis, Redis, Database]: ...


class InMemory:
    """fakeredis and a SQLite file."""

    _template: ClassVar[list[Path]] = []

    def open(self, folder: Path) -> tuple[Redis, Redis, Database]:
        if not self._template:
            empty = Path(tempfile.mkdtemp(prefix="oc-model-", dir=FOLDERS)) / "shop.db"
            database = Database(f"sqlite:///{empty}")
            upgrade(database)
            database.checkpoint()
            database.close()
            self._template.append(empty)
            atexit.register(shutil.rmtree, empty.parent, ignore_errors=True)
        shutil.copy(self._template[0], folder / "shop.db")
        server = fakeredis.FakeServer()
        ours = fakeredis.FakeRedis(server=server, decode_responses=True)
        return ours, fakeredis.FakeRedis(server=server), Database(f"sqlite:///{folder}/shop.db")


@dataclass
class Servers:
    """A real Valkey and a real PostgreSQL."""

    redis_url: str
    database_url: str

    def open(self, folder: Path) -> tuple[Redis, Redis, Database]:
        pair, database = (connect(self.redis_url), connect_queue(self.redis_url)), Database(self.database_url)
        pair[0].flushall()
        names = ", ".join(table for table in Base.metadata.tables if table != "counters")
        with database.engine.begin() as connection:
            connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")
            connection.exec_driver_sql("UPDATE counters SET value = 1000")
        return *pair, database


# ---------------------------------------------------------------- what happens

_RULES = (ROOT / "shop.toml").read_text()
HARDLY_EVER = ("counting", "counted", "giving_up", "given_up", "leaving", "left", "setting_aside", "set_aside")
"""Places that nobody comes to while the stores answer."""


def places(process: str) -> list[str]:
    return [point for point in failpoints.POINTS if point.startswith(process) and not point.endswith(HARDLY_EVER)]


SETTLE_POINTS, PAY_POINTS = places("settle."), places("pay.")
CANCEL_POINTS, ACCEPT_POINTS = places("cancel."), places("accept.")
OPEN_POINTS = [point for point in SETTLE_POINTS + PAY_POINTS if not point.endswith(".writing")]
"""Where somebody else can write meanwhile."""
WAITS = {"a moment": 5, "a minute": MINUTE, "twenty minutes": 20 * MINUTE, "a day": 25 * 3600, "a month": 31 * DAY}
whos, products = st.sampled_from(SHOPPERS), st.sampled_from(sorted(PRODUCTS))
tokens = st.one_of(st.none(), st.sampled_from(TOKENS).map("tok_".__add__))
Orders = MultipleResults[Order]


def reachable(kind: str, now: str) -> set[str]:
    found = {now}
    while more := set().union(*(TRANSITIONS[kind][each] for each in found)) - found:
        found |= more
    return found


REACHABLE = {kind: {now: reachable(kind, now) for now in table} for kind, table in TRANSITIONS.items()}


class WholeShop(RuleBasedStateMachine):
    """A shop and the truth about it."""

    stores: ClassVar[Stores] = InMemory()
    figures: ClassVar[Counter[str]] = Counter()
    orders = Bundle("orders")

    # ------------------------------------------------------------ beginning and end

    @initialize(target=orders, automatic=st.booleans(), first=st.lists(st.tuples(whos, tokens), max_size=4))
    def opens(self, automatic: bool, first: list[tuple[str, str | None]]) -> Orders:
        """The shop opens; `automatic`: the money of a card is taken as it is approved. The `first` buy a CUP each."""
        self.figures["examples"] += 1
        self.automatic = automatic
        self.folder = Path(tempfile.mkdtemp(prefix="oc-model-", dir=FOLDERS))
        self.rules: Rules = parse(_RULES.replace('"manual"', '"automatic"') if automatic else _RULES)
        self.redis, self.queue_redis, self.database = self.stores.open(self.folder)
        self.clock = Clock()
        self.sessions = {who: f"{n:032x}" for n, who in enumerate(SHOPPERS, 1)}
        self.truth = Truth({product: Shelf(*shelf) for product, shelf in PRODUCTS.items()})
        self.etags: dict[str, str] = {}
        self.bookings = itertools.count(1)
        self.story: list[str] = []
        self.start()
        for product, shelf in self.truth.shelves.items():
            self.shop.product(product, price_minor=shelf.price, stock_quantity=shelf.units, weight_grams=WEIGHT_GRAMS)
        return multiple(*(order for who, token in first for order in self.buys(who, "CUP", token).values))

    def start(self) -> None:
        """New processes on the same stores."""
        pay_job._breakers.clear()
        config = Settings(_env_file=None, var_dir=self.folder, web_threads=8, admin_api_key=ADMIN_KEY, **UNLIMITED)
        self.shop = Shop(self.rules, self.redis, self.queue_redis, self.database, self.clock, config)
        self.clients = {who: self.shop.shopper() for who in SHOPPERS}
        for who, client in self.clients.items():
            token = self.shop.services.sessions.sign(self.sessions[who])
            client.environ_base[f"HTTP_{HEADER.upper().replace('-', '_')}"] = token
        self.merchant = self.shop.shopper()
        self.merchant.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {ADMIN_KEY}"

    def teardown(self) -> None:
        if not hasattr(self, "shop"):
            return
        try:
            if sys.exc_info()[0] is None:
                self.comes_to_rest()
                self.is_as_it_must_be()
        finally:
            failpoints.disarm()
            self.shop.sandbox.close()
            self.database.close()
            for client in (self.redis, self.queue_redis):
                client.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def say(self, line: str) -> None:
        """A line of the story. The jobs' threads cannot tell it themselves."""
        for order in self.truth.orders:
            line = line.replace(order.id, f"({order})")
        self.story.append(f"    {line}")
        if threading.current_thread() is threading.main_thread():
            for each in self.story:
                note(each)
            self.story.clear()

    def check_invariants(self, settings: Any, output: Callable[[str], None], runtimes: Any) -> None:
        """As always, but untold: a story has no use for a line of it after each other."""
        super().check_invariants(settings, lambda _: None, runtimes)

    # ------------------------------------------------------------ shoppers

    def ask(self, client: Client, method: str, path: str, **rest: Any) -> TestResponse:
        """Ask the shop; its answer is one that OpenAPI describes and never its own fault."""
        answer = client.open(path, method=method, **rest)
        self.figures["requests"] += 1
        problem = (answer.get_json(silent=True) or {}).get("code", "") if answer.status_code >= 400 else ""
        said = {name: value for name, value in rest.get("json", {}).items() if name not in COMMON}
        self.say(f"{method} {path} {said}: {answer.status_code} {problem}")
        assert answer.status_code < 500, answer.text
        return answer

    @rule(who=whos, product=products, units=st.integers(1, 4))
    def adds(self, who: str, product: str, units: int) -> None:
        shelf, has = self.truth.shelves.get(product), self.truth.carts[who][product]

        answer = self.ask(self.clients[who], "POST", "/api/cart/add", json={"product_id": product, "quantity": units})

        if shelf is None or not shelf.active:
            assert answer.status_code == 404
        elif why := shelf.why_not(has + units):
            assert (answer.status_code, answer.get_json()["code"]) == (409, why)
        else:
            assert answer.status_code == 200
            self.truth.put(who, {product: units})

    @rule(who=whos, product=products, units=st.integers(0, 4))
    def sets(self, who: str, product: str, units: int) -> None:
        cart = self.truth.carts[who]

        answer = self.ask(self.clients[who], "PUT", "/api/cart/update", json={"item_id": product, "quantity": units})

        if product not in cart:
            assert answer.status_code == 404
        elif units and (why := self.truth.why_not({product: units})):
            assert (answer.status_code, answer.get_json()["code"]) == (409, why[0])
        else:
            assert answer.status_code == 200
            cart[product] = units
            self.truth.carts[who] = +cart

    @rule(who=whos, product=products)
    def removes(self, who: str, product: str) -> None:
        answer = self.ask(self.clients[who], "DELETE", f"/api/cart/remove/{product}")

        assert answer.status_code == (200 if product in self.truth.carts[who] else 404)
        self.truth.carts[who].pop(product, None)

    @rule(who=whos)
    def clears(self, who: str) -> None:
        assert self.ask(self.clients[who], "DELETE", "/api/cart/clear").status_code == 200
        self.truth.carts[who].clear()

    @rule(target=orders, who=whos, product=products, token=tokens)
    def buys(self, who: str, product: str, token: str | None) -> Orders:
        """One more of a product, and all that is in the cart."""
        self.adds(who, product, 1)
        return self.checks_out(who, token, None, "nothing", twice=False)

    @rule(target=orders, who=whos, product=products, token=tokens, key=st.sampled_from(["key-1", "key-2"]))
    def buys_with_a_key(self, who: str, product: str, token: str | None, key: str) -> Orders:
        if self.seen(who, key, True) is None:
            self.adds(who, product, 1)
        return self.checks_out(who, token, key, "the total", twice=True)

    @rule(
        target=orders,
        who=whos,
        token=tokens,
        key=st.sampled_from([None, None, "key-1", "key-2"]),
        expects=st.sampled_from(["nothing", "the total", "the total", "less"]),
        twice=st.booleans(),
    )
    def checks_out(self, who: str, token: str | None, key: str | None, expects: str, twice: bool) -> Orders:
        """With an idempotency key or without; `expects` is the total they saw; `twice` is a double click."""
        truth, lines = self.truth, dict(self.truth.carts[who])
        body = self.body(token)
        total = truth.total(lines) if lines.keys() <= truth.shelves.keys() and lines else 1
        body |= {} if expects == "nothing" else {"expected_total": money(total - (expects == "less"))}
        seen = self.seen(who, key, bool(lines))

        answer = self.buy(who, key, body)

        made: Orders = multiple()
        if seen is not None:
            self.is_replay(answer, seen, body)
        elif not lines:
            assert (answer.status_code, answer.get_json()["code"]) in (
                (409, "cart_empty"),
                (409, "already_checked_out"),
            )
        elif why := truth.why_not(lines):
            assert (answer.status_code, answer.get_json()["code"]) in [(409, each) for each in why]
        elif expects == "less":
            assert (answer.status_code, answer.get_json()["code"]) == (409, "price_changed")
        else:
            assert answer.status_code == 202
            order = self.accepted(who, key, body, lines, answer.get_json())
            assert order.shown == total
            made = multiple(order)
            if twice:
                again = self.buy(who, key, body)
                if key:
                    self.is_replay(again, order, body)
                else:
                    assert (again.status_code, again.get_json()["code"]) == (409, "already_checked_out")
                    assert again.get_json()["order_id"] == order.id
        return made

    @staticmethod
    def body(token: str | None) -> dict[str, Any]:
        paid = {"payment_method": "card", "payment_token": token} if token else {"payment_method": "invoice"}
        return COMMON | paid

    def seen(self, who: str, key: str | None, has_cart: bool) -> Order | None:
        """The order that this key stands for: for a day, and for ever while there is nothing else to buy."""
        if key is None:
            return None
        known = self.truth.keys.get((who, key))
        if known and self.clock() - known.at < DAY * 1000:
            return known
        mine = [order for order in self.truth.orders if (order.who, order.key) == (who, key)]
        written = sorted((order for order in mine if order.status != "pending"), key=lambda order: order.stands)
        return written[-1] if written and not has_cart else None

    def buy(self, who: str, key: str | None, body: dict[str, Any]) -> TestResponse:
        headers = {"Idempotency-Key": key} if key else {}
        return self.ask(self.clients[who], "POST", "/api/checkout", json=body, headers=headers)

    def is_replay(self, answer: TestResponse, seen: Order, body: dict[str, Any]) -> None:
        if seen.body != body:
            assert (answer.status_code, answer.get_json()["code"]) == (422, "idempotency_key_reused")
            return
        assert (answer.status_code, answer.headers.get("Idempotent-Replayed")) == (202, "true")
        assert answer.get_json()["id"] == seen.id

    def accepted(
        self, who: str, key: str | None, body: dict[str, Any], lines: dict[str, int], answer: dict[str, Any]
    ) -> Order:
        assert {item["product_id"]: item["quantity"] for item in answer["items"]} == lines
        assert answer["id"] not in {order.id for order in self.truth.orders}
        in_order = {item["product_id"]: item["quantity"] for item in answer["items"]}
        shown = round(float(answer["total_amount"]) * 100)
        name = f"order {len(self.truth.orders) + 1}"
        cart = self.truth.cart_numbers[who]
        order = Order(name, answer["id"], who, cart, key, body, in_order, shown, self.clock())
        self.truth.accept(order)
        self.figures["orders"] += 1
        return order

    @rule(
        target=orders,
        who=whos,
        token=tokens,
        key=st.sampled_from([None, "key-3"]),
        point=st.sampled_from(ACCEPT_POINTS),
    )
    def checks_out_and_hears_nothing(self, who: str, token: str | None, key: str | None, point: str) -> Orders:
        """The web process dies; the shopper asks again, and learns whether they have bought."""
        self.adds(who, "CUP", 1)
        lines, body = dict(self.truth.carts[who]), self.body(token)
        if not lines or self.truth.why_not(lines) or self.seen(who, key, True):
            return multiple()
        total = self.truth.total(lines)
        with self.death_at(point):
            self.buy(who, key, body)

        answer = self.buy(who, key, body)

        if point == "accept.accepting" or key:
            assert answer.status_code == 202
            assert ("Idempotent-Replayed" in answer.headers) == (point != "accept.accepting")
        else:
            assert (answer.status_code, answer.get_json()["code"]) == (409, "already_checked_out")
            answer = self.ask(self.clients[who], "GET", f"/api/orders/{answer.get_json()['order_id']}")
        order = self.accepted(who, key, body, lines, answer.get_json())
        assert order.shown == total
        return multiple(order)

    @contextmanager
    def death_at(self, point: str, nth: int = 1) -> Iterator[None]:
        """This process ends when it comes to a place for the nth time, if it does."""
        death = Nth(nth, die)
        failpoints.arm(point, death)
        try:
            yield
        except Killed:
            pass
        finally:
            failpoints.disarm()
        if death.happened:
            self.figures["deaths"] += 1
            self.say("it died")
            pay_job._breakers.clear()
            self.passes(5)  # Leases run out, and nobody knows a product from before.

    @rule(order=orders, who=whos)
    def looks_at(self, order: Order, who: str) -> None:
        answer = self.ask(self.clients[who], "GET", f"/api/orders/{order.id}")

        assert answer.status_code == (200 if who == order.who else 404)
        if who == order.who:
            self.shows(order, answer.get_json())

    def shows(self, order: Order, answer: dict[str, Any]) -> None:
        shown = (answer["status"], answer["payment_status"], answer["fulfillment_status"])
        assert {item["product_id"]: item["quantity"] for item in answer["items"]} == order.lines
        if order.status == "pending":
            assert shown == ("pending", "none", "unfulfilled") or shown[0] == "pending"
        else:
            assert shown == (order.status, order.payment, order.parcels)
            assert (answer["failure"] or {}).get("code") in (order.failures or (None,))
        assert answer["total_amount"] == money(order.total or order.shown)

    @rule(who=whos)
    def lists_orders(self, who: str) -> None:
        answer = self.ask(self.clients[who], "GET", "/api/orders?per_page=100")

        mine = {order.id: order.status for order in self.truth.orders if order.who == who}
        listed = {entry["id"]: entry["status"] for entry in answer.get_json()["items"]}
        assert listed == mine, f"{listed}, not {mine}"

    @rule(
        order=orders,
        by=st.sampled_from(["its shopper", "its shopper", "another shopper", "the merchant"]),
        dies=st.sampled_from([None, None, *CANCEL_POINTS]),
    )
    def cancels(self, order: Order, by: str, dies: str | None) -> None:
        """Refused once its goods have left, or while money that was taken by hand was not given back by hand.

        `dies`: where the web process does; then nobody hears an answer.
        """
        if by == "its shopper" and order.status == "pending":
            return  # The shop would wait for the worker.
        other = next(who for who in SHOPPERS if who != order.who)
        client = {"its shopper": self.clients[order.who], "another shopper": self.clients[other]}.get(by, self.merchant)
        path = f"/api/admin/orders/{order.id}/cancel" if by == "the merchant" else f"/api/orders/{order.id}/cancel"

        by_hand = order.token is None and order.payment in ("captured", "partially_refunded")
        may = order.status in ("processing", "requires_action") or (
            order.status == "confirmed" and order.parcels == "unfulfilled" and not by_hand
        )
        if dies and may and by != "another shopper":
            if by == "the merchant":
                dies = "change.writing" if dies == "cancel.writing" else "change.committed"
            with self.death_at(dies):
                self.ask(client, "POST", path, json={})
            if not dies.endswith(".writing"):
                self.is_cancelled(order)
            return

        answer = self.ask(client, "POST", path, json={})

        if by == "another shopper" or order.status == "pending":
            assert answer.status_code == 404
        elif order.status == "cancelled" and by == "its shopper":
            assert answer.status_code == 200
        elif not may:
            assert (answer.status_code, answer.get_json()["code"]) == (409, "transition_not_allowed")
        else:
            assert answer.status_code == 200
            self.is_cancelled(order)

    def is_cancelled(self, order: Order) -> None:
        order.status, order.failures = "cancelled", ("cancelled",)
        self.truth.shelve(order)
        self.look()

    @rule(order=orders, point=st.sampled_from([None, None, *PAY_POINTS]))
    def regrets(self, order: Order, point: str | None) -> None:
        """Cancelled by its shopper once it was paid for, or just as the worker died over that."""
        self.worker_settles(256)
        if point:
            self.worker_dies_paying(point, 1)
        else:
            self.worker_pays()
        self.cancels(order, "its shopper", None)

    @rule(order=orders, approves=st.booleans())
    def answers_the_bank(self, order: Order, approves: bool) -> None:
        """The shopper's click on the provider's page, where there is one."""
        with self.database.reading() as session:
            provider_id = session.scalar(
                select(PaymentRow.provider_id).where(PaymentRow.order_id == order.id, PaymentRow.kind == "authorize")
            )
        if order.token == "tok_action" and provider_id:
            state = self.shop.sandbox.act(provider_id, approves)
            self.say(f"the bank says {type(state).__name__}")
            if isinstance(state, Approved | Declined) and order.acted is None:
                order.acted = isinstance(state, Approved)

    # ------------------------------------------------------------ the merchant

    def product(self, product: str) -> str:
        return f"/api/admin/products/{product}"

    @rule(
        product=products, price=st.sampled_from(PRICES), active=st.booleans(), has_seen=st.sampled_from([True, False])
    )
    def changes(self, product: str, price: int, active: bool, has_seen: bool) -> None:
        """Price and whether it is sold; `has_seen`: the product as it is now, not as it was at the last change."""
        shelf, body = self.truth.shelves.get(product), {"price": money(price), "is_active": active}
        now = self.ask(self.merchant, "GET", self.product(product)).headers.get("ETag", '"0"')
        etag = now if has_seen else self.etags.get(product, '"1"')

        answer = self.ask(self.merchant, "PATCH", self.product(product), json=body, headers={"If-Match": etag})

        if shelf is None:
            assert answer.status_code == 404
        elif etag != now:
            assert answer.status_code == 412
        else:
            assert answer.status_code == 200
            assert (answer.headers["ETag"] == now) == ((shelf.price, shelf.active) == (price, active))
            shelf.price, shelf.active = price, active
            self.etags[product] = now

    @rule(order=orders, by=st.sampled_from([-1, 1, 500]))
    def reprices(self, order: Order, by: int) -> None:
        """What was ordered costs something else now, perhaps before the order is settled."""
        product = next(iter(order.lines))
        if shelf := self.truth.shelves.get(product):
            self.changes(product, max(1, shelf.price + by), shelf.active, has_seen=True)

    @rule(product=products, units=st.integers(-3, 6), twice=st.booleans())
    def books(self, product: str, units: int, twice: bool) -> None:
        """Units received, or taken off the shelf; `twice`: the same request again."""
        reason = "received" if units > 0 else "adjusted"
        headers = {"Idempotency-Key": f"booking-{next(self.bookings)}"}

        self._books(product, {"quantity": units, "reason": reason}, units, {})
        if twice and units:
            self._books(product, {"quantity": 1, "reason": "received"}, 1, headers)
            answer = self.ask(
                self.merchant,
                "POST",
                f"{self.product(product)}/stock",
                json={"quantity": 1, "reason": "received"},
                headers=headers,
            )
            assert answer.status_code == (201 if product in self.truth.shelves else 404)

    def _books(self, product: str, body: dict[str, Any], units: int, headers: dict[str, str]) -> None:
        shelf = self.truth.shelves.get(product)
        answer = self.ask(self.merchant, "POST", f"{self.product(product)}/stock", json=body, headers=headers)
        if units == 0:
            assert answer.status_code == 422
        elif shelf is None:
            assert answer.status_code == 404
        elif shelf.units + units < 0:
            assert (answer.status_code, answer.get_json()["code"]) == (409, "insufficient_stock")
        else:
            assert answer.status_code == 201
            shelf.units += units

    @rule(product=products, found=st.integers(0, 8))
    def counts(self, product: str, found: int) -> None:
        shelf = self.truth.shelves.get(product)

        answer = self.ask(self.merchant, "POST", f"{self.product(product)}/stock", json={"counted": found})

        if shelf is None:
            assert answer.status_code == 404
        else:
            assert answer.status_code == (200 if shelf.units == found else 201)
            shelf.units = found

    @rule(product=products)
    def deletes(self, product: str) -> None:
        shelf = self.truth.shelves.get(product)

        answer = self.ask(self.merchant, "DELETE", self.product(product))

        assert answer.status_code == (404 if shelf is None else 409 if shelf.sold else 204)
        if answer.status_code == 204:
            del self.truth.shelves[product]

    @precondition(lambda self: len(self.truth.shelves) < len(PRODUCTS))
    @rule(price=st.sampled_from(PRICES), units=st.integers(0, 4))
    def sells_again(self, price: int, units: int) -> None:
        """A product under the id of one that was deleted."""
        product = next(each for each in PRODUCTS if each not in self.truth.shelves)
        body = {"id": product, "sku": f"SKU-{product}", "name": product.title(), "price": money(price)}
        body |= {"category": "Things", "weight_grams": WEIGHT_GRAMS, "stock_quantity": units}  # type: ignore[dict-item]

        assert self.ask(self.merchant, "POST", "/api/admin/products", json=body).status_code == 201
        self.truth.shelves[product] = Shelf(price, units)
        self.clock.forward(10)  # Nobody remembers an absence, but what was read before may still be shown.

    @rule(order=orders)
    def ships(self, order: Order) -> None:
        answer = self.manages(order, "shipments", {})
        if order.status == "confirmed" and order.parcels == "unfulfilled" and not order.withdrawn:
            assert answer.status_code == 201
            order.parcels = "shipped"
        else:
            assert answer.status_code == (404 if order.status == "pending" else 409)

    @rule(order=orders)
    def delivers(self, order: Order) -> None:
        answer = self.manages(order, "deliver", {})
        if order.parcels == "shipped":
            assert answer.status_code == 200
            order.parcels = "delivered"
        else:
            assert answer.status_code == (404 if order.status == "pending" else 409)

    @rule(order=orders, restock=st.booleans())
    def takes_back(self, order: Order, restock: bool) -> None:
        answer = self.manages(order, "return", {"restock": restock})
        if order.parcels in ("shipped", "delivered"):
            assert answer.status_code == 200
            order.parcels = "returned"
            if restock:
                self.truth.shelve(order)
        else:
            assert answer.status_code == (404 if order.status == "pending" else 409)

    @rule(order=orders)
    def notes_as_paid(self, order: Order) -> None:
        """An invoice, paid past all providers."""
        answer = self.manages(order, "payments", {})
        if order.token is None and order.status == "confirmed" and order.payment == "pending":
            assert answer.status_code == 201
            order.payment = "captured"
        else:
            assert answer.status_code == (404 if order.status == "pending" else 409)

    @rule(order=orders, minor=st.sampled_from([None, 1, 500, 5000]), restock=st.booleans())
    def refunds(self, order: Order, minor: int | None, restock: bool) -> None:
        """Some of what was captured, or all that is left; never more."""
        left = order.total - sum(order.refunds)
        wanted = left if minor is None else minor
        body = {"restock": restock} | ({} if minor is None else {"amount": money(minor)})

        answer = self.manages(order, "refunds", body)

        if order.payment not in ("captured", "partially_refunded"):
            assert answer.status_code == (404 if order.status == "pending" else 409)
        elif order.token in ("tok_refund_refused", "tok_wrong_amount") or order.status != "confirmed":
            # Some refunds were refused, or are the shop's own: then how much is left is not ours to say.
            if answer.status_code == 201 and restock:
                self.truth.withdraw(order)
        elif left == 0 or wanted > left:
            assert (answer.status_code, answer.get_json()["code"]) == (409, "refund_exceeds_payment")
        elif restock and not order.taken:
            assert (answer.status_code, answer.get_json()["code"]) == (409, "already_restocked")
        else:
            assert answer.status_code == 201
            order.refunds.append(wanted)
            if restock:
                self.truth.withdraw(order)
        self.look()

    def manages(self, order: Order, what: str, body: dict[str, Any]) -> TestResponse:
        return self.ask(self.merchant, "POST", f"/api/admin/orders/{order.id}/{what}", json=body)

    # ------------------------------------------------------------ time and the worker

    @rule(batch=st.sampled_from([1, 2, 256]))
    def worker_settles(self, batch: int) -> None:
        self.work(settle, replace(self.shop.runtime, settle_batch=batch))
        assert not any(order.status == "pending" for order in self.truth.orders), "a checkout was left behind"

    @rule()
    def worker_works(self) -> None:
        self.worker_settles(256)
        self.worker_pays()

    @rule()
    def worker_pays(self) -> None:
        self.work(pay_job.pay, self.shop.pay_runtime)

    @rule(point=st.sampled_from(SETTLE_POINTS), nth=st.integers(1, 2), batch=st.sampled_from([1, 2, 256]))
    def worker_dies_settling(self, point: str, nth: int, batch: int) -> None:
        self.dies_at(point, nth, settle, replace(self.shop.runtime, settle_batch=batch))

    @rule(point=st.sampled_from(PAY_POINTS), nth=st.integers(1, 3))
    def worker_dies_paying(self, point: str, nth: int) -> None:
        self.dies_at(point, nth, pay_job.pay, self.shop.pay_runtime)

    def dies_at(self, point: str, nth: int, job: Callable[[], object], own: runtime.Runtime) -> None:
        with self.death_at(point, nth):
            self.work(job, own)
        self.look()

    @rule(
        order=orders,
        point=st.sampled_from(OPEN_POINTS),
        happens=st.sampled_from(["a cancel", "a cancel", "another worker", "a price", "a click"]),
    )
    def meanwhile(self, order: Order, point: str, happens: str) -> None:
        """Something happens just when a worker comes to a place."""
        broken: list[BaseException] = []

        def act() -> None:
            failpoints.disarm()
            try:
                self.say(f"meanwhile {happens}")
                self.look()
                self.overtakes(order, happens)
            except BaseException as error:  # noqa: BLE001 - raised again below
                broken.append(error)

        failpoints.arm(point, Nth(1, act))
        settles = point.startswith("settle.")
        try:
            self.work(settle if settles else pay_job.pay, self.shop.runtime if settles else self.shop.pay_runtime)
        finally:
            failpoints.disarm()
        if broken:
            raise broken[0]

    def overtakes(self, order: Order, happens: str) -> None:
        if happens == "a cancel":
            self.cancels(order, "the merchant", None)
        elif happens == "a price":
            self.changes("CUP", 2501, active=True, has_seen=True)
        elif happens == "a click":
            self.answers_the_bank(order, approves=True)
        else:
            self.work(settle, replace(self.shop.runtime, worker="another"))

    def work(self, job: Callable[[], object], own: runtime.Runtime) -> None:
        runtime.start(own)
        try:
            job()
        finally:
            runtime.start(self.shop.runtime)
        self.look()

    @rule(how_long=st.sampled_from(sorted(WAITS)))
    def waits(self, how_long: str) -> None:
        self.passes(WAITS[how_long])

    def passes(self, seconds: float) -> None:
        """Time goes by, for the shop and for all that Redis keeps for a while."""
        self.clock.forward(seconds)
        if seconds >= DAY:
            for order in self.truth.orders:
                order.slept = order.slept or order.status in OPEN or order.id in self.under_way()
        if seconds > 30 * DAY:
            self.truth.carts = {who: Counter() for who in SHOPPERS}
        for name in list(self.redis.scan_iter(count=1000)):
            left = self.redis.pttl(name)
            if left > seconds * 1000:
                self.redis.pexpire(name, left - int(seconds * 1000))
            elif left >= 0:
                self.redis.delete(name)

    def under_way(self) -> set[str]:
        with self.database.reading() as session:
            return set(session.scalars(select(PaymentRow.order_id).where(PaymentRow.next_at.is_not(None))))

    @rule()
    def restarts(self) -> None:
        self.shop.sandbox.close()
        self.start()

    # ------------------------------------------------------------ what the worker did

    def look(self) -> None:
        """What became of the orders since: first come, first served, and what the rules say."""
        with self.database.reading() as session:
            rows = {row.id: row for row in session.scalars(select(OrderRow))}
        waiting = [order for order in self.truth.orders if order.status == "pending"]
        settled = [order for order in waiting if order.id in rows]
        assert settled == waiting[: len(settled)], "not first come, first served"
        assert rows.keys() <= {order.id for order in self.truth.orders}, "an order nobody made"
        for order in settled:
            self.truth.settle(order)
            if order.status == "failed":
                order.payment = rows[order.id].payment_status
        for order in self.truth.orders:
            if order.id in rows:
                self.moved(order, rows[order.id])

    def moved(self, order: Order, row: OrderRow) -> None:
        if (order.status, order.payment) != (row.status, row.payment_status):
            self.say(f"{order}: {row.status}, {row.payment_status}")
        assert row.status in REACHABLE["status"][order.status], f"{order} went from {order.status} to {row.status}"
        if order.status in ("failed", "confirmed", "cancelled"):
            assert row.status == order.status, f"{order} was {order.status} and is {row.status}"
        assert row.payment_status in REACHABLE["payment_status"][order.payment]
        assert row.total_minor == (order.total or order.shown) <= order.shown
        if row.status == "failed" and order.status in OPEN:
            self.truth.shelve(order)
            order.failures = (row.failure_code,)
        possible = order.failures or (None,)
        assert row.failure_code in possible, f"{order} failed for {row.failure_code}, not {possible}"
        order.failures = (row.failure_code,) if row.failure_code else ()
        order.status, order.payment = row.status, row.payment_status
        order.confirmed = order.confirmed or row.number is not None
        comes_back = row.status == "failed" or (row.status == "cancelled" and not order.confirmed)
        claimed = bool(self.redis.exists(keys.claimed_cart(order.id)))
        if order.owes_cart and not claimed:
            if comes_back:
                self.truth.give_back(order)
            else:
                assert order.confirmed, f"the cart of {order} is gone"
                order.owes_cart = False

    @invariant()
    def shelves_and_carts_are_as_they_must_be(self) -> None:
        if not hasattr(self, "shop"):
            return
        with self.database.reading() as session:
            stock = {row[0]: row[1] for row in session.execute(select(ProductRow.id, ProductRow.stock_quantity))}
            moves = select(StockMovementRow.product_id, func.sum(StockMovementRow.quantity))
            ledger = {row[0]: row[1] for row in session.execute(moves.group_by(StockMovementRow.product_id))}
        shelves = {product: shelf.units for product, shelf in self.truth.shelves.items()}
        assert stock == shelves, f"the shelves hold {stock}, not {shelves}"
        assert ledger == stock, f"the ledger says {ledger}, the shelves {stock}"
        carts = {who: self.shop.services.carts.get(self.sessions[who]) for who in SHOPPERS}
        held = {who: {line.product_id: line.quantity for line in cart.lines} for who, cart in carts.items()}
        right = {who: dict(cart) for who, cart in self.truth.carts.items()}
        assert held == right, f"the carts hold {held}, not {right}"

    # ------------------------------------------------------------ the end

    def comes_to_rest(self) -> None:
        """Work again and again, with ever more time in between, until nothing is due any more."""
        wait = 4.0
        while True:
            self.work(settle, self.shop.runtime)
            self.work(pay_job.pay, self.shop.pay_runtime)
            self.shelves_and_carts_are_as_they_must_be()
            if not self.shop.runtime.inbox.size() and not self.under_way():
                break
            assert wait < 10**8, f"never comes to rest: {self.under_way()}"
            self.passes(min(wait, DAY - 1))
            wait *= 2
        self.figures["rested"] += 1

    def is_as_it_must_be(self) -> None:
        with self.database.reading() as session:
            stuck = set(session.scalars(select(PaymentRow.order_id).where(PaymentRow.status == "stuck")))
            assert {*session.scalars(select(OrderRow.id))} == {order.id for order in self.truth.orders}
        books = {account.order_id: account for account in self.shop.sandbox.books()}
        for order in self.truth.orders:
            if order.id in stuck:
                assert order.slept, f"{order} is stuck"
                continue
            assert not order.owes_cart, f"{order} still holds its cart"
            self.ended(order, books.get(order.id))
        for who in SHOPPERS:
            self.lists_orders(who)
        self.audit()

    def ended(self, order: Order, account: Account | None) -> None:
        if order.total and order.status != "cancelled":
            assert (order.status, order.payment) in ends(order, self.automatic, self.clock()), f"{order} {order.status}"
        assert order.status in ("confirmed", "failed", "cancelled"), f"{order} is {order.status}"
        self.shows(order, self.ask(self.clients[order.who], "GET", f"/api/orders/{order.id}").get_json())
        if account is None:
            assert order.token is None or order.status != "confirmed"
            return
        held, taken, given = account.held_minor, account.captured_minor, account.refunded_minor
        assert (account.charges <= 1, account.misuses, account.open) == (True, 0, 0)
        assert order.confirmed or order.status != "confirmed"
        if order.status == "confirmed" and order.payment == "authorized":
            assert (held, taken, given) == (order.total, 0, 0)
        elif order.status == "confirmed":
            assert (held, taken) == (0, order.total)
            assert given == (0 if order.token == "tok_refund_refused" else sum(order.refunds))
        elif order.token == "tok_refund_refused" and taken:
            assert (held, given) == (0, 0)
        else:
            assert (held, taken) == (0, given)

    def audit(self) -> None:
        found: list[object] = []
        for check in CHECKS.values():
            with self.database.reading() as session:
                found += check(session)
        found += accepted(self.shop.runtime.inbox, self.database, self.clock())
        violations = [each for each in found if not isinstance(each, Counted)]
        assert not violations, violations
