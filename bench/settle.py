"""How fast checkouts are settled, against bare sqlite3 writing the same rows: `python -m bench.settle`.

Both run in this process, in turns, on the same disk with the same SQLite and the same settings
(WAL, synchronous=FULL), and write the same rows in transactions of the same size. Settling also
reads the inbox from a real Valkey (appendfsync always), decides, and cleans up after each commit.
"""

from __future__ import annotations

import json
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from redis import Redis
from sqlalchemy import insert
from uuid_utils import uuid7

from carts.connection import connect
from carts.inbox import Inbox
from carts.store import Carts
from db import stock
from db.migrate import upgrade
from db.models import Category, ProductRow
from db.session import SQLITE, Database
from shop.catalogue import Product
from shop.checkout import Address, Checkout
from shop.pricing import basis, facts, price
from shop.rules import Rules
from tasks import runtime
from tasks.checkout import settle
from tasks.processes import spare_the_collector
from tasks.queues import CHECKOUT, PAYMENTS, Bell, connect_queue, open_queue
from web.settings import ROOT, read_rules
from web.stores import now_ms
from web.valkey import command

CHECKOUTS = 4096
BATCH = 256
ROUNDS = 5
PRODUCTS = 200
FLOOR = 0.5
ADDRESS = Address("Ada Lovelace", "1 Main Street", "Oakland", "94601", "US", "CA")
TABLES = ("orders", "order_items", "order_events", "stock_movements")


@contextmanager
def valkey(folder: Path) -> Iterator[Redis]:
    """A Valkey set up as `make run` does."""
    folder.mkdir()
    sock = folder / "s"
    server = subprocess.Popen(command(folder, sock), stdout=subprocess.DEVNULL)
    try:
        while not sock.exists():
            time.sleep(0.01)
        with connect(f"unix://{sock}") as client:
            yield client
    finally:
        server.terminate()
        server.wait()


def new_database(path: Path) -> Database:
    """A migrated shop with products that never run out."""
    database = Database(f"sqlite:///{path}")
    upgrade(database)
    with database.writing() as session:
        session.execute(insert(Category), [{"id": 1, "name": "Things", "description": ""}])
        rows = [
            {
                "id": f"p{i}",
                "sku": f"P-{i}",
                "name": f"Product {i}",
                "price_minor": 500 + i,
                "category_id": 1,
                "stock_quantity": 10**6,
                "weight_grams": 100,
                "created_at": 0,
                "updated_at": 0,
            }
            for i in range(PRODUCTS)
        ]
        session.execute(insert(ProductRow), rows)
        for row in rows:
            stock.open_stock(session, str(row["id"]), 10**6, 0)
    database.checkpoint()
    return database


def accept_all(redis: Redis, rules: Rules) -> Inbox:
    """Put CHECKOUTS checkouts of two products each into the inbox, as the web does."""
    carts = Carts(redis, rules.cart.lifetime_seconds, rules.cart.max_lines)
    inbox = Inbox(redis, rules.cart.lifetime_seconds)
    method, fingerprint = rules.shipping.methods[0], rules.fingerprint()
    for i in range(CHECKOUTS):
        session_id = uuid7().hex
        numbers = (i % PRODUCTS, (i * 7 + 1) % PRODUCTS)
        items = [(Product(f"p{n}", f"P-{n}", f"Product {n}", 500 + n, 10**6, weight_grams=100), 1) for n in numbers]
        for product, quantity in items:
            carts.add(session_id, product.id, quantity, product.price_minor, limit=100)
        cart = carts.get(session_id)
        inbox.accept(
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
                basis=basis((facts(product) for product, _ in items), fingerprint),
            )
        )
    return inbox


def runtime_for(redis: Redis, queue: Redis, database: Database, rules: Rules) -> runtime.Runtime:
    """What a worker's jobs work with, on these connections."""
    bell, payments_bell = Bell(open_queue(CHECKOUT, queue)), Bell(open_queue(PAYMENTS, queue))
    inbox = Inbox(redis, rules.cart.lifetime_seconds)
    return runtime.Runtime(inbox, database, rules, bell, payments_bell, now_ms, "bench", BATCH)


def ours(folder: Path, rules: Rules) -> tuple[float, Database]:
    """Seconds to settle the whole inbox, and the database it went into."""
    with valkey(folder / "valkey") as redis:
        database = new_database(folder / "ours.db")
        inbox = accept_all(redis, rules)
        queue = connect_queue(f"unix://{folder}/valkey/s")
        runtime.start(runtime_for(redis, queue, database, rules))
        started = time.perf_counter()
        settled = settle()
        seconds = time.perf_counter() - started
        if settled != CHECKOUTS or inbox.size():
            raise SystemExit(f"settled {settled} of {CHECKOUTS}")
        queue.close()
    return seconds, database


def bare(folder: Path, written: Path) -> float:
    """Seconds that bare sqlite3 needs for the same rows and stock changes, in the same batches."""
    new_database(folder / "bare.db").close()
    source = SQLITE.connect(str(written))
    rows = {}
    for table in TABLES:
        where = "WHERE order_id IS NOT NULL" if table == "stock_movements" else ""
        rows[table] = source.execute(f"SELECT * FROM {table} {where} ORDER BY rowid").fetchall()
    source.close()
    per_order = {table: len(rows[table]) // CHECKOUTS for table in TABLES}
    product_column, quantity_column = 1, 3
    connection = SQLITE.connect(str(folder / "bare.db"), isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    started = time.perf_counter()
    for first in range(0, CHECKOUTS, BATCH):
        connection.execute("BEGIN IMMEDIATE")
        for table in TABLES:
            part = rows[table][first * per_order[table] : (first + BATCH) * per_order[table]]
            marks = ", ".join("?" * len(part[0]))
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", part)
        movements = rows["stock_movements"][first * 2 : (first + BATCH) * 2]
        units: dict[str, int] = {}
        for row in movements:
            units[row[product_column]] = units.get(row[product_column], 0) - row[quantity_column]
        connection.executemany(
            "UPDATE products SET stock_quantity = stock_quantity - ? WHERE id = ? AND stock_quantity >= ?",
            [(quantity, product_id, quantity) for product_id, quantity in units.items()],
        )
        connection.execute("COMMIT")
    seconds = time.perf_counter() - started
    connection.close()
    return seconds


def main() -> None:
    rules = read_rules(ROOT / "shop.toml")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    spare_the_collector()
    pairs = []
    for number in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="oc") as name:
            folder = Path(name)
            seconds, database = ours(folder, rules)
            database.checkpoint()
            database.close()
            reference = bare(folder, folder / "ours.db")
        pairs.append((CHECKOUTS / seconds, CHECKOUTS / reference))
        print(f"round {number + 1}: settle {pairs[-1][0]:,.0f} orders/s, bare sqlite3 {pairs[-1][1]:,.0f} orders/s")
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    result = {
        "settle_orders_per_second": round(statistics.median(mine for mine, _ in pairs)),
        "bare_sqlite3_orders_per_second": round(statistics.median(theirs for _, theirs in pairs)),
        "ratio": round(ratio, 2),
        "floor": FLOOR,
        "passed": ratio >= FLOOR,
    }
    print(json.dumps(result))
    sys.exit(0 if result["passed"] else 1)


if __name__ == "__main__":
    main()
