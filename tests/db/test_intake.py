"""Taking in many products at once: found by SKU, judged together, written together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.exc import IntegrityError

from db.intake import Counts, Intake, RowFault, Taken
from db.models import Category, ProductRow, StockMovementRow
from db.session import Database
from shop.catalogue import Draft
from tasks.checkout import settle
from tests.carts.sample import at_once
from tests.harness import Shop

AT = 1_795_000_000_000
NOW = AT + 1000
Shelve = Callable[..., None]
FULL: dict[str, Any] = {
    "name": "Mug",
    "description": "Holds tea.",
    "description_html": "<p>Holds <b>tea</b>.</p>",
    "price_minor": 1450,
    "category": "Kitchen",
    "stock_quantity": 7,
    "images": ["/a.svg", "/b.svg"],
    "specifications": {"Height": "9 cm"},
    "tax_class": "reduced",
    "weight_grams": 320,
    "group_id": "mugs",
    "options": {"Colour": "Blue"},
    "is_active": False,
    "low_stock_threshold": 3,
}


def new(sku: str, **said: Any) -> Draft:
    return Draft(sku, **{"name": sku.title(), "price_minor": 1000, "category": "Kitchen", **said})


def take(
    database: Database,
    drafts: Iterable[Draft],
    *,
    now: int = NOW,
    drop_faulty: bool = False,
    set_stock: bool = False,
    actor: str | None = None,
) -> tuple[Counts, list[RowFault]]:
    """Take drafts in, numbered as lines from 2; a new product's id is its SKU in small letters."""
    with Intake(database, now, set_stock=set_stock) as intake:
        intake.stage((line, draft, draft.id or draft.sku.lower()) for line, draft in enumerate(drafts, 2))
        counts = intake.apply(drop_faulty=drop_faulty, actor=actor)
        return counts, list(intake.faults())


def product(database: Database, product_id: str) -> ProductRow | None:
    with database.reading() as session:
        return session.get(ProductRow, product_id)


def there(database: Database, product_id: str) -> ProductRow:
    row = product(database, product_id)
    assert row is not None, f"no product {product_id}"
    return row


def ledger(database: Database, product_id: str) -> list[tuple[str, int, str | None, int]]:
    m = StockMovementRow
    with database.reading() as session:
        query = select(m.kind, m.quantity, m.actor, m.at).where(m.product_id == product_id).order_by(m.id)
        return [tuple(row) for row in session.execute(query)]  # type: ignore[misc]


def categories(database: Database) -> dict[int, str]:
    with database.reading() as session:
        return {row.id: row.name for row in session.scalars(select(Category))}


def everything(database: Database) -> list[dict[str, Any]]:
    columns = [column.key for column in ProductRow.__table__.columns]
    with database.reading() as session:
        rows = session.scalars(select(ProductRow).order_by(ProductRow.id)).all()
        return [{name: getattr(row, name) for name in columns} for row in rows]


# ---------------------------------------------------------------- new products


def test_a_new_product_has_everything_its_row_says(database: Database, shelve: Shelve) -> None:
    counts, faults = take(database, [Draft("MUG-1", id="mug", **FULL)], actor="import")

    row = there(database, "mug")
    assert (counts, faults) == (Counts(new=1), [])
    said = {name: getattr(row, name) for name in FULL if name != "category"}
    assert said == {name: value for name, value in FULL.items() if name != "category"}
    assert (row.sku, row.category_id, row.image_url) == ("MUG-1", 1, "/a.svg")
    assert (row.created_at, row.updated_at) == (NOW, NOW)
    assert ledger(database, "mug") == [("opening", 7, "import", NOW)]


def test_a_new_product_of_which_little_is_said_has_the_defaults(database: Database, shelve: Shelve) -> None:
    take(database, [new("CUP")])

    row = there(database, "cup")
    assert (row.description, row.description_html, row.stock_quantity, row.weight_grams) == ("", None, 0, 0)
    assert (row.image_url, row.images, row.specifications, row.options) == ("", [], {}, {})
    assert (row.tax_class, row.group_id, row.is_active, row.low_stock_threshold) == ("standard", None, True, 5)
    assert ledger(database, "cup") == [("opening", 0, None, NOW)]


def test_an_empty_html_group_or_list_of_images_means_none(database: Database, shelve: Shelve) -> None:
    take(database, [new("CUP", description_html="", group_id="", images=[])])

    row = there(database, "cup")
    assert (row.description_html, row.group_id, row.images, row.image_url) == (None, None, [], "")


def test_a_new_product_gets_the_tax_class_that_the_shop_begins_with(database: Database, shelve: Shelve) -> None:
    with Intake(database, NOW, tax_class="full") as intake:
        intake.stage([(2, new("CUP"), "cup")])
        intake.apply()

    assert there(database, "cup").tax_class == "full"


def test_thousands_of_rows_are_taken_in_portions(database: Database) -> None:
    counts, _ = take(database, (new(f"P{number}") for number in range(4567)))

    with database.reading() as session:
        assert counts == Counts(new=4567)
        assert session.scalar(select(func.count()).select_from(ProductRow)) == 4567
        assert session.scalar(select(func.count()).select_from(StockMovementRow)) == 4567


# ---------------------------------------------------------------- existing products


def test_what_a_row_leaves_out_stays_as_it_is(database: Database, shelve: Shelve) -> None:
    take(database, [Draft("MUG-1", id="mug", **FULL)])
    before = everything(database)

    counts, _ = take(database, [Draft("MUG-1", price_minor=1500)], now=NOW + 5)

    assert counts == Counts(changed=1)
    assert everything(database) == [{**before[0], "price_minor": 1500, "updated_at": NOW + 5}]


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Beaker"},
        {"description": "Holds coffee.", "description_html": "<p>Holds coffee.</p>"},
        {"price_minor": 0},
        {"images": ["/b.svg", "/a.svg"]},
        {"images": []},
        {"specifications": {}},
        {"tax_class": "standard"},
        {"weight_grams": 0},
        {"group_id": "cups"},
        {"options": {"Colour": "Red"}},
        {"is_active": True},
        {"low_stock_threshold": 0},
    ],
    ids=str,
)
def test_every_column_can_be_changed(database: Database, shelve: Shelve, change: dict[str, Any]) -> None:
    take(database, [Draft("MUG-1", id="mug", **FULL)])

    counts, _ = take(database, [Draft("MUG-1", **{**FULL, **change})], now=NOW + 5)

    row = there(database, "mug")
    assert counts == Counts(changed=1)
    assert {name: getattr(row, name) for name in change} == change
    assert row.image_url == (row.images[0] if row.images else "")
    assert row.updated_at == NOW + 5


def test_an_empty_html_or_group_removes_it(database: Database, shelve: Shelve) -> None:
    take(database, [Draft("MUG-1", id="mug", **FULL)])

    counts, _ = take(database, [Draft("MUG-1", description_html="", group_id="")])

    row = there(database, "mug")
    assert counts == Counts(changed=1)
    assert (row.description, row.description_html, row.group_id) == ("Holds tea.", None, None)


def test_plain_text_alone_removes_the_html_when_it_says_something_else(database: Database, shelve: Shelve) -> None:
    take(database, [Draft("MUG-1", id="mug", **FULL), Draft("MUG-2", id="mug-2", **FULL)])

    same = Draft("MUG-1", description=FULL["description"])
    counts, _ = take(database, [same, Draft("MUG-2", description="Holds coffee.")])

    assert counts == Counts(changed=1, unchanged=1)
    assert there(database, "mug").description_html == FULL["description_html"]
    assert there(database, "mug-2").description_html is None


def test_the_version_rises_even_when_the_clock_went_back(database: Database, shelve: Shelve) -> None:
    shelve("MUG", updated_at=AT + 500)

    take(database, [Draft("SKU-MUG", name="Beaker")], now=AT)

    assert there(database, "MUG").updated_at == AT + 501


def test_taking_the_same_rows_in_twice_changes_nothing_the_second_time(database: Database, shelve: Shelve) -> None:
    shelve("CUP")
    rows = [Draft("MUG-1", id="mug", **FULL), new("JAR", category="Glass"), Draft("SKU-CUP", category="glass")]
    first, _ = take(database, rows, set_stock=True)
    before = everything(database)

    second, _ = take(database, rows, now=NOW + 5, set_stock=True)

    assert (first, second) == (Counts(new=2, changed=1), Counts(unchanged=3))
    assert everything(database) == before
    assert ledger(database, "mug") == [("opening", 7, None, NOW)]


def test_what_became_of_each_row_can_be_asked(database: Database, shelve: Shelve) -> None:
    shelve("MUG")
    shelve("CUP")
    with Intake(database, NOW) as intake:
        intake.stage(
            [
                (2, new("JAR"), "jar"),
                (3, Draft("SKU-CUP", name="Cup"), "x"),
                (4, Draft("SKU-MUG", name="Beaker"), "y"),
                (5, Draft("NIX"), "nix"),
            ]
        )
        intake.apply(drop_faulty=True)

        assert list(intake.taken("new", "unchanged")) == [
            Taken(2, "JAR", "jar", "new"),
            Taken(3, "SKU-CUP", "CUP", "unchanged"),
        ]
        assert [found.product_id for found in intake.taken("changed")] == ["MUG"]


# ---------------------------------------------------------------- stock


def test_stock_of_an_existing_product_is_left_to_the_ledger(database: Database, shelve: Shelve) -> None:
    shelve("MUG", stock_quantity=10)

    counts, _ = take(database, [Draft("SKU-MUG", stock_quantity=3)])

    assert counts == Counts(unchanged=1)
    assert there(database, "MUG").stock_quantity == 10


def test_set_stock_moves_the_difference(database: Database, shelve: Shelve) -> None:
    shelve("MUG", stock_quantity=10)
    shelve("CUP", stock_quantity=2)
    shelve("JAR", stock_quantity=5)
    rows = [Draft("SKU-MUG", stock_quantity=3), Draft("SKU-CUP", stock_quantity=9), Draft("SKU-JAR", stock_quantity=5)]

    counts, _ = take(database, [*rows, new("NEW", stock_quantity=4)], set_stock=True, actor="import")

    assert counts == Counts(new=1, changed=2, unchanged=1)
    assert ledger(database, "MUG") == [("opening", 10, None, AT), ("adjusted", -7, "import", NOW)]
    assert ledger(database, "CUP") == [("opening", 2, None, AT), ("adjusted", 7, "import", NOW)]
    assert ledger(database, "JAR") == [("opening", 5, None, AT)]
    assert ledger(database, "new") == [("opening", 4, "import", NOW)]
    assert [there(database, name).stock_quantity for name in ("MUG", "CUP", "JAR")] == [3, 9, 5]


def test_a_counted_stock_alone_is_no_new_version(database: Database, shelve: Shelve) -> None:
    shelve("MUG", stock_quantity=10)

    take(database, [Draft("SKU-MUG", stock_quantity=3)], set_stock=True)

    assert there(database, "MUG").updated_at == AT


# ---------------------------------------------------------------- categories


def test_a_category_is_found_whatever_the_case_of_its_name(database: Database, shelve: Shelve) -> None:
    take(database, [new("A", category="KITCHEN"), new("B", category="élan")])

    assert (there(database, "a").category_id, there(database, "b").category_id) == (1, 3)
    assert categories(database) == {1: "Kitchen", 2: "Desk", 3: "Élan"}


def test_the_category_spelled_just_so_comes_before_one_that_differs_in_case(database: Database, shelve: Shelve) -> None:
    with database.writing() as session:
        session.add(Category(id=9, name="kitchen"))

    take(database, [new("A", category="kitchen"), new("B", category="Kitchen"), new("C", category="KITCHEN")])

    assert [there(database, name).category_id for name in "abc"] == [9, 1, 1]


def test_missing_categories_are_made_once_spelled_as_the_first_row_does(database: Database, shelve: Shelve) -> None:
    shelve("MUG")
    rows = [new("A", category="Garden"), new("B", category="GARDEN"), Draft("SKU-MUG", category="Attic")]

    take(database, rows)

    assert categories(database) == {1: "Kitchen", 2: "Desk", 3: "Élan", 4: "Garden", 5: "Attic"}
    assert [there(database, name).category_id for name in ("a", "b", "MUG")] == [4, 4, 5]


def test_a_new_product_without_a_category_gets_the_one_for_such_products(database: Database, shelve: Shelve) -> None:
    shelve("MUG", category_id=2)
    with Intake(database, NOW, category="Other") as intake:
        intake.stage([(2, new("A", category=None), "a"), (3, Draft("SKU-MUG", name="Beaker"), "x")])
        counts = intake.apply()

    assert counts == Counts(new=1, changed=1)
    assert (there(database, "a").category_id, there(database, "MUG").category_id) == (4, 2)
    assert categories(database)[4] == "Other"


def test_a_category_for_new_products_that_none_needs_is_not_made(database: Database, shelve: Shelve) -> None:
    shelve("MUG")
    with Intake(database, NOW, category="Other") as intake:
        intake.stage([(2, new("A"), "a"), (3, Draft("SKU-MUG", name="Beaker"), "x")])
        intake.apply()

    assert categories(database) == {1: "Kitchen", 2: "Desk", 3: "Élan"}


def test_the_first_category_of_a_shop_is_number_one(database: Database) -> None:
    take(database, [new("A")])

    assert categories(database) == {1: "Kitchen"}


def test_a_faulty_row_makes_no_category(database: Database, shelve: Shelve) -> None:
    counts, _ = take(database, [new("A", category="Garden", name=None), new("B")], drop_faulty=True)

    assert counts == Counts(new=1, faulty=1)
    assert "Garden" not in categories(database).values()


# ---------------------------------------------------------------- faults


def test_a_sku_that_comes_again_is_a_fault_that_names_the_first(database: Database, shelve: Shelve) -> None:
    rows = [new("A"), new("B"), new("A", name="Other"), new("A")]

    counts, faults = take(database, rows, drop_faulty=True)

    assert counts == Counts(new=2, faulty=2)
    assert faults == [
        RowFault(4, "A", "sku", "line 2 has the SKU A already"),
        RowFault(5, "A", "sku", "line 2 has the SKU A already"),
    ]
    assert there(database, "a").name == "A"


def test_a_new_product_needs_a_name_a_price_and_a_category(database: Database) -> None:
    counts, faults = take(database, [Draft("A"), new("B", price_minor=None)])

    assert counts == Counts(faulty=2)
    assert [(fault.line, fault.field, fault.message) for fault in faults] == [
        (2, "name", "a new product needs a name"),
        (2, "price", "a new product needs a price"),
        (2, "category", "a new product needs a category"),
        (3, "price", "a new product needs a price"),
    ]


def test_an_id_belongs_to_one_product_for_good(database: Database, shelve: Shelve) -> None:
    shelve("MUG")
    rows = [
        Draft("SKU-MUG", id="beaker"),
        new("A", id="MUG"),
        new("B", id="jar"),
        new("C", id="jar"),
        new("D", id=""),
        Draft("SKU-MUG", id="MUG"),
    ]

    counts, faults = take(database, rows, drop_faulty=True)

    assert counts == Counts(new=2, faulty=4)
    assert [(fault.line, fault.field, fault.message) for fault in faults] == [
        (2, "id", "the id of this product is MUG and cannot change"),
        (3, "id", "the id MUG belongs to the product with the SKU SKU-MUG"),
        (5, "id", "line 4 has the id jar already"),
        (7, "sku", "line 2 has the SKU SKU-MUG already"),
    ]


def test_a_sku_without_letters_or_digits_needs_an_id(database: Database) -> None:
    with Intake(database, NOW) as intake:
        intake.stage([(2, new("---"), "")])
        intake.plan()

        assert list(intake.faults()) == [RowFault(2, "---", "id", "no id can be made from this SKU: give one")]


def test_one_faulty_row_at_the_end_keeps_all_others_out(database: Database, shelve: Shelve) -> None:
    shelve("MUG")
    before = everything(database)

    counts, _ = take(database, [new("A"), Draft("SKU-MUG", name="Beaker"), new("C", category="Attic"), Draft("D")])

    assert counts == Counts(new=2, changed=1, faulty=1)
    assert everything(database) == before
    assert categories(database) == {1: "Kitchen", 2: "Desk", 3: "Élan"}


def test_a_plan_says_what_would_be_and_writes_nothing(database: Database, shelve: Shelve) -> None:
    shelve("MUG")
    before = everything(database)

    with Intake(database, NOW) as intake:
        intake.stage([(2, new("A", category="Attic"), "a"), (3, Draft("SKU-MUG", name="Beaker"), "x")])
        counts = intake.plan()

    assert counts == Counts(new=1, changed=1)
    assert everything(database) == before
    assert len(categories(database)) == 3


def test_nothing_to_take_in_is_no_trouble(database: Database) -> None:
    assert take(database, []) == (Counts(), [])


def test_what_the_shop_refuses_takes_everything_back(database: Database, shelve: Shelve) -> None:
    shelve("MUG")
    before = everything(database)

    with pytest.raises(IntegrityError):
        take(database, [new("A", category="Attic"), Draft("SKU-MUG", name="Beaker"), new("B", price_minor=-1)])

    assert everything(database) == before
    assert categories(database) == {1: "Kitchen", 2: "Desk", 3: "Élan"}


# ---------------------------------------------------------------- many rows


def test_new_products_are_written_in_the_order_of_their_ids(database: Database) -> None:
    take(database, [new(name) for name in ("C", "A", "D", "B")])

    with database.reading() as session:
        written = session.scalars(select(StockMovementRow.product_id).order_by(StockMovementRow.id)).all()
    assert written == ["a", "b", "c", "d"]


def test_sqlite_sorts_no_rows_in_memory(sqlite: Database) -> None:
    kept: dict[str, list[str]] = {}

    def explain(_: Any, cursor: Any, statement: str, given: Any, _context: Any, many: bool) -> None:
        if statement.startswith(("INSERT", "UPDATE", "DELETE", "SELECT")):
            plan = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", given[0] if many else given).fetchall()
            if found := [row[3] for row in plan if re.search("TEMP B-TREE|AUTOMATIC|MATERIALIZE|LIST SUBQ", row[3])]:
                kept[" ".join(statement.split()[:3])] = found

    event.listen(sqlite.engine, "before_cursor_execute", explain)
    for name in ("Mug", "Cup"):
        rows = [new("A", name=name, stock_quantity=len(kept)), new("B", id="a"), new("A"), new("C", category=name)]
        with Intake(sqlite, NOW, set_stock=True) as intake:
            intake.stage((line, draft, draft.id or draft.sku.lower()) for line, draft in enumerate(rows, 2))
            intake.plan()
            intake.apply(drop_faulty=True)
            assert len(list(intake.faults())) == 2
            assert len(list(intake.taken("new", "changed", "unchanged"))) == 2

    # Of these there are as many as categories, not as rows.
    assert kept.keys() == {"UPDATE intake_categories SET", "INSERT INTO categories"}


def test_sqlite_writes_in_portions(sqlite: Database) -> None:
    most: dict[str, int] = {}

    def measure(_: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith(("INSERT", "UPDATE")):
            table = statement.removeprefix("INSERT INTO").removeprefix("UPDATE").split()[0]
            most[table] = max(most.get(table, 0), cursor.rowcount)

    rows = [new(f"P{number}", stock_quantity=1) for number in range(1203)]
    event.listen(sqlite.engine, "after_cursor_execute", measure)
    take(sqlite, rows)
    take(sqlite, [replace(row, name="Other", stock_quantity=2) for row in rows], set_stock=True)

    assert {most[table] for table in ("products", "stock_movements", "intake_verdicts")} == {500}


# ---------------------------------------------------------------- beside others


def test_what_others_did_since_the_plan_is_seen(database: Database, shelve: Shelve) -> None:
    with Intake(database, NOW) as intake:
        intake.stage([(2, new("A"), "a"), (3, new("B"), "b")])
        assert intake.plan() == Counts(new=2)

        shelve("b")
        take(database, [new("A", name="Theirs")], now=NOW + 7)
        counts = intake.apply()

        assert counts == Counts(changed=1, faulty=1)
        assert [fault.line for fault in intake.faults()] == [3]
    assert there(database, "a").name == "Theirs"


def test_staging_and_planning_keep_no_writer_out(database: Database, shelve: Shelve) -> None:
    with Intake(database, NOW) as intake:
        intake.stage([(2, new("A"), "a")])
        intake.plan()

        shelve("MUG")

        assert intake.apply() == Counts(new=1)


def test_two_intakes_of_the_same_rows_at_once_make_each_product_once(database: Database) -> None:
    rows = [new(f"P{number}", category=f"C{number % 7}") for number in range(300)]
    turned = rows[::-1]

    answers = at_once(2, lambda number: take(database, turned if number else rows)[0])

    assert sorted((answer.new, answer.unchanged) for answer in answers) == [(0, 300), (300, 0)]
    assert len(everything(database)) == 300
    assert len(categories(database)) == 7


def test_an_import_beside_settlements_conserves_stock(any_shop: Shop) -> None:
    names = [f"P{number}" for number in range(40)]
    any_shop.stocked(**dict.fromkeys(names, 20))
    for turn in range(120):
        any_shop.checkout(**{names[turn % 40]: 1, names[turn * 7 % 40 - 1]: 1})
    rows = [Draft(f"SKU-{name}", price_minor=1100 + n, stock_quantity=30) for n, name in enumerate(names[::-1])]

    def work(number: int) -> None:
        if number:
            for turn in range(5):
                take(any_shop.database, rows[turn:], now=any_shop.clock(), set_stock=turn % 2 == 1)
        else:
            settle()

    at_once(2, work)
    settle()

    assert any_shop.order_count() == 120
    any_shop.books_close()
