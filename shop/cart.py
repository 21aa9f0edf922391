"""A cart: lines of products and quantities, and what a shopper should know about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shop.catalogue import Product
from shop.errors import Fault


@dataclass(frozen=True, slots=True)
class CartLine:
    """Units of one product. A cart has one line a product, so the product's id is the line's id too."""

    product_id: str
    quantity: int
    price_when_added_minor: int
    added_at: int
    """Milliseconds since the epoch, like every instant in the code."""


@dataclass(frozen=True, slots=True)
class Cart:
    """A session's cart. `id` and `version` name one exact content: a new cart has a new id."""

    id: str | None
    version: int
    lines: tuple[CartLine, ...]
    expires_at: int | None

    @property
    def product_ids(self) -> list[str]:
        return [line.product_id for line in self.lines]


EMPTY = Cart(None, 0, (), None)


def line_fault(
    product_id: str, quantity: int, product: Product | None, max_quantity: int, pointer: str | None = None
) -> Fault | None:
    """Why this many of a product cannot be sold now, or None. The one rule of cart, checkout and settlement."""
    if product is None or not product.is_active:
        name = product.name if product else product_id
        return Fault("product_unavailable", f"{name} is no longer sold.", pointer, None, product_id, quantity, 0)
    stock = product.stock_quantity
    if stock <= 0:
        return Fault("out_of_stock", f"{product.name} is sold out.", pointer, None, product_id, quantity, 0)
    if quantity > stock <= max_quantity:
        message = f"Only {stock} of {quantity} {product.name} are available."
        return Fault("insufficient_stock", message, pointer, None, product_id, quantity, stock)
    if quantity > max_quantity:
        message = f"At most {max_quantity} of {product.name} fit in one order."
        return Fault("quantity_limit_exceeded", message, pointer, None, product_id, quantity, max_quantity)
    return None


def unsellable(lines: Iterable[CartLine], products: Mapping[str, Product], max_quantity: int) -> list[Fault]:
    """Every line that cannot be sold as it stands, in cart order."""
    found = (
        line_fault(line.product_id, line.quantity, products.get(line.product_id), max_quantity, f"/items/{i}")
        for i, line in enumerate(lines)
    )
    return [fault for fault in found if fault]


@dataclass(frozen=True, slots=True)
class PriceMove:
    """A line whose product costs something else now than when it was added."""

    product_id: str
    pointer: str
    was_minor: int
    now_minor: int


def price_moves(lines: Iterable[CartLine], products: Mapping[str, Product]) -> list[PriceMove]:
    """The lines whose price moved since they were added. Reading never changes a price; it reports."""
    return [
        PriceMove(line.product_id, f"/items/{i}", line.price_when_added_minor, product.price_minor)
        for i, line in enumerate(lines)
        if (product := products.get(line.product_id)) and product.price_minor != line.price_when_added_minor
    ]
