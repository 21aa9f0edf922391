"""What a product is to a cart, a quote and a settlement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

LOW_STOCK = 5
"""The threshold of a product whose merchant named none."""


@dataclass(frozen=True, slots=True)
class Product:
    """A product (or one variant of it) as it is sold: its price, its stock, its tax class and weight."""

    id: str
    sku: str
    name: str
    price_minor: int
    stock_quantity: int
    tax_class: str = "standard"
    weight_grams: int = 0
    image_url: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    is_active: bool = True


def stock_status(stock_quantity: int, low_stock_threshold: int = LOW_STOCK) -> str:
    """How a list shows stock: `out_of_stock`, `low_stock` (the threshold or less) or `in_stock`."""
    if stock_quantity <= 0:
        return "out_of_stock"
    return "low_stock" if stock_quantity <= low_stock_threshold else "in_stock"


@dataclass(frozen=True, slots=True)
class Draft:
    """What a merchant says of a product; None leaves a thing as it is, or at its default for a new product.

    A product is known by its SKU. An empty `description_html` or `group_id` means none.
    """

    sku: str
    id: str | None = None
    """For a new product; left out, it is made from the SKU. For an existing one it must be the product's."""
    name: str | None = None
    description: str | None = None
    description_html: str | None = None
    price_minor: int | None = None
    category: str | None = None
    """A category's name."""
    stock_quantity: int | None = None
    """For a new product: what its ledger opens with."""
    images: Sequence[str] | None = None
    """The first one stands for the product in lists."""
    specifications: Mapping[str, str] | None = None
    tax_class: str | None = None
    weight_grams: int | None = None
    group_id: str | None = None
    options: Mapping[str, str] | None = None
    is_active: bool | None = None
    low_stock_threshold: int | None = None
