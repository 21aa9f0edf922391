"""Many products in one request: all of them are taken, or none."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from db.models import StockMovementRow
from tests.harness import Client, Shop
from tests.web.admin.conftest import merchant_of

MUG = {"sku": "MUG-1", "name": "Mug", "price": "14.50", "category": "Kitchen", "stock_quantity": 7}
CUP = {"sku": "CUP-1", "name": "Cup", "price": "9", "category": "kitchen"}


def upsert(client: Client, *products: dict[str, Any], status: int = 200, **more: Any) -> dict[str, Any]:
    response = client.post("/api/admin/products/bulk", json={"products": list(products), **more})
    assert response.status_code == status, response.text
    answer: dict[str, Any] = response.get_json()
    return answer


def test_new_products_are_made_with_their_category_and_stock(any_shop: Shop) -> None:
    merchant = merchant_of(any_shop, "catalogue")

    answer = upsert(merchant, MUG, CUP)

    assert answer == {
        "created": 2,
        "changed": 0,
        "unchanged": 0,
        "dry_run": False,
        "products": [
            {"sku": "MUG-1", "id": "mug-1", "result": "created"},
            {"sku": "CUP-1", "id": "cup-1", "result": "created"},
        ],
    }
    shown = any_shop.shopper().get("/api/products/mug-1").get_json()
    assert (shown["name"], shown["price"], shown["stock_quantity"]) == ("Mug", "14.50", 7)
    names = [entry["name"] for entry in any_shop.shopper().get("/api/categories").get_json()["items"]]
    assert names == ["Kitchen"]
    any_shop.books_close()


def test_existing_products_change_where_they_differ(any_shop: Shop) -> None:
    merchant = merchant_of(any_shop, "catalogue")
    upsert(merchant, MUG, CUP)

    answer = upsert(merchant, {"sku": "MUG-1", "price": "15.00", "stock_quantity": 99}, CUP)

    assert (answer["created"], answer["changed"], answer["unchanged"]) == (0, 1, 1)
    assert [entry["result"] for entry in answer["products"]] == ["changed", "unchanged"]
    assert any_shop.stock("mug-1") == 7
    any_shop.books_close()


def test_shoppers_see_a_new_price_at_once(shop: Shop, merchant: Client) -> None:
    upsert(merchant, MUG)
    shopper = shop.shopper()
    shopper.post("/api/cart/add", json={"product_id": "mug-1", "quantity": 1})

    upsert(merchant, {"sku": "MUG-1", "price": "15.00"})

    assert shopper.get("/api/cart").get_json()["items"][0]["unit_price"] == "15.00"


def test_a_dry_run_says_the_same_and_changes_nothing(any_shop: Shop) -> None:
    merchant = merchant_of(any_shop, "catalogue")

    answer = upsert(merchant, MUG, dry_run=True)

    assert (answer["created"], answer["dry_run"]) == (1, True)
    assert answer["products"] == [{"sku": "MUG-1", "id": "mug-1", "result": "created"}]
    assert any_shop.shopper().get("/api/products/mug-1").status_code == 404


def test_one_fault_keeps_all_others_out(any_shop: Shop) -> None:
    merchant = merchant_of(any_shop, "catalogue")

    answer = upsert(merchant, MUG, {"sku": "CUP-1", "name": "Cup"}, MUG, status=422)

    assert answer["code"] == "validation_failed"
    assert [(error["pointer"], error["message"]) for error in answer["errors"]] == [
        ("/products/1/price", "a new product needs a price"),
        ("/products/1/category", "a new product needs a category"),
        ("/products/2/sku", "/products/0 has the SKU MUG-1 already"),
    ]
    assert any_shop.shopper().get("/api/products/mug-1").status_code == 404


@pytest.mark.parametrize(
    ("product", "pointer"),
    [
        ({**CUP, "price": "9.999"}, "/products/1/price"),
        ({**CUP, "tax_class": "luxury"}, "/products/1/tax_class"),
        ({**CUP, "weight_grams": -1}, "/products/1/weight_grams"),
        ({**CUP, "nonsense": 1}, "/products/1/nonsense"),
        ({**CUP, "images": ["/a", "b"]}, "/products/1/images/1"),
        ({**CUP, "id": "mug-1"}, "/products/1/id"),
        ({"name": "Cup"}, "/products/1/sku"),
    ],
    ids=str,
)
def test_a_fault_points_at_its_place(shop: Shop, merchant: Client, product: dict[str, Any], pointer: str) -> None:
    answer = upsert(merchant, MUG, product, status=422)

    assert [error["pointer"] for error in answer["errors"]] == [pointer]


def test_at_most_fifty_faults_are_named(shop: Shop, merchant: Client) -> None:
    answer = upsert(
        merchant, *({"sku": f"S{number}", "name": "x", "category": "y"} for number in range(80)), status=422
    )

    assert len(answer["errors"]) == 50


@pytest.mark.parametrize("count", [0, 1001])
def test_a_request_holds_one_to_a_thousand_products(shop: Shop, merchant: Client, count: int) -> None:
    upsert(merchant, *({**MUG, "sku": f"S{number}"} for number in range(count)), status=422)


def test_a_thousand_large_products_fit_into_one_request(shop: Shop, merchant: Client) -> None:
    products = [{**MUG, "sku": f"S{number}", "description": "x" * 3000} for number in range(1000)]

    assert upsert(merchant, *products)["created"] == 1000


def test_it_needs_a_key_for_the_catalogue(shop: Shop) -> None:
    upsert(shop.shopper(), MUG, status=401)
    upsert(merchant_of(shop, "orders"), MUG, status=403)


def test_the_ledger_says_whose_key_it_was(shop: Shop, merchant: Client) -> None:
    upsert(merchant, MUG)

    with shop.database.reading() as session:
        assert session.scalars(select(StockMovementRow.actor)).all() == ["Ada's key"]
