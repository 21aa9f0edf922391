"""What a large shop costs beside a small one: `python -m bench.size [--products N] [--orders M] [--json FILE]`.

The same requests to two shops on SQLite, one of a thousand products or ten thousand orders and one of as many as
you like, in turns in one run: CPU time of this process, the system's share of it included, of the whole WSGI
application, and of the query functions where it says so. The catalogue is made to be hard: what is rare, cheap or
called by a certain word is old, where a list shows the newest first.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import structlog
from flask import Flask
from sqlalchemy import insert, select, update
from uuid_utils import uuid7
from werkzeug.test import EnvironBuilder

from app import create_app
from bench import fill
from bench.settle import ADDRESS, runtime_for, valkey
from db import order_list, orders
from db.bulk import BulkInsert
from db.migrate import upgrade
from db.models import Category, OrderRow, ProductRow
from db.session import Database
from shop.checkout import Checkout
from shop.pricing import basis, facts, price
from shop.rules import Rules
from tasks import runtime
from tasks.checkout import settle
from tasks.processes import spare_the_collector
from tasks.queues import connect_queue
from tests.harness import UNLIMITED
from web.services import Services, assemble
from web.settings import ROOT, read_rules, read_settings

FEW_PRODUCTS, MANY_PRODUCTS = 1_000, 1_000_000
FEW_ORDERS, MANY_ORDERS = 10_000, 1_000_000
LIST_BUDGET, ORDER_BUDGET = 1.5, 1.3
ROUNDS = 30
BATCH = 256
STARTED = 1_700_000_000_000
AT_ONCE = 10_000
Task = Callable[[], object]

# ---------------------------------------------------------------- a catalogue

_write_products = BulkInsert(
    ProductRow,
    *("id", "sku", "name", "description", "price_minor", "category_id", "stock_quantity"),
    *("image_url", "images", "specifications", "tax_class", "weight_grams", "group_id", "options"),
    *("is_active", "created_at", "updated_at", "low_stock_threshold"),
)


def product(number: int, of: int) -> tuple[Any, ...]:
    """A product of many, the older the lower its number.

    "everyday" is said of all, "vintage" of the oldest twentieth, "acme" of the oldest hundredth, "unicorn" of five.
    The oldest fiftieth costs less than 1.50. One in a hundred is sold out; one in ten is a variant, four to a group.
    """
    name = f"{fill.WORDS[number * 7919 % 10]} {fill.THINGS[number * 104729 // 10 % 10]} {number}"
    said = ["everyday", *(word for word, share in (("vintage", 20), ("acme", 100)) if number < of / share)]
    if number % (of // 5) == of // 10:
        said.append("unicorn")
    group = f"g{number // 4}" if number // 4 % 10 == 0 else None
    cents = 50 + number % 100 if number < of / 50 else 200 + number * 7919 % 9_800
    category = 41 if number % (of // 10) == 3 else 1 + number * 7919 % 40
    at = STARTED + number * 1000
    text = f"{name}, made to last. {' '.join(said)}"
    row = (f"p{number}", f"SKU-{number}", name, text, cents, category, 0 if number % 100 == 7 else 10)
    return (*row, "", "[]", "{}", "standard", 100, group, "{}", 1, at, at, 5)


def fill_catalogue(database: Database, products: int) -> None:
    upgrade(database)
    with database.writing() as session:
        session.execute(insert(Category), [{"id": n, "name": f"Shelf {n}", "description": ""} for n in range(1, 42)])
    fill.relax(database, synchronous="OFF", foreign_keys="OFF", cache_size="-262144")
    for first in range(0, products, AT_ONCE):
        with database.writing() as session:
            _write_products(session, [product(n, products) for n in range(first, min(first + AT_ONCE, products))])
    fill.relax(database, synchronous="FULL", foreign_keys="ON", cache_size="-16384")
    database.checkpoint()


FILTERS: dict[str, dict[str, str]] = {
    "nothing": {},
    "a category": {"category": "1"},
    "a category of ten": {"category": "41"},
    "in stock": {"available": "true"},
    "sold out": {"available": "false"},
    "a wide price range": {"min_price": "20", "max_price": "60"},
    "a narrow price range": {"min_price": "50", "max_price": "50.01"},
    "a price range of the oldest": {"max_price": "1.40"},
    "a price range without products": {"min_price": "200"},
    "a word of all": {"q": "everyday"},
    "an unfinished word of all": {"q": "every"},
    "a word of one in ten": {"q": "linen"},
    "two words, one unfinished": {"q": "linen bl"},
    "a word of the oldest twentieth": {"q": "vintage"},
    "a word of the oldest hundredth": {"q": "acme"},
    "a word of five": {"q": "unicorn"},
    "a word of none": {"q": "zebra"},
    "a letter": {"q": "b"},
    "a SKU": {"q": "sku-77"},
    "category, sold out": {"category": "1", "available": "false"},
    "category, price range": {"category": "1", "min_price": "20", "max_price": "60"},
    "category, price range of the oldest": {"category": "1", "max_price": "1.40"},
    "sold out, price range of the oldest": {"available": "false", "max_price": "1.40"},
    "word of one in ten, price range of the oldest": {"q": "linen", "max_price": "1.40"},
    "word of the oldest twentieth, newest prices": {"q": "vintage", "min_price": "90"},
    "category, word, sold out": {"category": "1", "q": "linen", "available": "false"},
}
PLACES: dict[str, Any] = {"price": 5000, "-price": 5000, "name": "Linen", "-created_at": None}
"""Deep in the list of each sort: the value behind which to go on. The time is the middle of the catalogue."""


# ---------------------------------------------------------------- a shop


@dataclass(frozen=True)
class BenchedShop:
    services: Services
    app: Flask
    size: int

    def get(self, path: str, session_id: str | None = None) -> Task:
        """A request to be made again and again; the first answer must be a good one."""
        token = {"X-Session-Token": self.services.sessions.sign(session_id)} if session_id else {}
        environ = EnvironBuilder(path, headers=list(token.items())).get_environ()

        return lambda: call(self.app, dict(environ))

    def products(self, sort: str, wanted: dict[str, str], *, deep: bool, total: bool = True) -> Task:
        query = {**wanted, "sort": sort}
        if not total:
            query["total"] = "false"
        if deep:
            value = PLACES[sort] if PLACES[sort] is not None else STARTED + self.size // 2 * 1000
            query["cursor"] = self.services.cursors.write(f"products:{sort}", value, "p")
        return self.get(f"/api/products?{urlencode(query)}")


def call(app: Callable[..., Any], environ: dict[str, Any]) -> bytes:
    """The answer of a WSGI application; it must be a good one."""
    told: list[str] = []
    answer = b"".join(app(environ, lambda status, _headers, _=None: told.append(status)))
    if not told[0].startswith("200"):
        raise RuntimeError(f"{environ['PATH_INFO']}: {told[0]} {answer[:300]!r}")
    return answer


@contextmanager
def opened(database: Database, size: int) -> Iterator[BenchedShop]:
    """A shop on a database, with a Valkey of its own."""
    rules = read_rules(ROOT / "shop.toml")
    with (
        tempfile.TemporaryDirectory(prefix="oc") as name,
        valkey(Path(name) / "v") as redis,
        closing(connect_queue(f"unix://{name}/v/s")) as queue,
    ):
        database_url = str(database.engine.url)
        settings = read_settings(_env_file=None, var_dir=Path(name), database_url=database_url, **UNLIMITED)
        services = assemble(settings, rules, redis, queue, database, ["a secret of sixteen characters"])
        yield BenchedShop(services, create_app(services, settings), size)


# ---------------------------------------------------------------- side by side


@dataclass(frozen=True)
class Figure:
    what: str
    small_us: float
    large_us: float
    budget: float

    @property
    def ratio(self) -> float:
        return self.large_us / self.small_us

    @property
    def passed(self) -> bool:
        return self.ratio <= self.budget

    def told(self) -> dict[str, Any]:
        times = {"small_us": round(self.small_us), "large_us": round(self.large_us)}
        return {"what": self.what, **times, "ratio": round(self.ratio, 2), "budget": self.budget, "passed": self.passed}

    def __str__(self) -> str:
        verdict = "ok" if self.passed else "TOO SLOW"
        return f"{self.what:75} {self.small_us:9.0f} {self.large_us:9.0f} us  x{self.ratio:5.2f}  {verdict}"


def quick(spent: Sequence[float]) -> float:
    """What one in ten stays below, in microseconds: the others were disturbed by whatever else the machine does."""
    return statistics.quantiles(spent, n=10)[0] * 1e6


def compare(what: str, tasks: Sequence[Task], budget: float, rounds: int = ROUNDS) -> Figure:
    """The same on both, in turns: of each what one in ten stays below. The first call warms up and is not counted."""
    spent: tuple[list[float], list[float]] = [], []
    for number in range(rounds + 1):
        for task, times in zip(tasks, spent, strict=True):
            began = time.process_time()
            task()
            if number:
                times.append(time.process_time() - began)
    figure = Figure(what, quick(spent[0]), quick(spent[1]), budget)
    print(figure, flush=True)
    return figure


def measure_lists(small: BenchedShop, large: BenchedShop, rounds: int) -> Iterator[Figure]:
    for name, wanted in FILTERS.items():
        for sort in PLACES:
            for deep in (False, True):
                tasks = [shop.products(sort, wanted, deep=deep) for shop in (small, large)]
                place = "from the middle on" if deep else "first page"
                yield compare(f"products: {name}, by {sort}, {place}", tasks, LIST_BUDGET, rounds)
    for path in ("/api/categories", "/api/products?facets=category,price,availability", "/api/products/p77"):
        yield compare(path, [small.get(path), large.get(path)], LIST_BUDGET, rounds)


# ---------------------------------------------------------------- orders

MERCHANT: dict[str, tuple[dict[str, Any], str]] = {
    "everything": ({}, "-created_at"),
    "to be shipped, the oldest first": ({"status": "confirmed", "fulfillment_status": "unfulfilled"}, "created_at"),
    "failed": ({"status": "failed"}, "-created_at"),
    "sold out, the dearest first": ({"failure_code": "out_of_stock"}, "-total"),
    "of a shopper": ({"email_lower": "shopper7@example.com"}, "-created_at"),
    "of a product": ({"product_id": "product-7"}, "-created_at"),
    "of an hour": ({"created_from": fill.UNTIL - fill.DAY_MS, "created_below": fill.UNTIL}, "total"),
}


def fill_orders(database: Database, many: int) -> None:
    fill.fill(database, 1_000, many)
    with database.writing() as session:  # Nothing may run out while we measure.
        session.execute(update(ProductRow).values(stock_quantity=10**6))
    database.checkpoint()


def some_orders(shop: BenchedShop, how_many: int = 50) -> list[tuple[str, str, str]]:
    """Id, session and idempotency key of orders from all over the years."""
    dice = random.Random(5)
    found = []
    with shop.services.database.reading() as session:
        for _ in range(how_many):
            at = fill.UNTIL - int(dice.random() * fill.SPAN_MS * 0.9)
            query = select(OrderRow.id, OrderRow.session_id, OrderRow.idempotency_key)
            query = query.where(OrderRow.created_at <= at, OrderRow.idempotency_key.is_not(None))
            order_id, session_id, key = session.execute(query.order_by(OrderRow.created_at.desc()).limit(1)).one()
            found.append((order_id, session_id, key or ""))
    return found


def in_turn(tasks: Sequence[Task]) -> Task:
    """Another one of them with each call."""
    turns = cycle(tasks)

    def following() -> object:
        return next(turns)()

    return following


def in_sql(shop: BenchedShop, query: Callable[[Any], object]) -> Task:
    """A query function, in a session of its own."""

    def ask() -> object:
        with shop.services.database.reading() as session:
            return query(session)

    return ask


def measure_orders(small: BenchedShop, large: BenchedShop, rounds: int) -> Iterator[Figure]:
    both = (small, large)
    known = {shop.size: some_orders(shop) for shop in both}

    def of_each(what: str, task: Callable[[BenchedShop, tuple[str, str, str]], Task]) -> Figure:
        tasks = [in_turn([task(shop, order) for order in known[shop.size]]) for shop in both]
        return compare(what, tasks, ORDER_BUDGET, 2 * rounds)

    yield of_each("order read", lambda shop, order: shop.get(f"/api/orders/{order[0]}", order[1]))
    yield of_each("order history", lambda shop, order: shop.get("/api/orders", order[1]))
    yield of_each(
        "a checkout's key looked up again (query function)",
        lambda shop, order: in_sql(shop, lambda session: orders.by_key(session, order[1], order[2])),
    )
    yield compare("cart: one more unit, and the cart", [cart_task(shop) for shop in both], ORDER_BUDGET, 2 * rounds)
    for name, (conditions, sort) in MERCHANT.items():
        wanted = order_list.Filter(**conditions)
        tasks = [in_sql(shop, partial(order_list.page, wanted=wanted, sort=sort, limit=20)) for shop in both]
        yield compare(f"the merchant's orders: {name}, by {sort} (query function)", tasks, ORDER_BUDGET, rounds)
    yield measure_settle(small, large)


def cart_task(shop: BenchedShop) -> Task:
    """Add a unit over HTTP; the answer is the whole cart."""
    session_id = uuid7().hex
    token = shop.services.sessions.sign(session_id)
    products = iter(range(10**9))

    def add() -> object:
        body = {"product_id": f"product-{next(products) % 50}", "quantity": 1}
        headers = [("X-Session-Token", token)]
        return call(shop.app, EnvironBuilder("/api/cart/add", method="POST", json=body, headers=headers).get_environ())

    return add


def accept(services: Services, rules: Rules, how_many: int, dice: random.Random) -> None:
    """Put checkouts of two products each into the inbox, as the web does."""
    method, fingerprint = rules.shipping.methods[0], rules.fingerprint()
    for _ in range(how_many):
        session_id = uuid7().hex
        items = [(fill.made_up(number), 1) for number in dice.sample(range(1_000), 2)]
        for item, quantity in items:
            services.carts.add(session_id, item.id, quantity, item.price_minor, limit=100)
        cart = services.carts.get(session_id)
        services.inbox.accept(
            Checkout(
                order_id=str(uuid7()),
                session_id=session_id,
                cart_id=cart.id or "",
                cart_version=cart.version,
                email="ada@example.com",
                shipping_info=ADDRESS,
                billing_info=ADDRESS,
                shipping_method=method.id,
                payment_method="invoice",
                quote=price(items, method, ADDRESS.destination, rules),
                basis=basis((facts(item) for item, _ in items), fingerprint),
            )
        )


def measure_settle(small: BenchedShop, large: BenchedShop, batches: int = 12) -> Figure:
    """CPU time of settling a batch, what the commits write included."""
    dice = random.Random(3)
    spent: tuple[list[float], list[float]] = [], []
    for number in range(batches):
        for shop, times in zip((small, large), spent, strict=True):
            accept(shop.services, shop.services.rules, BATCH, dice)
            queue = connect_queue(f"unix://{shop.services.redis.connection_pool.connection_kwargs['path']}")
            runtime.start(runtime_for(shop.services.redis, queue, shop.services.database, shop.services.rules))
            began = time.process_time()
            settled = settle()
            if number > 1:
                times.append(time.process_time() - began)
            queue.close()
            if settled != BATCH or shop.services.inbox.size():
                raise RuntimeError(f"settled {settled} of {BATCH}")
    figure = Figure("settle: a batch of 256", quick(spent[0]), quick(spent[1]), ORDER_BUDGET)
    print(figure, flush=True)
    return figure


# ---------------------------------------------------------------- the program

Fill = Callable[[Database, int], None]
Measure = Callable[[BenchedShop, BenchedShop, int], Iterator[Figure]]


def side_by_side(folder: Path, sizes: tuple[int, int], fill_shop: Fill, measure: Measure, rounds: int) -> list[Figure]:
    """The figures of a small and a large shop; files that are there already are used as they are."""
    with ExitStack() as stack:
        shops = []
        for size in sizes:
            path = folder / f"{fill_shop.__name__}-{size}"
            is_there = (path / "shop.db").exists()
            database = Database(fill.target(str(path)))
            stack.callback(database.close)
            if not is_there:
                began = time.monotonic()
                fill_shop(database, size)
                print(f"{fill_shop.__name__} {size}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            shops.append(stack.enter_context(opened(database, size)))
        return list(measure(shops[0], shops[1], rounds))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.size", description=__doc__)
    parser.add_argument("--products", type=int, default=MANY_PRODUCTS, help="0: leave the lists out")
    parser.add_argument("--orders", type=int, default=MANY_ORDERS, help="0: leave the orders out")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--folder", type=Path, help="where the shops are made, and left; otherwise they are deleted")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    spare_the_collector()
    figures: list[Figure] = []
    with ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="oc-size")))
        if given.products:
            sizes = (FEW_PRODUCTS, given.products)
            figures += side_by_side(folder, sizes, fill_catalogue, measure_lists, given.rounds)
        if given.orders:
            sizes = (FEW_ORDERS, given.orders)
            figures += side_by_side(folder, sizes, fill_orders, measure_orders, given.rounds)
    passed = all(figure.passed for figure in figures)
    result = {"products": given.products, "orders": given.orders, "passed": passed}
    result |= {"figures_in_all": len(figures), "passed_figures": sum(figure.passed for figure in figures)}
    told = json.dumps({**result, "figures": [figure.told() for figure in figures]})
    if given.json:
        given.json.write_text(told)
    print(told if not given.json else json.dumps(result))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
