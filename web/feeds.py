"""Our own CSV of products: one row each, the columns named as in the API. What is written can be read back.

Only `sku` is needed. A column that is absent leaves things as they are; so does an empty cell, unless the
column may be empty: then that is what it means.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Final

import msgspec
from pydantic import ValidationError

from db.exports import Exported
from shop.catalogue import Draft
from shop.money import format_amount
from shop.rules import Rules
from web.admin.drafts import draft, id_for
from web.admin.schemas import ProductUpsert
from web.csv_cells import guarded, unguarded
from web.problems import validation_faults
from web.tables import Remark, TableFile, UnreadableFile


@dataclass(frozen=True, slots=True)
class ReadRow:
    """A row that has the form of a product; `new_id` is its id in case it is a new one."""

    line: int
    draft: Draft
    new_id: str


_WHOLE = re.compile(r"[0-9]{1,12}")
_FLAGS = {"true": True, "false": False}
_NO_MAP = "{}"


def _text(cell: str) -> str:
    return cell.replace("\r\n", "\n").replace("\r", "\n") if "\r" in cell else cell


def _whole(cell: str) -> Any:
    return int(cell) if _WHOLE.fullmatch(cell.strip()) else cell


def _flag(cell: str) -> Any:
    return _FLAGS.get(cell.strip().lower(), cell)


def _map(cell: str) -> Any:
    try:
        return msgspec.json.decode(cell or _NO_MAP)
    except (ValueError, RecursionError):  # The latter for a cell that nests without end.
        return cell


_READ: Final[dict[str, Callable[[str], Any]]] = {
    "id": _text,
    "sku": _text,
    "name": _text,
    "description": _text,
    "description_html": _text,
    "price": str.strip,
    "category": _text,
    "stock_quantity": _whole,
    "images": str.split,
    "specifications": _map,
    "tax_class": _text,
    "weight_grams": _whole,
    "group_id": _text,
    "options": _map,
    "is_active": _flag,
    "low_stock_threshold": _whole,
}
COLUMNS: Final = tuple(_READ)
_MAY_BE_EMPTY = frozenset({"sku", "description", "description_html", "images", "specifications", "group_id", "options"})
_EXPECTED: Final = {
    "price": "write an amount such as 14.50",
    "stock_quantity": "write a whole number from 0 to 1000000000",
    "weight_grams": "write a whole number of grams",
    "low_stock_threshold": "write a whole number from 0 to 1000000000",
    "is_active": "write true or false",
    "images": "write URLs (https://…) or paths that begin with /, separated by spaces",
    "specifications": 'write a JSON object of texts, such as {"Height": "9 cm"}',
    "options": 'write a JSON object of texts, such as {"Size": "Large"}',
    "id": "use letters, digits, dots, hyphens and underscores, at most 64",
    "group_id": "use letters, digits, dots, hyphens and underscores, at most 64",
}
"""What to say instead of pydantic's words, which speak of patterns and types."""
_FORM_FAULTS = frozenset({"string_pattern_mismatch", "int_type", "bool_type", "dict_type", "string_type"})


def read(table: TableFile, rules: Rules) -> Iterator[ReadRow | Remark]:
    """The products of a file, and what is wrong with its other rows. Raises UnreadableFile."""
    columns = _columns(table.header)
    for row in table.rows():
        if isinstance(row, Remark):
            yield row
        else:
            yield from _product(row[0], columns, row[1], rules)


def _columns(header: Sequence[str]) -> list[str]:
    """The header, if it has only columns we know, each once."""
    names = [name.lower() for name in header]
    for number, name in enumerate(names):
        if name not in _READ:
            near = get_close_matches(name, COLUMNS, 1, cutoff=0.5)
            help_ = f"did you mean {near[0]}?" if near else f"the columns are {', '.join(COLUMNS)}"
            raise UnreadableFile(f"line 1: there is no column {header[number][:100]!r}; {help_}")
        if name in names[:number]:
            raise UnreadableFile(f"line 1: the column {name} is there twice")
    if "sku" not in names:
        raise UnreadableFile("line 1: the column sku is missing: products are known by it")
    return names


def _product(line: int, columns: Sequence[str], cells: Sequence[str], rules: Rules) -> Iterator[ReadRow | Remark]:
    said: dict[str, Any] = {}
    for name, cell in zip(columns, cells, strict=True):
        if cell or name in _MAY_BE_EMPTY:
            said[name] = _READ[name](unguarded(cell))
    found = checked(line, said, rules)
    if isinstance(found, Draft):
        if "description_html" not in said and found.description_html == "":
            # This file has no such column: the HTML stays while the plain text says the same.
            found = replace(found, description_html=None)
        yield ReadRow(line, found, id_for(found.sku) if found.id is None else found.id)
    else:
        yield from found


def checked(line: int, said: dict[str, Any], rules: Rules) -> Draft | list[Remark]:
    """What a row says as a draft, or everything that is wrong with it."""
    try:
        body = ProductUpsert.model_validate(said)
    except ValidationError as error:
        return [Remark(line, message) for message in _messages(error)]
    made, faults = draft(body, rules)
    return [Remark(line, f"{(fault.pointer or '')[1:]}: {fault.message}") for fault in faults] or made


def _messages(error: ValidationError) -> Iterator[str]:
    details = error.errors(include_url=False, include_input=False, include_context=False)
    for fault, found in zip(validation_faults(error, parameters=False), details, strict=False):
        name = (fault.pointer or "")[1:].split("/")[0]
        yield f"{name}: {_EXPECTED.get(name, fault.message) if found['type'] in _FORM_FAULTS else fault.message}"


# ---------------------------------------------------------------- writing


def write(products: Iterable[Exported], digits: int) -> Iterator[str]:
    """The file in pieces: the header, then some lines for each product. `digits` is the currency's exponent."""
    piece = io.StringIO()
    writer = csv.writer(piece)
    writer.writerow(COLUMNS)
    for product in products:
        writer.writerow([guarded(cell) for cell in _cells(product, digits)])
        yield piece.getvalue()
        piece.seek(0)
        piece.truncate()
    yield piece.getvalue()


def _cells(product: Exported, digits: int) -> tuple[str, ...]:
    return (
        product.id,
        product.sku,
        product.name,
        product.description,
        product.description_html or "",
        format_amount(product.price_minor, digits),
        product.category,
        str(product.stock_quantity),
        " ".join(msgspec.json.decode(product.images)),
        "" if product.specifications == _NO_MAP else product.specifications,
        product.tax_class,
        str(product.weight_grams),
        product.group_id or "",
        "" if product.options == _NO_MAP else product.options,
        "true" if product.is_active else "false",
        str(product.low_stock_threshold),
    )
