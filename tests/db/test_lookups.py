"""Looks at the driver's own speed: what they give is what the mapped rows hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from db import products
from db.lookups import Lookup
from db.models import ProductRow
from db.session import Database
from shop.errors import Unavailable

Shelve = Callable[..., None]
_by_id = Lookup(ProductRow, "id")
_by_price = Lookup(ProductRow, "price_minor", "is_active", order_by=[ProductRow.__table__.c.id], only=["id", "options"])


def test_a_record_holds_just_what_the_mapped_row_holds(database: Database, shelve: Shelve) -> None:
    shelve("MUG", options={"Colour": "Sand"}, images=["/a.svg"], is_active=False)

    with database.looking() as look:
        record = _by_id.one(look, "MUG")
    with database.reading() as session:
        row = session.get_one(ProductRow, "MUG")

    assert record is not None
    for column in ProductRow.__table__.columns:
        found, kept = getattr(record, column.key), getattr(row, column.key)
        assert (found, type(found)) == (kept, type(kept)), column.key


def test_a_product_for_a_cart_has_the_types_that_its_cached_copy_is_read_with(
    database: Database, shelve: Shelve
) -> None:
    shelve("MUG")

    with database.looking() as look:
        product = products.load(look, ["MUG"])["MUG"]

    assert product.is_active is True
    assert product.options == {}


def test_values_are_given_by_the_order_of_the_columns(database: Database, shelve: Shelve) -> None:
    shelve("PAN", price_minor=500)
    shelve("MUG", price_minor=500)
    shelve("OLD", price_minor=500, is_active=False)

    with database.looking() as look:
        found = _by_price(look, 500, True)

    assert [record.id for record in found] == ["MUG", "PAN"]
    assert _columns(found[0]) == {"id", "options"}


def _columns(record: Any) -> set[str]:
    return set(record._fields)


def test_nothing_found_is_none(database: Database) -> None:
    with database.looking() as look:
        assert _by_id.one(look, "NONE") is None


def test_looks_share_one_moment(database: Database, shelve: Shelve) -> None:
    shelve("MUG", price_minor=500)

    with database.looking() as look:
        before = _by_id.one(look, "MUG")
        with database.writing() as session:
            session.get_one(ProductRow, "MUG").price_minor = 700
        after = _by_id.one(look, "MUG")
    with database.looking() as look:
        later = _by_id.one(look, "MUG")

    assert before == after
    assert later is not None
    assert later.price_minor == 700


def test_a_file_that_cannot_be_opened_is_unavailable() -> None:
    with pytest.raises(Unavailable), Database("sqlite:////nowhere/at/all/shop.db").looking():
        pass
