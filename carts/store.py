"""Carts: one Redis hash a session, changed only by scripts, so that two tabs never lose a unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis import Redis
from uuid_utils import uuid7

from carts import keys
from carts.connection import answers, redis_errors, script
from shop.cart import Cart, CartLine
from shop.errors import CartLimitExceeded, ItemNotFound

DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Refused:
    """An add that would pass the limit: how many units the cart holds already. The cart is unchanged."""

    units: int


@dataclass(frozen=True, slots=True)
class SeenCart(Cart):
    """A cart, and what else there was to see in the same moment."""

    texts: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """What is cached of its products, by id, as carts.products keeps it; '' for nothing."""
    used: str = field(default="", compare=False, repr=False)
    """The id of the order that the idempotency key asked about has made, and its fingerprint; '' for none."""


class Carts:
    """The carts of all sessions. Every method may raise Unavailable."""

    def __init__(self, redis: Redis, lifetime_seconds: int, max_lines: int) -> None:
        self._redis = answers(redis)
        self._lifetime_seconds = lifetime_seconds
        self._max_lines = max_lines
        self._add = redis.register_script(script("texts") + script("add"))
        self._set = redis.register_script(script("texts") + script("set"))
        self._look = redis.register_script(script("texts") + script("look"))

    def get(self, session_id: str, key: str | None = None) -> SeenCart:
        """The session's cart, perhaps empty. A look at it, once a day, prolongs its life."""
        names = [keys.cart(session_id)] + ([keys.idempotency(session_id, key)] if key else [])
        with redis_errors():
            answer = self._look(keys=names, args=[self._lifetime_seconds, self._lifetime_seconds * 1000 - DAY_MS])
        return _seen(answer, used=answer[2])

    def add(self, session_id: str, product_id: str, quantity: int, price_minor: int, limit: int) -> SeenCart | Refused:
        """Add units of a product, unless the cart would hold more than `limit` of it.

        Raises CartLimitExceeded when a new line would be one too many.
        """
        with redis_errors():
            answer = self._add(
                keys=[keys.cart(session_id), keys.operation(str(uuid7()))],
                args=[product_id, quantity, limit, price_minor, self._lifetime_seconds, str(uuid7()), self._max_lines],
            )
        verdict, units = answer[0], answer[2]
        if verdict == "LINES":
            raise CartLimitExceeded(f"A cart holds at most {self._max_lines} different products.")
        if verdict == "LIMIT":
            return Refused(int(units))
        return _seen(answer)

    def set(self, session_id: str, product_id: str, quantity: int) -> SeenCart:
        """Set the quantity of a line; 0 removes it. Raises ItemNotFound if the cart has no such line."""
        with redis_errors():
            answer = self._set(
                keys=[keys.cart(session_id), keys.checked_out(session_id)],
                args=[product_id, quantity, self._lifetime_seconds],
            )
        if answer[0] == "MISSING":
            raise ItemNotFound("This item is not in the cart.")
        return _seen(answer)

    def clear(self, session_id: str) -> None:
        """Empty the cart; an empty one stays as it is."""
        with redis_errors():
            self._redis.delete(keys.cart(session_id), keys.checked_out(session_id))


def _seen(answer: Sequence[Any], used: str = "") -> SeenCart:
    """A script's answer: what, now (ms), anything, the cart's time to live (ms), its hash, its products' texts."""
    _, now, _, ttl_ms, fields, texts = answer
    return read_cart(_pairs(fields), ttl_ms, int(now), _pairs(texts), used)


def read_cart(
    fields: Mapping[str, str], ttl_ms: int, now_ms: int, texts: Mapping[str, str] | None = None, used: str = ""
) -> SeenCart:
    """A cart from its hash; lines in the order in which they were added."""
    if "id" not in fields:
        return SeenCart(None, 0, (), None, {}, used)
    lines = [
        CartLine(name[2:], int(value), int(fields[f"p:{name[2:]}"]), int(fields[f"t:{name[2:]}"]))
        for name, value in fields.items()
        if name.startswith("q:")
    ]
    # Stable: lines of the same millisecond stay as they stand in the hash, which is as they came.
    lines.sort(key=lambda line: line.added_at)
    expires_at = now_ms + ttl_ms if ttl_ms > 0 else None
    return SeenCart(fields["id"], int(fields["version"]), tuple(lines), expires_at, texts or {}, used)


def _pairs(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
