"""Shopify's product export as it is, with the old headers and the new ones."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from shop.catalogue import Draft
from shop.rules import Rules, parse
from web import shopify
from web.feeds import ReadRow
from web.settings import ROOT
from web.tables import Remark, TableFile, UnreadableFile

OLD = (
    "Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Option2 Name,Option2 Value,"
    "Variant SKU,Variant Grams,Variant Inventory Qty,Variant Price,Variant Compare At Price,Variant Taxable,"
    "Variant Barcode,Image Src,Image Position,Gift Card,Variant Image,Status"
)
NEW = (
    "Title,URL handle,Description,Vendor,Product category,Type,Tags,Published on online store,Status,SKU,Barcode,"
    "Option1 name,Option1 value,Option1 Linked To,Price,Compare-at price,Charge tax,Inventory quantity,"
    "Weight value (grams),Weight unit for display,Product image URL,Image position,Variant image URL,Gift card"
)
TEE = {"Handle": "field-tee", "Title": "Field tee", "Variant Price": "25.00", "Option1 Name": "Size"}
POT = {"Handle": "tea-pot", "Title": "Tea pot", "Variant Price": "30", "Option1 Name": "Title"}
LONE = {**POT, "Option1 Value": "Default Title"}


def file_of(*rows: dict[str, Any], header: str = OLD) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, header.split(","), restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def read(rules: Rules, *rows: dict[str, Any], header: str = OLD) -> list[ReadRow | Remark]:
    table = TableFile(io.BytesIO(file_of(*rows, header=header)))
    assert shopify.is_shopify(table.header)
    return list(shopify.read(table, rules))


def drafts(rules: Rules, *rows: dict[str, Any], header: str = OLD) -> list[Draft]:
    found = read(rules, *rows, header=header)
    assert all(isinstance(row, ReadRow) for row in found), found
    return [row.draft for row in found if isinstance(row, ReadRow)]


def remarks(rules: Rules, *rows: dict[str, Any], header: str = OLD) -> list[tuple[int, bool, str]]:
    found = read(rules, *rows, header=header)
    return [(row.line, row.is_fault, row.message) for row in found if isinstance(row, Remark)]


def test_a_product_without_variants_is_one_product(rules: Rules) -> None:
    row = {
        **LONE,
        "Body (HTML)": "<p>Pours <b>well</b>.</p><script>x</script>",
        "Vendor": "Kiln & Co",
        "Type": "Kitchen",
        "Tags": "tea, clay",
        "Published": "true",
        "Variant SKU": "POT-1",
        "Variant Grams": "820.0",
        "Variant Inventory Qty": "4",
        "Variant Taxable": "true",
        "Variant Barcode": "'0123456789012",
        "Image Src": "//img.example/pot.jpg",
        "Status": "active",
    }

    [found] = read(rules, row)

    assert isinstance(found, ReadRow)
    assert (found.line, found.new_id) == (2, "tea-pot")
    assert found.draft == Draft(
        sku="POT-1",
        name="Tea pot",
        description="Pours well.",
        description_html="<p>Pours <b>well</b>.</p>",
        price_minor=3000,
        category="Kitchen",
        stock_quantity=4,
        images=["https://img.example/pot.jpg"],
        specifications={"Vendor": "Kiln & Co", "Tags": "tea, clay", "Barcode": "0123456789012"},
        weight_grams=820,
        group_id="",
        options={},
        is_active=True,
    )


def test_variants_share_a_group_and_say_what_they_are(rules: Rules) -> None:
    first = {**TEE, "Option1 Value": "M", "Option2 Name": "Colour", "Option2 Value": "Blue", "Type": "Shirts"}
    second = {"Handle": "field-tee", "Option1 Value": "L", "Option2 Value": "Blue", "Variant Price": "26.00"}

    rows = read(rules, first, second, LONE)

    found = [(row.line, row.new_id, row.draft.sku, row.draft.name) for row in rows if isinstance(row, ReadRow)]
    assert found == [
        (2, "field-tee-m-blue", "field-tee-m-blue", "Field tee, M, Blue"),
        (3, "field-tee-l-blue", "field-tee-l-blue", "Field tee, L, Blue"),
        (4, "tea-pot", "tea-pot", "Tea pot"),
    ]
    m, large, pot = drafts(rules, first, second, LONE)
    assert (m.group_id, large.group_id, pot.group_id) == ("field-tee", "field-tee", "")
    assert (m.options, large.options) == ({"Size": "M", "Colour": "Blue"}, {"Size": "L", "Colour": "Blue"})
    assert (m.price_minor, large.price_minor, large.category) == (2500, 2600, "Shirts")


def test_images_stand_by_position_with_the_variants_own_first(rules: Rules) -> None:
    image = "https://img.example/{}.jpg".format
    rows = [
        {**TEE, "Option1 Value": "M", "Image Src": image("b"), "Image Position": "2", "Variant Image": image("c")},
        {
            "Handle": "field-tee",
            "Option1 Value": "L",
            "Variant Price": "1",
            "Image Src": image("a"),
            "Image Position": "1",
        },
        {"Handle": "field-tee", "Image Src": image("c"), "Image Position": "10"},
        {"Handle": "field-tee", "Image Src": image("d e")},
    ]

    m, large = drafts(rules, *rows)

    assert m.images == [image("c"), image("a"), image("b"), image("d%20e")]
    assert large.images == [image("a"), image("b"), image("c"), image("d%20e")]


def test_the_new_headers_say_the_same(rules: Rules) -> None:
    row = {
        "Title": "Field tee",
        "URL handle": "field-tee",
        "Description": "<p>Soft.</p>",
        "Vendor": "Loom",
        "Product category": "Apparel & Accessories > Clothing > Shirts",
        "Published on online store": "TRUE",
        "Status": "Active",
        "SKU": "TEE-M",
        "Option1 name": "Size",
        "Option1 value": "M",
        "Price": "25.00",
        "Charge tax": "FALSE",
        "Inventory quantity": "3",
        "Weight value (grams)": "180",
        "Product image URL": "https://img.example/a.jpg",
        "Image position": "1",
    }
    other = {"URL handle": "field-tee", "SKU": "TEE-L", "Option1 value": "L", "Price": "25.00"}

    m, large = drafts(rules, row, other, header=NEW)

    assert m == Draft(
        sku="TEE-M",
        name="Field tee, M",
        description="Soft.",
        description_html="<p>Soft.</p>",
        price_minor=2500,
        category="Shirts",
        stock_quantity=3,
        images=["https://img.example/a.jpg"],
        specifications={"Vendor": "Loom"},
        tax_class="zero",
        weight_grams=180,
        group_id="field-tee",
        options={"Size": "M"},
        is_active=True,
    )
    assert (large.sku, large.tax_class, large.stock_quantity) == ("TEE-L", None, None)


@pytest.mark.parametrize(
    ("cells", "is_active"),
    [
        ({}, True),
        ({"Published": "true", "Status": "active"}, True),
        ({"Published": "false"}, False),
        ({"Published": "FALSE", "Status": "active"}, False),
        ({"Status": "draft"}, False),
        ({"Status": "Archived", "Published": "true"}, False),
        ({"Status": "unlisted"}, False),
    ],
    ids=str,
)
def test_only_what_is_published_and_active_is_shown(rules: Rules, cells: dict[str, str], is_active: bool) -> None:
    assert drafts(rules, {**LONE, **cells})[0].is_active is is_active


def test_a_file_with_few_columns_leaves_the_rest_as_it_is(rules: Rules) -> None:
    [found] = drafts(rules, POT, header="Handle,Title,Variant Price,Option1 Name")

    assert found == Draft("tea-pot", name="Tea pot", price_minor=3000)


def test_less_than_nothing_on_hand_counts_as_nothing(rules: Rules) -> None:
    row = {**LONE, "Variant Inventory Qty": "-3"}

    assert remarks(rules, row) == [(2, False, "stock_quantity: -3 counts as 0")]
    assert [found.draft.stock_quantity for found in read(rules, row) if isinstance(found, ReadRow)] == [0]


def test_a_gift_card_comes_in_hidden(rules: Rules) -> None:
    row = {**LONE, "Gift Card": "true", "Status": "active"}

    assert remarks(rules, row) == [(2, False, "is a gift card, which this shop cannot issue: not active")]
    assert [found.draft.is_active for found in read(rules, row) if isinstance(found, ReadRow)] == [False]


def test_control_characters_that_editors_leave_are_dropped(rules: Rules) -> None:
    [found] = drafts(rules, {**LONE, "Title": "Tea\u2028pot", "Body (HTML)": "a\x0b\u2029b\r\nc"})

    assert (found.name, found.description_html) == ("Tea pot", "a  b\nc")


def test_goods_that_are_not_taxed_need_a_tax_class_for_that() -> None:
    text = (ROOT / "shop.toml").read_text()
    rules = parse(text.replace(', "zero"]', "]").replace(', zero = "0"', ""))

    assert remarks(rules, {**LONE, "Variant Taxable": "false"}) == [
        (2, True, "tax_class: is not taxed; shop.toml needs a tax class 'zero' for such products")
    ]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"Variant Price": "1.234"}, "price: '1.234' is not an amount with at most 2 decimal digits"),
        ({"Variant Price": "1,50"}, "price: write an amount such as 14.50"),
        ({"Variant Grams": "heavy"}, "weight_grams: 'heavy' is not a number"),
        ({"Variant Inventory Qty": "NaN"}, "stock_quantity: 'NaN' is not a number"),
        ({"Variant Inventory Qty": "1e999999999"}, "stock_quantity: '1e999999999' is not a number"),
        ({"Title": ""}, "this product lacks a Title on its first row; the rows of one product follow one another"),
        (
            {"Handle": "---"},
            "this product lacks a handle of letters or digits; the rows of one product follow one another",
        ),
        ({"Variant SKU": "x" * 101}, "sku: String should have at most 100 characters"),
    ],
    ids=str,
)
def test_what_cannot_be_is_told_with_its_line(rules: Rules, cells: dict[str, str], message: str) -> None:
    assert remarks(rules, {**TEE, "Option1 Value": "M"}, {**LONE, **cells}) == [(3, True, message)]


def test_rows_of_one_product_that_are_torn_apart_are_told(rules: Rules) -> None:
    rows = [{**TEE, "Option1 Value": "M"}, LONE, {"Handle": "field-tee", "Option1 Value": "L", "Variant Price": "1"}]

    assert [line for line, _, _ in remarks(rules, *rows)] == [4]


def test_zeros_that_a_currency_has_no_use_for_are_no_decimals() -> None:
    text = (ROOT / "shop.toml").read_text()
    rules = parse(text.replace('currency = "USD"', 'currency = "KWD"'))

    assert [found.price_minor for found in drafts(rules, {**LONE, "Variant Price": "30.1250"})] == [30125]


def test_ids_that_would_be_alike_or_too_long_stay_apart_and_the_same_each_time(rules: Rules) -> None:
    long = {**LONE, "Handle": "a" * 70 + "-1"}
    rows = [
        {**TEE, "Option1 Value": "S/M"},
        {"Handle": "field-tee", "Option1 Value": "S M", "Variant Price": "1"},
        long,
        {**long, "Handle": "a" * 70 + "-2"},
    ]

    ids = [row.new_id for row in read(rules, *rows) if isinstance(row, ReadRow)]

    assert ids[0] == "field-tee-s-m"
    assert len(set(ids)) == 4
    assert all(len(product_id) <= 64 for product_id in ids)
    assert ids == [row.new_id for row in read(rules, *rows) if isinstance(row, ReadRow)]


def test_a_product_may_have_no_more_rows_than_shopify_allows(rules: Rules) -> None:
    rows = [{**TEE, "Option1 Value": "1"}]
    rows += [{"Handle": "field-tee", "Image Src": f"https://img.example/{n}.jpg"} for n in range(5000)]

    assert remarks(rules, *rows) == [
        (5002, True, "one product has more than 5000 rows"),
        (2, False, "has 4999 images; the first 50 are taken"),
    ]


@pytest.mark.parametrize("header", ["Handle,Body (HTML)", "Handle,Title,SKU,Variant SKU"])
def test_a_file_without_what_is_needed_is_refused(rules: Rules, header: str) -> None:
    with pytest.raises(UnreadableFile, match=r"line 1: "):
        list(shopify.read(TableFile(io.BytesIO(header.encode())), rules))


def test_our_own_header_is_not_shopifys() -> None:
    assert not shopify.is_shopify(["id", "sku", "name", "description", "price", "category"])
