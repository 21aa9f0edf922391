"""A large shop to measure on: `python -m bench.fill --products N --orders M DIR|DATABASE_URL`.

Two years of believable orders, the same for the same seed, written at the store's own speed: the
indexes are made after the rows. Everything agrees with everything, so `flask audit` finds nothing.
A shop that has products or orders already is left alone.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.orm import Session

from db.bulk import BulkInsert
from db.migrate import upgrade
from db.models import (
    Category,
    CounterRow,
    OrderEventRow,
    OrderItemRow,
    OrderRow,
    ProductRow,
    ShipmentItemRow,
    ShipmentRow,
    StockMovementRow,
    as_json,
)
from db.orders import ORDER_NUMBER
from db.session import Database
from shop.catalogue import Product
from shop.checkout import Address
from shop.orders import Failure
from shop.pricing import QuotedLine, price
from shop.rules import Rules
from web.settings import ROOT, read_rules

UNTIL = 1_795_000_000_000
"""When the last order was placed, in ms."""
HOUR_MS = 3600 * 1000
DAY_MS = 24 * HOUR_MS
SPAN_MS = 2 * 365 * DAY_MS
ORDERS_AT_ONCE = 2_000
CARTS = 400
STAFF = "back office"
REFILL = 500
FATES = {
    "delivered": 70,
    "shipped": 7,
    "partially_shipped": 2,
    "unfulfilled": 7,
    "returned": 4,
    "cancelled": 4,
    "failed": 6,
}
"""What became of a hundred orders."""
ADDRESSES = (
    Address("Ada Lovelace", "1 Main Street", "Oakland", "94601", "US", "CA"),
    Address("Grace Hopper", "12 Navy Yard", "New York", "10001", "US", "NY"),
    Address("Mary Jackson", "7 Harbour Road", "Austin", "73301", "US", "TX"),
    Address("Emmy Noether", "Goethestraße 5", "Erlangen", "91054", "DE"),
    Address("Sophie Germain", "3 rue de Savoie", "Paris", "75006", "FR"),
)
WORDS = ("Oak", "Linen", "Enamel", "Copper", "Wool", "Stone", "Glass", "Beech", "Paper", "Cotton")
THINGS = ("mug", "bowl", "notebook", "blanket", "lamp", "vase", "spoon", "board", "towel", "jar")
CATEGORIES = ("Kitchen", "Home", "Paper", "Outdoors", "Pantry", "Workshop", "Garden", "Bath")
_ODD = 0x9E3779B97F4A7C15F39CC0605CEDC835
"""Spreads the numbers of sessions and carts over all of their ids."""


@dataclass(frozen=True)
class Cart:
    """What many shoppers happened to buy: the columns of the order that follow from it, written once."""

    lines: tuple[QuotedLine, ...]
    columns: dict[str, Any]


@dataclass(slots=True)
class Order:
    """An order while its story is made up."""

    id: str
    cart: Cart
    fate: str
    at: int
    settled_at: int
    changed_at: int = 0
    told: int = 0
    """Entries of its timeline so far."""
    shipped: list[int] = field(default_factory=list)
    """Units of each line; empty: nothing was."""

    @property
    def units(self) -> int:
        return sum(line.quantity for line in self.cart.lines)


@dataclass
class Rows:
    """What goes into the tables next; each list empties with every write."""

    orders: list[tuple[Any, ...]] = field(default_factory=list)
    items: list[tuple[Any, ...]] = field(default_factory=list)
    shipments: list[tuple[Any, ...]] = field(default_factory=list)
    shipment_items: list[tuple[Any, ...]] = field(default_factory=list)
    events: list[tuple[Any, ...]] = field(default_factory=list)
    movements: list[tuple[Any, ...]] = field(default_factory=list)


_ORDER = (
    *("id", "number", "session_id", "cart_id", "cart_version", "idempotency_key", "fingerprint", "email", "currency"),
    *("subtotal_minor", "total_minor", "tax_minor", "shipping_minor"),
    *("status", "payment_status", "fulfillment_status", "failure", "shipping_address", "billing_address"),
    *("shipping_method", "payment_method", "quote"),
    *("created_at", "accepted_at", "settled_at", "updated_at", "failure_code", "email_lower"),
)
_in_order = itemgetter(*_ORDER)
_WRITERS = {
    "orders": BulkInsert(OrderRow, *_ORDER),
    "items": BulkInsert(
        OrderItemRow,
        *("order_id", "position", "product_id", "sku", "name"),
        *("quantity", "price_at_time_minor", "tax_minor", "subtotal_minor", "shipped_quantity"),
    ),
    "shipments": BulkInsert(
        ShipmentRow, "order_id", "number", "carrier", "tracking_number", "shipped_at", "delivered_at"
    ),
    "shipment_items": BulkInsert(ShipmentItemRow, "order_id", "number", "position", "quantity"),
    "events": BulkInsert(OrderEventRow, "order_id", "seq", "stage", "at", "attempt", "outcome", "detail", "actor"),
    "movements": BulkInsert(StockMovementRow, "product_id", "kind", "quantity", "order_id", "reason", "at", "actor"),
}


class Filler:
    """Makes up the rows, one order after the other. Remembers the stock of each product and nothing of an order."""

    def __init__(self, products: int, orders: int, seed: int, rules: Rules) -> None:
        self.random = random.Random(seed)
        self.products = [made_up(number) for number in range(products)]
        self.stock = {product.id: REFILL for product in self.products}
        self.orders = orders
        self.number = 1000
        self.rows = Rows()
        self._carts = [self._cart(rules) for _ in range(CARTS)]
        self._fates, self._weights = list(FATES), list(FATES.values())
        started = UNTIL - SPAN_MS
        for product in self.products:
            self.rows.movements.append((product.id, "opening", REFILL, None, None, started, None))

    def _cart(self, rules: Rules) -> Cart:
        choose = self.random
        address = choose.choice(ADDRESSES)
        methods = [method for method in rules.shipping.methods if method.serves(address.country) and not method.pickup]
        method = choose.choice(methods)
        chosen = choose.sample(self.products, min(len(self.products), choose.choice((1, 1, 2, 2, 3, 4))))
        quote = price(
            [(product, choose.choice((1, 1, 1, 2, 3))) for product in chosen], method, address.destination, rules
        )
        columns = {
            "currency": quote.currency,
            "subtotal_minor": quote.subtotal_minor,
            "total_minor": quote.total_minor,
            "tax_minor": quote.tax_minor,
            "shipping_minor": quote.shipping_minor,
            "shipping_address": as_json(asdict(address)),
            "billing_address": as_json(asdict(address)),
            "shipping_method": method.id,
            "payment_method": "invoice",
            "quote": as_json(quote),
        }
        return Cart(quote.lines, columns)

    def add(self, index: int) -> None:
        """Make up the order of this place in time, and all that belongs to it."""
        choose = self.random
        at = int(UNTIL - SPAN_MS + SPAN_MS / self.orders * (index + choose.random()))
        order = Order(
            id=_uuid7(at, choose),
            cart=self._carts[int(choose.random() * CARTS)],
            fate=choose.choices(self._fates, self._weights)[0],
            at=at,
            settled_at=at + 5 + int(choose.random() * 40),
        )
        if order.fate == "partially_shipped" and order.units == 1:
            order.fate = "shipped"
        self._tell(order, "accepted", at, None)
        if order.fate == "failed":
            self._tell(
                order, "failed", order.settled_at, None, "out_of_stock", f"{order.cart.lines[0].name} is sold out."
            )
        else:
            self.number += 1
            self._tell(order, "stock_taken", order.settled_at, None)
            self._tell(order, "confirmed", order.settled_at, None)
            self._move(order, "sold", order.settled_at)
            self._fulfil(order)
        self._write(order, index, None if order.fate == "failed" else self.number)

    def _tell(
        self,
        order: Order,
        stage: str,
        at: int,
        actor: str | None = STAFF,
        outcome: str = "ok",
        detail: str | None = None,
    ) -> None:
        order.told += 1
        order.changed_at = at
        self.rows.events.append((order.id, order.told, stage, at, 1, outcome, detail, actor))

    def _move(self, order: Order, kind: str, at: int) -> None:
        """Take the order's units off the shelves, or put them back; what runs out is bought again first."""
        movements, actor = self.rows.movements, None if kind == "sold" else STAFF
        for line in order.cart.lines:
            product_id, quantity = line.product_id, -line.quantity if kind == "sold" else line.quantity
            if self.stock[product_id] + quantity < 0:
                movements.append((product_id, "received", REFILL, None, "delivery", at, STAFF))
                self.stock[product_id] += REFILL
            self.stock[product_id] += quantity
            movements.append((product_id, kind, quantity, order.id, None, at, actor))

    def _fulfil(self, order: Order) -> None:
        """What the merchant did after the confirmation."""
        if order.fate == "unfulfilled":
            return
        later = order.settled_at + HOUR_MS + int(self.random.random() * 2 * DAY_MS)
        if order.fate == "cancelled":
            self._tell(order, "cancelled", later)
            self._move(order, "returned", later)
            return
        order.shipped = [line.quantity for line in order.cart.lines]
        if order.fate == "partially_shipped":
            order.shipped[-1] -= 1
        arrived = later + 2 * DAY_MS if order.fate in ("delivered", "returned") else None
        tracking = f"1Z{self.random.getrandbits(40):013d}"
        self.rows.shipments.append((order.id, 1, "UPS", tracking, later, arrived))
        self.rows.shipment_items += [
            (order.id, 1, place, units) for place, units in enumerate(order.shipped, 1) if units
        ]
        self._tell(order, "partially_shipped" if order.fate == "partially_shipped" else "shipped", later)
        if arrived:
            self._tell(order, "delivered", arrived)
        if order.fate == "returned":
            self._tell(order, "returned", order.changed_at + 5 * DAY_MS)
            self._move(order, "returned", order.changed_at)

    def _write(self, order: Order, index: int, number: int | None) -> None:
        cart, fate = order.cart, order.fate
        shopper = int(self.random.random() * max(1, self.orders // 3))
        email = f"Shopper{shopper}@example.com"
        failure = _sold_out(cart.lines[0]) if fate == "failed" else _CANCELLED if fate == "cancelled" else None
        values = {
            **cart.columns,
            "id": order.id,
            "number": number,
            "session_id": _spread(2 * shopper),
            "cart_id": _spread(2 * index + 1),
            "cart_version": 1 + len(cart.lines),
            "idempotency_key": None if index % 2 else f"key-{index}",
            "fingerprint": "" if index % 2 else _spread(index),
            "email": email,
            "status": fate if failure else "confirmed",
            "payment_status": {"failed": "none", "cancelled": "voided"}.get(fate, "pending"),
            "fulfillment_status": "unfulfilled" if failure else fate,
            "failure": as_json(failure),
            "created_at": order.at,
            "accepted_at": order.at,
            "settled_at": order.settled_at,
            "updated_at": order.changed_at,
            "failure_code": failure.code if failure else None,
            "email_lower": email.lower(),
        }
        self.rows.orders.append(_in_order(values))
        shipped = order.shipped or [0] * len(cart.lines)
        for position, (line, sent) in enumerate(zip(cart.lines, shipped, strict=True), 1):
            amounts = (line.quantity, line.unit_price_minor, line.tax_minor, line.subtotal_minor, sent)
            self.rows.items.append((order.id, position, line.product_id, line.sku, line.name, *amounts))


def made_up(number: int) -> Product:
    name = f"{WORDS[number % 10]} {THINGS[number // 10 % 10]} {number}"
    return Product(
        id=f"product-{number}",
        sku=f"SKU-{number}",
        name=name,
        price_minor=200 + number * 37 % 9_800,
        stock_quantity=REFILL,
        tax_class=("standard", "standard", "reduced")[number % 3],
        weight_grams=100 + number % 900,
    )


def _sold_out(line: QuotedLine) -> Failure:
    message = f"{line.name} is sold out."
    item = {"code": "out_of_stock", "message": message, "pointer": "/items/0", "product_id": line.product_id}
    return Failure("out_of_stock", message, False, "settling", ({**item, "requested": line.quantity, "available": 0},))


_CANCELLED = Failure("cancelled", "The order was cancelled.", False, "fulfilling")


def _uuid7(at: int, choose: random.Random) -> str:
    """A version 7 UUID of this instant (ms)."""
    low = choose.getrandbits(74)
    number = at << 80 | 7 << 76 | (low >> 62) << 64 | 2 << 62 | low & (1 << 62) - 1
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _spread(number: int) -> str:
    return f"{number * _ODD % 2**128:032x}"


# ---------------------------------------------------------------- writing


def fill(database: Database, products: int, orders: int, seed: int = 1) -> None:
    """Migrate an empty database and fill it. Raises SystemExit where there are products or orders."""
    upgrade(database)
    with database.reading() as session:
        for table in (OrderRow, ProductRow):
            if session.scalar(select(1).select_from(table).limit(1)):
                raise SystemExit(f"there are {table.__tablename__} already; nothing was written")
    filler = Filler(products, orders, seed, read_rules(ROOT / "shop.toml"))
    with database.writing() as session:
        _write_products(session, filler)
    with _without_indexes(database):
        for first in range(0, orders, ORDERS_AT_ONCE):
            for index in range(first, min(first + ORDERS_AT_ONCE, orders)):
                filler.add(index)
            with database.writing() as session:
                _flush(session, filler.rows)
        with database.writing() as session:
            _flush(session, filler.rows)
            session.execute(
                update(ProductRow), [{"id": key, "stock_quantity": left} for key, left in filler.stock.items()]
            )
            session.execute(update(CounterRow).where(CounterRow.name == ORDER_NUMBER).values(value=filler.number))


def _flush(session: Session, rows: Rows) -> None:
    for name, write in _WRITERS.items():
        write(session, getattr(rows, name))
        getattr(rows, name).clear()


def _write_products(session: Session, filler: Filler) -> None:
    categories = [{"id": number, "name": name, "description": ""} for number, name in enumerate(CATEGORIES, 1)]
    session.execute(insert(Category), categories)
    started = UNTIL - SPAN_MS
    for first in range(0, len(filler.products), 1000):
        rows = [
            {
                "id": product.id,
                "sku": product.sku,
                "name": product.name,
                "description": f"{product.name}, made to last.",
                "price_minor": product.price_minor,
                "category_id": 1 + number % len(CATEGORIES),
                "stock_quantity": product.stock_quantity,
                "tax_class": product.tax_class,
                "weight_grams": product.weight_grams,
                "created_at": started + number,
                "updated_at": started + number,
            }
            for number, product in enumerate(filler.products[first : first + 1000], first)
        ]
        session.execute(insert(ProductRow), rows)


@contextmanager
def _without_indexes(database: Database) -> Iterator[None]:
    """Leave the orders' indexes away while the rows are written, and make them again after, sorted: far faster."""
    with database.engine.execution_options(writes=True).begin() as connection:
        indexes = _indexes(connection)
        for name in indexes:
            connection.exec_driver_sql(f"DROP INDEX {name}")
    if database.is_sqlite():
        # Nothing of this file is worth a wait for the disk before it is whole.
        relax(database, synchronous="OFF", foreign_keys="OFF", cache_size="-131072")
    yield
    with database.engine.execution_options(writes=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        for statement in indexes.values():
            connection.exec_driver_sql(statement)
    if database.is_sqlite():
        relax(database, synchronous="FULL", foreign_keys="ON")
        database.checkpoint()
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")


def _indexes(connection: Connection) -> dict[str, str]:
    """Each index of the orders' tables that no constraint needs, by name: the statement that makes it."""
    tables = [table.__tablename__ for table in (OrderRow, OrderItemRow, StockMovementRow)]
    marks = ", ".join(f"'{name}'" for name in tables)
    if connection.dialect.name == "sqlite":
        query = f"SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql <> '' AND tbl_name IN ({marks})"
    else:
        query = (
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() "
            f"AND tablename IN ({marks}) AND indexname NOT IN (SELECT conname FROM pg_constraint)"
        )
    return {row[0]: row[1] for row in connection.exec_driver_sql(query)}


def relax(database: Database, **pragmas: str) -> None:
    """Set up the one connection that the filling uses."""
    with database.engine.connect() as connection:
        raw = connection.connection.driver_connection
        for name, value in pragmas.items():
            raw.execute(f"PRAGMA {name}={value}")  # type: ignore[union-attr]


def target(text: str) -> str:
    """A folder's database, or the URL itself."""
    if "://" in text:
        return text
    Path(text).mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{Path(text).absolute()}/shop.db"


def main() -> None:
    parser = argparse.ArgumentParser(description="Fill an empty shop with products and orders to measure on.")
    parser.add_argument("--products", type=int, default=1_000)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("target", metavar="DIR|DATABASE_URL", help="A VAR_DIR, or the URL of an empty database.")
    given = parser.parse_args()
    if given.products < 1 or given.orders < 0:
        parser.error("a shop has at least one product, and no fewer than no orders")
    database = Database(target(given.target))
    started = time.monotonic()
    fill(database, given.products, given.orders, given.seed)
    with database.reading() as session:
        count = session.scalar(select(func.count()).select_from(OrderRow))
    database.close()
    print(f"{given.products} products and {count} orders in {time.monotonic() - started:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
