"""The shopper's list: filters, sorts, pages, groups, facets; the same on both databases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from db import product_list as products
from db.models import ProductRow, StockMovementRow
from db.product_list import SORTS, Count, Filter
from db.session import Database
from tests.db.conftest import AT

Shelve = Callable[..., None]
EVERYTHING = Filter()


def ids(database: Database, wanted: Filter = EVERYTHING, sort: str = "price") -> list[str]:
    with database.reading() as session:
        found = [row.id for row in products.page(session, wanted, sort, 100)]
        assert products.count(session, wanted) == Count(len(found), True)
    return found


# ---------------------------------------------------------------- filters and sorts


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(), ["CUP", "MUG", "PEN", "VASE"]),
        (Filter(category_id=1), ["CUP", "MUG", "VASE"]),
        (Filter(category_id=3), []),
        (Filter(min_price_minor=1000), ["MUG", "PEN", "VASE"]),
        (Filter(max_price_minor=1000), ["CUP", "MUG"]),
        (Filter(min_price_minor=1001, max_price_minor=2999), ["PEN"]),
        (Filter(available=True), ["CUP", "PEN", "VASE"]),
        (Filter(available=False), ["MUG"]),
        (Filter(text="mug"), ["MUG"]),
        (Filter(text="GLAZED clay"), ["MUG"]),
        (Filter(text="sku-pen"), ["PEN"]),
        (Filter(text="clay pen"), []),
        (Filter(text="   "), ["CUP", "MUG", "PEN", "VASE"]),
        (Filter(category_id=1, min_price_minor=1000, available=True, text="v"), ["VASE"]),
    ],
)
def test_a_list_is_narrowed_by_every_filter(
    database: Database, shelve: Shelve, wanted: Filter, found: list[str]
) -> None:
    shelve("CUP", price_minor=999)
    shelve("MUG", price_minor=1000, stock_quantity=0, description="Glazed clay.")
    shelve("PEN", price_minor=2000, category_id=2)
    shelve("VASE", price_minor=3000)
    shelve("GONE", price_minor=1, is_active=False)

    assert ids(database, wanted) == found


@pytest.mark.parametrize("text", [None, "thing"])
def test_a_long_list_is_not_counted_to_its_end(
    database: Database, shelve: Shelve, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    monkeypatch.setattr(products, "MOST_COUNTED", 3)
    for name in ("MUG", "PEN", "CUP"):
        shelve(name, description="A thing.")

    with database.reading() as session:
        assert products.count(session, Filter(text=text)) == Count(3, True)
    shelve("VASE", description="A thing.")
    with database.reading() as session:
        assert products.count(session, Filter(text=text)) == Count(3, False)
        assert products.count(session, Filter(text=text, max_price_minor=10)) == Count(0, True)
        facets = products.facets(session, Filter(text=text), ["availability"], [0])
    assert facets["availability"]["all"] == (4 if text else 3)
    assert facets["exact"] is bool(text)


@pytest.mark.parametrize("text", [None, "thing"])
def test_where_not_all_are_looked_at_the_count_is_the_least_there_are(
    database: Database, shelve: Shelve, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    monkeypatch.setattr(products, "MOST_READ", 4)
    monkeypatch.setattr(products, "MOST_FOUND", 4)
    for size in "SMLX":
        shelve(f"TEE-{size}", description="A thing.", group_id="tee")
    shelve("VASE", description="A thing.")

    with database.reading() as session:
        found = products.count(session, Filter(text=text))

    assert not found.exact
    assert found.entries in (1, 2)


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("price", ["B", "C", "A"]),
        ("-price", ["A", "C", "B"]),
        ("name", ["A", "B", "C"]),
        ("-created_at", ["C", "B", "A"]),
    ],
)
def test_a_list_is_sorted_with_the_id_as_the_last_key(
    database: Database, shelve: Shelve, sort: str, found: list[str]
) -> None:
    shelve("A", name="apple", price_minor=500, created_at=AT)
    shelve("B", name="pear", price_minor=300, created_at=AT)
    shelve("C", name="pear", price_minor=300, created_at=AT + 1)

    assert ids(database, sort=sort) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("%", []),
        ("_", []),
        ("'", []),
        ("\\", []),
        ("100%", ["100%"]),
        ("a_b", ["A_B"]),
        ("slash", ["BACK"]),
        ("lash", []),
        ("it's", ["QUOTE"]),
        ("bronte", ["BRONTE"]),
        ("bron", ["BRONTE"]),
        ("bron x", []),
        ("BRONTË", ["BRONTE"]),
        ("eclair", ["ECLAIR"]),
        ("éclair", ["ECLAIR"]),
        ("Éclair", ["ECLAIR"]),
    ],
)
def test_a_search_means_what_it_says(database: Database, shelve: Shelve, text: str, found: list[str]) -> None:
    shelve("100%", name="100% wool")
    shelve("AXB", name="axb")
    shelve("A_B", name="a_b")
    shelve("BACK", name="back\\slash")
    shelve("QUOTE", name="it's")
    shelve("BRONTE", name="Brontë")
    shelve("ECLAIR", name="Éclair")

    assert ids(database, Filter(text=text)) == found


# ---------------------------------------------------------------- groups


def test_a_group_shows_once_as_its_first_variant_that_fits(database: Database, shelve: Shelve) -> None:
    for size, price, units in (("L", 1400, 0), ("M", 1200, 5), ("S", 1000, 5)):
        shelve(f"TEE-{size}", price_minor=price, stock_quantity=units, group_id="tee", description=f"{size}{size}")
    shelve("TEE-A", group_id="tee", is_active=False)
    shelve("MUG", price_minor=1300)

    assert ids(database) == ["MUG", "TEE-L"]
    assert ids(database, Filter(available=True)) == ["TEE-M", "MUG"]
    assert ids(database, Filter(max_price_minor=1100)) == ["TEE-S"]
    assert ids(database, Filter(text="tee ss")) == ["TEE-S"]


# ---------------------------------------------------------------- facets and categories


def test_a_facet_ignores_its_own_filter_and_obeys_the_others(database: Database, shelve: Shelve) -> None:
    shelve("CUP", price_minor=500)
    shelve("MUG", price_minor=1500, stock_quantity=0)
    shelve("PEN", price_minor=1500, category_id=2)
    shelve("TEE-S", price_minor=500, category_id=2, group_id="tee")
    shelve("TEE-M", price_minor=2500, category_id=2, group_id="tee", stock_quantity=0)
    wanted = Filter(category_id=2, max_price_minor=1600, available=True)

    with database.reading() as session:
        found = products.facets(session, wanted, ["category", "price", "availability"], [0, 1000, 2000])

    assert found == {
        "category": [{"id": 2, "name": "Desk", "count": 2}, {"id": 1, "name": "Kitchen", "count": 1}],
        "price": [
            {"min": 0, "below": 1000, "count": 1},
            {"min": 1000, "below": 2000, "count": 1},
            {"min": 2000, "below": None, "count": 0},
        ],
        "availability": {"available": 2, "all": 2},
        "exact": True,
    }


def test_only_the_facets_asked_for_are_counted(database: Database, shelve: Shelve) -> None:
    shelve("CUP", price_minor=500)

    with database.reading() as session:
        assert products.facets(session, EVERYTHING, [], [0]) == {}
        assert products.facets(session, EVERYTHING, ["price"], [0]) == {
            "price": [{"min": 0, "below": None, "count": 1}],
            "exact": True,
        }


def test_categories_count_what_shoppers_see(database: Database, shelve: Shelve) -> None:
    shelve("CUP")
    shelve("TEE-S", group_id="tee")
    shelve("TEE-M", group_id="tee")
    shelve("OLD", category_id=2, is_active=False)

    with database.reading() as session:
        found = products.categories(session)

    assert {row.name: count for row, count in found} == {
        "Kitchen": Count(2, True),
        "Desk": Count(0, True),
        "Élan": Count(0, True),
    }


# ---------------------------------------------------------------- against a model


@dataclass(frozen=True)
class Item:
    """A product as the model sees it."""

    id: str
    name: str
    price_minor: int
    category_id: int
    stock_quantity: int
    group_id: str | None
    is_active: bool
    created_at: int


@st.composite
def catalogues(draw: st.DrawFn) -> list[Item]:
    numbers = draw(st.lists(st.integers(10, 60), unique=True, max_size=14))
    return [
        Item(
            id=f"p{number}",
            name=draw(st.sampled_from(["bowl", "cup", "mug"])),
            price_minor=draw(st.integers(0, 3)),
            category_id=draw(st.integers(1, 2)),
            stock_quantity=draw(st.integers(0, 1)),
            group_id=draw(st.sampled_from([None, None, "g1", "g2"])),
            is_active=draw(st.booleans()) or draw(st.booleans()),
            created_at=AT + draw(st.integers(0, 2)),
        )
        for number in numbers
    ]


filters = st.builds(
    Filter,
    category_id=st.none() | st.integers(1, 2),
    min_price_minor=st.none() | st.integers(0, 2),
    max_price_minor=st.none() | st.integers(1, 3),
    available=st.none() | st.booleans(),
    text=st.none() | st.sampled_from(["m", "mug", "p1", "sku mug", "mug sku", "cu p"]),
)


def fits(item: Item, wanted: Filter) -> bool:
    words = ["sku", item.id, item.name]
    *whole, beginning = (wanted.text or "sku").split()
    return (
        item.is_active
        and wanted.category_id in (None, item.category_id)
        and (wanted.min_price_minor or 0) <= item.price_minor
        and (wanted.max_price_minor is None or item.price_minor <= wanted.max_price_minor)
        and wanted.available in (None, item.stock_quantity > 0)
        and set(whole) <= set(words)
        and any(word.startswith(beginning) for word in words)
    )


def entries(items: Sequence[Item], wanted: Filter, sort: str) -> list[str]:
    """What the list must be: of each group its first that fits, sorted by the sort and then the id."""
    fitting = sorted((item for item in items if fits(item, wanted)), key=lambda item: item.id)
    first = {item.group_id: item.id for item in reversed(fitting) if item.group_id}
    shown = [item for item in fitting if first.get(item.group_id, item.id) == item.id]
    column, falls = SORTS[sort]
    return [i.id for i in sorted(shown, key=lambda item: (getattr(item, column), item.id), reverse=falls)]


def restock(database: Database, items: Sequence[Item]) -> None:
    with database.writing() as session:
        session.execute(delete(StockMovementRow))
        session.execute(delete(ProductRow))
        for item in items:
            row: dict[str, Any] = vars(item)
            session.add(ProductRow(**row, sku=f"SKU-{item.id}", updated_at=AT))


@given(
    items=catalogues(),
    wanted=filters,
    sort=st.sampled_from(sorted(SORTS)),
    per_page=st.integers(1, 5),
    reaches=st.sampled_from([products.REACHES, (), (1,), (3, 6)]),
)
@settings(max_examples=60)
def test_pages_by_cursor_and_by_offset_make_the_same_list_as_the_model(
    database: Database,
    shelve: Shelve,
    items: list[Item],
    wanted: Filter,
    sort: str,
    per_page: int,
    reaches: tuple[int, ...],
) -> None:
    restock(database, items)

    with database.reading() as session, pytest.MonkeyPatch.context() as patched:
        patched.setattr(products, "REACHES", reaches)
        count = products.count(session, wanted).entries
        by_offset = [
            row.id
            for offset in range(0, count, per_page)
            for row in products.page(session, wanted, sort, per_page, offset)
        ]
        by_cursor: list[str] = []
        after = None
        while rows := products.page(session, wanted, sort, per_page, after=after):
            by_cursor += [row.id for row in rows]
            after = (getattr(rows[-1], SORTS[sort][0]), rows[-1].id)

    assert by_offset == by_cursor == entries(items, wanted, sort)
    assert count == len(by_offset)


@given(items=catalogues(), wanted=filters)
@settings(max_examples=30)
def test_facets_count_what_the_list_would_show(
    database: Database, shelve: Shelve, items: list[Item], wanted: Filter
) -> None:
    restock(database, items)

    def shown(**change: Any) -> int:
        return len(entries(items, Filter(**{**_fields(wanted), **change}), "price"))

    with database.reading() as session:
        found = products.facets(session, wanted, ["category", "price", "availability"], [0, 2])

    assert {entry["id"]: entry["count"] for entry in found["category"]} == {
        number: count for number in (1, 2) if (count := shown(category_id=number))
    }
    assert [entry["count"] for entry in found["price"]] == [
        shown(min_price_minor=0, max_price_minor=1),
        shown(min_price_minor=2, max_price_minor=None),
    ]
    assert found["availability"] == {"available": shown(available=True), "all": shown(available=None)}


def _fields(wanted: Filter) -> dict[str, Any]:
    return {name: getattr(wanted, name) for name in Filter.__slots__}
