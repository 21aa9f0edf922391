"""Reading every product, for a file: in short looks, so that nobody waits for it and it waits for nobody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Text, select, true, type_coerce

from db.models import Category, ProductRow
from db.session import Database

ROWS_AT_ONCE = 500


class Exported(NamedTuple):
    """A product and its category's name; `images`, `specifications` and `options` as JSON text."""

    id: str
    sku: str
    name: str
    description: str
    description_html: str | None
    price_minor: int
    category: str
    stock_quantity: int
    images: str
    specifications: str
    tax_class: str
    weight_grams: int
    group_id: str | None
    options: str
    is_active: bool
    low_stock_threshold: int


_QUERY = (
    select(
        ProductRow.id,
        ProductRow.sku,
        ProductRow.name,
        ProductRow.description,
        ProductRow.description_html,
        ProductRow.price_minor,
        Category.name,
        ProductRow.stock_quantity,
        type_coerce(ProductRow.images, Text),
        type_coerce(ProductRow.specifications, Text),
        ProductRow.tax_class,
        ProductRow.weight_grams,
        ProductRow.group_id,
        type_coerce(ProductRow.options, Text),
        ProductRow.is_active,
        ProductRow.low_stock_threshold,
    )
    .join(Category, Category.id == ProductRow.category_id)
    .order_by(ProductRow.id)
    .limit(ROWS_AT_ONCE)
)


def products(database: Database, active_only: bool = False) -> Iterator[Exported]:
    """Every product in the order of their ids. Raises Unavailable."""
    query = _QUERY.where(ProductRow.is_active == true()) if active_only else _QUERY
    last = ""
    while True:
        with database.reading() as session:
            rows = session.execute(query.where(ProductRow.id > last)).all()
        yield from map(Exported._make, rows)
        if len(rows) < ROWS_AT_ONCE:
            return
        last = rows[-1][0]
