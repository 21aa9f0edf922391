"""One settle worker against four on one PostgreSQL, each with its shard of the inbox: `python -m bench.shards`.

Every run settles the same checkouts of two products each, popular products far more often than others, into an
empty shop (fsync on; batches of 64, about what comes together under a steady load). Runs with one and with four
shards take turns. They are made twice: with the database beside the workers, and behind a proxy that makes it as
far away as one in another place is. After each run everything is audited. While they run, what the workers wait
for is sampled (pg_stat_activity).

With `--hot N` all checkouts want the same few products: they queue for their rows, whatever the number of workers.
Exit 1 if four shards are not clearly faster on the database that is far away, or if an audit finds anything.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import multiprocessing
import os
import random
import resource
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import insert
from sqlalchemy.engine import make_url
from uuid_utils import uuid7

from carts.connection import connect
from carts.inbox import Inbox
from carts.shards import queue_of
from carts.store import Carts
from db.migrate import upgrade
from db.models import Base, Category, OrderRow, ProductRow
from db.session import Database
from shop.catalogue import Product
from shop.checkout import Address, Checkout
from shop.pricing import basis, facts, price
from shop.rules import Rules
from tasks import audit, runtime
from tasks.checkout import settle
from tasks.processes import spare_the_collector
from tasks.queues import PAYMENTS, Bell, connect_queue, open_queue
from tests.servers import free_port, postgres, postgres_programs, until, valkey
from web.settings import ROOT, read_rules
from web.stores import now_ms

CHECKOUTS = 2048
BATCH = 64
PRODUCTS = 20_000
SHARDS = 4
FAR_MS = 5.0
LEAST_RATIO_FAR = 1.5
PLENTY = 10**6
SAMPLE_SECONDS = 0.01
APPLICATION = "bench-settle"
ADDRESS = Address("Ada Lovelace", "1 Main Street", "Oakland", "94601", "US", "CA")
fork = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Run:
    """One inbox settled: how fast, at what CPU, and what its workers were seen at (parts of all samples)."""

    shards: int
    per_second: float
    worker_cpu_ms: float
    database_cpu_ms: float
    seen_at: dict[str, float] = field(default_factory=dict)


# ---------------------------------------------------------------- the stores


class Delay(asyncio.Protocol):
    """Passes bytes on after a while, in their order."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.other: Delay | None = None
        self.ready: asyncio.Transport | None = None
        self.early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.ready = transport
        for data in self.early:
            transport.write(data)

    def write(self, data: bytes) -> None:
        if self.ready is None:
            self.early.append(data)
        else:
            self.ready.write(data)

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            asyncio.get_running_loop().call_later(self.seconds, self.other.write, data)

    def connection_lost(self, _: Exception | None) -> None:
        if self.other is not None and self.other.ready is not None:
            self.other.ready.close()


def delay(port: int, target: int, seconds: float) -> None:
    """Be a proxy: what a client says arrives later; the answers come back at once."""

    async def serve() -> None:
        loop = asyncio.get_running_loop()

        def accept() -> Delay:
            client, server = Delay(seconds), Delay(0)
            client.other, server.other = server, client
            client.reaching = loop.create_task(loop.create_connection(lambda: server, "127.0.0.1", target))  # type: ignore[attr-defined] # kept from the collector
            return client

        listener = await loop.create_server(accept, "127.0.0.1", port)
        await listener.serve_forever()

    asyncio.run(serve())


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextmanager
def far_away(url: str, ms: float) -> Iterator[str]:
    """The same database, `ms` away."""
    near, port = make_url(url), free_port()
    proxy = fork.Process(target=delay, args=(port, near.port, ms / 1000), daemon=True)
    proxy.start()
    try:
        until(lambda: listens(port), 10, "the way to the database")
        yield near.set(port=port).render_as_string(hide_password=False)
    finally:
        proxy.terminate()
        proxy.join()


def fill_shop(database: Database, products: int) -> None:
    """Products that never run out."""
    with database.writing() as session:
        session.execute(insert(Category), [{"id": 1, "name": "Things", "description": ""}])
        rows = [
            {"id": f"p{n}", "sku": f"P-{n}", "name": f"Product {n}", "price_minor": 500 + n, "category_id": 1}
            | {"stock_quantity": PLENTY, "weight_grams": 100, "created_at": 0, "updated_at": 0}
            for n in range(products)
        ]
        session.execute(insert(ProductRow), rows)


def sell_nothing(database: Database) -> None:
    """A shop with these products and without any order."""
    kept = {"categories", "counters", "products"}
    names = ", ".join(table for table in Base.metadata.tables if table not in kept)
    opening = "INSERT INTO stock_movements (product_id, kind, quantity, at) SELECT id, 'opening', stock_quantity, 0"
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")
        connection.exec_driver_sql("UPDATE counters SET value = 1000")
        connection.exec_driver_sql(f"UPDATE products SET stock_quantity = {PLENTY} WHERE stock_quantity <> {PLENTY}")
        connection.exec_driver_sql(f"{opening} FROM products")
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")
        connection.exec_driver_sql("CHECKPOINT")


@contextmanager
def unsynced(redis: Any) -> Iterator[None]:
    """While the inbox is filled, which nobody measures, it need not be on disk."""
    redis.config_set("appendfsync", "no")
    yield
    redis.config_set("appendfsync", "always")


def accept_all(redis: Any, rules: Rules, checkouts: int, products: int) -> list[str]:
    """Put checkouts into an inbox of one shard, as the web does; their ids."""
    carts = Carts(redis, rules.cart.lifetime_seconds, rules.cart.max_lines)
    inbox = Inbox(redis, rules.cart.lifetime_seconds)
    method, fingerprint, choose = rules.shipping.methods[0], rules.fingerprint(), random.Random(1)
    ids = []
    for _ in range(checkouts):
        session_id = uuid7().hex
        # The cube: a tenth of the products has half of the sales.
        chosen = {int(products * choose.random() ** 3) for _ in range(2)}
        items = [(Product(f"p{n}", f"P-{n}", f"Product {n}", 500 + n, PLENTY, weight_grams=100), 1) for n in chosen]
        for product, quantity in items:
            carts.add(session_id, product.id, quantity, product.price_minor, limit=100)
        cart = carts.get(session_id)
        checkout = Checkout(
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
            basis=basis((facts(product) for product, _ in items), fingerprint),
        )
        inbox.accept(checkout)
        ids.append(checkout.order_id)
    return ids


# ---------------------------------------------------------------- a run


def work(shard: int, shards: int, redis_url: str, database_url: str, rules: Rules, start: Barrier, done: Any) -> None:
    """A settle worker: settle a shard until it is empty, then say how many, from when to when, at what CPU."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    redis, queue_redis = connect(redis_url), connect_queue(redis_url)
    inbox = Inbox(redis, rules.cart.lifetime_seconds, queue_of(shard), shards, own=shard)
    database = Database(f"{database_url}?application_name={APPLICATION}", pool_size=2)
    bell, payments_bell = (Bell(open_queue(name, queue_redis)) for name in (queue_of(shard), PAYMENTS))
    runtime.start(runtime.Runtime(inbox, database, rules, bell, payments_bell, now_ms, f"bench-{shard}", BATCH))
    database.ping()
    spare_the_collector()
    start.wait()
    began, cpu = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    settled = 0
    while inbox.size():
        settled += settle()
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = used.ru_utime + used.ru_stime - cpu.ru_utime - cpu.ru_stime
    done.put((settled, began, time.monotonic(), seconds))


def database_cpu_seconds(database: Database) -> float:
    """What the server and all that belongs to it has used; 0 where that cannot be seen."""
    with database.engine.connect() as connection:
        folder = connection.exec_driver_sql("SHOW data_directory").scalar_one()
    try:
        postmaster = int((Path(folder) / "postmaster.pid").read_text().split()[0])
    except OSError:
        return 0.0
    ticks = 0
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            if int(entry.name) == postmaster:
                ticks += sum(map(int, fields[11:15]))  # Its own, and that of children that have ended.
            elif int(fields[1]) == postmaster:
                ticks += sum(map(int, fields[11:13]))
    return float(ticks / os.sysconf("SC_CLK_TCK"))


def sample(database: Database, stop: threading.Event, seen: Counter[str]) -> None:
    """Look again and again what each settle worker's connection is at."""
    query = (
        "SELECT state, wait_event_type, wait_event, query FROM pg_stat_activity "
        f"WHERE application_name = '{APPLICATION}' AND state <> 'idle'"
    )
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not stop.wait(SAMPLE_SECONDS):
            for state, kind, event, text in connection.exec_driver_sql(query):
                if state != "active":
                    seen["the worker's turn"] += 1
                elif kind == "Lock":
                    seen[f"lock ({event}) by {statement(text)}"] += 1
                elif kind in (None, "Timeout", "Client"):
                    seen["running, or the network"] += 1
                else:
                    seen[f"{kind}:{event} by {statement(text)}"] += 1


def statement(text: str) -> str:
    """A statement's kind and table."""
    words = text.replace('"', "").split()
    after = {"SELECT": "FROM", "INSERT": "INTO", "UPDATE": "UPDATE", "DELETE": "FROM"}.get(words[0].upper())
    if after is None or after not in words:
        return words[0].upper()
    held = " FOR UPDATE" if "FOR UPDATE" in text else ""
    return f"{words[0].upper()} {words[words.index(after) + 1]}{held}"


def settle_all(shards: int, redis_url: str, near: str, there: str, rules: Rules, ids: list[str]) -> Run:
    """One run, audited. `there` is where the workers find the database."""
    database = Database(near)
    sell_nothing(database)
    with connect(redis_url) as redis:
        whole = Inbox(redis, rules.cart.lifetime_seconds, shards=shards)
        with unsynced(redis):
            for order_id in ids:
                whole.put_back(order_id)
        start, done = fork.Barrier(shards + 1), fork.Queue()
        workers = [
            fork.Process(target=work, args=(shard, shards, redis_url, there, rules, start, done), daemon=True)
            for shard in range(shards)
        ]
        database.engine.dispose()  # No child may have our connection.
        for worker in workers:
            worker.start()
        start.wait(60)
        seen: Counter[str] = Counter()
        stop, before = threading.Event(), database_cpu_seconds(database)
        watch = threading.Thread(target=sample, args=(database, stop, seen))
        watch.start()
        answers = [done.get(timeout=300) for _ in workers]
        after = database_cpu_seconds(database)
        stop.set()
        watch.join()
        for worker in workers:
            worker.join()
        if problems := proved(database, whole, ids, answers):
            raise SystemExit(f"{shards} shards: {problems}")
    database.close()
    seconds = max(end for _, _, end, _ in answers) - min(began for _, began, _, _ in answers)
    total = sum(seen.values()) or 1
    return Run(
        shards,
        len(ids) / seconds,
        1000 * sum(cpu for *_, cpu in answers) / len(ids),
        1000 * (after - before) / len(ids),
        {name: round(count / total, 3) for name, count in seen.most_common(6)},
    )


def proved(database: Database, inbox: Inbox, ids: list[str], answers: list[tuple[int, float, float, float]]) -> str:
    """What is wrong after a run; nothing, as a rule."""
    found = [*audit.accepted(inbox, database, now_ms())]
    for check in audit.CHECKS.values():
        with database.reading() as session:
            found += check(session)
    broken = [str(finding) for finding in found if isinstance(finding, audit.Violation)]
    with database.reading() as session:
        orders = session.query(OrderRow).filter(OrderRow.status == "confirmed").count()
    if orders != len(ids) or inbox.size() or sum(settled for settled, *_ in answers) < len(ids):
        broken.append(f"{orders} of {len(ids)} are confirmed, {inbox.size()} wait")
    return "; ".join(broken[:5])


# ---------------------------------------------------------------- the figures


def compare(name: str, runs: list[Run]) -> dict[str, Any]:
    """One shard against several, by the medians; printed, and as a document."""
    result: dict[str, Any] = {"database": name}
    for shards in sorted({run.shards for run in runs}):
        mine = [run for run in runs if run.shards == shards]
        middle = sorted(mine, key=lambda run: run.per_second)[len(mine) // 2]
        result[f"{shards}_shards"] = {
            "orders_per_second": round(statistics.median(run.per_second for run in mine)),
            "worker_cpu_ms_per_order": round(statistics.median(run.worker_cpu_ms for run in mine), 3),
            "database_cpu_ms_per_order": round(statistics.median(run.database_cpu_ms for run in mine), 3),
            "seen_at": middle.seen_at,
        }
    one, several = (result[key]["orders_per_second"] for key in result if key.endswith("_shards"))
    result["ratio"] = round(several / one, 2)
    print(json.dumps(result, indent=2))
    return result


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.shards", description=__doc__)
    parser.add_argument("--checkouts", type=int, default=CHECKOUTS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shards", type=int, default=SHARDS)
    parser.add_argument("--far-ms", type=float, default=FAR_MS, help="one round trip to the database that is far away")
    parser.add_argument("--hot", type=int, metavar="N", help="all want these few products")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    programs = postgres_programs()
    if programs is None:
        print("PostgreSQL's programs (initdb, pg_ctl) are not installed", file=sys.stderr)
        return 2
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    rules, products = read_rules(ROOT / "shop.toml"), given.hot or PRODUCTS
    with tempfile.TemporaryDirectory(), valkey() as redis_url, postgres(programs, fsync=True) as near:
        database = Database(near)
        upgrade(database)
        fill_shop(database, products)
        database.close()
        with connect(redis_url) as redis, unsynced(redis):
            ids = accept_all(redis, rules, given.checkouts, products)
        with far_away(near, given.far_ms) as far:
            places = {"here": near, f"{given.far_ms:g} ms away": far}
            runs: dict[str, list[Run]] = {name: [] for name in places}
            for _ in range(given.rounds):
                for name, there in places.items():
                    for shards in (1, given.shards):
                        run = settle_all(shards, redis_url, near, there, rules, ids)
                        print(f"{name}, {shards} shards: {run.per_second:,.0f} orders a second", flush=True)
                        runs[name].append(run)
        found = [compare(name, measured) for name, measured in runs.items()]
    passed = found[-1]["ratio"] >= LEAST_RATIO_FAR
    document = {
        "checkouts": given.checkouts,
        "batch": BATCH,
        "products": products,
        "databases": found,
        "near_ratio": found[0]["ratio"],
        "far_ratio": found[-1]["ratio"],
        "least_ratio_far": LEAST_RATIO_FAR,
        "passed": passed or bool(given.hot),
    }
    if given.json:
        given.json.write_text(json.dumps(document, indent=2) + "\n")
    print("passed" if document["passed"] else "FAILED: four shards are not clearly faster far away")
    return 0 if document["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
