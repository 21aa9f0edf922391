"""Quotes: exact totals for an address, every option, why each number is what it is; nothing changes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import ADDRESS, Client, Shop
from tests.web.answers import add, address, ok, pointers, problem

CA = address()
NY = address(region="NY", city="New York", postal_code="10001")
DE = address(country="DE", region=None, city="Berlin", postal_code="10115")
JP = address(country="JP", region=None, city="Tokyo", postal_code="100-0001")


def quote(shopper: Client, **body: Any) -> Any:
    return ok(shopper.post("/api/checkout/quote", json=body))


def amounts(found: Any) -> tuple[str, str, str, str]:
    return found["subtotal"], found["shipping_amount"], found["tax_amount"], found["total_amount"]


@pytest.fixture
def full(shop: Shop, shopper: Client) -> Client:
    """A shopper with two mugs at 10.00, 100 g each."""
    shop.stocked(MUG=5)
    ok(add(shopper, quantity=2))
    return shopper


@pytest.mark.parametrize(
    ("to", "method", "expected"),
    [
        (CA, "standard", ("20.00", "5.06", "1.82", "26.88")),
        (NY, "standard", ("20.00", "5.06", "2.23", "27.29")),
        (DE, "standard", ("20.00", "5.06", "4.76", "29.82")),
        (CA, "express", ("20.00", "14.40", "2.49", "36.89")),
        (JP, "international", ("20.00", "20.20", "0.00", "40.20")),
        (DE, "pickup", ("20.00", "0.00", "1.45", "21.45")),
        (None, "pickup", ("20.00", "0.00", "1.45", "21.45")),
        (None, None, ("20.00", "0.00", "1.45", "21.45")),
        (JP, None, ("20.00", "20.20", "0.00", "40.20")),
    ],
)
def test_the_totals_are_exact(full: Client, to: Any, method: str | None, expected: tuple[str, ...]) -> None:
    assert amounts(quote(full, shipping_info=to, shipping_method=method)) == expected


@pytest.mark.parametrize(
    ("price_minor", "expected"),
    [(7499, ("74.99", "4.98", "5.80", "85.77")), (7500, ("75.00", "0.00", "5.44", "80.44"))],
)
def test_shipping_is_free_from_the_boundary_on(
    shop: Shop, shopper: Client, price_minor: int, expected: tuple[str, ...]
) -> None:
    shop.stocked(price_minor, MUG=5)
    add(shopper)

    found = quote(shopper, shipping_info=CA, shipping_method="standard")

    assert amounts(found) == expected
    cost = found["shipping"]
    assert (cost["base"], cost["by_weight"]) == ("4.90", "0.08")
    assert cost["free"] == ("4.98" if price_minor == 7500 else "0.00")


def test_every_way_to_the_address_is_offered(full: Client) -> None:
    options = quote(full, shipping_info=CA)["shipping_options"]
    assert [(o["method"], o["amount"], o["total_amount"], o["selected"]) for o in options] == [
        ("standard", "5.06", "26.88", True),
        ("express", "14.40", "36.89", False),
        ("international", "20.20", "43.11", False),
        ("pickup", "0.00", "21.45", False),
    ]
    assert [o["method"] for o in quote(full, shipping_info=JP)["shipping_options"]] == ["international", "pickup"]
    assert [o["method"] for o in quote(full)["shipping_options"]] == ["pickup"]


def test_the_ways_to_pay_are_listed(full: Client) -> None:
    methods = quote(full)["payment_methods"]

    assert [method["method"] for method in methods] == ["card", "invoice", "cash_on_delivery"]


def test_every_number_is_explained(full: Client) -> None:
    found = quote(full, shipping_info=CA, shipping_method="standard")

    steps = {step["what"]: (step["formula"], step["exact"], step["amount"]) for step in found["explanation"]}
    assert steps["Mug"] == ("2 x 10.00", "20.00", "20.00")
    assert steps["Subtotal"][2] == "20.00"
    assert steps["Shipping: Standard delivery"] == ("4.90 base + 0.16 by weight + 0.00 by item", "5.06", "5.06")
    assert steps["CA sales tax on Mug"] == ("20.00 x 7.25 %", "1.45", "1.45")
    assert steps["CA sales tax on shipping"] == ("5.06 x 7.25 %", "0.36685", "0.37")
    assert steps["Tax"][2] == "1.82"
    assert steps["Total"] == ("subtotal + shipping + tax", "26.88", "26.88")
    assert found["tax_lines"] == [
        {"name": "CA sales tax", "rate_percent": "7.25", "base_amount": "25.06", "tax_amount": "1.82"}
    ]


def test_a_quote_changes_nothing(shop: Shop, full: Client) -> None:
    before = ok(full.get("/api/cart"))
    for _ in range(3):
        found = quote(full, shipping_info=CA)
    after = ok(full.get("/api/cart"))

    assert found["cart_version"] == before["version"] == after["version"]
    assert after["items"] == before["items"]
    assert shop.stock("MUG") == 5
    assert shop.services.inbox.size() == 0


def test_a_moved_price_is_quoted_and_warned_of(shop: Shop, full: Client) -> None:
    shop.change("MUG", price_minor=900)

    found = quote(full, shipping_info=CA)

    assert found["subtotal"] == "18.00"
    assert [w["code"] for w in found["warnings"]] == ["price_changed"]


def test_an_empty_cart_has_no_quote(shop: Shop, shopper: Client) -> None:
    problem(shopper.post("/api/checkout/quote", json={}), 409, "cart_empty")


def test_lines_that_cannot_be_sold_are_all_named(shop: Shop, shopper: Client) -> None:
    shop.stocked(A=5, B=5, C=5, D=5)
    for product_id in "ABCD":
        add(shopper, product_id, 3)
    shop.change("A", is_active=False)
    shop.change("B", stock_quantity=0)
    shop.change("D", stock_quantity=2)

    body = problem(shopper.post("/api/checkout/quote", json={"shipping_info": CA}), 409)

    assert {(f["product_id"], f["code"], f["requested"], f["available"]) for f in body["errors"]} == {
        ("A", "product_unavailable", 3, 0),
        ("B", "out_of_stock", 3, 0),
        ("D", "insufficient_stock", 3, 2),
    }


@pytest.mark.parametrize(("to", "method"), [(DE, "express"), (JP, "standard"), (CA, "drone")])
def test_a_method_that_does_not_serve_the_address_is_refused(full: Client, to: Any, method: str) -> None:
    response = full.post("/api/checkout/quote", json={"shipping_info": to, "shipping_method": method})

    assert pointers(problem(response, 422, "shipping_unavailable")) == ["/shipping_method"]


def test_a_delivery_needs_an_address(full: Client) -> None:
    response = full.post("/api/checkout/quote", json={"shipping_method": "standard"})

    assert pointers(problem(response, 422, "validation_failed")) == ["/shipping_info"]


@pytest.mark.parametrize("missing", ["name", "line1", "city", "postal_code", "country"])
def test_an_incomplete_address_names_what_is_missing(full: Client, missing: str) -> None:
    partial = {name: value for name, value in ADDRESS.items() if name != missing}

    body = problem(full.post("/api/checkout/quote", json={"shipping_info": partial}), 422, "validation_failed")

    assert pointers(body) == [f"/shipping_info/{missing}"]
