"""The demo catalogue: a believable small shop, so that the first look at a new shop is not an empty one."""

from __future__ import annotations

import tomllib
from datetime import datetime
from importlib.resources import files
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from db import stock
from db.models import Category, ProductRow
from db.session import take_turns
from shop.money import parse_amount


def catalogue() -> dict[str, list[dict[str, Any]]]:
    """`categories` and `products` of catalogue.toml, as they stand there."""
    return tomllib.loads(files(__package__).joinpath("catalogue.toml").read_text(encoding="utf-8"))


def seed(session: Session, digits: int) -> int:
    """Fill an empty shop with the demo catalogue; a shop that has any product is left alone.

    `digits` is the exponent of the shop's currency. Answers how many products were written.
    """
    take_turns(session.connection())
    if session.scalar(select(func.count()).select_from(ProductRow)):
        return 0
    data = catalogue()
    session.execute(insert(Category), data["categories"])
    rows = [_product(entry, digits) for entry in data["products"]]
    session.execute(insert(ProductRow), rows)
    for row in rows:
        stock.open_stock(session, row["id"], row["stock_quantity"], row["created_at"])
    return len(rows)


def _product(entry: dict[str, Any], digits: int) -> dict[str, Any]:
    created: datetime = entry["created_at"]
    at = int(created.timestamp() * 1000)
    # Prices are written with two decimals: a currency without them gets whole units.
    price = entry["price"] if digits >= 2 else entry["price"].split(".")[0]
    return {
        "id": entry["id"],
        "sku": entry["sku"],
        "name": entry["name"],
        "description": entry["description"],
        "price_minor": parse_amount(price, digits),
        "category_id": entry["category"],
        "stock_quantity": entry["stock"],
        "image_url": entry["images"][0],
        "images": entry["images"],
        "specifications": entry.get("specifications", {}),
        "tax_class": entry["tax_class"],
        "weight_grams": entry["weight_grams"],
        "group_id": entry.get("group"),
        "options": entry.get("options", {}),
        "is_active": entry.get("is_active", True),
        "created_at": at,
        "updated_at": at,
    }
