"""`flask products import` and `export`: whole catalogues from files and into them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from db.models import Category, ProductRow, StockMovementRow
from db.seed import seed
from tests.harness import Shop

FILE = """sku,name,price,category,stock_quantity
MUG-1,Mug,14.50,Kitchen,7
CUP-1,Cup,9.00,kitchen,3
PEN-1,Pen,2.00,Desk,0
"""
SHOPIFY = """Handle,Title,Type,Option1 Name,Option1 Value,Variant SKU,Variant Price,Variant Inventory Qty
tee,Field tee,Shirts,Size,M,TEE-M,25.00,3
tee,,,,L,TEE-L,25.00,-1
pot,Tea pot,,Title,Default Title,,30.00,2
"""


def run(shop: Shop, *arguments: str, given: str | bytes | None = None) -> Result:
    return shop.app.test_cli_runner().invoke(args=["products", *arguments], input=given)


def imported(shop: Shop, text: str | bytes, *options: str) -> Result:
    return run(shop, "import", "-", *options, given=text)


def summary(result: Result) -> str:
    """The last line, without the time that it took."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return re.sub(r" \([0-9.]+ s\)", "", result.stdout.splitlines()[-1])


def catalogue(shop: Shop) -> list[dict[str, Any]]:
    columns = [column.key for column in ProductRow.__table__.columns]
    with shop.database.reading() as session:
        rows = session.scalars(select(ProductRow).order_by(ProductRow.id)).all()
        return [{name: getattr(row, name) for name in columns} for row in rows]


def test_a_file_becomes_a_catalogue(any_shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "products.csv"
    file.write_text(FILE)

    result = run(any_shop, "import", str(file))

    assert (result.exit_code, result.stderr) == (0, "")
    assert summary(result) == "3 rows: 3 new, 0 changed, 0 unchanged, 0 errors"
    assert [(row["id"], row["stock_quantity"]) for row in catalogue(any_shop)] == [
        ("cup-1", 3),
        ("mug-1", 7),
        ("pen-1", 0),
    ]
    any_shop.books_close()


def test_an_import_run_twice_changes_nothing_the_second_time(any_shop: Shop) -> None:
    imported(any_shop, FILE)
    before = catalogue(any_shop)
    any_shop.clock.forward(60)

    result = imported(any_shop, FILE)

    assert summary(result) == "3 rows: 0 new, 0 changed, 3 unchanged, 0 errors"
    assert catalogue(any_shop) == before


def test_rows_may_come_in_any_order(any_shop: Shop) -> None:
    header, *rows = FILE.splitlines()
    imported(any_shop, FILE)

    result = imported(any_shop, "\n".join([header, *rows[::-1]]).replace("14.50", "15.00"))

    assert summary(result) == "3 rows: 0 new, 1 changed, 2 unchanged, 0 errors"


def test_all_or_nothing_when_the_last_row_is_bad(any_shop: Shop) -> None:
    result = imported(any_shop, FILE + "BAD-1,Bad,x,Attic,1\nMUG-1,Again,1,Attic,1\nNEW-1,,,,\n")

    assert result.exit_code == 1
    assert summary(result) == "6 rows: 3 new, 0 changed, 0 unchanged, 3 errors; nothing was written"
    assert result.stderr.splitlines() == [
        "line 5: price: write an amount such as 14.50",
        "line 6: sku: line 2 has the SKU MUG-1 already",
        "line 7: name: a new product needs a name",
        "line 7: price: a new product needs a price",
        "line 7: category: a new product needs a category",
    ]
    assert catalogue(any_shop) == []


def test_keep_going_writes_the_good_rows(any_shop: Shop) -> None:
    result = imported(any_shop, FILE + "BAD-1,Bad,x,Attic,1\nNEW-1,,1,Attic,\n", "--keep-going")

    assert result.exit_code == 1
    assert summary(result) == "5 rows: 3 new, 0 changed, 0 unchanged, 2 errors"
    assert len(catalogue(any_shop)) == 3
    any_shop.books_close()


@pytest.mark.parametrize("options", [["--dry-run"], ["--dry-run", "--keep-going"]], ids=str)
def test_a_dry_run_writes_nothing(any_shop: Shop, options: list[str]) -> None:
    result = imported(any_shop, FILE, *options)

    assert result.exit_code == 0
    assert summary(result) == "3 rows: 3 new, 0 changed, 0 unchanged, 0 errors; dry run, nothing was written"
    assert catalogue(any_shop) == []


def test_sales_since_the_export_are_not_undone_unless_that_is_wanted(any_shop: Shop) -> None:
    imported(any_shop, FILE)
    any_shop.checkout(**{"mug-1": 2})
    any_shop.work_until_idle()

    imported(any_shop, FILE)
    assert any_shop.stock("mug-1") == 5

    result = imported(any_shop, FILE, "--set-stock")
    assert summary(result) == "3 rows: 0 new, 1 changed, 2 unchanged, 0 errors"
    assert any_shop.stock("mug-1") == 7
    any_shop.books_close()


def test_shoppers_see_a_new_price_at_once(shop: Shop) -> None:
    imported(shop, FILE)
    shopper = shop.shopper()
    shopper.post("/api/cart/add", json={"product_id": "mug-1", "quantity": 1})

    imported(shop, FILE.replace("14.50", "15.00"))

    assert shopper.get("/api/cart").get_json()["items"][0]["unit_price"] == "15.00"


def test_shopifys_export_is_known_by_its_header(any_shop: Shop) -> None:
    result = imported(any_shop, SHOPIFY)

    assert (result.exit_code, result.stderr) == (0, "line 3: note: stock_quantity: -1 counts as 0\n")
    assert summary(result) == "3 rows: 3 new, 0 changed, 0 unchanged, 0 errors"
    rows = catalogue(any_shop)
    assert [(row["id"], row["group_id"]) for row in rows] == [("pot", None), ("tee-l", "tee"), ("tee-m", "tee")]
    with any_shop.database.reading() as session:
        assert set(session.scalars(select(Category.name))) == {"Shirts", "Uncategorized"}
    again = imported(any_shop, SHOPIFY)
    assert summary(again) == "3 rows: 0 new, 0 changed, 3 unchanged, 0 errors"


def test_the_category_of_products_without_one_can_be_chosen(shop: Shop) -> None:
    imported(shop, SHOPIFY, "--category", "Other")
    imported(shop, "sku,name,price\nA,A,1\n", "--category", "other")

    with shop.database.reading() as session:
        assert set(session.scalars(select(Category.name))) == {"Shirts", "Other"}


def test_a_format_can_be_insisted_on(shop: Shop) -> None:
    result = imported(shop, SHOPIFY, "--format", "oncecart")

    assert result.exit_code == 1
    assert "there is no column 'Handle'" in result.stderr


@pytest.mark.parametrize("given", [b"", b"\xff\xfe", b"sku\xe9\n", b"name\nx\n", b"sku,name\nA,\xe9\n"])
def test_a_file_that_cannot_be_read_is_told_in_one_line(shop: Shop, given: bytes) -> None:
    result = imported(shop, given)

    assert result.exit_code == 1
    assert re.fullmatch(r"Error: line [12]: .*; nothing was written\n", result.stderr)


def test_a_file_that_is_not_there_is_told(shop: Shop, tmp_path: Path) -> None:
    result = run(shop, "import", str(tmp_path / "none.csv"))

    assert result.exit_code == 1
    assert "No such file" in result.stderr


def test_a_thousand_remarks_are_named_and_the_rest_is_counted(shop: Shop) -> None:
    result = imported(shop, "sku,price\n" + "".join(f"S{number},x\n" for number in range(1500)))

    lines = result.stderr.splitlines()
    assert len(lines) == 1001
    assert lines[-1] == "... and 500 more"
    assert summary(result).startswith("1,500 rows: 0 new, 0 changed, 0 unchanged, 1,500 errors")


# ---------------------------------------------------------------- there and back


def exported(shop: Shop, *options: str) -> str:
    result = run(shop, "export", *options)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout_bytes.decode()


def test_an_export_is_what_an_import_reads(any_shop: Shop, tmp_path: Path) -> None:
    imported(any_shop, FILE)
    file = tmp_path / "out.csv"

    result = run(any_shop, "export", "--output", str(file))

    assert (result.exit_code, result.output) == (0, "")
    assert file.read_bytes().decode() == exported(any_shop)
    assert summary(run(any_shop, "import", str(file))) == "3 rows: 0 new, 0 changed, 3 unchanged, 0 errors"


def test_only_what_shoppers_see_can_be_exported(any_shop: Shop) -> None:
    imported(any_shop, "sku,name,price,category,is_active\nA,A,1,C,true\nB,B,1,C,false\n")

    assert [line[:2] for line in exported(any_shop, "--active-only").splitlines()[1:]] == ["a,"]
    assert len(exported(any_shop).splitlines()) == 3


def test_more_products_than_one_look_reads_are_all_exported_once(any_shop: Shop) -> None:
    imported(any_shop, "sku,name,price,category\n" + "".join(f"S{n},N,1,C\n" for n in range(1203)))

    ids = [line.split(",")[0] for line in exported(any_shop).splitlines()[1:]]

    assert len(ids) == len(set(ids)) == 1203


_visible = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])
_line = st.one_of(
    st.sampled_from(["=1+1", "'=1", "''", '"a"', "a,b", "a;b", "😀", "שלום\u202e", "é"]),
    st.text(_visible, min_size=1, max_size=12),
)
_line = _line.map(str.strip).filter(bool)
_maps = st.dictionaries(_line, _line, max_size=2)
products = st.lists(
    st.fixed_dictionaries(
        {
            "sku": _line,
            "name": _line,
            "description": st.lists(_line, max_size=3).map("\n".join),
            "description_html": st.sampled_from([None, "<p>=1 &amp; <b>2</b></p>", "a\n\n'b"]),
            "price_minor": st.integers(0, 10**6),
            "stock_quantity": st.integers(0, 50),
            "images": st.lists(st.sampled_from(["/a.svg", "https://a.example/b,c"]), max_size=2),
            "specifications": _maps,
            "options": _maps,
            "group_id": st.sampled_from([None, "g1"]),
            "is_active": st.booleans(),
            "low_stock_threshold": st.integers(0, 9),
        }
    ),
    max_size=5,
    unique_by=lambda product: product["sku"],
)


@given(products)
@settings(max_examples=12)
def test_export_and_import_is_the_identity(any_shop: Shop, products: list[dict[str, Any]]) -> None:
    empty(any_shop)
    for number, columns in enumerate(products):
        image_url = columns["images"][0] if columns["images"] else ""
        any_shop.product(f"P{number}", **columns, image_url=image_url)
    before, file = catalogue(any_shop), exported(any_shop)

    same = imported(any_shop, file, "--set-stock")
    assert summary(same) == f"{len(products)} rows: 0 new, 0 changed, {len(products)} unchanged, 0 errors"
    assert catalogue(any_shop) == before

    empty(any_shop)
    assert imported(any_shop, file).exit_code == 0
    apart = ("created_at", "updated_at", "category_id")
    assert [{k: v for k, v in row.items() if k not in apart} for row in catalogue(any_shop)] == [
        {k: v for k, v in row.items() if k not in apart} for row in before
    ]
    assert exported(any_shop) == file
    any_shop.books_close()


def empty(shop: Shop) -> None:
    with shop.database.writing() as session:
        for table in (StockMovementRow, ProductRow, Category):
            session.execute(delete(table))


def test_the_demo_catalogue_survives_the_round_trip(shop: Shop) -> None:
    with shop.database.writing() as session:
        seed(session, 2)
    before = catalogue(shop)

    assert (
        summary(imported(shop, exported(shop)))
        == f"{len(before)} rows: 0 new, 0 changed, {len(before)} unchanged, 0 errors"
    )
    assert catalogue(shop) == before
