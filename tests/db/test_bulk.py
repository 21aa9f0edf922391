"""Many rows in one statement are the rows that were given, on either database."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from db.bulk import ROWS_A_STATEMENT, BulkInsert
from db.models import StockMovementRow
from db.session import Database


@pytest.mark.parametrize("count", [1, ROWS_A_STATEMENT - 1, ROWS_A_STATEMENT, 2 * ROWS_A_STATEMENT + 5])
def test_any_number_of_rows_whose_key_the_database_gives_is_written(
    database: Database, shelve: Callable[..., None], count: int
) -> None:
    insert = BulkInsert(StockMovementRow, "product_id", "kind", "quantity", "order_id", "reason", "at")
    shelve("MUG", stock_quantity=0)

    with database.writing() as session:
        insert(session, [("MUG", "received", units, None, None, 0) for units in range(1, count + 1)])

    with database.reading() as session:
        moved = select(func.count(), func.sum(StockMovementRow.quantity)).where(StockMovementRow.kind == "received")
        assert session.execute(moved).one() == (count, count * (count + 1) // 2)
