"""Shopify's product export as it is: one row for each variant and image, what belongs to the product on its first.

Shopify renamed the columns once; both sets are read. Rows of one product follow one another, so that a file
of any size is read product by product.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from slugify import slugify

from shop.catalogue import Draft
from shop.rules import Rules
from web.admin.drafts import LONGEST_ID
from web.feeds import ReadRow, checked
from web.tables import Remark, TableFile, UnreadableFile

_NAMES: Final = {
    "handle": "handle",
    "url handle": "handle",
    "title": "title",
    "body (html)": "body",
    "description": "body",
    "vendor": "vendor",
    "product category": "product category",
    "type": "type",
    "tags": "tags",
    "published": "published",
    "published on online store": "published",
    "status": "status",
    "gift card": "gift card",
    **{f"option{number} {part}": f"option{number} {part}" for number in (1, 2, 3) for part in ("name", "value")},
    "variant sku": "sku",
    "sku": "sku",
    "variant barcode": "barcode",
    "barcode": "barcode",
    "variant grams": "grams",
    "weight value (grams)": "grams",
    "variant inventory qty": "quantity",
    "inventory quantity": "quantity",
    "variant price": "price",
    "price": "price",
    "variant taxable": "taxable",
    "charge tax": "taxable",
    "image src": "image",
    "product image url": "image",
    "image position": "image position",
    "variant image": "variant image",
    "variant image url": "variant image",
}
"""Shopify's headers, old and new, in small letters, and what we call them here. All others say nothing to us."""
MOST_ROWS: Final = 5000
"""Of one product; Shopify allows 2,048 variants and 250 images."""
MOST_IMAGES: Final = 50
_LONGEST_VALUE = 1000
_NO_OPTION = ("title", "default title")
_HASH_CHARS = 8
_ZERO_TAX = "zero"
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_NUMBER = re.compile(r"[+-]?[0-9]{1,12}(?:\.[0-9]{0,9})?")
_TAGS_APART = re.compile(r"\s*,\s*")

Cells = Mapping[str, str]
Row = tuple[int, Cells]
"""A line's number and its cells by our names; a column that the file lacks is missing."""


def is_shopify(header: Sequence[str]) -> bool:
    """Whether this is the header of a product export of Shopify's."""
    names = {_NAMES.get(name.lower()) for name in header}
    return {"handle", "title"} <= names or {"title", "option1 value"} <= names


def read(table: TableFile, rules: Rules) -> Iterator[ReadRow | Remark]:
    """The products of a file, one for each variant, and what is wrong or odd with its rows.

    Raises UnreadableFile.
    """
    columns = _columns(table.header)
    group: list[Row] = []
    for row in table.rows():
        if isinstance(row, Remark):
            yield row
            continue
        cells = {columns[place]: _cleaned(cell) for place, cell in enumerate(row[1]) if place in columns}
        if group and not _belongs(cells, group[0][1]):
            yield from _product(group, rules)
            group = []
        if len(group) == MOST_ROWS:
            yield Remark(row[0], f"one product has more than {MOST_ROWS} rows")
        else:
            group.append((row[0], cells))
    if group:
        yield from _product(group, rules)


def _cleaned(cell: str) -> str:
    """A cell without the line separators and control characters that editors leave in texts; tabs and lines stay."""
    return (_UNPRINTABLE.sub(" ", cell.replace("\r\n", "\n")) if _UNPRINTABLE.search(cell) else cell).strip()


def _columns(header: Sequence[str]) -> dict[int, str]:
    columns = {place: _NAMES[name.lower()] for place, name in enumerate(header) if name.lower() in _NAMES}
    names = list(columns.values())
    if twice := [name for name in names if names.count(name) > 1]:
        raise UnreadableFile(f"line 1: two columns say the {twice[0]}")
    if "title" not in names:
        raise UnreadableFile("line 1: the column Title is missing")
    return columns


def _belongs(cells: Cells, first: Cells) -> bool:
    """Whether a row goes on with the product of a first row."""
    handle = cells.get("handle")
    return handle == first.get("handle") if handle else not cells["title"]


# ---------------------------------------------------------------- a product


@dataclass(frozen=True, slots=True)
class _Family:
    """What all variants of a product share."""

    slug: str
    title: str
    option_names: tuple[str, ...]
    images: tuple[str, ...]
    shared: dict[str, Any]
    specifications: dict[str, str]


def _product(rows: Sequence[Row], rules: Rules) -> Iterator[ReadRow | Remark]:
    line, first = rows[0]
    slug = _shortened(slugify(first.get("handle") or first["title"]), first.get("handle") or first["title"])
    if not first["title"] or not slug:
        what = "a handle of letters or digits" if first["title"] else "a Title on its first row"
        yield Remark(line, f"this product lacks {what}; the rows of one product follow one another")
        return
    names = tuple(first.get(f"option{number} name", "") for number in (1, 2, 3))
    images = _images(rows)
    family = _Family(slug, first["title"], names, images, _shared(first), _specifications(first))
    yield from _remarks(line, first, images)
    variants = [row for row in rows if _is_variant(row[1])] or [rows[0]]
    seen: set[str] = set()
    for number, cells in variants:
        options = _options(family, cells)
        product_id = _variant_id(family, options, len(variants) > 1)
        if product_id in seen:  # "S/M" and "S M" are both s-m.
            product_id = _shortened(product_id, " ".join(options.values()), always=True)
        seen.add(product_id)
        yield from _variant(number, family, cells, options, product_id, len(variants) > 1, rules)


def _is_variant(cells: Cells) -> bool:
    return any(cells.get(name) for name in ("option1 value", "sku", "price"))


def _shared(first: Cells) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if category := first.get("type") or first.get("product category", "").rsplit(">", 1)[-1].strip():
        said["category"] = category
    if "body" in first:
        said["description_html"] = first["body"]
    if {"published", "status"} & first.keys() or _yes(first.get("gift card")):
        shown = first.get("published", "").lower() != "false" and first.get("status", "").lower() in ("", "active")
        said["is_active"] = shown and not _yes(first.get("gift card"))
    return said


def _remarks(line: int, first: Cells, images: Sequence[str]) -> Iterator[Remark]:
    if _yes(first.get("gift card")):
        yield Remark(line, "is a gift card, which this shop cannot issue: not active", is_fault=False)
    if len(images) > MOST_IMAGES:
        yield Remark(line, f"has {len(images)} images; the first {MOST_IMAGES} are taken", is_fault=False)


def _specifications(first: Cells) -> dict[str, str]:
    """What shoppers may want to know and we have no column for."""
    tags = ""
    for tag in _TAGS_APART.split(first.get("tags", "")):
        longer = f"{tags}, {tag}" if tags else tag
        if len(longer) > _LONGEST_VALUE:
            break
        tags = longer
    return {name: value for name, value in (("Vendor", first.get("vendor", "")), ("Tags", tags)) if value}


def _images(rows: Iterable[Row]) -> tuple[str, ...]:
    """The product's images by their positions; those without one come last."""
    found = [(_position(cells), cells["image"]) for _, cells in rows if cells.get("image")]
    return tuple(dict.fromkeys(_absolute(url) for _, url in sorted(found, key=lambda image: image[0])))


def _position(cells: Cells) -> int:
    text = cells.get("image position", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 10**9


def _absolute(url: str) -> str:
    return f"https:{url}" if url.startswith("//") else url.replace(" ", "%20")


# ---------------------------------------------------------------- a variant


def _variant(
    line: int,
    family: _Family,
    cells: Cells,
    options: dict[str, str],
    product_id: str,
    grouped: bool,
    rules: Rules,
) -> Iterator[ReadRow | Remark]:
    said = {
        **family.shared,
        # Shopify writes an apostrophe before numbers, so that a spreadsheet leaves them alone.
        "sku": cells.get("sku", "").removeprefix("'") or product_id,
        "name": ", ".join([family.title, *options.values()]),
        **_details(family, cells),
    }
    if grouped or "option1 value" in cells:
        said |= {"group_id": family.slug if grouped else "", "options": options}
    if price := cells.get("price"):
        said["price"] = _exact(price, rules.digits)
    numbers, remarks = _numbers(line, cells)
    said |= numbers
    if cells.get("taxable", "").lower() == "false":
        if _ZERO_TAX in rules.tax.classes:
            said["tax_class"] = _ZERO_TAX
        else:
            message = f"is not taxed; shop.toml needs a tax class {_ZERO_TAX!r} for such products"
            remarks.append(Remark(line, f"tax_class: {message}"))
    found = checked(line, said, rules)
    yield from remarks
    if not isinstance(found, Draft):
        yield from found
    elif not any(remark.is_fault for remark in remarks):
        yield ReadRow(line, found, product_id)


def _details(family: _Family, cells: Cells) -> dict[str, Any]:
    """Images and specifications, if the file has columns for them."""
    said: dict[str, Any] = {}
    if {"image", "variant image"} & cells.keys():
        own = [_absolute(cells["variant image"])] if cells.get("variant image") else []
        said["images"] = list(dict.fromkeys([*own, *family.images]))[:MOST_IMAGES]
    if {"vendor", "tags", "barcode"} & cells.keys():
        barcode = cells.get("barcode", "").removeprefix("'")
        said["specifications"] = {**family.specifications, **({"Barcode": barcode} if barcode else {})}
    return said


def _numbers(line: int, cells: Cells) -> tuple[dict[str, int], list[Remark]]:
    """Stock and weight, and what is to be said about them."""
    numbers: dict[str, int] = {}
    remarks = []
    for column, field in (("quantity", "stock_quantity"), ("grams", "weight_grams")):
        if text := cells.get(column):
            number = _rounded(text)
            if number is None:
                remarks.append(Remark(line, f"{field}: {text[:40]!r} is not a number"))
            elif number < 0:
                remarks.append(Remark(line, f"{field}: {text[:40]} counts as 0", is_fault=False))
            numbers[field] = max(number or 0, 0)
    return numbers, remarks


def _options(family: _Family, cells: Cells) -> dict[str, str]:
    """What the variant is; `Title: Default Title` says that there is nothing to choose."""
    values = (cells.get(f"option{number} value", "") for number in (1, 2, 3))
    found = {
        name or f"Option {number}": value
        for number, name, value in zip((1, 2, 3), family.option_names, values, strict=True)
        if value
    }
    alone = [(name.lower(), value.lower()) for name, value in found.items()]
    return {} if alone == [_NO_OPTION] else found


def _variant_id(family: _Family, options: Mapping[str, str], grouped: bool) -> str:
    if not grouped or not options:
        return family.slug
    parts = " ".join(options.values())
    return _shortened(f"{family.slug}-{slugify(parts)}".rstrip("-"), parts)


def _shortened(slug: str, source: str, always: bool = False) -> str:
    """A slug that fits an id; two long ones that begin alike stay apart by the hash of where they come from."""
    if len(slug) <= LONGEST_ID and not always:
        return slug
    mark = hashlib.sha256(f"{slug} {source}".encode()).hexdigest()[:_HASH_CHARS]
    return f"{slug[: LONGEST_ID - _HASH_CHARS - 1].rstrip('-')}-{mark}"


def _exact(price: str, digits: int) -> str:
    """The price without zeros that its currency has no use for: Shopify writes 1000.00 yen."""
    whole, _, part = price.partition(".")
    kept, rest = part[:digits], part[digits:]
    if rest.strip("0"):
        return price
    return f"{whole}.{kept}" if kept else whole


def _rounded(text: str) -> int | None:
    """The nearest whole number, halves away from zero; None if it is no plain number."""
    return int(Decimal(text).to_integral_value("ROUND_HALF_UP")) if _NUMBER.fullmatch(text) else None


def _yes(text: str | None) -> bool:
    return (text or "").lower() == "true"
