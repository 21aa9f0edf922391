"""Orders and stock as SQL keeps them: each cart and key once, numbers without gaps, nothing oversold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError

from db import orders, products, stock
from db.models import OrderRow, ProductRow, StockMovementRow
from db.session import Database
from shop.cart import Cart, CartLine
from shop.checkout import Checkout
from shop.settlement import Decision, give_up
from tests.carts.sample import at_once, checkout
from tests.db.conftest import AT

Shelve = Callable[..., None]


def asked(
    cart_id: str = "cart-1", key: str | None = None, session_id: str = "ada", at: int = AT, **units: int
) -> Checkout:
    """A checkout that was accepted, of these units."""
    lines = tuple(CartLine(product_id, quantity, 1000, AT) for product_id, quantity in units.items())
    return replace(checkout(session_id, Cart(cart_id, 1, lines, None), key), accepted_at=at)


def confirmed(wanted: Checkout) -> Decision:
    return Decision(wanted, wanted.quote)


def failed(wanted: Checkout) -> Decision:
    return give_up(wanted, 5)


def write(database: Database, *decisions: Decision) -> dict[str, str]:
    with database.writing() as session:
        return orders.write(session, decisions, AT + 5)


# ---------------------------------------------------------------- writing


def test_a_confirmed_order_is_written_with_lines_timeline_and_movements(database: Database, shelve: Shelve) -> None:
    shelve("MUG")
    shelve("CUP")
    wanted = asked(MUG=2, CUP=1)

    assert write(database, confirmed(wanted)) == {wanted.order_id: "confirmed"}

    with database.reading() as session:
        order = orders.get(session, wanted.order_id, "ada")
        assert order is not None
        assert (order.number, order.status, order.payment_status) == (1001, "confirmed", "pending")
        assert (order.subtotal_minor, order.total_minor) == (3000, 3000)
        assert (order.created_at, order.accepted_at, order.settled_at) == (AT, AT, AT + 5)
        assert order.billing_address["city"] == "Oakland"
        assert order.shipping_address is None
        assert order.quote["lines"][0]["product_id"] == "MUG"
        lines = orders.items(session, [wanted.order_id])[wanted.order_id]
        assert [(i.position, i.product_id, i.quantity, i.subtotal_minor) for i in lines] == [
            (1, "MUG", 2, 2000),
            (2, "CUP", 1, 1000),
        ]
        stages = [(event.seq, event.stage, event.at) for event in orders.timeline(session, wanted.order_id)]
        assert stages == [(1, "accepted", AT), (2, "stock_taken", AT + 5), (3, "confirmed", AT + 5)]
        assert stock.ledger_balance(session, "MUG") == 8
    with database.looking() as look:
        assert {i: products.load(look, [i])[i].stock_quantity for i in ("MUG", "CUP")} == {"MUG": 8, "CUP": 9}


def test_a_failed_order_is_written_with_its_reason_and_takes_nothing(database: Database, shelve: Shelve) -> None:
    shelve("MUG")
    wanted = asked(MUG=2)

    assert write(database, failed(wanted)) == {wanted.order_id: "failed"}

    with database.reading() as session:
        order = orders.get(session, wanted.order_id, "ada")
        assert order is not None
        assert (order.number, order.payment_status) == (None, "none")
        assert order.failure is not None
        assert order.failure["code"] == "internal_error"
        last = orders.timeline(session, wanted.order_id)[-1]
        assert (last.stage, last.outcome, last.detail) == ("failed", "internal_error", order.failure["message"])
        assert len(orders.items(session, [wanted.order_id])[wanted.order_id]) == 1
        assert stock.ledger_balance(session, "MUG") == 10


def test_numbers_have_no_gaps_whatever_fails_between(database: Database, shelve: Shelve) -> None:
    shelve("MUG")
    first = [confirmed(asked("a", MUG=1)), failed(asked("b", MUG=1)), confirmed(asked("c", MUG=1))]
    write(database, *first)
    with pytest.raises(IntegrityError):
        write(database, confirmed(asked("d", MUG=1)), confirmed(asked("a", MUG=1)))
    write(database, confirmed(asked("e", MUG=1)))

    with database.reading() as session:
        numbers = session.scalars(select(OrderRow.number).order_by(OrderRow.created_at, OrderRow.id)).all()
        assert sorted(n for n in numbers if n) == [1001, 1002, 1003]
        assert stock.ledger_balance(session, "MUG") == 7


def test_writing_nothing_confirmed_takes_no_number(database: Database, shelve: Shelve) -> None:
    write(database, failed(asked("a")), failed(asked("b")))

    with database.reading() as session:
        assert session.scalar(text("SELECT value FROM counters")) == 1000


# ---------------------------------------------------------------- once


def test_an_order_is_written_once(database: Database, shelve: Shelve) -> None:
    shelve("MUG")
    wanted = asked(MUG=1)
    write(database, confirmed(wanted))

    with pytest.raises(IntegrityError):
        write(database, confirmed(replace(wanted, cart_id="another")))


def test_a_cart_becomes_one_order_that_stands(database: Database, shelve: Shelve) -> None:
    shelve("MUG")
    write(database, failed(asked("one", MUG=1)), failed(asked("one", MUG=1)), confirmed(asked("one", MUG=1)))
    write(database, failed(asked("one", MUG=1)))

    with pytest.raises(IntegrityError):
        write(database, confirmed(asked("one", MUG=1)))


def test_a_key_becomes_one_order_that_stands_for_each_session(database: Database, shelve: Shelve) -> None:
    shelve("MUG")
    write(database, failed(asked("a", "key", MUG=1)), confirmed(asked("b", "key", MUG=1)))
    write(database, confirmed(asked("c", "key", "bob", MUG=1)), confirmed(asked("d", None, MUG=1)))
    write(database, confirmed(asked("e", None, MUG=1)))

    with pytest.raises(IntegrityError):
        write(database, confirmed(asked("f", "key", MUG=1)))


def test_carts_and_keys_that_are_taken_are_found(database: Database, shelve: Shelve) -> None:
    shelve("MUG")
    by_cart, by_key, gone = asked("one", MUG=1), asked("two", "key", MUG=1), asked("three", "old", MUG=1)
    write(database, confirmed(by_cart), confirmed(by_key), failed(gone))
    again = [
        asked("one", "fresh"),
        asked("four", "key"),
        asked("three", "old"),
        asked("five", "key", "bob"),
        asked("six"),
    ]

    with database.reading() as session:
        taken = orders.taken_by(session, again)

    assert taken == {again[0].order_id: by_cart.order_id, again[1].order_id: by_key.order_id}


def test_the_statuses_of_the_orders_there_are(database: Database, shelve: Shelve) -> None:
    shelve("MUG")
    good, bad = asked("a", MUG=1), asked("b", MUG=1)
    write(database, confirmed(good), failed(bad))

    with database.reading() as session:
        found = orders.statuses(session, [good.order_id, bad.order_id, "unknown"])
        assert orders.statuses(session, []) == {}

    assert found == {good.order_id: "confirmed", bad.order_id: "failed"}


def test_a_key_leads_to_the_order_that_stands_or_the_newest(database: Database, shelve: Shelve) -> None:
    shelve("MUG")
    earlier, later = asked("a", "key", at=AT, MUG=1), asked("b", "key", at=AT + 1, MUG=1)
    write(database, failed(earlier), failed(later))
    with database.reading() as session:
        assert orders.by_key(session, "ada", "key").id == later.order_id  # type: ignore[union-attr]

    stands, last = asked("c", "key", at=AT + 2, MUG=1), asked("d", "key", at=AT + 3, MUG=1)
    write(database, confirmed(stands), failed(last))
    with database.reading() as session:
        assert orders.by_key(session, "ada", "key").id == stands.order_id  # type: ignore[union-attr]
        assert orders.by_key(session, "bob", "key") is None


# ---------------------------------------------------------------- reading


def test_an_order_is_shown_to_its_session_only(database: Database, shelve: Shelve) -> None:
    wanted = asked("a")
    write(database, failed(wanted))

    with database.reading() as session:
        assert orders.get(session, wanted.order_id, "bob") is None
        assert orders.history(session, "bob", 10) == []


def test_a_history_is_newest_first_and_goes_on_where_it_ended(database: Database, shelve: Shelve) -> None:
    write(database, *(failed(asked(f"c{n}", at=AT + n // 2)) for n in range(7)))

    with database.reading() as session:
        whole = [(row.created_at, row.id) for row in orders.history(session, "ada", 10)]
        pages: list[tuple[int, str]] = []
        while page := orders.history(session, "ada", 2, pages[-1] if pages else None):
            pages += [(row.created_at, row.id) for row in page]

    assert len(whole) == 7
    assert whole == sorted(whole, reverse=True) == pages


# ---------------------------------------------------------------- stock


def test_stock_is_never_negative(database: Database, shelve: Shelve) -> None:
    shelve("MUG", stock_quantity=2)

    with pytest.raises(IntegrityError), database.writing() as session:
        session.execute(update(ProductRow).values(stock_quantity=ProductRow.stock_quantity - 3))


@pytest.mark.parametrize("units", [{"MUG": 3}, {"CUP": 1, "MUG": 3}, {"GONE": 1}])
def test_more_than_there_is_cannot_be_taken(database: Database, shelve: Shelve, units: dict[str, int]) -> None:
    shelve("MUG", stock_quantity=2)
    shelve("CUP", stock_quantity=2)

    with pytest.raises(stock.Oversold), database.writing() as session:
        stock.take(session, units, [])

    with database.looking() as look:
        assert {p.id: p.stock_quantity for p in products.load(look, ["MUG", "CUP"]).values()} == {"MUG": 2, "CUP": 2}


def test_taking_nothing_is_harmless(database: Database, shelve: Shelve) -> None:
    with database.writing() as session:
        stock.take(session, {}, [])


def test_a_movement_of_an_order_happens_once(database: Database, shelve: Shelve) -> None:
    shelve("MUG")
    wanted = asked("a", MUG=1)
    write(database, confirmed(wanted))

    with pytest.raises(IntegrityError), database.writing() as session:
        session.add(StockMovementRow(product_id="MUG", kind="sold", quantity=-1, order_id=wanted.order_id, at=AT))


def test_a_product_nobody_knows_has_no_ledger(database: Database) -> None:
    with database.reading() as session:
        assert stock.ledger_balance(session, "GONE") == 0


@pytest.mark.parametrize(
    "columns",
    [
        {"status": "lost"},
        {"payment_status": "lost"},
        {"fulfillment_status": "lost"},
        {"total_minor": -1},
        {"number": 1001},
    ],
)
def test_a_bad_order_is_impossible(database: Database, shelve: Shelve, columns: dict[str, Any]) -> None:
    shelve("MUG")
    wanted = asked("b", MUG=1)
    write(database, confirmed(asked("a", MUG=1)), confirmed(wanted))

    with pytest.raises(IntegrityError), database.writing() as session:
        session.execute(update(OrderRow).where(OrderRow.id == wanted.order_id).values(**columns))


# ---------------------------------------------------------------- locks


def test_locked_products_are_those_that_exist(database: Database, shelve: Shelve) -> None:
    shelve("MUG", is_active=False, stock_quantity=3, tax_class="reduced", weight_grams=7)
    shelve("CUP")

    with database.writing() as session:
        found = products.lock(session, ["MUG", "CUP", "GONE", "MUG"])
        assert list(found) == ["CUP", "MUG"]
        mug = found["MUG"]
        assert (mug.price_minor, mug.stock_quantity, mug.tax_class, mug.weight_grams) == (1000, 3, "reduced", 7)
        assert not mug.is_active
        assert products.lock(session, []) == {}


def test_any_number_of_products_can_be_locked(database: Database, shelve: Shelve) -> None:
    shelve("MUG")

    with database.writing() as session:
        assert list(products.lock(session, ["MUG", *(f"none-{n}" for n in range(70_000))])) == ["MUG"]


@pytest.mark.real
def test_writers_that_want_the_same_rows_in_any_order_take_turns(postgresql: Database) -> None:
    with postgresql.writing() as session:
        session.execute(text("INSERT INTO categories VALUES (1, 'Kitchen', '')"))
        for product_id in "ABCDEF":
            session.add(
                ProductRow(
                    id=product_id, sku=product_id, name="", price_minor=1, category_id=1, created_at=1, updated_at=1
                )
            )

    def sell(number: int) -> None:
        with postgresql.writing() as session:
            products.lock(session, "ABCDEF" if number % 2 else "FEDCBA")
            for product_id in "CFA" if number % 2 else "FCA":
                session.execute(
                    update(ProductRow)
                    .where(ProductRow.id == product_id)
                    .values(stock_quantity=ProductRow.stock_quantity + 1)
                )

    at_once(8, sell)

    with postgresql.looking() as look:
        assert {row.id: row.stock_quantity for row in products.load(look, "ACF").values()} == dict.fromkeys("ACF", 8)
