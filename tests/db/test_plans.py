"""No route of a shopper's, and no settlement, reads a large table from end to end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import pytest
from sqlalchemy import event, text

from db import product_list, products
from db.models import Category, ProductRow
from db.product_list import SORTS, Filter
from db.session import Database
from tests.db.conftest import AT
from tests.harness import CHECKOUT_BODY, Shop
from tests.web.answers import add, ok

LARGE = ("products", "listed_products", "product_words", "orders", "order_items", "order_events", "stock_movements")
FILTERS = [
    Filter(),
    Filter(category_id=1),
    Filter(available=True),
    Filter(available=False),
    Filter(min_price_minor=1100, max_price_minor=1300),
    Filter(max_price_minor=0),
    Filter(text="old"),
    Filter(text="every ne"),
    Filter(text="nothing"),
    Filter(text="SKU-P7"),
    Filter(category_id=1, available=True, min_price_minor=1100),
    Filter(category_id=2, text="every", max_price_minor=1200),
    Filter(available=False, text="old", min_price_minor=5),
]
Statements = list[tuple[str, Any]]


@contextmanager
def statements(database: Database) -> Iterator[Statements]:
    """Every statement that is run meanwhile, but for those that begin, end and set up."""
    seen: Statements = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if re.match("SELECT|UPDATE|DELETE|INSERT", statement):
            seen.append((statement, parameters[0] if many else parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def scans(database: Database, seen: Statements) -> list[tuple[str, str]]:
    """The plans that read a large table from end to end, and their statements."""
    found = []
    with database.engine.connect() as connection:
        if not database.is_sqlite():
            # Of tables as small as these it would read all; what we ask is whether it must.
            connection.exec_driver_sql("SET enable_seqscan = off")
        for statement, parameters in seen:
            plan = plan_of(database, connection, statement, parameters)
            named = re.findall(r"\bSCAN (\w+)(?! VIRTUAL)|Seq Scan on (\w+)", plan)
            # Nearly all products are active: an index of nothing but that is read from end to end too.
            all_active = re.search(r"INDEX \w+ \(is_active=\?\)", plan)
            if all_active or any(re.sub(r"_\d+$", "", name) in LARGE for pair in named for name in pair):
                found.append((plan, statement))
    return found


def plan_of(database: Database, connection: Any, statement: str, parameters: Any) -> str:
    if database.is_sqlite():
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        return "\n".join(row[3] for row in rows)
    return "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters))


@pytest.fixture
def shelves(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Products enough that every way to look for a page is gone, and none far."""
    monkeypatch.setattr(product_list, "REACHES", (3, 30))
    with database.writing() as session:
        session.add_all(Category(id=number, name=f"Shelf {number}", description="") for number in (1, 2))
        session.flush()
        for number in range(60):
            row = ProductRow(id=f"P{number}", sku=f"SKU-P{number}", name=f"Thing {number}")
            row.description = f"everyday {'old' if number < 5 else 'new'}"
            row.price_minor, row.category_id = 1000 + number * 10, 1 + number % 2
            row.stock_quantity = 0 if number % 9 == 0 else 3
            row.group_id = f"g{number // 8}" if number % 4 == 0 else None
            row.created_at = row.updated_at = AT + number
            session.add(row)
    if not database.is_sqlite():
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("ANALYZE"))
    return database


@pytest.mark.parametrize("sort", SORTS)
def test_a_list_is_never_read_from_end_to_end(shelves: Database, sort: str) -> None:
    key, _ = SORTS[sort]
    middle = {"price_minor": 1300, "name": "Thing 3", "created_at": AT + 30}[key]

    with statements(shelves) as seen, shelves.reading() as session:
        for wanted, after in product(FILTERS, (None, (middle, "P3"))):
            product_list.page(session, wanted, sort, 6, after=after)

    assert len(seen) >= 2 * len(FILTERS)
    assert scans(shelves, seen) == []


def test_counts_and_facets_are_read_off_indexes(shelves: Database) -> None:
    with statements(shelves) as seen, shelves.reading() as session:
        for wanted in FILTERS:
            product_list.count(session, wanted)
            product_list.facets(session, wanted, ["category", "price", "availability"], [0, 1200])
        product_list.categories(session)
        products.groups(session, ["g1"])
        products.siblings(session, "g1")

    assert scans(shelves, seen) == []


@pytest.mark.parametrize(
    ("wanted", "sort", "index"),
    [
        (Filter(), "price", "ix_listed_products_price"),
        (Filter(), "-price", "ix_listed_products_price"),
        (Filter(), "name", "ix_listed_products_name"),
        (Filter(available=False), "-created_at", "ix_listed_products_created"),
        (Filter(category_id=1), "-price", "ix_listed_products_category_price"),
        (Filter(category_id=1), "name", "ix_listed_products_category_name"),
        (Filter(category_id=1, available=True), "-created_at", "ix_listed_products_category_created"),
        (Filter(min_price_minor=1100, max_price_minor=1200), "price", "ix_listed_products_price"),
    ],
)
@pytest.mark.parametrize("after", [None, (AT, "P3")])
def test_sqlite_reads_a_page_off_one_index_in_its_order(
    sqlite: Database, wanted: Filter, sort: str, index: str, after: Any
) -> None:
    with statements(sqlite) as seen, sqlite.reading() as session:
        product_list.page(session, wanted, sort, 6, after=after)

    with sqlite.engine.connect() as connection:
        plan = plan_of(sqlite, connection, *seen[0])
    sides = 1 if wanted.available is not None else 2
    assert plan.count(f"listed_products USING COVERING INDEX {index} (") == sides
    # What is sorted is what came out of the two shelves: a page each.
    assert plan.count("TEMP B-TREE") == sides - 1


def test_sqlite_walks_a_little_then_reads_what_is_rare(shelves: Database) -> None:
    if not shelves.is_sqlite():
        pytest.skip("PostgreSQL decides itself")

    with statements(shelves) as seen, shelves.reading() as session:
        product_list.page(session, Filter(text="old", available=True), "-created_at", 6)

    with shelves.engine.connect() as connection:
        walk, end, whole, begun, led, _ = (plan_of(shelves, connection, *each) for each in seen)
    assert "listed_products USING COVERING INDEX ix_listed_products_created" in walk
    assert "listed_products USING COVERING INDEX ix_listed_products_created" in end
    assert whole == begun == "SCAN product_search VIRTUAL TABLE INDEX 0:M1"
    assert "SEARCH listed_products USING INTEGER PRIMARY KEY (rowid=?)" in led


# ---------------------------------------------------------------- the whole way


def test_no_route_of_a_shopper_and_no_settlement_reads_a_table_from_end_to_end(any_shop: Shop) -> None:
    any_shop.stocked(MUG=9, PEN=9)
    shopper = any_shop.shopper()

    with statements(any_shop.database) as seen:
        for path in ("/api/products?q=mug", "/api/products/MUG", "/api/categories"):
            ok(shopper.get(path))
        ok(add(shopper, "MUG"))
        headers = {"Idempotency-Key": "key"}
        answer = shopper.post("/api/checkout", json=CHECKOUT_BODY, headers=headers)
        any_shop.work_until_idle()
        shopper.post("/api/checkout", json=CHECKOUT_BODY, headers=headers)
        ok(shopper.get(answer.headers["Location"]))
        ok(shopper.get("/api/orders"))
        ok(shopper.post(f"{answer.headers['Location']}/cancel", json={}))

    assert len(seen) > 20
    assert scans(any_shop.database, seen) == []


def test_what_reads_everything_is_noticed(sqlite: Database) -> None:
    assert scans(sqlite, [("SELECT * FROM products", ())]) != []
    assert scans(sqlite, [("SELECT * FROM products WHERE is_active = 1 AND weight_grams = 5", ())]) != []
    assert scans(sqlite, [("SELECT id FROM orders AS orders_1 WHERE total_minor + 0 > 5", ())]) != []
