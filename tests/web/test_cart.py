"""The cart: every change answers with the whole of it, with exact totals; a refusal leaves it as it was."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.harness import Client, Shop
from tests.web.answers import add, ok, pointers, problem, session_of


def amounts(cart: Any) -> tuple[str, str, str, str]:
    return cart["subtotal"], cart["shipping_amount"], cart["tax_amount"], cart["total_amount"]


def quantities(cart: Any) -> dict[str, int]:
    return {item["item_id"]: item["quantity"] for item in cart["items"]}


def test_a_new_cart_is_empty(shop: Shop, shopper: Client) -> None:
    cart = ok(shopper.get("/api/cart"))

    assert cart == {
        "id": None,
        "version": 0,
        "items": [],
        "item_count": 0,
        "total_quantity": 0,
        "currency": "USD",
        "prices_include_tax": False,
        "subtotal": "0.00",
        "tax_amount": "0.00",
        "shipping_amount": "0.00",
        "total_amount": "0.00",
        "estimated": True,
        "warnings": [],
        "expires_at": None,
    }


def test_adding_answers_the_whole_cart_with_exact_totals(shop: Shop, shopper: Client) -> None:
    shop.stocked(MUG=5)
    shop.product("PAD", price_minor=333, weight_grams=50, tax_class="zero", options={"Paper": "lined"})

    ok(add(shopper, "MUG", 2))
    cart = ok(add(shopper, "PAD", 1))

    # Shipping: 4.90 + 0.80 x 0.25 kg = 5.10, split 20.00 : 3.33 over the rates: 4.37 at 7.25 %, 0.73 at 0 %.
    assert amounts(cart) == ("23.33", "5.10", "1.77", "30.20")
    assert cart["item_count"] == 2
    assert cart["total_quantity"] == 3
    mug, pad = cart["items"]
    assert (mug["item_id"], mug["product_id"], mug["sku"], mug["name"]) == ("MUG", "MUG", "SKU-MUG", "Mug")
    assert (mug["unit_price"], mug["price_when_added"], mug["subtotal"]) == ("10.00", "10.00", "20.00")
    assert (mug["tax_amount"], mug["quantity"], mug["max_quantity"]) == ("1.45", 2, 5)
    assert (mug["available"], mug["available_quantity"]) == (True, 5)
    assert (pad["subtotal"], pad["tax_amount"], pad["options"]) == ("3.33", "0.00", {"Paper": "lined"})
    assert ok(shopper.get("/api/cart")).keys() == cart.keys()


def test_adding_again_raises_the_line(shop: Shop, shopper: Client) -> None:
    shop.stocked(MUG=5)
    first = ok(add(shopper, quantity=2))

    cart = ok(shopper.post("/api/cart/add", json={"product_id": "MUG"}))

    assert quantities(cart) == {"MUG": 3}
    assert cart["id"] == first["id"]
    assert cart["version"] > first["version"]
    assert amounts(cart) == ("30.00", "5.14", "2.55", "37.69")


def test_lines_keep_the_order_in_which_they_were_added(shop: Shop, shopper: Client) -> None:
    shop.stocked(B=5, A=5, C=5)
    for product_id in ("B", "A", "C", "B"):
        cart = ok(add(shopper, product_id))

    added_at = [item["added_at"] for item in cart["items"]]
    assert added_at == sorted(added_at)
    assert quantities(cart) == {"B": 2, "A": 1, "C": 1}


def test_updating_sets_the_quantity_and_zero_removes(shop: Shop, shopper: Client) -> None:
    shop.stocked(MUG=5, PAN=5)
    add(shopper, "MUG", 2)
    add(shopper, "PAN", 1)

    cart = ok(shopper.put("/api/cart/update", json={"item_id": "MUG", "quantity": 5}))
    assert quantities(cart) == {"MUG": 5, "PAN": 1}
    assert cart["subtotal"] == "60.00"

    cart = ok(shopper.put("/api/cart/update", json={"item_id": "MUG", "quantity": 0}))
    assert quantities(cart) == {"PAN": 1}


def test_removing_answers_what_is_left(shop: Shop, shopper: Client) -> None:
    shop.stocked(MUG=5, PAN=5)
    add(shopper, "MUG", 2)
    add(shopper, "PAN", 1)

    assert quantities(ok(shopper.delete("/api/cart/remove/MUG"))) == {"PAN": 1}
    assert ok(shopper.delete("/api/cart/remove/PAN"))["id"] is None


def test_clearing_confirms_and_an_empty_cart_may_be_cleared(shop: Shop, shopper: Client) -> None:
    shop.stocked(MUG=5)
    add(shopper)

    for _ in range(2):
        cleared = ok(shopper.delete("/api/cart/clear"))
        assert cleared["cleared"] is True
        assert cleared["cart"]["items"] == []
    assert ok(shopper.get("/api/cart"))["items"] == []


def test_carts_belong_to_their_sessions(shop: Shop, shopper: Client) -> None:
    shop.stocked(MUG=5)
    add(shopper, quantity=2)
    other = shop.shopper()
    add(other, quantity=4)

    assert quantities(ok(shopper.get("/api/cart"))) == {"MUG": 2}
    assert quantities(ok(other.get("/api/cart"))) == {"MUG": 4}


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("stock", "in_cart", "added", "code", "available"),
    [
        (3, 0, 4, "insufficient_stock", 3),
        (3, 2, 2, "insufficient_stock", 3),
        (0, 0, 1, "out_of_stock", 0),
        (50, 0, 21, "quantity_limit_exceeded", 20),
        (50, 20, 1, "quantity_limit_exceeded", 20),
        (20, 20, 1, "insufficient_stock", 20),
    ],
)
def test_adding_over_the_stock_or_the_limit_is_refused_and_changes_nothing(
    shop: Shop, shopper: Client, stock: int, in_cart: int, added: int, code: str, available: int
) -> None:
    shop.stocked(MUG=stock)
    if in_cart:
        add(shopper, quantity=in_cart)
    before = ok(shopper.get("/api/cart"))

    body = problem(add(shopper, quantity=added), 409, code)

    (fault,) = body["errors"]
    assert (fault["product_id"], fault["requested"], fault["available"]) == ("MUG", in_cart + added, available)
    assert fault["pointer"] == "/quantity"
    after = ok(shopper.get("/api/cart"))
    assert (after["version"], quantities(after)) == (before["version"], quantities(before))


@pytest.mark.parametrize(
    ("quantity", "code", "available"), [(4, "insufficient_stock", 3), (21, "insufficient_stock", 3)]
)
def test_updating_over_the_stock_is_refused_and_changes_nothing(
    shop: Shop, shopper: Client, quantity: int, code: str, available: int
) -> None:
    shop.stocked(MUG=3)
    add(shopper, quantity=2)

    body = problem(shopper.put("/api/cart/update", json={"item_id": "MUG", "quantity": quantity}), 409, code)

    assert body["errors"][0]["available"] == available
    assert quantities(ok(shopper.get("/api/cart"))) == {"MUG": 2}


def test_updating_over_the_limit_is_refused(shop: Shop, shopper: Client) -> None:
    shop.stocked(MUG=50)
    add(shopper, quantity=2)

    body = problem(
        shopper.put("/api/cart/update", json={"item_id": "MUG", "quantity": 21}), 409, "quantity_limit_exceeded"
    )

    assert body["errors"][0]["available"] == 20


def test_adding_an_unknown_product_is_a_404(shop: Shop, shopper: Client) -> None:
    problem(add(shopper, "nothing"), 404, "product_not_found")


@pytest.mark.parametrize("item_id", ["PAN", "nothing"])
@pytest.mark.parametrize("quantity", [0, 1, 9999])
def test_updating_an_item_that_is_not_there_is_a_404(shop: Shop, shopper: Client, item_id: str, quantity: int) -> None:
    shop.stocked(MUG=3, PAN=3)
    add(shopper)

    response = shopper.put("/api/cart/update", json={"item_id": item_id, "quantity": quantity})

    problem(response, 404, "item_not_found")


@pytest.mark.parametrize("item_id", ["PAN", "nothing"])
def test_removing_an_item_that_is_not_there_is_a_404(shop: Shop, shopper: Client, item_id: str) -> None:
    shop.stocked(MUG=3, PAN=3)
    add(shopper)

    problem(shopper.delete(f"/api/cart/remove/{item_id}"), 404, "item_not_found")


def test_a_cart_holds_a_limited_number_of_products(shop: Shop, shopper: Client) -> None:
    shop.stocked(FIRST=5, LAST=5)
    session_id, limit = session_of(shop, shopper), shop.rules.cart.max_lines
    add(shopper, "FIRST")
    for i in range(limit - 1):
        shop.services.carts.add(session_id, f"P{i}", 1, 1000, 20)

    problem(add(shopper, "LAST"), 409, "cart_limit_exceeded")

    assert ok(add(shopper, "FIRST"))["total_quantity"] == limit + 1


# ---------------------------------------------------------------- warnings


def test_a_moved_price_is_told_and_used(shop: Shop, shopper: Client) -> None:
    shop.stocked(PAN=5, MUG=5)
    add(shopper, "PAN")
    add(shopper, "MUG", 2)
    shop.change("MUG", price_minor=1250)

    cart = ok(shopper.get("/api/cart"))

    (warning,) = cart["warnings"]
    assert (warning["code"], warning["product_id"]) == ("price_changed", "MUG")
    place = int(warning["pointer"].removeprefix("/items/"))
    assert cart["items"][place]["product_id"] == "MUG"
    assert (warning["was"], warning["now"]) == ("10.00", "12.50")
    assert (cart["items"][place]["unit_price"], cart["items"][place]["price_when_added"]) == ("12.50", "10.00")
    assert cart["subtotal"] == "35.00"


@pytest.mark.parametrize(("left", "code"), [(2, "insufficient_stock"), (0, "out_of_stock")])
def test_a_fallen_stock_is_told(shop: Shop, shopper: Client, left: int, code: str) -> None:
    shop.stocked(MUG=5)
    add(shopper, quantity=3)
    shop.change("MUG", stock_quantity=left)

    cart = ok(shopper.get("/api/cart"))

    (warning,) = cart["warnings"]
    assert (warning["code"], warning["pointer"]) == (code, "/items/0")
    assert (warning["requested"], warning["available"]) == (3, left)
    (item,) = cart["items"]
    assert (item["available"], item["available_quantity"], item["max_quantity"]) == (False, left, left)


def test_a_product_that_went_stays_in_the_cart_and_costs_nothing(shop: Shop, shopper: Client) -> None:
    shop.stocked(MUG=5, PAN=5)
    add(shopper, "MUG", 3)
    add(shopper, "PAN")
    shop.change("MUG", is_active=False)

    cart = ok(shopper.get("/api/cart"))

    (warning,) = cart["warnings"]
    assert (warning["code"], warning["product_id"]) == ("product_unavailable", "MUG")
    assert (warning["requested"], warning["available"]) == (3, 0)
    (mug,) = (item for item in cart["items"] if item["item_id"] == "MUG")
    assert (mug["unit_price"], mug["subtotal"], mug["available"]) == (None, "0.00", False)
    assert cart["subtotal"] == "10.00"
    body = problem(shopper.put("/api/cart/update", json={"item_id": "MUG", "quantity": 1}), 409, "product_unavailable")
    assert pointers(body) == ["/quantity"]
    assert quantities(ok(shopper.delete("/api/cart/remove/MUG"))) == {"PAN": 1}


def test_a_cart_of_products_that_all_went_has_no_total(shop: Shop, shopper: Client) -> None:
    shop.stocked(MUG=5)
    add(shopper)
    shop.change("MUG", is_active=False)

    assert amounts(ok(shopper.get("/api/cart"))) == ("0.00", "0.00", "0.00", "0.00")


# ---------------------------------------------------------------- lifetime


def test_a_cart_says_when_it_expires_and_each_change_prolongs_it(shop: Shop, shopper: Client) -> None:
    shop.stocked(MUG=5)
    cart = ok(add(shopper))
    key = f"cart:{session_of(shop, shopper)}"

    in_a_month = datetime.fromisoformat(cart["expires_at"]).timestamp() - shop.redis.time()[0]
    assert 30 * 24 * 3600 - 5 < in_a_month <= 30 * 24 * 3600 + 1
    shop.redis.expire(key, 60)
    assert ok(add(shopper))["expires_at"] >= cart["expires_at"]


def test_a_look_at_a_cart_prolongs_its_life(shop: Shop, shopper: Client) -> None:
    shop.stocked(MUG=5)
    cart = ok(add(shopper))
    shop.redis.expire(f"cart:{session_of(shop, shopper)}", 60)

    assert ok(shopper.get("/api/cart"))["expires_at"] >= cart["expires_at"]


def test_an_expired_cart_is_empty_and_no_error(shop: Shop, shopper: Client) -> None:
    shop.stocked(MUG=5)
    add(shopper)
    shop.redis.delete(f"cart:{session_of(shop, shopper)}")

    assert ok(shopper.get("/api/cart"))["items"] == []
    assert quantities(ok(add(shopper))) == {"MUG": 1}
