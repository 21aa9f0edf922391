"""What every test of the web asks of an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis import Redis
from werkzeug.test import TestResponse

from db.session import Database
from shop.errors import CODES
from tests.harness import ADDRESS, Client, Shop
from web.sessions import HEADER

MEMBERS = {"type", "title", "status", "detail", "code", "retryable", "request_id"}


def ok(response: TestResponse, status: int = 200) -> Any:
    """The JSON of an answer that must be a success."""
    assert response.status_code == status, f"{response.status_code} {response.text}"
    return response.get_json()


def problem(response: TestResponse, status: int | None = None, code: str | None = None) -> Any:
    """The JSON of an answer that must be a whole problem document, of this status and code."""
    assert response.mimetype == "application/problem+json", f"{response.status_code} {response.text}"
    body = response.get_json()
    assert body.keys() >= MEMBERS
    assert body["status"] == response.status_code
    assert body["code"] in CODES
    assert body["type"] == f"/problems/{body['code']}"
    assert body["title"] == CODES[body["code"]].title
    assert body["retryable"] is CODES[body["code"]].retryable
    assert body["detail"]
    assert body["request_id"] == response.headers["X-Request-Id"]
    for fault in body.get("errors", []):
        assert fault["code"] in CODES
        assert fault["message"]
    if status is not None:
        assert body["status"] == status, body
    if code is not None:
        assert body["code"] == code, body
    if body["status"] == 503:
        assert int(response.headers["Retry-After"]) >= 1
    return body


def pointers(body: Any) -> list[str]:
    return [fault["pointer"] for fault in body["errors"]]


def add(shopper: Client, product_id: str = "MUG", quantity: int = 1) -> TestResponse:
    return shopper.post("/api/cart/add", json={"product_id": product_id, "quantity": quantity})


def session_of(shop: Shop, shopper: Client) -> str:
    """The id of a shopper's session, which begins here if it has not yet."""
    token = shopper.get("/api/cart").headers.get(HEADER) or shopper.get_cookie("oncecart_session").value
    found = shop.services.sessions.read(token)
    assert found is not None
    return found[0]


def address(**changes: Any) -> dict[str, Any]:
    return {**ADDRESS, **changes}


def take_sql_away(shop: Shop) -> Callable[[], None]:
    """From here on the database file cannot be opened, until what this returns is called."""
    kept = dict(vars(shop.database))
    shop.database.engine.dispose()
    away = Database("sqlite:////nowhere/at/all/shop.db")
    vars(shop.database).update(vars(away))
    return lambda: vars(shop.database).update(kept)


def take_redis_away(redis: Redis) -> None:
    """From here on no command reaches the fake server."""
    redis.connection_pool.connection_kwargs["server"].connected = False
