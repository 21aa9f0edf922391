"""The list and the words follow whatever is written, and both databases find the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, text, update

from db import product_list
from db.intake import Intake
from db.models import ListedRow, ProductRow, StockMovementRow
from db.product_list import Filter
from db.session import Database
from shop.catalogue import Draft
from shop.search import words
from tests.db.conftest import AT
from tests.db.test_product_list import Shelve

LETTERS = (
    "abIiİıßẞÆæŒØøŁłĐÞðéÉèñÅçÇΣσςΆάЁёЙйІї日本かガ한ﬁＡ²½ª"
    "µ€™ \t\n-_'’\"%\\/.,;:!?&()<>+*~^|#·×÷№°0123٣\u0301\u0308\u200b\u00ad🔥👍🏽"
)


def found(database: Database, wanted: Filter) -> list[str]:
    with database.reading() as session:
        return [row.id for row in product_list.page(session, wanted, "price", 100)]


def is_right(database: Database) -> None:
    """Every product is in the list, as it is, and is found by its words; nothing else is."""
    with database.reading() as session:
        products = session.scalars(select(ProductRow)).all()
        listed = {row.product_id: row for row in session.scalars(select(ListedRow))}
        kept = dict(session.execute(text("SELECT number, words FROM product_words")).all())
        if database.is_sqlite():
            # Rank 1: hold the index against the table of words too. Raises when they differ.
            session.execute(text("INSERT INTO product_search (product_search, rank) VALUES ('integrity-check', 1)"))
        else:
            query = text("SELECT number, array_to_string(tsvector_to_array(words), ' ') FROM product_words")
            kept = dict(session.execute(query).all())
    assert set(listed) == {row.id for row in products}
    assert set(kept) == {row.number for row in listed.values()}
    for row in products:
        entry = listed[row.id]
        for name in ("category_id", "price_minor", "name", "created_at", "group_id"):
            assert getattr(entry, name) == getattr(row, name)
        assert entry.shelf == (-1 if not row.is_active else int(row.stock_quantity > 0))
        assert set(kept[entry.number].split()) == set(words(f"{row.sku} {row.name} {row.description}"))


def test_the_list_follows_every_change_of_a_product(database: Database, shelve: Shelve) -> None:
    shelve("MUG", name="Mug")
    shelve("PEN", name="Pen")
    is_right(database)

    changes = [
        {"stock_quantity": 9},
        {"stock_quantity": 0},
        {"stock_quantity": 4},
        {"price_minor": 5},
        {"category_id": 2, "name": "Becher"},
        {"description": "Blue enamel"},
        {"sku": "OTHER-1"},
        {"group_id": "g"},
        {"group_id": None, "created_at": AT + 5},
        {"is_active": False, "stock_quantity": 0},
        {"is_active": True},
    ]
    for change in changes:
        with database.writing() as session:
            session.execute(update(ProductRow).where(ProductRow.id == "MUG").values(**change))
        is_right(database)

    with database.writing() as session:
        session.execute(delete(StockMovementRow))
        session.execute(delete(ProductRow).where(ProductRow.id == "MUG"))
    is_right(database)
    assert found(database, Filter(text="becher")) == []
    assert found(database, Filter()) == ["PEN"]


def test_what_an_import_writes_is_found(database: Database, shelve: Shelve) -> None:
    shelve("MUG", sku="MUG-1", name="Mug")
    rows = [
        (1, Draft(sku="MUG-1", name="Becher", price_minor=400), "mug-1"),
        (2, Draft(sku="CUP-1", name="Tasse", price_minor=300, category="Kitchen", stock_quantity=3), "cup-1"),
    ]

    with Intake(database, AT) as intake:
        intake.stage(iter(rows))
        intake.apply()

    is_right(database)
    assert found(database, Filter(text="tasse", available=True)) == ["cup-1"]
    assert found(database, Filter(text="becher")) == ["MUG"]
    assert found(database, Filter(text="mug")) == ["MUG"]


def test_a_transaction_that_is_given_up_leaves_nothing(database: Database, shelve: Shelve) -> None:
    shelve("MUG")

    with database.writing() as session:
        session.execute(update(ProductRow).values(name="Becher"))
        session.rollback()

    is_right(database)
    assert found(database, Filter(text="becher")) == []


@pytest.mark.parametrize(
    ("asked", "ids"),
    [
        ("mug bl", ["BLUE"]),
        ("BLUE mug", ["BLUE"]),
        ("mug", ["BLUE", "RED"]),
        ("mu blue", []),
        ("creme", ["RED"]),
        ("CRÈME", ["RED"]),
        ("kr-7", ["RED"]),
        ("KR-7", ["RED"]),
        ("kr 7", ["RED", "KR70"]),
        ("kr-70", ["KR70"]),
        ("7", ["RED", "KR70"]),
    ],
)
def test_a_search_finds_what_a_shopper_expects(database: Database, shelve: Shelve, asked: str, ids: list[str]) -> None:
    shelve("BLUE", name="Mug blue", price_minor=1)
    shelve("RED", sku="KR-7", name="Mug", description="Crème and red", price_minor=2)
    shelve("KR70", sku="KR-70", name="Jar", price_minor=3)

    assert found(database, Filter(text=asked)) == ids


@pytest.mark.parametrize(
    "asked",
    [
        *('"', "'", '"mug', "mug*", "* *", "NEAR(mug blue)", "mug OR zebra", "mug AND", "NOT mug", "^mug", "words:mug"),
        *("-mug", "mug & !blue", "mug:*", "(", ")", "\\", "\\'", "mug <-> x", "%", "a\x00b", "\x00", "🔥", "x" * 300),
        *("' OR 1=1 --", "mug; DROP TABLE products", "\u202e", "a " * 150, "é" * 300, "{mug}", "mug + x", "::tsquery"),
    ],
)
def test_a_hostile_search_is_a_search(database: Database, shelve: Shelve, asked: str) -> None:
    shelve("MUG", name="Mug blue")

    assert found(database, Filter(text=asked)) in ([], ["MUG"])
    with database.reading() as session:
        assert product_list.facets(session, Filter(text=asked), ["availability"], [0])["exact"]


# ---------------------------------------------------------------- both databases


texts = st.text(st.sampled_from(LETTERS), max_size=24)


@pytest.mark.real
@given(written=texts)
@settings(max_examples=150)
def test_both_databases_see_the_same_words(postgresql: Database, written: str) -> None:
    with postgresql.reading() as session:
        lexemes = session.scalar(text("SELECT tsvector_to_array(product_words(:text))"), {"text": written})

    assert set(lexemes or ()) == set(words(written))


@pytest.mark.real
@given(names=st.lists(texts, min_size=1, max_size=4), asked=texts)
@settings(max_examples=40)
def test_both_databases_find_the_same(sqlite: Database, postgresql: Database, names: list[str], asked: str) -> None:
    for database in (sqlite, postgresql):
        with database.writing() as session:
            session.execute(delete(ProductRow))
            session.execute(
                text("INSERT INTO categories (id, name, description) VALUES (1, 'A', '') ON CONFLICT DO NOTHING")
            )
            for number, name in enumerate(names):
                row = ProductRow(id=f"p{number}", sku=f"S{number}", name=name, price_minor=number, category_id=1)
                row.created_at = row.updated_at = AT
                session.add(row)

    for query in (asked, *names, *(name[: len(name) // 2] for name in names)):
        assert found(sqlite, Filter(text=query)) == found(postgresql, Filter(text=query))
