"""A whole shop in one process for the tests: the real code on a given Redis and database."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from redis import Redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer
from sqlalchemy import func, select
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from app import create_app
from carts.inbox import Inbox
from carts.shards import queue_of
from db import stock
from db.models import Category, OrderRow, ProductRow, StockMovementRow
from db.session import Database
from payments.sandbox import Sandbox
from shop.rules import Rules
from shop.webhooks import as_secret
from tasks import runtime
from tasks.pay import pay
from tasks.queues import CHECKOUT, PAYMENTS, Bell, OurJob, open_queue
from tasks.runtime import Runtime
from web.services import Services, assemble
from web.settings import Settings

SECRETS = ["a-secret-key-for-the-tests"]
SANDBOX_SECRET = as_secret(b"a-secret-for-the-sandbox's-calls")
"""So that a shop of which nobody pays needs no books at the sandbox."""
ADDRESS = {
    "name": "Ada Lovelace",
    "line1": "1 Main Street",
    "city": "Oakland",
    "postal_code": "94601",
    "country": "US",
    "region": "CA",
}
UNLIMITED: dict[str, Any] = {f"rate_limit_{what}": "off" for what in ("checkout", "quote", "orders", "sessions")}
"""Settings: a test's crowd comes from one address, while the clock stands still."""
CHECKOUT_BODY: dict[str, Any] = {
    "email": "ada@example.com",
    "shipping_info": ADDRESS,
    "shipping_method": "standard",
    "payment_method": "invoice",
}


class Clock:
    """Time that stands still until a test moves it; milliseconds since the epoch."""

    def __init__(self, at: int = 1_795_000_000_000) -> None:
        self.at = at

    def __call__(self) -> int:
        return self.at

    def forward(self, seconds: float) -> None:
        self.at += int(seconds * 1000)


_documents: list[dict[str, Any]] = []


def described_api(app: Any) -> dict[str, Any]:
    """The OpenAPI document: the same for every application, so it is made once."""
    if not _documents:
        _documents.append(app.api_doc)
    return _documents[0]


class Client(FlaskClient):
    """A browser that fails the test when an answer is not what the OpenAPI document says it may be."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        response = super().open(*args, **kwargs)
        if response.status_code != 304 and (response.mimetype or "").endswith("json"):
            self._check(response)
        if response.status_code >= 400:
            assert response.mimetype in ("application/problem+json", "application/json"), response.text
        return response

    def _check(self, response: TestResponse) -> None:
        request = response.request
        try:
            rule, _ = self.application.url_map.bind("").match(request.path, request.method, return_rule=True)
        except HTTPException:
            return
        document = described_api(self.application)
        path = rule.rule.replace("<", "{").replace(">", "}")
        operation = document["paths"].get(path, {}).get(request.method.lower())
        if operation is None:
            return
        described = operation["responses"].get(str(response.status_code)) or operation["responses"]["default"]
        schema = described["content"][response.mimetype]["schema"]
        Draft202012Validator({**schema, "components": document["components"]}).validate(response.get_json())


@dataclass
class Shop:
    """The nouns of the tests: products on shelves, shoppers, the worker, orders."""

    rules: Rules
    redis: Redis
    queue_redis: Redis
    database: Database
    clock: Clock
    settings: Settings
    services: Services = field(init=False)
    app: Flask = field(init=False)
    queue: Queue = field(init=False)
    payments_queue: Queue = field(init=False)
    sandbox: Sandbox = field(init=False)
    runtime: Runtime = field(init=False)
    pay_runtime: Runtime = field(init=False)
    _ids: Any = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.sandbox = Sandbox(self.settings.var_dir / "sandbox.db", now=self.clock, webhook_secret=SANDBOX_SECRET)
        self.services = assemble(
            self.settings,
            self.rules,
            self.redis,
            self.queue_redis,
            self.database,
            SECRETS,
            self.clock,
            {"sandbox": self.sandbox},
        )
        self.app = create_app(self.services, self.settings)
        self.app.test_client_class = Client
        self.queue = open_queue(CHECKOUT, self.queue_redis)
        self.payments_queue = open_queue(PAYMENTS, self.queue_redis)
        self.runtime = Runtime(
            inbox=self.services.inbox,
            database=self.database,
            rules=self.rules,
            bell=Bell(self.queue),
            payments_bell=Bell(self.payments_queue),
            now=self.clock,
            worker="test-worker",
            providers={"sandbox": self.sandbox},
            public_url="http://shop.test",
        )
        self.pay_runtime = replace(
            self.runtime,
            inbox=Inbox(self.redis, self.rules.cart.lifetime_seconds, PAYMENTS),
            bell=self.runtime.payments_bell,
        )
        runtime.start(self.runtime)

    # ------------------------------------------------------------ shelves

    def stocked(self, price_minor: int = 1000, **quantities: int) -> None:
        """Put products on the shelves: `stocked(MUG=3)` is a product `MUG` at 10.00 with three units."""
        for product_id, quantity in quantities.items():
            self.product(product_id, stock_quantity=quantity, price_minor=price_minor)

    def product(self, product_id: str, **columns: Any) -> None:
        """A product with these columns, in the category `Things`."""
        with self.database.writing() as session:
            if session.get(Category, 1) is None:
                session.add(Category(id=1, name="Things", description="All sorts."))
                session.flush()
            defaults = {
                "sku": f"SKU-{product_id}",
                "name": product_id.title(),
                "price_minor": 1000,
                "category_id": 1,
                "stock_quantity": 10,
                "weight_grams": 100,
                "created_at": self.clock() + next(self._ids),
                "updated_at": self.clock(),
            }
            row = ProductRow(id=product_id, **{**defaults, **columns})
            session.add(row)
            session.flush()
            stock.open_stock(session, product_id, row.stock_quantity, row.created_at)

    def change(self, product_id: str, **columns: Any) -> None:
        """Change a product behind everybody's back, and let every shopper see it."""
        with self.database.writing() as session:
            row = session.get(ProductRow, product_id)
            assert row is not None
            for name, value in columns.items():
                setattr(row, name, value)
        self.clock.forward(60)

    def stock(self, product_id: str) -> int:
        with self.database.reading() as session:
            return session.scalars(select(ProductRow.stock_quantity).where(ProductRow.id == product_id)).one()

    def ledger(self, product_id: str) -> int:
        with self.database.reading() as session:
            return stock.ledger_balance(session, product_id)

    def books_close(self) -> None:
        """P3 and P4 over every product, P6 over every order."""
        with self.database.reading() as session:
            sums = dict(
                session.execute(
                    select(StockMovementRow.product_id, func.sum(StockMovementRow.quantity)).group_by(
                        StockMovementRow.product_id
                    )
                ).all()
            )
            for product_id, quantity in session.execute(select(ProductRow.id, ProductRow.stock_quantity)):
                assert quantity >= 0
                assert sums[product_id] == quantity
            for order in session.scalars(select(OrderRow)):
                parts = order.subtotal_minor + order.shipping_minor
                included = order.quote["prices_include_tax"]
                assert order.total_minor == parts + (0 if included else order.tax_minor)

    # ------------------------------------------------------------ shoppers

    def shopper(self) -> Client:
        """A browser with a cookie jar of its own."""
        client = self.app.test_client()
        assert isinstance(client, Client)
        return client

    def checkout(self, shopper: Client | None = None, body: dict[str, Any] | None = None, **quantities: int) -> str:
        """Fill a cart and check it out: `checkout(MUG=2)`. Answers the order's id."""
        shopper = shopper or self.shopper()
        for product_id, quantity in quantities.items():
            response = shopper.post("/api/cart/add", json={"product_id": product_id, "quantity": quantity})
            assert response.status_code == 200, response.text
        response = shopper.post("/api/checkout", json={**CHECKOUT_BODY, **(body or {})})
        assert response.status_code == 202, response.text
        return str(response.get_json()["id"])

    # ------------------------------------------------------------ the worker

    def work_until_idle(self) -> None:
        """Let RQ's workers do every job that waits, as worker.py does."""
        shards = [self.shard(number) for number in range(1, self.settings.settle_shards)]
        workers = [(self.queue, self.runtime), *shards, (self.payments_queue, self.pay_runtime)]
        while any(queue.count for queue, _ in workers):
            for queue, own in workers:
                self._work(queue, own)
        runtime.start(self.runtime)

    def shard(self, number: int, shards: int | None = None) -> tuple[Queue, Runtime]:
        """The queue and the runtime of the worker of one shard, of so many."""
        name = queue_of(number)
        queue = open_queue(name, self.queue_redis)
        shards = shards or self.settings.settle_shards
        inbox = Inbox(self.redis, self.rules.cart.lifetime_seconds, name, shards, own=number)
        return queue, replace(self.runtime, inbox=inbox, bell=Bell(queue), worker=f"test-worker-{number}")

    def _work(self, queue: Queue, own: Runtime) -> None:
        if queue.count:
            runtime.start(own)
            worker = SimpleWorker([queue], connection=self.queue_redis, job_class=OurJob, serializer=JSONSerializer)
            worker.work(burst=True, logging_level="ERROR")

    def pay(self) -> None:
        """Work on every payment that is due by now."""
        runtime.start(self.pay_runtime)
        pay()
        runtime.start(self.runtime)

    def order(self, order_id: str) -> OrderRow:
        with self.database.reading() as session:
            row = session.get(OrderRow, order_id)
            assert row is not None, f"no order {order_id}"
            return row

    def order_count(self) -> int:
        with self.database.reading() as session:
            return session.scalars(select(func.count()).select_from(OrderRow)).one()
