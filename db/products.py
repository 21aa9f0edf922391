"""Products in SQL: what carts, settlements and the shopper's catalogue ask."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal, or_, select, true, tuple_
from sqlalchemy.orm import Session, aliased

from db.models import Category, ProductRow
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
# On the table, not on the class: a settlement has no use for what the ORM adds to each row.
_LOCK = (
    select(*(_COLUMNS[column.key] for column in (*_PRICED, ProductRow.is_active)))
    .order_by(_COLUMNS.id)
    .with_for_update()
)
_SOLD = (*_PRICED, ProductRow.image_url, ProductRow.options, ProductRow.is_active)


def load(session: Session, product_ids: Iterable[str]) -> dict[str, Product]:
    """Products by id; a missing id is missing."""
    rows = session.execute(select(*_SOLD).where(ProductRow.id.in_(sorted(set(product_ids)))))
    return {row[0]: _product(row) for row in rows}


def lock(session: Session, product_ids: Iterable[str]) -> dict[str, Product]:
    """Products by id, without what only a page shows, held until the transaction ends.

    In id order, so that two settlements that want the same rows cannot deadlock. SQLite ignores
    FOR UPDATE; there the whole transaction is exclusive from its BEGIN.
    """
    wanted = sorted(set(product_ids))
    connection = session.connection()
    found: dict[str, Product] = {}
    for first in range(0, len(wanted), MOST_IDS):
        query = _LOCK.where(_COLUMNS.id.in_(wanted[first : first + MOST_IDS]))
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
class Filter:
    """What a shopper narrows a list to; None means everything."""

    category_id: int | None = None
    min_price_minor: int | None = None
    max_price_minor: int | None = None
    available: bool | None = None
    text: str | None = None

    def conditions(self, product: Any, without: str = "") -> list[ColumnElement[bool]]:
        """The filter as SQL on a product table or alias, leaving out one facet of it."""
        found: list[ColumnElement[bool]] = [product.is_active == true()]
        if self.category_id is not None and without != "category":
            found.append(product.category_id == self.category_id)
        if self.min_price_minor is not None and without != "price":
            found.append(product.price_minor >= self.min_price_minor)
        if self.max_price_minor is not None and without != "price":
            found.append(product.price_minor <= self.max_price_minor)
        if self.available is not None and without != "availability":
            found.append(product.stock_quantity > 0 if self.available else product.stock_quantity <= 0)
        for word in (self.text or "").split():
            # The database lowers both sides: its idea of a word's small letters is not Python's.
            pattern = func.lower(f"%{escaped(word)}%")
            anywhere = (product.name, product.description, product.sku)
            found.append(or_(*(func.lower(column).like(pattern, escape="\\") for column in anywhere)))
        return found


SORTS: dict[str, tuple[Any, bool]] = {
    "price": (ProductRow.price_minor, False),
    "-price": (ProductRow.price_minor, True),
    "name": (ProductRow.name, False),
    "-created_at": (ProductRow.created_at, True),
}
"""A list's orders: the column, and whether it falls. The id is always the last key, in the same direction."""


def page(
    session: Session, wanted: Filter, sort: str, limit: int, offset: int = 0, after: tuple[Any, str] | None = None
) -> Sequence[ProductRow]:
    """One entry for each product or group of variants: of a group, the first variant that fits the filter.

    `after` is the sort value and id of the last entry seen: a page costs the same however deep.
    """
    column, falls = SORTS[sort]
    query = _entries(wanted, select(ProductRow))
    if after is not None:
        here = tuple_(column, ProductRow.id)
        query = query.where(here < after if falls else here > after)
    keys = (column.desc(), ProductRow.id.desc()) if falls else (column, ProductRow.id)
    return session.scalars(query.order_by(*keys).limit(limit).offset(offset)).all()


def count(session: Session, wanted: Filter) -> int:
    """How many entries the whole list has."""
    return session.scalar(_entries(wanted, select(func.count()).select_from(ProductRow))) or 0


def _entries(wanted: Filter, query: Select[Any]) -> Select[Any]:
    sibling = aliased(ProductRow)
    earlier = (
        select(literal(1))
        .select_from(sibling)
        .where(sibling.group_id == ProductRow.group_id, sibling.id < ProductRow.id, *wanted.conditions(sibling))
        .correlate(ProductRow)
    )
    return query.where(*wanted.conditions(ProductRow), or_(ProductRow.group_id.is_(None), ~earlier.exists()))


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
        .where(ProductRow.group_id.in_(wanted), *Filter().conditions(ProductRow))
        .group_by(ProductRow.group_id)
    )
    return {str(row[0]): Group(int(row[1]), int(row[2]), int(row[3]), int(row[4])) for row in rows}


def get(session: Session, product_id: str) -> ProductRow | None:
    """An active product."""
    return session.scalar(select(ProductRow).where(ProductRow.id == product_id, *Filter().conditions(ProductRow)))


def siblings(session: Session, group_id: str) -> Sequence[ProductRow]:
    """The active variants of a group."""
    query = select(ProductRow).where(ProductRow.group_id == group_id, *Filter().conditions(ProductRow))
    return session.scalars(query.order_by(ProductRow.id)).all()


_ENTRY_ID = func.coalesce(ProductRow.group_id, ProductRow.id)


def facets(session: Session, wanted: Filter, names: Iterable[str], price_steps: Sequence[int]) -> dict[str, Any]:
    """Counts of entries for each value of a facet; a facet ignores its own filter (disjunctive).

    `price_steps` are the lower bounds of the price ranges, in minor units, ascending from 0.
    """
    found: dict[str, Any] = {}
    entries = func.count(func.distinct(_ENTRY_ID))
    if "category" in names:
        rows = session.execute(
            select(Category.id, Category.name, entries)
            .join(ProductRow, ProductRow.category_id == Category.id)
            .where(*wanted.conditions(ProductRow, without="category"))
            .group_by(Category.id, Category.name)
            .order_by(Category.name)
        )
        found["category"] = [{"id": row[0], "name": row[1], "count": row[2]} for row in rows]
    if "price" in names:
        found["price"] = []
        for low, high in zip(price_steps, [*price_steps[1:], None], strict=True):
            inside = [ProductRow.price_minor >= low]
            if high is not None:
                inside.append(ProductRow.price_minor < high)
            conditions = and_(*wanted.conditions(ProductRow, without="price"), *inside)
            found["price"].append(
                {"min": low, "below": high, "count": session.scalar(select(entries).where(conditions))}
            )
    if "availability" in names:
        conditions = and_(*wanted.conditions(ProductRow, without="availability"))
        available = session.scalar(select(entries).where(conditions, ProductRow.stock_quantity > 0))
        found["availability"] = {"available": available, "all": session.scalar(select(entries).where(conditions))}
    return found


def categories(session: Session) -> Sequence[tuple[int, str, str, int]]:
    """Every category: id, name, description and how many products (groups once) shoppers see in it."""
    query = (
        select(Category.id, Category.name, Category.description, func.count(func.distinct(_ENTRY_ID)))
        .outerjoin(ProductRow, and_(ProductRow.category_id == Category.id, *Filter().conditions(ProductRow)))
        .group_by(Category.id, Category.name, Category.description)
        .order_by(Category.name)
    )
    return [(row[0], row[1], row[2], row[3]) for row in session.execute(query)]


def category_id(session: Session, name_or_id: str) -> int | None:
    """A category by its name, whatever the case, or by its id."""
    if name_or_id.isascii() and name_or_id.isdigit() and len(name_or_id) < 10:
        found = session.scalar(select(Category.id).where(Category.id == int(name_or_id)))
        if found is not None:
            return found
    return session.scalar(select(Category.id).where(func.lower(Category.name) == func.lower(name_or_id)))
