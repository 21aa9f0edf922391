"""The merchant's lists are read off an index, so that a page costs the same among a million products."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from db import catalogue
from db.catalogue import SORTS, Filter
from db.session import Database

Shelve = Callable[..., None]


def plan(database: Database, wanted: Filter, sort: str, after: tuple[object, str] | None) -> str:
    """How SQLite carries the list's query out."""
    with database.reading() as session:
        connection = session.connection()
        query = catalogue.listed(wanted, sort, 20, after).compile(connection)
        arguments = tuple(query.params[name] for name in query.positiontup or ())
        steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", arguments)
        return "\n".join(step[3] for step in steps)


@pytest.mark.parametrize("after", [None, (3, "MUG")])
@pytest.mark.parametrize("is_active", [None, True, False])
@pytest.mark.parametrize("category_id", [None, 1])
def test_what_runs_low_is_read_off_its_own_index(
    sqlite: Database, is_active: bool | None, category_id: int | None, after: tuple[object, str] | None
) -> None:
    found = plan(sqlite, Filter(is_active, category_id, low_stock=True), "stock", after)

    assert "USING INDEX ix_products_low_stock" in found
    assert "TEMP B-TREE" not in found


@pytest.mark.parametrize("after", [None, (1, "MUG")])
@pytest.mark.parametrize(
    ("sort", "is_active", "index"),
    [
        ("-created_at", True, "ix_products_active_created"),
        ("created_at", False, "ix_products_active_created"),
        ("name", True, "ix_products_active_name"),
        ("sku", None, "sqlite_autoindex_products_2"),
        ("sku", True, "sqlite_autoindex_products_2"),
    ],
)
def test_a_sorted_list_is_read_off_an_index(
    sqlite: Database, sort: str, is_active: bool | None, index: str, after: tuple[object, str] | None
) -> None:
    found = plan(sqlite, Filter(is_active), sort, after)

    assert f"USING INDEX {index}" in found
    assert "TEMP B-TREE" not in found


@pytest.mark.parametrize(
    ("sort", "category_id", "index"),
    [
        ("-created_at", None, "ix_products_active_created"),
        ("created_at", 1, "ix_products_category_created"),
        ("name", None, "ix_products_active_name"),
    ],
)
def test_a_list_of_all_is_the_two_halves_of_an_index(
    sqlite: Database, sort: str, category_id: int | None, index: str
) -> None:
    found = plan(sqlite, Filter(category_id=category_id), sort, (1, "MUG"))

    assert found.count(f"SEARCH products USING INDEX {index}") == 2
    # What is sorted is what came out of them: a page each.
    assert found.count("TEMP B-TREE") == found.count("SCAN anon")


@pytest.mark.parametrize("sort", [sort for sort in SORTS if sort != "stock"])
def test_both_databases_page_through_all_in_one_order(database: Database, shelve: Shelve, sort: str) -> None:
    for number in range(9):
        shelve(f"P{number}", name=f"n{number % 3}", created_at=number // 2, is_active=bool(number % 2))

    with database.reading() as session:
        whole = [row.id for row in catalogue.page(session, Filter(), sort, 100)]
        paged, after = [], None
        while rows := catalogue.page(session, Filter(), sort, 2, after):
            paged += [row.id for row in rows]
            after = (getattr(rows[-1], SORTS[sort][0]), rows[-1].id)

    assert len(whole) == 9
    assert paged == whole


@pytest.mark.real
@pytest.mark.parametrize("is_active", [None, True])
def test_postgresql_can_read_what_runs_low_off_its_index_too(postgresql: Database, is_active: bool | None) -> None:
    with postgresql.reading() as session:
        connection = session.connection()
        # Of an empty table it would read all, whatever there is.
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        query = catalogue.listed(Filter(is_active, low_stock=True), "stock", 20, (3, "MUG")).compile(connection)
        arguments = tuple(query.params[name] for name in query.positiontup or ())
        found = "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {query}", arguments))

    assert "Index Scan using ix_products_low_stock" in found
    assert "Sort" not in found
