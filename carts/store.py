"""Carts: one Redis hash a session, changed only by scripts, so that two tabs never lose a unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis import Redis
from uuid_utils import uuid7

from carts import keys
from carts.connection import answers, redis_errors, script
from shop.cart import EMPTY, Cart, CartLine
from shop.errors import CartLimitExceeded, ItemNotFound

DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Refused:
    """An add that would pass the limit: how many units the cart holds already. The cart is unchanged."""

    units: int


class Carts:
    """The carts of all sessions. Every method may raise Unavailable."""

    def __init__(self, redis: Redis, lifetime_seconds: int, max_lines: int) -> None:
        self._redis = answers(redis)
        self._lifetime_seconds = lifetime_seconds
        self._max_lines = max_lines
        self._add = redis.register_script(script("add"))
        self._set = redis.register_script(script("set"))

    def get(self, session_id: str) -> Cart:
        """The session's cart, perhaps empty. A look at it, once a day, prolongs its life."""
        key = keys.cart(session_id)
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            fields, ttl_ms, time = pipe.hgetall(key).pttl(key).time().execute()
            if 0 < ttl_ms < self._lifetime_seconds * 1000 - DAY_MS:
                self._redis.expire(key, self._lifetime_seconds)
                ttl_ms = self._lifetime_seconds * 1000
        return read_cart(fields, ttl_ms, time[0] * 1000 + time[1] // 1000)

    def add(self, session_id: str, product_id: str, quantity: int, price_minor: int, limit: int) -> Cart | Refused:
        """Add units of a product, unless the cart would hold more than `limit` of it.

        Raises CartLimitExceeded when a new line would be one too many.
        """
        with redis_errors():
            answer = self._add(
                keys=[keys.cart(session_id), keys.operation(str(uuid7()))],
                args=[product_id, quantity, limit, price_minor, self._lifetime_seconds, str(uuid7()), self._max_lines],
            )
        verdict, now, units, ttl_ms, flat = answer
        if verdict == "LINES":
            raise CartLimitExceeded(f"A cart holds at most {self._max_lines} different products.")
        if verdict == "LIMIT":
            return Refused(int(units))
        return read_cart(_pairs(flat), ttl_ms, int(now))

    def set(self, session_id: str, product_id: str, quantity: int) -> Cart:
        """Set the quantity of a line; 0 removes it. Raises ItemNotFound if the cart has no such line."""
        with redis_errors():
            answer = self._set(
                keys=[keys.cart(session_id), keys.checked_out(session_id)],
                args=[product_id, quantity, self._lifetime_seconds],
            )
        verdict, now, _, ttl_ms, flat = answer
        if verdict == "MISSING":
            raise ItemNotFound("This item is not in the cart.")
        return read_cart(_pairs(flat), ttl_ms, int(now))

    def clear(self, session_id: str) -> None:
        """Empty the cart; an empty one stays as it is."""
        with redis_errors():
            self._redis.delete(keys.cart(session_id), keys.checked_out(session_id))


def read_cart(fields: dict[str, str], ttl_ms: int, now_ms: int) -> Cart:
    """A cart from its hash; lines in the order in which they were added."""
    if "id" not in fields:
        return EMPTY
    lines = [
        CartLine(name[2:], int(value), int(fields[f"p:{name[2:]}"]), int(fields[f"t:{name[2:]}"]))
        for name, value in fields.items()
        if name.startswith("q:")
    ]
    # Stable: lines of the same millisecond stay as they stand in the hash, which is as they came.
    lines.sort(key=lambda line: line.added_at)
    return Cart(fields["id"], int(fields["version"]), tuple(lines), now_ms + ttl_ms if ttl_ms > 0 else None)


def _pairs(flat: list[Any]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
