"""The same database tests on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from db import stock
from db.models import Category, ProductRow
from db.session import Database

AT = 1_795_000_000_000


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def database(request: pytest.FixtureRequest) -> Database:
    found: Database = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def shelve(database: Database) -> Callable[..., None]:
    """Put a product on the shelves: `shelve("MUG", price_minor=500)`; categories 1 to 3 are there."""
    with database.writing() as session:
        for number, name in enumerate(("Kitchen", "Desk", "Élan"), 1):
            session.add(Category(id=number, name=name, description=f"{name} things"))

    def put(product_id: str, **columns: Any) -> None:
        defaults = {
            "sku": f"SKU-{product_id}",
            "name": product_id.title(),
            "price_minor": 1000,
            "category_id": 1,
            "stock_quantity": 10,
            "created_at": AT,
            "updated_at": AT,
        }
        with database.writing() as session:
            row = ProductRow(id=product_id, **{**defaults, **columns})
            session.add(row)
            session.flush()
            stock.open_stock(session, product_id, row.stock_quantity, AT)

    return put
