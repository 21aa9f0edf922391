"""Our CSV of products: what is written can be read back, and what is wrong is told with its line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.exports import Exported
from shop.catalogue import Draft
from shop.descriptions import plain_text, sanitize
from shop.rules import Rules
from web import feeds
from web.feeds import ReadRow
from web.tables import Remark, TableFile, UnreadableFile


def read(text: str | bytes, rules: Rules) -> list[ReadRow | Remark]:
    raw = text if isinstance(text, bytes) else text.encode()
    return list(feeds.read(TableFile(io.BytesIO(raw)), rules))


def drafts(text: str | bytes, rules: Rules) -> list[Draft]:
    rows = read(text, rules)
    assert all(isinstance(row, ReadRow) for row in rows), rows
    return [row.draft for row in rows if isinstance(row, ReadRow)]


def remarks(text: str | bytes, rules: Rules) -> list[tuple[int, str]]:
    return [(row.line, row.message) for row in read(text, rules) if isinstance(row, Remark)]


def refusal(text: str | bytes, rules: Rules) -> str:
    with pytest.raises(UnreadableFile) as refused:
        read(text, rules)
    return str(refused.value)


# ---------------------------------------------------------------- reading


def test_a_row_says_everything_of_a_product(rules: Rules) -> None:
    text = (
        "id,sku,name,description,description_html,price,category,stock_quantity,images,specifications,tax_class,"
        "weight_grams,group_id,options,is_active,low_stock_threshold\r\n"
        'mug,MUG-1,Mug,Holds tea.,<p>Holds tea.</p>,14.50,Kitchen,7,/a.svg https://a.example/b.png,"{""Height"":""9""}",'
        'reduced,320,mugs,"{""Size"": ""L""}",FALSE,3\r\n'
    )

    assert drafts(text, rules) == [
        Draft(
            sku="MUG-1",
            id="mug",
            name="Mug",
            description="Holds tea.",
            description_html="<p>Holds tea.</p>",
            price_minor=1450,
            category="Kitchen",
            stock_quantity=7,
            images=["/a.svg", "https://a.example/b.png"],
            specifications={"Height": "9"},
            tax_class="reduced",
            weight_grams=320,
            group_id="mugs",
            options={"Size": "L"},
            is_active=False,
            low_stock_threshold=3,
        )
    ]


def test_only_the_sku_is_needed(rules: Rules) -> None:
    assert drafts("sku\nA\nB\n", rules) == [Draft("A"), Draft("B")]


def test_an_empty_cell_means_none_where_there_may_be_none_and_leaves_the_rest(rules: Rules) -> None:
    header = ",".join(feeds.COLUMNS)

    assert drafts(f"{header}\n,A{',' * 14}\n", rules) == [
        Draft("A", description="", description_html="", images=[], specifications={}, group_id="", options={})
    ]


def test_html_alone_brings_its_plain_text_along(rules: Rules) -> None:
    [found] = drafts("sku,description_html\nA,<p>Holds <b>tea</b>.</p><script>x</script>\n", rules)

    assert (found.description, found.description_html) == ("Holds tea.", "<p>Holds <b>tea</b>.</p>")


def test_plain_text_in_a_file_without_html_says_nothing_of_the_html(rules: Rules) -> None:
    assert drafts("sku,description\nA,Holds tea.\n", rules) == [Draft("A", description="Holds tea.")]


def test_the_id_of_a_new_product_is_made_from_its_sku(rules: Rules) -> None:
    rows = read("id,sku\n,Mug No. 1\n,MUG-1\ncup,CUP\n,---\n", rules)

    assert [row.new_id for row in rows if isinstance(row, ReadRow)] == ["mug-no-1", "mug-1", "cup", ""]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_every_program_writes_its_own_kind_of_csv(rules: Rules, delimiter: str, ending: str, mark: bytes) -> None:
    text = ending.join(("Sku,Description,Price", 'A,"Tea, green",1.50', "B,Cup,2", "")).replace(",", delimiter)

    found = drafts(mark + text.encode(), rules)

    assert [(draft.sku, draft.description) for draft in found] == [("A", f"Tea{delimiter} green"), ("B", "Cup")]


def test_line_breaks_inside_a_cell_are_kept_and_counted(rules: Rules) -> None:
    text = 'sku,description\r\nA,"one\r\ntwo\r\nthree"\r\n\r\nB,x\r\nC,"y\nz"\r\nD,,\r\n'

    rows = read(text, rules)

    assert [row.line for row in rows] == [2, 6, 7, 9]
    assert drafts(text.removesuffix("D,,\r\n"), rules)[0].description == "one\ntwo\nthree"


def test_rows_of_nothing_but_commas_are_skipped(rules: Rules) -> None:
    assert drafts("sku,name\nA,Mug\n,\n\n,\n", rules) == [Draft("A", name="Mug")]


# ---------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"price": "14,50"}, "price: write an amount such as 14.50"),
        ({"price": "-1"}, "price: write an amount such as 14.50"),
        ({"price": "1.999"}, "price: '1.999' is not an amount with at most 2 decimal digits"),
        ({"stock_quantity": "7.5"}, "stock_quantity: write a whole number from 0 to 1000000000"),
        ({"stock_quantity": "-7"}, "stock_quantity: write a whole number from 0 to 1000000000"),
        ({"stock_quantity": "1000000001"}, "stock_quantity: Input should be less than or equal to 1000000000"),
        ({"is_active": "maybe"}, "is_active: write true or false"),
        ({"specifications": "blue"}, 'specifications: write a JSON object of texts, such as {"Height": "9 cm"}'),
        ({"specifications": "[1]"}, 'specifications: write a JSON object of texts, such as {"Height": "9 cm"}'),
        ({"options": '{"Size": 5}'}, 'options: write a JSON object of texts, such as {"Size": "Large"}'),
        ({"id": "no spaces"}, "id: use letters, digits, dots, hyphens and underscores, at most 64"),
        ({"images": "javascript:alert(1)"}, "images: write a URL (https://…) or a path that begins with /"),
        ({"images": '/a".svg'}, "images: write URLs (https://…) or paths that begin with /, separated by spaces"),
        ({"tax_class": "luxury"}, "tax_class: there is no tax class luxury; shop.toml has standard, reduced, zero"),
        ({"name": "a\x00b"}, "name: control characters and line breaks are not allowed"),
        ({"description": "a\x1bb"}, "description: control characters are not allowed"),
        ({"description_html": "&" * 30_000}, "description_html: is longer than 100000 characters once it is made safe"),
        ({"description_html": "x " * 12_000}, "description_html: says more than 20000 characters"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_cell_that_cannot_be_is_told_with_its_line(rules: Rules, cells: dict[str, str], message: str) -> None:
    row = ",".join('"' + cell.replace('"', '""') + '"' for cell in cells.values())

    assert remarks(f"sku,{','.join(cells)}\nA,{row}\n", rules) == [(2, message)]


def test_everything_wrong_with_a_row_is_told(rules: Rules) -> None:
    assert remarks("sku,price,is_active\n,x,y\n", rules) == [
        (2, "sku: String should have at least 1 character"),
        (2, "price: write an amount such as 14.50"),
        (2, "is_active: write true or false"),
    ]


def test_bad_rows_do_not_hide_the_good_ones_behind_them(rules: Rules) -> None:
    text = 'sku,name\nA\nB,x,y\nC,"z"z\nD,"' + "x" * 300_000 + '"\nE,e\nF,"never\nclosed\n'

    rows = read(text, rules)

    assert [(row.line, row.message) for row in rows if isinstance(row, Remark)] == [
        (2, "has 1 cells, the header has 2"),
        (3, "has 3 cells, the header has 2"),
        (4, 'has a quotation mark inside a quoted cell; write it twice: ""'),
        (5, "has a cell of more than 262144 characters; is a quotation mark missing?"),
        (7, "begins a cell with a quotation mark that is never closed"),
    ]
    assert [row.draft.sku for row in rows if isinstance(row, ReadRow)] == ["E"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: there is no header: name the columns"),
        ("\n\nsku\n", "line 1: there is no header: name the columns"),
        ("name,price\n", "line 1: the column sku is missing: products are known by it"),
        ("sku,pric\n", "line 1: there is no column 'pric'; did you mean price?"),
        ("sku,Stock\n", "line 1: there is no column 'Stock'; did you mean stock_quantity?"),
        ("sku,price,SKU\n", "line 1: the column sku is there twice"),
        (b"sku,name\nA,Caf\xe9\n", "line 2: byte 6 is not UTF-8; save the file as CSV in UTF-8"),
        (b"sku,Stra\xdfe\n", "line 1: byte 9 is not UTF-8; save the file as CSV in UTF-8"),
        (
            "sku,name\n".encode("utf-16"),
            "line 1: this is not UTF-8 (it looks like UTF-16 or no text at all); save the file as CSV in UTF-8",
        ),
        (b"PK\x03\x04\n", "line 1: this is a spreadsheet or a ZIP file; save the file as CSV in UTF-8"),
        ('sku,"na\n', "line 1: begins a cell with a quotation mark that is never closed"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_file_of_which_nothing_can_be_used_says_why(rules: Rules, text: str | bytes, message: str) -> None:
    assert refusal(text, rules) == message


def test_an_unknown_column_like_no_other_is_told_all_there_are(rules: Rules) -> None:
    assert refusal("sku,zzz\n", rules).endswith("the columns are " + ", ".join(feeds.COLUMNS))


def test_a_header_quoted_over_two_lines_is_only_an_unknown_column(rules: Rules) -> None:
    assert refusal('sku,"na\nme"\nA,x\n', rules) == r"line 1: there is no column 'na\nme'; did you mean name?"


@given(st.binary(max_size=300))
def test_no_bytes_whatever_make_it_stumble(rules: Rules, noise: bytes) -> None:
    with suppress(UnreadableFile):
        read(b"sku,name,price\n" + noise, rules)


# ---------------------------------------------------------------- there and back

HOSTILE = [
    "=1+1",
    "+1",
    "-1",
    "@x",
    "'",
    "''=x",
    "'=x",
    '"',
    '""',
    ",",
    ";",
    "\\",
    "{",
    "é",
    "😀",
    "שלום",
    "\u202e",
    "a b",
]
_visible = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])
_line = st.one_of(st.sampled_from(HOSTILE), st.text(_visible, min_size=1, max_size=20)).map(str.strip).filter(bool)
_lines = st.lists(_line, max_size=3).map("\n".join)
_html = st.one_of(st.just(None), _lines.map(sanitize), _lines.map(lambda text: sanitize(f"<p>{text}</p>")))
_maps = st.dictionaries(_line, _line, max_size=3)
_images = st.lists(st.sampled_from(["/a.svg", "https://a.example/b.png?x=1,2", "/=c"]), max_size=3)


@st.composite
def exported(draw: Any) -> Exported:
    return Exported(
        id=draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)),
        sku=draw(_line),
        name=draw(_line),
        description=draw(_lines),
        description_html=draw(_html) or None,
        price_minor=draw(st.integers(0, 10**11)),
        category=draw(_line),
        stock_quantity=draw(st.integers(0, 10**9)),
        images=json.dumps(draw(_images)),
        specifications=json.dumps(draw(_maps)),
        tax_class=draw(st.sampled_from(["standard", "reduced", "zero"])),
        weight_grams=draw(st.integers(0, 10**8)),
        group_id=draw(st.one_of(st.none(), st.from_regex(r"[a-z][a-z0-9._-]{0,9}", fullmatch=True))),
        options=json.dumps(draw(_maps)),
        is_active=draw(st.booleans()),
        low_stock_threshold=draw(st.integers(0, 10**9)),
    )


def as_draft(product: Exported) -> Draft:
    return Draft(
        **{
            **product._asdict(),
            "description_html": product.description_html or "",
            "group_id": product.group_id or "",
            **{name: json.loads(getattr(product, name)) for name in ("images", "specifications", "options")},
        }
    )


def written(products: Iterable[Exported]) -> str:
    return "".join(feeds.write(products, 2))


@given(st.lists(exported(), max_size=4))
@settings(max_examples=150)
def test_what_is_written_is_read_back_as_it_was(rules: Rules, products: list[Exported]) -> None:
    assert drafts(written(products), rules) == [as_draft(product) for product in products]


@given(exported())
def test_no_cell_that_is_written_runs_as_a_formula(rules: Rules, product: Exported) -> None:
    rows = list(csv.reader(io.StringIO(written([product]), newline="")))

    assert all(not cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row)


def test_a_file_without_products_is_a_header(rules: Rules) -> None:
    assert written([]) == ",".join(feeds.COLUMNS) + "\r\n"


def test_the_plain_text_of_html_can_be_read_back(rules: Rules) -> None:
    html = sanitize("<p>5 &lt; 6&#127;</p><td>x")
    row = Exported("a", "A", "A", plain_text(html), html, 1, "C", 0, "[]", "{}", "standard", 0, None, "{}", True, 5)

    assert drafts(written([row]), rules) == [replace(as_draft(row), description="5 < 6\nx")]


def test_a_cell_that_nests_without_end_is_a_remark_and_no_crash(rules: Rules) -> None:
    table = TableFile(io.BytesIO(b"sku,specifications\nMUG," + b"[" * 100_000 + b"\n"))

    (remark,) = feeds.read(table, rules)

    assert isinstance(remark, Remark)
    assert remark.line == 2
