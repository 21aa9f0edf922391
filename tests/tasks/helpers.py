"""What the tests of the jobs do to a shop behind its back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from flask.testing import FlaskClient
from sqlalchemy import select

from carts import keys
from db import orders
from db.models import OrderItemRow, OrderRow
from shop.errors import Unavailable
from tests.harness import Shop


def cart_of(shopper: FlaskClient) -> dict[str, int]:
    """What the shopper's cart holds: product and units."""
    return {item["product_id"]: item["quantity"] for item in shopper.get("/api/cart").get_json()["items"]}


def sold(shop: Shop) -> dict[str, int]:
    """Units of each product in confirmed orders."""
    found: dict[str, int] = {}
    with shop.database.reading() as session:
        confirmed = select(OrderItemRow).join(OrderRow).where(OrderRow.status == "confirmed")
        for item in session.scalars(confirmed):
            found[item.product_id] = found.get(item.product_id, 0) + item.quantity
    return found


def session_of(shop: Shop, order_id: str) -> str:
    session_id: str = shop.redis.hget(keys.accepted(order_id), "session_id")
    return session_id


def change_snapshot(shop: Shop, order_id: str, **fields: Any) -> None:
    """Put other values into an accepted checkout's snapshot."""
    snapshot = msgspec.json.decode(shop.redis.hget(keys.accepted(order_id), "snapshot"))
    shop.redis.hset(keys.accepted(order_id), "snapshot", msgspec.json.encode(snapshot | fields))


def spoil_snapshot(shop: Shop, order_id: str) -> None:
    """Damage an accepted checkout so that nobody can read it."""
    shop.redis.hset(keys.accepted(order_id), "snapshot", '{"order_id": ')


@contextmanager
def sql_away(shop: Shop) -> Iterator[None]:
    """No transaction succeeds."""

    @contextmanager
    def away() -> Iterator[Any]:
        raise Unavailable("The order store is away for a moment.")
        yield

    database = shop.database
    writing, reading = database.writing, database.reading
    database.writing = database.reading = away  # type: ignore[method-assign]
    try:
        yield
    finally:
        database.writing, database.reading = writing, reading  # type: ignore[method-assign]


def numbers(shop: Shop) -> list[int]:
    """The numbers of all orders that have one, ascending."""
    with shop.database.reading() as session:
        query = select(OrderRow.number).where(OrderRow.number.is_not(None)).order_by(OrderRow.number)
        return [number for number in session.scalars(query) if number is not None]


def timeline(shop: Shop, order_id: str) -> list[str]:
    with shop.database.reading() as session:
        return [event.stage for event in orders.timeline(session, order_id)]
