"""Products in SQL: what carts, settlements and a product's page ask; the shopper's list is in db.product_list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, true
from sqlalchemy.orm import Session

from db.lookups import Look, Lookup
from db.models import Category, ProductRow
from db.planner import unindexed
from shop.catalogue import Product

MOST_IDS = 10_000
"""In one statement: databases end at 32,766 or 65,535 parameters, a large batch of large carts does not."""
_PRICED = (
    ProductRow.id,
    ProductRow.sku,
    ProductRow.name,
    ProductRow.price_minor,
    ProductRow.stock_quantity,
    ProductRow.tax_class,
    ProductRow.weight_grams,
)
_COLUMNS = ProductRow.__table__.c
# Most are: SQLite would read all of them rather than the few that share a group.
_IS_ACTIVE = unindexed(ProductRow.is_active) == true()
# On the table, not on the class: a settlement has no use for what the ORM adds to each row.
_LOOK = select(*(_COLUMNS[column.key] for column in (*_PRICED, ProductRow.is_active))).order_by(_COLUMNS.id)
# NO KEY: who writes a movement or a line only needs the product to stay, and must not wait for this.
_LOCK = _LOOK.with_for_update(key_share=True)
_SOLD = (*_PRICED, ProductRow.image_url, ProductRow.options, ProductRow.is_active)


_sold = Lookup(ProductRow, "id", only=[column.key for column in _SOLD])


def load(look: Look, product_ids: Iterable[str]) -> dict[str, Product]:
    """Products by id; a missing id is missing."""
    rows = (_sold.one(look, product_id) for product_id in set(product_ids))
    return {row.id: _product(row) for row in rows if row}


def lock(session: Session, product_ids: Iterable[str], *, hold: bool = True) -> dict[str, Product]:
    """Products by id, without what only a page shows, held until the transaction ends.

    In id order, so that two settlements that want the same rows cannot deadlock. SQLite ignores
    FOR UPDATE; there the whole transaction is exclusive from its BEGIN. Without `hold` it is only a look.
    """
    wanted = sorted(set(product_ids))
    connection = session.connection()
    found: dict[str, Product] = {}
    for first in range(0, len(wanted), MOST_IDS):
        query = (_LOCK if hold else _LOOK).where(_COLUMNS.id.in_(wanted[first : first + MOST_IDS]))
        for row in connection.execute(query):
            found[row[0]] = _priced(row)
    return found


def _priced(row: Any) -> Product:
    product_id, sku, name, price_minor, stock_quantity, tax_class, weight_grams, is_active = row
    return Product(product_id, sku, name, price_minor, stock_quantity, tax_class, weight_grams, is_active=is_active)


def _product(row: Any) -> Product:
    return Product(*row)


def escaped(word: str) -> str:
    """A word as a part of a LIKE pattern that escapes by a backslash."""
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


@dataclass(frozen=True, slots=True)
class Group:
    """What a list says of a product's variants."""

    variants: int
    min_price_minor: int
    max_price_minor: int
    units: int


def groups(session: Session, group_ids: Iterable[str | None]) -> dict[str, Group]:
    """The active variants of these groups, summed up."""
    wanted = sorted({group_id for group_id in group_ids if group_id})
    if not wanted:
        return {}
    price = ProductRow.price_minor
    rows = session.execute(
        select(ProductRow.group_id, func.count(), func.min(price), func.max(price), func.sum(ProductRow.stock_quantity))
        .where(ProductRow.group_id.in_(wanted), _IS_ACTIVE)
        .group_by(ProductRow.group_id)
    )
    return {str(row[0]): Group(int(row[1]), int(row[2]), int(row[3]), int(row[4])) for row in rows}


def get(session: Session, product_id: str) -> ProductRow | None:
    """An active product."""
    return session.scalar(select(ProductRow).where(ProductRow.id == product_id, _IS_ACTIVE))


def siblings(session: Session, group_id: str) -> Sequence[ProductRow]:
    """The active variants of a group."""
    query = select(ProductRow).where(ProductRow.group_id == group_id, _IS_ACTIVE)
    return session.scalars(query.order_by(ProductRow.id)).all()


def category_id(session: Session, name_or_id: str) -> int | None:
    """A category by its name, whatever the case, or by its id."""
    if name_or_id.isascii() and name_or_id.isdigit() and len(name_or_id) < 10:
        found = session.scalar(select(Category.id).where(Category.id == int(name_or_id)))
        if found is not None:
            return found
    return session.scalar(select(Category.id).where(func.lower(Category.name) == func.lower(name_or_id)))
