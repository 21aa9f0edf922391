"""Products one by one and in groups; the same on both databases."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from db import products
from db.models import Category
from db.session import Database

Shelve = Callable[..., None]


def test_a_group_is_summed_up_over_its_active_variants(database: Database, shelve: Shelve) -> None:
    shelve("TEE-S", price_minor=1000, stock_quantity=2, group_id="tee")
    shelve("TEE-M", price_minor=1200, stock_quantity=3, group_id="tee")
    shelve("TEE-X", price_minor=1, stock_quantity=99, group_id="tee", is_active=False)

    with database.reading() as session:
        assert products.groups(session, ["tee", None, "tee", "none"]) == {"tee": products.Group(2, 1000, 1200, 5)}
        assert products.groups(session, [None]) == {}
        assert [row.id for row in products.siblings(session, "tee")] == ["TEE-M", "TEE-S"]


def test_a_product_is_shown_while_it_is_active(database: Database, shelve: Shelve) -> None:
    shelve("MUG", images=["/a.svg"], specifications={"Height": "9 cm"}, options={"Colour": "Sand"})
    shelve("OLD", is_active=False)

    with database.reading() as session:
        mug = products.get(session, "MUG")
        assert mug is not None
        assert (mug.images, mug.specifications, mug.options) == (["/a.svg"], {"Height": "9 cm"}, {"Colour": "Sand"})
        assert mug.is_active is True
        assert products.get(session, "OLD") is None
        assert products.get(session, "NONE") is None


def test_products_are_loaded_for_carts_whether_active_or_not(database: Database, shelve: Shelve) -> None:
    shelve("MUG", image_url="/a.svg", options={"Colour": "Sand"})
    shelve("OLD", is_active=False)

    with database.looking() as look:
        found = products.load(look, ["OLD", "MUG", "NONE"])

    assert {i: product.is_active for i, product in found.items()} == {"MUG": True, "OLD": False}
    assert (found["MUG"].image_url, found["MUG"].options) == ("/a.svg", {"Colour": "Sand"})


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("1", 1),
        ("kitchen", 1),
        ("KITCHEN", 1),
        ("Élan", 3),
        ("élan", 3),
        ("9", None),
        ("99999999999999999999", None),
        ("²", None),
        ("none", None),
        ("", None),
    ],
)
def test_a_category_is_found_by_name_or_id(database: Database, shelve: Shelve, asked: str, found: int | None) -> None:
    with database.reading() as session:
        assert products.category_id(session, asked) == found


def test_a_category_that_is_called_by_a_number_is_found(database: Database, shelve: Shelve) -> None:
    with database.writing() as session:
        session.add(Category(id=9, name="1984", description=""))

    with database.reading() as session:
        assert products.category_id(session, "1984") == 9
