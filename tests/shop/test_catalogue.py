"""What a product is to the shop: how its stock is told, and how it shrinks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shop.catalogue import Product, stock_status


def test_a_product_that_sold_is_the_same_but_for_its_stock() -> None:
    mug = Product("MUG", "SKU-1", "Mug", 1000, 5, "reduced", 350, "/mug.svg", {"Size": "Large"}, is_active=False)

    assert mug.less(2) == replace(mug, stock_quantity=3)
    assert mug.stock_quantity == 5


@pytest.mark.parametrize(
    ("stock", "status"),
    [
        (-1, "out_of_stock"),
        (0, "out_of_stock"),
        (1, "low_stock"),
        (5, "low_stock"),
        (6, "in_stock"),
        (1000, "in_stock"),
    ],
)
def test_stock_is_shown_as_a_word(stock: int, status: str) -> None:
    assert stock_status(stock) == status
