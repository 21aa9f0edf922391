"""What a cart knows about its lines, and what stands against selling them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.cart import EMPTY, Cart, CartLine, PriceMove, line_fault, price_moves, unsellable
from shop.errors import Fault
from tests.shop.given import product


def line(product_id: str, quantity: int = 1, price: int = 1000) -> CartLine:
    return CartLine(product_id, quantity, price, added_at=0)


def test_an_empty_cart_has_no_id_and_no_products() -> None:
    assert Cart(id=None, version=0, lines=(), expires_at=None) == EMPTY
    assert EMPTY.product_ids == []


def test_a_cart_names_its_products_in_order() -> None:
    assert Cart("c", 2, (line("TEA"), line("MUG")), 1).product_ids == ["TEA", "MUG"]


@pytest.mark.parametrize("quantity", [1, 9, 10])
def test_what_is_on_the_shelf_can_be_sold(quantity: int) -> None:
    assert line_fault("MUG", quantity, product(stock=10), max_quantity=20) is None


def test_more_than_the_shelf_holds_is_refused_with_what_there_is() -> None:
    fault = line_fault("MUG", 11, product(stock=10), max_quantity=20, pointer="/quantity")

    assert fault == Fault(
        "insufficient_stock", "Only 10 of 11 Mug are available.", "/quantity", None, "MUG", requested=11, available=10
    )


def test_an_empty_shelf_is_sold_out() -> None:
    assert line_fault("MUG", 1, product(stock=0), 20) == Fault(
        "out_of_stock", "Mug is sold out.", None, None, "MUG", requested=1, available=0
    )


def test_a_product_that_is_gone_is_named_by_its_id() -> None:
    assert line_fault("MUG", 2, None, 20, "/items/0") == Fault(
        "product_unavailable", "MUG is no longer sold.", "/items/0", None, "MUG", requested=2, available=0
    )


def test_a_product_taken_off_sale_is_gone_whatever_its_stock() -> None:
    assert line_fault("MUG", 2, product(active=False), 20) == Fault(
        "product_unavailable", "Mug is no longer sold.", None, None, "MUG", requested=2, available=0
    )


def test_one_order_holds_no_more_than_the_limit() -> None:
    assert line_fault("MUG", 20, product(stock=50), max_quantity=20) is None
    assert line_fault("MUG", 21, product(stock=50), max_quantity=20) == Fault(
        "quantity_limit_exceeded",
        "At most 20 of Mug fit in one order.",
        None,
        None,
        "MUG",
        requested=21,
        available=20,
    )


def test_every_line_that_cannot_be_sold_is_found_in_cart_order() -> None:
    lines = [line("GONE"), line("MUG", 2), line("SOLD_OUT"), line("TEA", 9)]
    products = {
        "MUG": product("MUG", stock=2),
        "SOLD_OUT": product("SOLD_OUT", stock=0),
        "TEA": product("TEA", stock=3),
    }

    found = unsellable(lines, products, max_quantity=20)

    assert [(fault.code, fault.pointer, fault.product_id, fault.available) for fault in found] == [
        ("product_unavailable", "/items/0", "GONE", 0),
        ("out_of_stock", "/items/2", "SOLD_OUT", 0),
        ("insufficient_stock", "/items/3", "TEA", 3),
    ]


def test_a_cart_that_can_be_sold_has_no_faults() -> None:
    assert unsellable([line("MUG", 2)], {"MUG": product(stock=2)}, max_quantity=2) == []


@given(st.integers(1, 50), st.integers(0, 50), st.integers(1, 50), st.booleans())
def test_a_line_is_sold_exactly_when_shelf_and_limit_allow_it(
    quantity: int, stock: int, limit: int, active: bool
) -> None:
    fault = line_fault("MUG", quantity, product(stock=stock, active=active), limit)

    assert (fault is None) == (active and quantity <= stock and quantity <= limit)


def test_prices_that_moved_are_reported_both_ways() -> None:
    mug = product("MUG", price=1200)
    products = {"MUG": mug, "TEA": product("TEA", price=450), "JAM": replace(mug, id="JAM", price_minor=300)}
    lines = [line("MUG", price=1000), line("TEA", price=450), line("GONE"), line("JAM", price=350)]

    assert price_moves(lines, products) == [
        PriceMove("MUG", "/items/0", was_minor=1000, now_minor=1200),
        PriceMove("JAM", "/items/3", was_minor=350, now_minor=300),
    ]
