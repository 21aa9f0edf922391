"""flask audit on a shop with orders of every fate: nothing is found, and then exactly what was damaged."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import select, text

from bench.fill import fill
from db.audit import CHECKS
from db.fulfilment import Act, lock
from db.models import OrderRow, PaymentRow
from db.refunds import Wish, mark_paid, refund
from db.session import Database
from shop.rules import Rules
from tests.harness import Clock, Shop
from tests.tasks.crashes import buys, cancel, shopper, work, work_to_the_end
from tests.tasks.test_audit import audit, run
from tests.tasks.test_pay_crashes import AUTOMATIC, MANUAL, opened
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


# ---------------------------------------------------------------- money


@pytest.mark.parametrize(("capture", "tokens"), [("manual", MANUAL), ("automatic", AUTOMATIC)])
def test_whatever_becomes_of_a_payment_no_promise_is_broken(any_shop: Shop, capture: str, tokens: list[str]) -> None:
    opened(any_shop, capture)
    bought = [buys(any_shop, shopper(any_shop), token) for token in tokens for _ in range(2)]
    assert damage(any_shop, ()) == []
    work(any_shop)
    assert damage(any_shop, ()) == []
    for order_id in bought[::2]:
        cancel(any_shop, order_id)
    # The worker has not told the carts' store yet; with the money nothing is wrong even now.
    assert not any(said.startswith("P5") for said in damage(any_shop, ()))

    work_to_the_end(any_shop)

    result = audit(any_shop)
    assert result.exit_code == 0, result.output
    stands = {"manual": 2, "automatic": 1}[capture]
    assert re.search(
        rf"payments against orders: {len(bought)} checked in .* no violations; {stands} stand for a person",
        result.output,
    ), result.output


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def paid(
    request: pytest.FixtureRequest, rules: Rules, fake_pair: tuple[Redis, Redis], clock: Clock, settings: Settings
) -> Shop:
    """A shop with an order of every fate that a payment can give it."""
    shop = Shop(rules, *fake_pair, request.getfixturevalue(request.param), clock, settings)
    opened(shop)
    for token in ("tok_approve", "tok_approve", "tok_decline", "tok_wrong_amount", "tok_action"):
        buys(shop, shopper(shop), token)
    cancelled = buys(shop, shopper(shop), "tok_approve")
    given_up = buys(shop, shopper(shop), "tok_capture_refused")
    shop.checkout(MUG=1)
    work(shop)
    for order_id in (cancelled, given_up):
        cancel(shop, order_id)
    with shop.database.writing() as session:
        captured = session.scalars(
            select(OrderRow.id).where(OrderRow.payment_status == "captured", OrderRow.status == "confirmed")
        ).first()
        refund(session, lock(session, captured or ""), Wish(amount_minor=100), Act("Ada", shop.clock()))
        invoiced = session.scalars(select(OrderRow.id).where(OrderRow.payment_method == "invoice")).one()
        mark_paid(session, lock(session, invoiced), None, None, Act("Ada", shop.clock()))
    work(shop)
    return shop


CAPTURED = "(SELECT min(id) FROM orders WHERE payment_status = 'captured' AND payment_method = 'card')"
PARTLY_REFUNDED = "(SELECT min(id) FROM orders WHERE payment_status = 'partially_refunded')"
DECLINED = "(SELECT min(id) FROM orders WHERE payment_status = 'failed')"
ACTION = "(SELECT min(id) FROM orders WHERE status = 'requires_action')"
REFUNDED = "(SELECT min(id) FROM orders WHERE payment_status = 'refunded')"
VOIDED = "(SELECT min(id) FROM orders WHERE payment_status = 'voided' AND number IS NOT NULL)"
WRONG = "(SELECT min(id) FROM orders WHERE payment_status = 'voided' AND number IS NULL)"
INVOICED = "(SELECT min(id) FROM orders WHERE payment_method = 'invoice')"


def of(order: str, kind: str) -> str:
    return f"order_id = {order} AND kind = '{kind}'"


def one_more(order: str, kind: str, **columns: str) -> str:
    """Another operation like the one there is, under another key."""
    names = [column.name for column in PaymentRow.__table__.columns]
    values = ", ".join({"key": "key || '-again'", **columns}.get(name, name) for name in names)
    return f"INSERT INTO payments ({', '.join(names)}) SELECT {values} FROM payments WHERE {of(order, kind)}"


MONEY_DAMAGE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "a second payment": (
        (one_more(CAPTURED, "authorize", status="'declined'"),),
        ("P5 broken: order A: 2 payments were asked for",),
    ),
    "a second capture": (
        (one_more(CAPTURED, "capture"),),
        (r"P5 broken: order A: is confirmed and captured, but 3214 of 1607 were taken",),
    ),
    "a capture of less": (
        (f"UPDATE payments SET amount_minor = 1606 WHERE {of(CAPTURED, 'capture')}",),
        (r"P5 broken: order A: is confirmed and captured, but 1606 of 1607 were taken",),
    ),
    "a captured order without a capture": (
        (f"DELETE FROM payments WHERE {of(CAPTURED, 'capture')}",),
        (r"P5 broken: order A: is confirmed and captured, but 0 of 1607 were taken",),
    ),
    "a confirmed order without an approval": (
        (f"UPDATE payments SET status = 'declined' WHERE {of(CAPTURED, 'authorize')}",),
        (r"P5 broken: order A: is confirmed, but 0 of 1607 were approved",),
    ),
    "an approval of another amount": (
        (f"UPDATE payments SET amount_minor = 1608 WHERE {of(CAPTURED, 'authorize')}",),
        (r"P5 broken: order A: is confirmed, but 1608 of 1607 were approved",),
    ),
    "a confirmed order whose payment nobody knows": (
        (f"UPDATE orders SET payment_status = 'unknown' WHERE id = {CAPTURED}",),
        (r"P5 broken: order A: is confirmed and unknown, but 1607 were taken",),
    ),
    "a confirmed order that is voided": (
        (
            f"DELETE FROM payments WHERE {of(CAPTURED, 'capture')}",
            f"UPDATE orders SET payment_status = 'voided' WHERE id = {CAPTURED}",
        ),
        (r"P5 broken: order A: is confirmed, but its payment is voided",),
    ),
    "money that is taken and called reserved": (
        (f"UPDATE orders SET payment_status = 'authorized' WHERE id = {CAPTURED}",),
        (r"P5 broken: order A: is confirmed and authorized, but 1607 were taken",),
    ),
    "reserved money that nobody takes": (
        (
            f"DELETE FROM payments WHERE {of(CAPTURED, 'capture')}",
            f"UPDATE orders SET payment_status = 'authorized' WHERE id = {CAPTURED}",
        ),
        (r"P5 broken: order A: is confirmed and authorized, and nobody is to take the money",),
    ),
    "a free order that is not free": (
        (
            f"UPDATE orders SET payment_status = 'none' WHERE id = {INVOICED}",
            f"DELETE FROM payments WHERE {of(INVOICED, 'capture')}",
        ),
        (r"P5 broken: order A: is confirmed, but its payment is none",),
    ),
    "an invoice that nobody paid": (
        (f"DELETE FROM payments WHERE {of(INVOICED, 'capture')}",),
        (r"P5 broken: order A: is confirmed and captured, but 0 of 1607 were taken",),
    ),
    "money of an order that is not confirmed": (
        (f"UPDATE orders SET status = 'processing' WHERE id = {CAPTURED}",),
        (
            "P5 broken: order A: is processing, and nobody works on its payment",
            "P5 broken: order A: is processing, but 1607 were taken",
        ),
    ),
    "money of a cancelled order": (
        (f"DELETE FROM payments WHERE {of(REFUNDED, 'refund')}",),
        (r"P5 broken: order A: is refunded, but of 1607 taken 0 were given back",),
    ),
    "a cancelled order that keeps its money": (
        (
            f"DELETE FROM payments WHERE {of(REFUNDED, 'refund')}",
            f"UPDATE orders SET payment_status = 'captured' WHERE id = {REFUNDED}",
        ),
        (r"P5 broken: order A: is cancelled and captured, and nobody works on that",),
    ),
    "a refund that nobody does": (
        (
            f"UPDATE payments SET status = 'due', next_at = NULL WHERE {of(REFUNDED, 'refund')}",
            f"UPDATE orders SET payment_status = 'captured' WHERE id = {REFUNDED}",
        ),
        (r"P5 broken: order A: is cancelled and captured, and nobody works on that",),
    ),
    "a part that is called the whole": (
        (f"UPDATE orders SET payment_status = 'refunded' WHERE id = {PARTLY_REFUNDED}",),
        (r"P5 broken: order A: is refunded, but of 1607 taken 100 were given back",),
    ),
    "a refund that the order does not know": (
        (f"UPDATE orders SET payment_status = 'captured' WHERE id = {PARTLY_REFUNDED}",),
        (r"P5 broken: order A: is captured, but of 1607 taken 100 were given back",),
    ),
    "a refund that was not": (
        (f"UPDATE payments SET status = 'refused' WHERE {of(PARTLY_REFUNDED, 'refund')}",),
        (r"P5 broken: order A: is partially_refunded, but of 1607 taken 0 were given back",),
    ),
    "more given back than was taken": (
        (one_more(REFUNDED, "refund", amount_minor="1"),),
        (r"P5 broken: order A: of 1607 taken 1608 are given back",),
    ),
    "more being given back than was taken": (
        (one_more(PARTLY_REFUNDED, "refund", amount_minor="1508", status="'due'", next_at="1"),),
        (r"P5 broken: order A: of 1607 taken 1608 are given back",),
    ),
    "an open order that nobody works on": (
        (f"UPDATE payments SET next_at = NULL WHERE {of(ACTION, 'authorize')}",),
        ("P5 broken: order A: is requires_action, and nobody works on its payment",),
    ),
    "an open order without a payment": (
        (f"DELETE FROM payments WHERE {of(ACTION, 'authorize')}",),
        ("P5 broken: order A: is requires_action, and nobody works on its payment",),
    ),
    "a declined payment that was approved": (
        (f"UPDATE payments SET status = 'succeeded' WHERE {of(DECLINED, 'authorize')}",),
        ("P5 broken: order A: is failed and failed, but 1607 are still reserved",),
    ),
    "a reservation that was never given up": (
        (f"DELETE FROM payments WHERE {of(WRONG, 'void')}",),
        ("P5 broken: order A: is failed and voided, but 1608 are still reserved",),
    ),
    "a failed order that keeps its money": (
        (f"UPDATE payments SET captures = (1 = 1) WHERE {of(WRONG, 'authorize')}",),
        ("P5 broken: order A: is failed and voided, but 1608 were taken",),
    ),
    "a failed order that calls itself paid": (
        (f"UPDATE orders SET payment_status = 'captured' WHERE id = {DECLINED}",),
        (
            "P5 broken: order A: is failed and captured, and nobody works on that",
            "P5 broken: order A: is failed and captured, but nothing was taken",
        ),
    ),
    "a cancelled order that is still to pay": (
        (f"UPDATE orders SET payment_status = 'pending' WHERE id = {VOIDED}",),
        ("P5 broken: order A: is cancelled and pending, and nobody works on that",),
    ),
}


@pytest.mark.parametrize("what", MONEY_DAMAGE)
def test_exactly_the_money_that_is_wrong_is_named(paid: Shop, what: str) -> None:
    statements, patterns = MONEY_DAMAGE[what]
    assert damage(paid, ()) == []

    named = [said for said in damage(paid, statements) if said.startswith("P5")]

    assert len(named) == len(patterns), named
    for said, pattern in zip(named, patterns, strict=True):
        assert re.fullmatch(pattern.replace("order A", f"order {A}"), said), said


STANDING: dict[str, tuple[str, ...]] = {
    "a payment that nobody knows": (
        f"UPDATE payments SET status = 'stuck', next_at = NULL WHERE {of(ACTION, 'authorize')}",
    ),
    "a refund that was refused": (
        f"UPDATE payments SET status = 'refused' WHERE {of(REFUNDED, 'refund')}",
        f"UPDATE orders SET payment_status = 'captured' WHERE id = {REFUNDED}",
    ),
}


@pytest.mark.parametrize("what", STANDING)
def test_what_stands_for_a_person_is_counted_and_breaks_nothing(paid: Shop, what: str) -> None:
    assert damage(paid, STANDING[what]) == []

    output = audit(paid).output

    assert re.search(r"payments against orders: 8 checked in .* no violations; 1 stand for a person", output)
