"""The merchant's reads and writes of products and categories; what shoppers ask is in db.products."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, or_, select, tuple_, union_all
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db import stock
from db.models import Category, ProductRow, StockMovementRow, as_json
from db.planner import unindexed
from db.products import escaped
from db.session import CATALOGUE_KEY, take_turns
from shop.catalogue import LOW_STOCK, Draft
from shop.errors import CategoryExists, CategoryInUse, ProductExists, ProductSold

# ---------------------------------------------------------------- products: the list

_ENTRY = (
    ProductRow.id,
    ProductRow.sku,
    ProductRow.name,
    ProductRow.price_minor,
    ProductRow.category_id,
    ProductRow.image_url,
    ProductRow.stock_quantity,
    ProductRow.low_stock_threshold,
    ProductRow.is_active,
    ProductRow.group_id,
    ProductRow.options,
    ProductRow.created_at,
    ProductRow.updated_at,
    # In the same statement: between two, a category can lose its last product and go.
    select(Category.name).where(Category.id == ProductRow.category_id).scalar_subquery().label("category"),
)
"""What a list shows: descriptions may be long and stay where they are."""

SORTS: dict[str, tuple[str, bool]] = {
    "-created_at": ("created_at", True),
    "created_at": ("created_at", False),
    "name": ("name", False),
    "sku": ("sku", False),
    "stock": ("stock_quantity", False),
}
"""A list's orders: the column, and whether it falls. The id is always the last key, in the same direction."""
_BY_ACTIVITY = frozenset({"created_at", "name"})
"""Sorts whose indexes begin with `is_active`."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What a merchant narrows the list to; None means everything."""

    is_active: bool | None = None
    category_id: int | None = None
    text: str | None = None
    sku: str | None = None
    low_stock: bool = False

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filter as SQL, but for `is_active`."""
        found: list[ColumnElement[bool]] = []
        if self.low_stock:
            # Word for word what the index ix_products_low_stock says of itself.
            found.append(ProductRow.stock_quantity <= ProductRow.low_stock_threshold)
        if self.category_id is not None:
            column = unindexed(ProductRow.category_id) if self.low_stock else ProductRow.category_id
            found.append(column == self.category_id)
        if self.sku is not None:
            found.append(ProductRow.sku == self.sku)
        for word in (self.text or "").split():
            anywhere = (ProductRow.name, ProductRow.description, ProductRow.sku)
            # The database lowers both sides: its idea of a word's small letters is not Python's.
            pattern = func.lower(f"%{escaped(word)}%")
            found.append(or_(*(func.lower(column).like(pattern, escape="\\") for column in anywhere)))
        return found


def page(
    session: Session, wanted: Filter, sort: str, limit: int, after: tuple[Any, str] | None = None
) -> Sequence[Row[Any]]:
    """Products, each variant an entry of its own; `after` is the sort value and id of the last one seen.

    A page costs the same however deep, and without `text` however many products there are.
    `sort` "stock" is for `low_stock` alone.
    """
    return session.execute(listed(wanted, sort, limit, after)).all()


def listed(wanted: Filter, sort: str, limit: int, after: tuple[Any, str] | None = None) -> Any:
    """The query of `page`, a Select."""
    name, falls = SORTS[sort]
    column = getattr(ProductRow, name)
    query: Any = select(*_ENTRY).where(*wanted.conditions()).limit(limit)
    if after is not None:
        here = tuple_(column, ProductRow.id)
        query = query.where(here < after if falls else here > after)
    keys = (column.desc(), ProductRow.id.desc()) if falls else (column, ProductRow.id)
    query = query.order_by(*keys)
    if wanted.is_active is not None:
        # An equality draws SQLite to whatever index begins with it, away from the one that sorts.
        active = ProductRow.is_active if name in _BY_ACTIVITY else unindexed(ProductRow.is_active)
        return query.where(active == wanted.is_active)
    if name not in _BY_ACTIVITY:
        return query
    # The first of the active and the first of the others, each from its end of the index.
    halves = [select(query.where(ProductRow.is_active == flag).subquery()) for flag in (True, False)]
    both = union_all(*halves).subquery()
    order = (both.c[name], both.c.id)
    return select(both).order_by(*(key.desc() for key in order) if falls else order).limit(limit)


def count(session: Session, wanted: Filter) -> int:
    """How many products the whole list has."""
    query = select(func.count()).select_from(ProductRow).where(*wanted.conditions())
    if wanted.is_active is not None:
        query = query.where(ProductRow.is_active == wanted.is_active)
    return session.scalar(query) or 0


# ---------------------------------------------------------------- products: one


def get(session: Session, product_id: str) -> ProductRow | None:
    return session.get(ProductRow, product_id)


def whole(session: Session, product_id: str) -> tuple[ProductRow, str] | None:
    """A product and the name of its category, of one moment."""
    query = select(ProductRow, Category.name).join(Category, Category.id == ProductRow.category_id)
    found = session.execute(query.where(ProductRow.id == product_id)).first()
    return (found[0], found[1]) if found else None


def lock(session: Session, product_id: str) -> ProductRow | None:
    """A product, held until the transaction ends. SQLite ignores FOR UPDATE: there it is exclusive from its BEGIN."""
    return session.scalar(select(ProductRow).where(ProductRow.id == product_id).with_for_update())


def create(session: Session, product_id: str, draft: Draft, category_id: int, at: int, actor: str) -> ProductRow:
    """Write a new product and open its ledger. The draft has a name and a price. Raises ProductExists."""
    taken = select(ProductRow).where(or_(ProductRow.id == product_id, ProductRow.sku == draft.sku))
    if (other := session.scalars(taken.order_by(ProductRow.id).limit(1)).first()) is not None:
        what = f"the SKU {draft.sku}" if other.sku == draft.sku else f"the id {product_id}"
        raise ProductExists(f"There is a product with {what} already: {other.id}.", product_id=other.id)
    defaults = {"stock_quantity": draft.stock_quantity or 0, "low_stock_threshold": LOW_STOCK}
    columns = {"sku": draft.sku, "category_id": category_id, **defaults, **changed_columns(draft)}
    row = ProductRow(id=product_id, created_at=at, updated_at=at, **columns)
    session.add(row)
    _flush_unique(session, f"the SKU {draft.sku} or the id {product_id}")
    stock.open_stock(session, row.id, row.stock_quantity, at, actor)
    return row


def changed_columns(draft: Draft) -> dict[str, Any]:
    """The columns a draft speaks of, but for the SKU, the category and the stock."""
    names = (
        "name",
        "description",
        "price_minor",
        "specifications",
        "tax_class",
        "weight_grams",
        "options",
        "is_active",
        "low_stock_threshold",
    )
    found = {name: getattr(draft, name) for name in names if getattr(draft, name) is not None}
    for name in ("description_html", "group_id"):
        if (value := getattr(draft, name)) is not None:
            found[name] = value or None
    if draft.images is not None:
        found |= {"images": list(draft.images), "image_url": draft.images[0] if draft.images else ""}
    return found


def change(session: Session, row: ProductRow, columns: Mapping[str, Any], at: int) -> bool:
    """Change a locked product, `at` its next version. Whether anything is different now. Raises ProductExists."""
    # As text: for a map the order in which the merchant wrote it counts too.
    different = {name: value for name, value in columns.items() if as_json(getattr(row, name)) != as_json(value)}
    if not different:
        return False
    sku = different.get("sku")
    if sku and (other := session.scalar(select(ProductRow.id).where(ProductRow.sku == sku))) is not None:
        raise ProductExists(f"There is a product with the SKU {sku} already: {other}.", product_id=other)
    for name, value in {**different, "updated_at": at}.items():
        setattr(row, name, value)
    _flush_unique(session, f"the SKU {sku}")
    return True


def _flush_unique(session: Session, what: str) -> None:
    """Write what is new; on PostgreSQL somebody else may have written the same a moment ago. Raises ProductExists."""
    try:
        session.flush()
    except IntegrityError as error:
        raise ProductExists(f"There is a product with {what} already.") from error


def remove(session: Session, row: ProductRow) -> None:
    """Delete a locked product and its ledger. Raises ProductSold when an order ever took units of it."""
    ledger = StockMovementRow.product_id == row.id
    sold = select(StockMovementRow.id).where(ledger, StockMovementRow.order_id.is_not(None)).limit(1)
    if session.scalar(sold) is not None:
        raise ProductSold("Orders hold units of it; deactivate it instead: set is_active to false.")
    session.execute(delete(StockMovementRow).where(ledger))
    session.delete(row)
    session.flush()


# ---------------------------------------------------------------- categories


def categories(session: Session) -> Sequence[tuple[Category, int]]:
    """Every category and how many products are in it, by name."""
    query = select(ProductRow.category_id, func.count()).group_by(ProductRow.category_id)
    counts = {row[0]: row[1] for row in session.execute(query)}
    rows = session.scalars(select(Category).order_by(Category.name, Category.id))
    return [(row, counts.get(row.id, 0)) for row in rows]


def category(session: Session, category_id: int) -> Category | None:
    return session.get(Category, category_id)


def lock_category(session: Session, category_id: int) -> Category | None:
    """A category, held until the transaction ends: no product can be put into it meanwhile.

    First among all who write categories: an import that holds rows may be making one of the same name.
    """
    take_turns(session.connection(), CATALOGUE_KEY)
    return session.scalar(select(Category).where(Category.id == category_id).with_for_update())


def category_named(session: Session, name: str) -> Category | None:
    """A category by its name, whatever the case, kept from being deleted until the transaction ends."""
    named = select(Category).where(func.lower(Category.name) == func.lower(name)).order_by(Category.id).limit(1)
    return session.scalar(named.with_for_update(read=True, key_share=True))


def category_names(session: Session, category_ids: Iterable[int]) -> dict[int, str]:
    query = select(Category.id, Category.name).where(Category.id.in_(sorted(set(category_ids))))
    return {row[0]: row[1] for row in session.execute(query)}


def product_count(session: Session, category_id: int) -> int:
    return count(session, Filter(category_id=category_id))


def create_category(session: Session, name: str, description: str) -> Category:
    """Write a new category. Raises CategoryExists when one has this name, whatever the case."""
    take_turns(session.connection(), CATALOGUE_KEY)
    _require_free(session, name, None)
    # Not from a sequence: the demo catalogue and imports write ids of their own.
    highest = session.scalar(select(func.max(Category.id))) or 0
    row = Category(id=highest + 1, name=name, description=description)
    session.add(row)
    session.flush()
    return row


def change_category(session: Session, row: Category, columns: Mapping[str, str]) -> None:
    """Change a locked category. Raises CategoryExists when another one has this name, whatever the case."""
    if "name" in columns:
        _require_free(session, columns["name"], row.id)
    for name, value in columns.items():
        setattr(row, name, value)
    session.flush()


def _require_free(session: Session, name: str, but_for: int | None) -> None:
    query = select(Category).where(func.lower(Category.name) == func.lower(name), Category.id != (but_for or 0))
    if (other := session.scalars(query.limit(1)).first()) is not None:
        raise CategoryExists(f"There is a category {other.name} already, with the id {other.id}.")


def remove_category(session: Session, row: Category) -> None:
    """Delete a locked category. Raises CategoryInUse while products are in it."""
    if products := product_count(session, row.id):
        raise CategoryInUse(f"{products} {'product is' if products == 1 else 'products are'} in {row.name}.")
    session.delete(row)
    session.flush()
