"""The merchant's list of orders: it finds exactly what is asked for, and walks the right index to it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from db import order_list
from db.models import OrderItemRow, OrderRow
from db.order_list import SORTS, Filter, page
from db.session import Database
from tests.harness import ADDRESS, Client, Shop
from tests.web.admin.conftest import merchant_of
from tests.web.answers import ok, problem
from web.instants import below_instant, from_instant

AT = 1_795_000_000_000
DAY = 24 * 3600 * 1000
QUOTE = {"prices_include_tax": False, "tax_lines": []}
KINDS = [
    *[("confirmed", "pending", "unfulfilled", None)] * 4,
    *[("confirmed", "pending", "delivered", None)] * 6,
    ("confirmed", "captured", "partially_shipped", None),
    ("failed", "none", "unfulfilled", "out_of_stock"),
    ("failed", "none", "unfulfilled", "internal_error"),
    ("cancelled", "voided", "unfulfilled", "cancelled"),
]
FILTERS: dict[str, dict[str, Any]] = {
    "status": {"status": "confirmed"},
    "rare status": {"status": "cancelled"},
    "payment": {"payment_status": "pending"},
    "fulfilment": {"fulfillment_status": "delivered"},
    "failure": {"failure_code": "out_of_stock"},
    "email": {"email_lower": "user3@example.com"},
    "product": {"product_id": "MUG"},
    "rare product": {"product_id": "PAN"},
    "created": {"created_from": AT + 10_000, "created_below": AT + 60_000},
    "total": {"min_total_minor": 2000, "max_total_minor": 9000},
}
PAIRS = [
    {**FILTERS[first], **FILTERS[second]}
    for first, second in itertools.combinations(FILTERS, 2)
    if not set(FILTERS[first]) & set(FILTERS[second])
]


def order_id(i: int) -> str:
    return f"01999999-0000-7000-8000-{i:012d}"


def fill(database: Database, count: int = 120) -> list[OrderRow]:
    """Orders of every kind, several in the same ms and of the same total; the same each time."""
    chance = random.Random(7)
    rows, items = [], []
    for i in range(count):
        status, payment, fulfillment, failure_code = chance.choice(KINDS)
        email = f"User{chance.randrange(12)}@Example.com"
        rows.append(
            OrderRow(
                id=order_id(chance.randrange(10**6) * 1000 + i),
                number=None if status == "failed" else 1001 + i,
                session_id="s",
                cart_id=f"c{i}",
                cart_version=1,
                fingerprint="",
                email=email,
                email_lower=email.lower(),
                currency="USD",
                subtotal_minor=0,
                tax_minor=0,
                shipping_minor=0,
                total_minor=chance.randrange(12) * 1000,
                status=status,
                payment_status=payment,
                fulfillment_status=fulfillment,
                failure_code=failure_code,
                failure=None,
                shipping_address=ADDRESS if i % 2 else None,
                billing_address={**ADDRESS, "name": "Charles Babbage"},
                shipping_method="standard",
                payment_method="invoice",
                quote=QUOTE,
                created_at=AT + (i // 2) * 1000,
                accepted_at=AT,
                settled_at=AT,
                updated_at=AT,
            )
        )
        products = {"MUG": True, "PEN": chance.random() < 0.3, "PAN": chance.random() < 0.05}
        for position, product_id in enumerate((name for name, there in products.items() if there), 1):
            items.append(
                OrderItemRow(
                    order_id=rows[-1].id,
                    position=position,
                    product_id=product_id,
                    sku="S",
                    name="Thing",
                    quantity=1,
                    price_at_time_minor=0,
                    tax_minor=0,
                    subtotal_minor=0,
                )
            )
    with database.writing() as session:
        session.add_all(rows)
        session.flush()
        session.add_all(items)
    return rows


def products_of(database: Database) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    with database.reading() as session:
        for item in session.query(OrderItemRow):
            found.setdefault(item.order_id, set()).add(item.product_id)
    return found


def expected(rows: list[OrderRow], products: dict[str, set[str]], wanted: Filter, sort: str) -> list[str]:
    """What the list must be, told the slow way."""

    def fits(row: OrderRow) -> bool:
        equal = ("id", "number", "email_lower", "failure_code", "payment_status", "fulfillment_status", "status")
        return (
            all(getattr(wanted, name) in (None, getattr(row, name)) for name in equal)
            and (wanted.product_id is None or wanted.product_id in products[row.id])
            and (wanted.created_from is None or row.created_at >= wanted.created_from)
            and (wanted.created_below is None or row.created_at < wanted.created_below)
            and (wanted.min_total_minor is None or row.total_minor >= wanted.min_total_minor)
            and (wanted.max_total_minor is None or row.total_minor <= wanted.max_total_minor)
        )

    key, falls = SORTS[sort]
    return [row.id for row in sorted(filter(fits, rows), key=lambda r: (getattr(r, key), r.id), reverse=falls)]


def walked(database: Database, wanted: Filter, sort: str, limit: int) -> list[str]:
    """The ids of all pages, one after the other."""
    key, _ = SORTS[sort]
    found: list[str] = []
    after = None
    while True:
        with database.reading() as session:
            rows = page(session, wanted, sort, limit, after)
            found += [row.id for row in rows]
            if len(rows) < limit:
                return found
            after = (getattr(rows[-1], key), rows[-1].id)


@pytest.mark.parametrize("few", [1, 5, 4000])
def test_the_list_is_exactly_what_is_asked_for_whichever_index_is_walked(
    any_shop: Shop, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(order_list, "FEW", few)
    rows = fill(any_shop.database)
    products = products_of(any_shop.database)

    for conditions in [{}, *FILTERS.values(), *PAIRS]:
        wanted = Filter(**conditions)
        for sort in SORTS:
            assert walked(any_shop.database, wanted, sort, 25) == expected(rows, products, wanted, sort), (wanted, sort)


# ---------------------------------------------------------------- plans


@contextmanager
def plans(database: Database) -> Iterator[list[str]]:
    """What SQLite says of every statement that is run meanwhile."""
    seen: list[tuple[str, Any]] = []
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
    with database.engine.connect() as connection:
        for statement, parameters in seen:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            found.append("; ".join(str(row[3]) for row in rows))


def plan(database: Database, sort: str, after: tuple[int, str] | None = None, **conditions: Any) -> tuple[str, str]:
    """The plan of a page, and those of the looks before it."""
    with plans(database) as found, database.reading() as session:
        page(session, Filter(**conditions), sort, 21, after)
    return (found or [""])[-1], "; ".join(found[:-1])


@pytest.fixture
def many(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Every filter lets too many through to sort them, but for the rare ones."""
    fill(sqlite)
    monkeypatch.setattr(order_list, "FEW", 12)
    return sqlite


@pytest.mark.parametrize("after", [None, (AT + 50_000, order_id(10**9 // 2))])
@pytest.mark.parametrize("sort", ["-created_at", "created_at"])
@pytest.mark.parametrize(
    ("conditions", "index"),
    [
        ({}, "ix_orders_created"),
        ({"status": "confirmed"}, "ix_orders_status (status=?"),
        ({"payment_status": "pending"}, "ix_orders_payment_status (payment_status=?"),
        ({"fulfillment_status": "delivered"}, "ix_orders_fulfillment_status (fulfillment_status=?"),
        ({"failure_code": "out_of_stock"}, "ix_orders_failure_code (failure_code=?"),
        ({"email_lower": "user3@example.com"}, "ix_orders_email (email_lower=?"),
        ({"product_id": "MUG"}, "ix_orders_created"),
        ({"min_total_minor": 1000}, "ix_orders_created"),
        ({"created_from": AT, "created_below": AT + 90_000}, "ix_orders_created (created_at>? AND created_at<?"),
        ({"email_lower": "user3@example.com", "status": "confirmed"}, "ix_orders_email (email_lower=?"),
        ({"failure_code": "out_of_stock", "status": "failed"}, "ix_orders_failure_code (failure_code=?"),
        ({"status": "cancelled", "payment_status": "voided", "product_id": "MUG"}, "_status (payment_status=?"),
        ({"status": "confirmed", "created_from": AT + 5000}, "ix_orders_status (status=? AND created_at>?"),
        ({"status": "confirmed", "product_id": "MUG"}, "ix_orders_status (status=?"),
    ],
)
def test_a_list_by_age_is_read_in_the_order_of_an_index(
    many: Database, conditions: dict[str, Any], index: str, sort: str, after: tuple[int, str] | None
) -> None:
    the_page, looks = plan(many, sort, after, **conditions)

    assert index in the_page
    assert "TEMP B-TREE" not in the_page + looks
    assert "SCAN orders;" not in f"{the_page};"
    assert "orders USING INDEX ix" not in looks  # Covering ones only: a look reads no order.


@pytest.mark.parametrize("after", [None, (5000, order_id(1))])
@pytest.mark.parametrize("sort", ["-total", "total"])
@pytest.mark.parametrize("conditions", [{}, *(FILTERS[name] for name in ("status", "payment", "product", "total"))])
def test_a_list_by_total_is_read_in_the_order_of_its_index_where_many_fit(
    many: Database, conditions: dict[str, Any], sort: str, after: tuple[int, str] | None
) -> None:
    the_page, looks = plan(many, sort, after, **conditions)

    assert "ix_orders_total" in the_page
    assert "TEMP B-TREE" not in the_page + looks


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize(
    ("conditions", "index"),
    [
        ({"product_id": "PAN"}, "ix_order_items_product (product_id=?"),
        ({"product_id": "PAN", "status": "confirmed"}, "ix_order_items_product (product_id=?"),
        ({"min_total_minor": 12_000, "status": "confirmed"}, "ix_orders_total (total_minor>?"),
        ({"id": order_id(1), "status": "confirmed"}, "(id=?)"),
        ({"number": 1001, "status": "confirmed", "product_id": "MUG"}, "(number=?)"),
        ({"failure_code": "internal_error", "status": "failed"}, "ix_orders_failure_code (failure_code=?"),
    ],
)
def test_few_orders_are_found_by_their_own_index(
    many: Database, conditions: dict[str, Any], index: str, sort: str
) -> None:
    the_page, _ = plan(many, sort, **conditions)

    assert index in the_page
    assert "ix_orders_created" not in the_page
    assert "SCAN" not in the_page


def test_every_filter_and_pair_is_searched_and_never_scanned(many: Database) -> None:
    for conditions in [*FILTERS.values(), *PAIRS]:
        for sort in SORTS:
            the_page, looks = plan(many, sort, **conditions)
            assert not [part for part in the_page.split("; ") if part == "SCAN orders"], (conditions, sort, the_page)
            assert "SCAN orders;" not in f"{looks};"


# ---------------------------------------------------------------- over the wire


@pytest.fixture
def filled(shop: Shop) -> Client:
    fill(shop.database)
    return merchant_of(shop, "orders")


def ids(merchant: Client, query: str = "") -> list[str]:
    return [item["id"] for item in ok(merchant.get(f"/api/admin/orders?{query}"))["items"]]


def test_an_entry_says_what_a_list_needs(shop: Shop) -> None:
    shop.stocked(MUG=5, PEN=5)
    order = shop.checkout(MUG=2, PEN=1, body={"email": "Ada@Example.com"})
    shop.work_until_idle()

    (entry,) = ok(merchant_of(shop, "orders").get("/api/admin/orders"))["items"]

    row = shop.order(order)
    assert entry == {
        "id": order,
        "number": 1001,
        "status": "confirmed",
        "payment_status": "pending",
        "fulfillment_status": "unfulfilled",
        "currency": "USD",
        "total_amount": f"{row.total_minor // 100}.{row.total_minor % 100:02d}",
        "email": row.email,
        "recipient": "Ada Lovelace",
        "item_count": 2,
        "failure_code": None,
        "created_at": entry["created_at"],
        "updated_at": entry["updated_at"],
        "links": {"self": f"/api/admin/orders/{order}"},
    }


def test_a_pick_up_without_an_address_is_for_whom_the_bill_is_for(filled: Client) -> None:
    entries = ok(filled.get("/api/admin/orders?per_page=2&sort=created_at"))["items"]

    assert {entry["recipient"] for entry in entries} == {"Ada Lovelace", "Charles Babbage"}


@pytest.mark.parametrize("sort", SORTS)
def test_the_pages_of_a_list_follow_each_other(filled: Client, shop: Shop, sort: str) -> None:
    whole = ids(filled, f"per_page=100&sort={sort}&status=confirmed")

    seen: list[str] = []
    query = f"per_page=9&sort={sort}&status=confirmed"
    cursor = ""
    while True:
        found = ok(filled.get(f"/api/admin/orders?{query}{cursor}"))
        seen += [item["id"] for item in found["items"]]
        if found["page"]["next_cursor"] is None:
            break
        cursor = f"&cursor={found['page']['next_cursor']}"

    assert seen == whole
    assert len(seen) > 50


def test_the_newest_come_first(filled: Client) -> None:
    created = [entry["created_at"] for entry in ok(filled.get("/api/admin/orders?per_page=100"))["items"]]

    assert created == sorted(created, reverse=True)
    assert len(created) == 100


def test_an_order_is_found_by_whatever_is_known_of_it(shop: Shop, filled: Client) -> None:
    with shop.database.reading() as session:
        row = session.query(OrderRow).filter(OrderRow.number.is_not(None)).first()
    assert row is not None

    for query in (
        f"q={row.id}",
        f"q={row.id.upper()}",
        f"q={row.number}",
        f"q=%23{row.number}",
        f"number={row.number}",
    ):
        assert ids(filled, query) == [row.id]
    assert row.id in ids(filled, f"q={row.email.upper()}&per_page=100")
    assert ids(filled, f"email={row.email.swapcase()}") == ids(filled, f"q={row.email}")
    assert ids(filled, "q=nobody@example.com") == ids(filled, "q=999999") == []


def test_a_date_is_a_whole_day_and_an_instant_an_end(shop: Shop, filled: Client) -> None:
    day = datetime.fromtimestamp(AT / 1000, UTC).strftime("%Y-%m-%d")
    first = datetime.fromtimestamp(AT / 1000, UTC).isoformat().replace("+00:00", "Z")

    assert len(ids(filled, f"per_page=100&created_from={day}&created_to={day}")) == 100
    assert ids(filled, f"created_to={first}") == []
    assert len(ids(filled, f"created_to={first[:-1]}.001Z")) == 2


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("status=paid", "status"),
        ("payment_status=confirmed", "payment_status"),
        ("fulfillment_status=lost", "fulfillment_status"),
        ("failure_code=nothing", "failure_code"),
        ("created_from=yesterday", "created_from"),
        ("created_from=2026-02-30", "created_from"),
        ("created_from=2026-11-22T21:30:00", "created_from"),
        ("created_from=2026-11-22T21:30:00+01:00", "created_from"),  # The plus became a space.
        ("created_to=20261122", "created_to"),
        ("created_to=2026-W01-1", "created_to"),
        ("created_to=%D9%A2026-11-22", "created_to"),
        ("created_from=2026-11-23&created_to=2026-11-21", "created_from"),
        ("min_total=1.234", "min_total"),
        ("max_total=-1", "max_total"),
        ("min_total=2&max_total=1", "min_total"),
        ("number=0", "number"),
        ("number=99999999999999999999", "number"),
        ("number=1e3", "number"),
        ("email=", "email"),
        ("email=a%00b", "email"),
        ("product=a%20b", "product"),
        ("q=Ada", "q"),
        ("q=0", "q"),
        ("q=5&number=5", "q"),
        ("sort=name", "sort"),
        ("per_page=0", "per_page"),
        ("per_page=101", "per_page"),
        ("page=1", "page"),
        ("cursor=forged", "cursor"),
        ("status=failed&status=confirmed", "status"),
    ],
)
def test_a_bad_parameter_is_named(lasting_shop: Shop, query: str, parameter: str) -> None:
    merchant = merchant_of(lasting_shop, "orders")

    body = problem(merchant.get(f"/api/admin/orders?{query}"), 400, "invalid_parameter")

    assert body["errors"][0]["parameter"] == parameter


def test_a_cursor_belongs_to_its_sort(filled: Client) -> None:
    cursor = ok(filled.get("/api/admin/orders?per_page=5"))["page"]["next_cursor"]

    problem(filled.get(f"/api/admin/orders?sort=total&cursor={cursor}"), 400, "invalid_parameter")


# ---------------------------------------------------------------- instants


@pytest.mark.parametrize(
    ("text", "first", "below"),
    [
        ("1970-01-01", 0, DAY),
        ("1970-01-02", DAY, 2 * DAY),
        ("1969-12-31", -DAY, 0),
        ("1970-01-01T00:00Z", 0, 0),
        ("1970-01-01T01:00:00+01:00", 0, 0),
        ("1970-01-01T00:00:00.001Z", 1, 1),
        ("1970-01-01T00:00:00.0001Z", 1, 1),
        ("1970-01-01T00:00:00.001001Z", 2, 2),
        ("1969-12-31T23:59:59.9999Z", 0, 0),
        ("9999-12-31", 253402214400000, 253402300800000),
    ],
)
def test_what_people_write_is_read_as_they_mean_it(text: str, first: int, below: int) -> None:
    assert (from_instant(text), below_instant(text)) == (first, below)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026",
        "2026-13-01",
        "2026-11-22T25:00Z",
        "2026-11-22T21:30",
        "0000-01-01",
        "2026-11-22Z",
        "2026-11-22 ",
        "n",
    ],
)
def test_what_is_no_time_says_how_to_write_one(text: str) -> None:
    for read in (from_instant, below_instant):
        with pytest.raises(ValueError, match="a date \\(2026-11-22"):
            read(text)


@given(st.integers(-(10**13), 10**13), st.integers(-14 * 60, 14 * 60))
def test_an_instant_is_the_same_wherever_its_clock_hangs(ms: int, minutes: int) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    there = at.astimezone(timezone(timedelta(minutes=minutes))).isoformat(timespec="milliseconds")

    assert from_instant(there) == below_instant(there) == ms
