"""From rows of products, categories and stock to what the admin API answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from db.models import Category, ProductRow, StockMovementRow
from shop.catalogue import stock_status
from shop.money import format_amount
from shop.rules import Rules
from web.admin import schemas as out
from web.schemas import instant


def _entry(row: Any, category: str, rules: Rules) -> dict[str, Any]:
    return {
        "id": row.id,
        "sku": row.sku,
        "name": row.name,
        "price": format_amount(row.price_minor, rules.digits),
        "currency": rules.currency,
        "category_id": row.category_id,
        "category": category,
        "image_url": row.image_url,
        "stock_quantity": row.stock_quantity,
        "low_stock_threshold": row.low_stock_threshold,
        "stock_status": stock_status(row.stock_quantity, row.low_stock_threshold),
        "is_active": row.is_active,
        "group_id": row.group_id,
        "options": row.options,
        "created_at": instant(row.created_at),
        "updated_at": instant(row.updated_at),
    }


def entries(rows: Sequence[Any], rules: Rules) -> list[out.AdminProductEntry]:
    """Rows of db.catalogue.page."""
    return [out.AdminProductEntry(**_entry(row, row.category, rules)) for row in rows]


def product(row: ProductRow, category: str, rules: Rules) -> out.AdminProductOut:
    return out.AdminProductOut(
        **_entry(row, category, rules),
        description=row.description,
        description_html=row.description_html,
        images=row.images,
        specifications=row.specifications,
        tax_class=row.tax_class,
        weight_grams=row.weight_grams,
    )


def category(row: Category, products: int) -> out.AdminCategoryOut:
    return out.AdminCategoryOut(id=row.id, name=row.name, description=row.description, product_count=products)


def movement(row: StockMovementRow, balance: int) -> out.MovementOut:
    return out.MovementOut(
        id=row.id,
        kind=row.kind,  # type: ignore[arg-type]
        quantity=row.quantity,
        balance=balance,
        note=row.reason,
        actor=row.actor,
        order_id=row.order_id,
        at=instant(row.at),
    )
