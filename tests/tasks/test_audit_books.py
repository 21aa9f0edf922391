"""flask audit on a shop with orders of every fate: nothing is found, and then exactly what was damaged."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import text

from bench.fill import fill
from db.audit import CHECKS
from db.session import Database
from shop.rules import Rules
from tests.harness import Clock, Shop
from tests.tasks.test_audit import audit, run
from web.settings import Settings

ORDERS = 300


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def filled(
    request: pytest.FixtureRequest, rules: Rules, fake_pair: tuple[Redis, Redis], clock: Clock, settings: Settings
) -> Shop:
    """A shop of three hundred orders, placed long ago."""
    database: Database = request.getfixturevalue(request.param)
    fill(database, products=20, orders=ORDERS)
    return Shop(rules, *fake_pair, database, clock, settings)


def damage(shop: Shop, statements: tuple[str, ...]) -> list[str]:
    """Do this to the database; what the audit names then, line by line."""
    for statement in statements:
        run(shop, statement)
    result = audit(shop)
    named = [line.strip() for line in result.output.splitlines() if line.startswith("  ")]
    assert result.exit_code == (1 if named else 0), result.output
    return named


def some(condition: str) -> str:
    """The first order of which this is true, with two units or more in its first line."""
    several = "SELECT order_id FROM order_items WHERE position = 1 AND quantity > 1"
    return f"(SELECT min(id) FROM orders WHERE {condition} AND id IN ({several}))"


DELIVERED = some("fulfillment_status = 'delivered'")
SHIPPED = some("fulfillment_status = 'shipped'")
PARTLY = some("fulfillment_status = 'partially_shipped'")
OPEN = some("fulfillment_status = 'unfulfilled' AND status = 'confirmed'")
RETURNED = some("fulfillment_status = 'returned'")
CANCELLED = some("status = 'cancelled'")
FAILED = some("status = 'failed'")


def line(order: str) -> str:
    return f"order_id = {order} AND position = 1"


def product(order: str) -> str:
    return f"(SELECT product_id FROM order_items WHERE {line(order)})"


def moves(order: str, kind: str, quantity: str) -> tuple[str, str]:
    """One more movement for an order's first line, with the stock that it makes."""
    units = f"(SELECT {quantity} FROM order_items WHERE {line(order)})"
    return (
        (
            f"INSERT INTO stock_movements (product_id, kind, quantity, order_id, at) "
            f"VALUES ({product(order)}, '{kind}', {units}, {order}, 0)"
        ),
        f"UPDATE products SET stock_quantity = stock_quantity + {units} WHERE id = {product(order)}",
    )


def moves_more(order: str, kind: str, more: int) -> tuple[str, str]:
    """An order's movement was of more units, or of fewer, and so the stock."""
    return (
        (
            f"UPDATE stock_movements SET quantity = quantity + {more} "
            f"WHERE kind = '{kind}' AND order_id = {order} AND product_id = {product(order)}"
        ),
        f"UPDATE products SET stock_quantity = stock_quantity + {more} WHERE id = {product(order)}",
    )


def never_came_back(order: str) -> tuple[str, str]:
    back = f"SELECT quantity FROM order_items WHERE order_id = {order} AND product_id = products.id"
    return (
        f"UPDATE products SET stock_quantity = stock_quantity - ({back}) WHERE ({back}) IS NOT NULL",
        f"DELETE FROM stock_movements WHERE kind = 'returned' AND order_id = {order}",
    )


def test_orders_of_every_fate_break_nothing(filled: Shop) -> None:
    result = audit(filled)

    assert result.exit_code == 0, result.output
    for check in ("amounts of orders", "one order each", "timelines", "shipments", "copies"):
        assert f"{check}: {ORDERS} checked" in result.output


FINE = {
    "a cancelled order whose goods were not put back": never_came_back(CANCELLED),
    "a returned order whose goods were not put back": never_came_back(RETURNED),
    "a failed order that gave back what it had taken": (
        *moves(FAILED, "sold", "-quantity"),
        *moves(FAILED, "released", "quantity"),
    ),
    "a cancelled order whose goods were released": (
        f"UPDATE stock_movements SET kind = 'released' WHERE kind = 'returned' AND order_id = {CANCELLED}",
    ),
    "a merchant's note": (
        (
            f"INSERT INTO order_events (order_id, seq, stage, at, attempt, outcome) "
            f"VALUES ({OPEN}, (SELECT max(seq) + 1 FROM order_events WHERE order_id = {OPEN}), 'note', 0, 1, 'ok')"
        ),
    ),
    "a parcel that arrived before the rest": (f"UPDATE shipments SET delivered_at = 1 WHERE order_id = {PARTLY}",),
}


@pytest.mark.parametrize("what", FINE)
def test_what_may_be_is_not_named(filled: Shop, what: str) -> None:
    assert damage(filled, FINE[what]) == []


A = "[0-9a-f-]{36}"
DAMAGE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "a confirmed order that took too little": (
        moves_more(OPEN, "sold", 1),
        (r"P4 broken: confirmed order A: product-\d+: -\d sold, 0 released, 0 returned; it should be -\d sold and .*",),
    ),
    "a confirmed order that took nothing": (
        (
            (
                f"UPDATE products SET stock_quantity = stock_quantity + (SELECT quantity FROM order_items "
                f"WHERE {line(OPEN)}) WHERE id = {product(OPEN)}"
            ),
            f"DELETE FROM stock_movements WHERE order_id = {OPEN} AND product_id = {product(OPEN)}",
        ),
        (r"P4 broken: confirmed order A: product-\d+: 0 sold, .*",),
    ),
    "goods back from an order that keeps them": (
        moves(DELIVERED, "returned", "quantity"),
        (r"P4 broken: confirmed order A: product-\d+: -\d sold, 0 released, \d returned; .* sold and nothing back",),
    ),
    "goods released by a returned order": (
        moves(RETURNED, "released", "0") + moves_more(RETURNED, "released", 1),
        (r"P4 broken: confirmed order A: product-\d+: -\d sold, 1 released, \d returned; .* all or nothing returned",),
    ),
    "a part of a returned line": (
        moves_more(RETURNED, "returned", -1),
        (r"P4 broken: confirmed order A: product-\d+: .* all or nothing returned",),
    ),
    "more back from a cancelled order than it took": (
        moves_more(CANCELLED, "returned", 1),
        (r"P4 broken: cancelled order A: product-\d+: .* all or nothing back",),
    ),
    "goods back twice from a cancelled order": (
        moves(CANCELLED, "released", "quantity"),
        (r"P4 broken: cancelled order A: product-\d+: .* all or nothing back",),
    ),
    "a failed order that took something": (
        moves(FAILED, "sold", "-quantity"),
        (r"P4 broken: failed order A: product-\d+: -\d sold, 0 released, .* nothing, or all of it released",),
    ),
    "a movement that no order causes": (
        moves(DELIVERED, "adjusted", "0"),
        (r"P4 broken: order A: product-\d+ moved for it, as adjusted, which no order causes",),
    ),
    "a movement for a product that was not bought": (
        (
            (
                f"INSERT INTO stock_movements (product_id, kind, quantity, order_id, at) SELECT min(id), 'sold', 0, "
                f"{OPEN}, 0 FROM products WHERE id NOT IN (SELECT product_id FROM order_items WHERE order_id = {OPEN})"
            ),
        ),
        (r"P4 broken: order A: product-\d+ moved for it, but it has no such line",),
    ),
    "a stock without a movement": (
        ("UPDATE products SET stock_quantity = stock_quantity + 1 WHERE id = 'product-0'",),
        (r"P4 broken: product product-0: stock is \d+, its movements add up to \d+",),
    ),
    "a parcel with more in it than was shipped": (
        (f"UPDATE shipment_items SET quantity = quantity + 1 WHERE {line(DELIVERED)}",),
        (r"books broken: order A: of line 1 \d are shipped, its parcels hold \d",),
    ),
    "a line that was shipped without a parcel": (
        (f"DELETE FROM shipment_items WHERE {line(PARTLY)}",),
        (r"books broken: order A: of line 1 \d are shipped, its parcels hold 0",),
    ),
    "an order that calls itself shipped": (
        (f"UPDATE orders SET fulfillment_status = 'shipped' WHERE id = {OPEN}",),
        (r"books broken: order A: is shipped, but 0 of \d+ units are shipped, in 0 parcels",),
    ),
    "an order that calls the part the whole": (
        (f"UPDATE orders SET fulfillment_status = 'shipped' WHERE id = {PARTLY}",),
        (r"books broken: order A: is shipped, but \d+ of \d+ units are shipped, in 1 parcels",),
    ),
    "an order that calls the whole a part": (
        (f"UPDATE orders SET fulfillment_status = 'partially_shipped' WHERE id = {SHIPPED}",),
        (r"books broken: order A: is partially_shipped, but (\d+) of \1 units are shipped, in 1 parcels",),
    ),
    "an order that forgot its parcel": (
        (f"UPDATE orders SET fulfillment_status = 'unfulfilled' WHERE id = {SHIPPED}",),
        (r"books broken: order A: is unfulfilled, but (\d+) of \1 units are shipped, in 1 parcels",),
    ),
    "an empty parcel": (
        (f"INSERT INTO shipments (order_id, number, shipped_at) SELECT {OPEN}, 1, 0",),
        (r"books broken: order A: is unfulfilled, but 0 of \d+ units are shipped, in 1 parcels",),
    ),
    "a parcel that did not arrive": (
        (f"UPDATE shipments SET delivered_at = NULL WHERE order_id = {DELIVERED}",),
        (r"books broken: order A: is delivered, but 1 of 1 parcels are not",),
    ),
    "a parcel of a cancelled order": (
        (f"INSERT INTO shipments (order_id, number, shipped_at) SELECT {CANCELLED}, 1, 0",),
        (r"books broken: order A: is cancelled, but has 1 parcels",),
    ),
    "a parcel that was left out": (
        (f"INSERT INTO shipments (order_id, number, shipped_at) SELECT {SHIPPED}, 3, 0",),
        (r"books broken: order A: has 2 parcels, the last is number 3",),
    ),
    "an e-mail address that nobody finds": (
        (f"UPDATE orders SET email_lower = 'Ada@example.com' WHERE id = {OPEN}",),
        ("books broken: order A: email_lower is not its e-mail address",),
    ),
    "another failure code": (
        (f"UPDATE orders SET failure_code = 'price_changed' WHERE id = {FAILED}",),
        ("books broken: order A: failure_code is price_changed, its failure says out_of_stock",),
    ),
    "a failure code without a failure": (
        (f"UPDATE orders SET failure_code = 'cancelled' WHERE id = {OPEN}",),
        ("books broken: order A: failure_code is cancelled, its failure says None",),
    ),
    "a failure that nobody can read": (
        (f"UPDATE orders SET failure = '{{' WHERE id = {FAILED}",),
        (r"books broken: order A: failure_code is out_of_stock, its failure says \(.*\)",),
    ),
    "a quote that nobody can read": (
        (f"UPDATE orders SET quote = '{{}}' WHERE id = {OPEN}",),
        (r"P6 broken: order A: its quote cannot be read: .*",),
    ),
    "a quote of another total": (
        (f"""UPDATE orders SET quote = replace(quote, '"total_minor":', '"total_minor": 9') WHERE id = {OPEN}""",),
        (r"P6 broken: order A: total in its quote is 9\d+, it should be \d+",),
    ),
    "a number that a cancelled order lost": (
        (f"UPDATE orders SET number = NULL WHERE id = {CANCELLED}",),
        (
            "P2 broken: order A: is cancelled and has the number None",
            r"P2 broken: order numbers: \d+ numbers between 1001 and \d+: there are gaps",
        ),
    ),
    "a timeline that begins with something else": (
        (f"UPDATE order_events SET stage = 'note' WHERE seq = 1 AND order_id = {OPEN}",),
        ("P1 broken: order A: its timeline does not begin with its acceptance",),
    ),
    "a timeline that does not tell the end": (
        (f"UPDATE order_events SET stage = 'note' WHERE stage = 'cancelled' AND order_id = {CANCELLED}",),
        ("P1 broken: order A: is cancelled, but its timeline does not say so",),
    ),
    "a timeline with a gap": (
        (f"DELETE FROM order_events WHERE seq = 2 AND order_id = {OPEN}",),
        ("P1 broken: order A: its timeline has 2 entries numbered 1 to 3",),
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_exactly_what_was_damaged_is_named(filled: Shop, what: str) -> None:
    statements, patterns = DAMAGE[what]

    named = damage(filled, statements)

    assert len(named) == len(patterns), named
    for said, pattern in zip(named, patterns, strict=True):
        assert re.fullmatch(pattern.replace("order A", f"order {A}"), said), said


def test_what_only_a_lost_constraint_lets_in_is_named(
    sqlite: Database, rules: Rules, fake_pair: tuple[Redis, Redis], clock: Clock, settings: Settings
) -> None:
    fill(sqlite, products=20, orders=ORDERS)
    shop = Shop(rules, *fake_pair, sqlite, clock, settings)
    two = "(SELECT id FROM orders WHERE status = 'confirmed' AND idempotency_key IS NOT NULL LIMIT 2)"
    with sqlite.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        connection.exec_driver_sql("UPDATE products SET stock_quantity = -1 WHERE id = 'product-0'")
        connection.commit()

    named = damage(
        shop,
        (
            "DROP INDEX uq_orders_cart",
            "DROP INDEX uq_orders_session_key",
            f"UPDATE orders SET cart_id = 'one', session_id = 'one', idempotency_key = 'one' WHERE id IN {two}",
        ),
    )

    assert named[0] == "P3 broken: product product-0: stock is -1"
    assert named[1].startswith("P4 broken: product product-0: stock is -1, its movements add up to ")
    assert named[2:] == [
        "P2 broken: cart one: 2 orders stand for it",
        "P2 broken: idempotency key one: 2 orders stand for it",
    ]


@pytest.mark.real
@pytest.mark.parametrize("name", CHECKS)
def test_a_check_sees_one_instant_of_postgresql_however_long_it_takes_and_writes_nothing(
    postgresql: Database, name: str
) -> None:
    with postgresql.reading() as session:
        list(CHECKS[name](session))

        settings = [session.scalar(text(f"SHOW {what}")) for what in ("transaction_isolation", "statement_timeout")]
        assert settings == ["repeatable read", "0"]
        assert session.scalar(text("SHOW transaction_read_only")) == "on"


def test_a_shop_with_orders_is_not_filled(filled: Shop) -> None:
    before = filled.order_count()

    with pytest.raises(SystemExit, match="there are orders already; nothing was written"):
        fill(filled.database, products=1, orders=1)

    assert filled.order_count() == before


def test_the_same_seed_makes_the_same_shop_and_another_another(sqlite_template: Path, tmp_path: Path) -> None:
    made = []
    for number, seed in enumerate((1, 1, 2)):
        database = Database(f"sqlite:///{shutil.copy(sqlite_template, tmp_path / f'{number}.db')}")
        fill(database, products=5, orders=50, seed=seed)
        with database.reading() as session:
            tables = ("orders", "order_items", "order_events", "shipment_items", "stock_movements", "products")
            made.append([session.execute(text(f"SELECT * FROM {table}")).all() for table in tables])
        database.close()

    assert made[0] == made[1]
    assert made[0] != made[2]
