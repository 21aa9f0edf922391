"""Checkouts to try the inbox with, and what the tests do at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from uuid_utils import uuid7

from carts.store import Carts, Refused
from shop.cart import Cart
from shop.checkout import Address, Checkout
from shop.pricing import Quote, QuotedLine
from shop.shipping import ShippingCost

LIFETIME_SECONDS = 30 * 24 * 3600
ADA = Address("Ada Lovelace", "1 Main Street", "Oakland", "94601", "US", "CA")

T = TypeVar("T")


def at_once(how_many: int, call: Callable[[int], T]) -> list[T]:
    """The answers of `call(0)`, `call(1)`... made by as many threads that start together."""
    start = Barrier(how_many)

    def run(number: int) -> T:
        start.wait(timeout=10)
        return call(number)

    with ThreadPoolExecutor(how_many) as threads:
        return list(threads.map(run, range(how_many)))


def filled(carts: Carts, session_id: str, **quantities: int) -> Cart:
    """The session's cart after these products were added at 10.00 each."""
    cart: Cart | Refused = carts.get(session_id)
    for product_id, quantity in quantities.items():
        cart = carts.add(session_id, product_id, quantity, 1000, limit=99)
    assert isinstance(cart, Cart)
    return cart


def held(carts: Carts, session_id: str) -> dict[str, int]:
    """What the session's cart holds: product and units."""
    return {line.product_id: line.quantity for line in carts.get(session_id).lines}


def checkout(session_id: str, cart: Cart, key: str | None = None, fingerprint: str = "body") -> Checkout:
    """A checkout of a cart as the web makes it."""
    lines = tuple(
        QuotedLine(i.product_id, i.product_id, i.product_id, i.quantity, 1000, 1000 * i.quantity, "", 0, 0)
        for i in cart.lines
    )
    subtotal = sum(line.subtotal_minor for line in lines)
    shipping = ShippingCost("pickup", "Pick up", 0, 0, 0, 0, 0)
    quote = Quote("USD", False, lines, shipping, (), (), subtotal, 0, 0, subtotal)
    return Checkout(
        order_id=str(uuid7()),
        session_id=session_id,
        cart_id=cart.id or "",
        cart_version=cart.version,
        email="ada@example.com",
        shipping_info=None,
        billing_info=ADA,
        shipping_method="pickup",
        payment_method="invoice",
        quote=quote,
        idempotency_key=key,
        fingerprint=fingerprint,
    )
