"""What a product is to a cart, a quote and a settlement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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


def stock_status(stock_quantity: int) -> str:
    """How a list shows stock: `out_of_stock`, `low_stock` (five or fewer) or `in_stock`."""
    if stock_quantity <= 0:
        return "out_of_stock"
    return "low_stock" if stock_quantity <= LOW_STOCK else "in_stock"


LOW_STOCK = 5
