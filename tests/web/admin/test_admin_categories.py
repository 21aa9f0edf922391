"""The merchant's categories: unique by name, versioned by their content, deleted only when empty."""

from __future__ import annotations

from typing import Any

import pytest

from db.models import Category
from tests.carts.sample import at_once
from tests.harness import Client, Shop
from tests.web.admin.conftest import merchant_of
from tests.web.answers import ok, pointers, problem

CATEGORIES = "/api/admin/categories"


@pytest.fixture
def anyone(any_shop: Shop) -> Client:
    """A merchant of a shop with a product in `Things` (1), and an empty `Élan` (7)."""
    any_shop.stocked(MUG=3)
    any_shop.product("CUP", is_active=False)
    with any_shop.database.writing() as session:
        session.add(Category(id=7, name="Élan", description=""))
    return merchant_of(any_shop)


def patch(merchant: Client, category_id: int, etag: str | None = "*", **changes: Any) -> Any:
    headers = {} if etag is None else {"If-Match": etag}
    return merchant.patch(f"{CATEGORIES}/{category_id}", json=changes, headers=headers)


def test_categories_are_listed_with_all_their_products(anyone: Client) -> None:
    assert ok(anyone.get(CATEGORIES))["items"] == [
        {"id": 1, "name": "Things", "description": "All sorts.", "product_count": 2},
        {"id": 7, "name": "Élan", "description": "", "product_count": 0},
    ]


def test_a_category_is_created_behind_the_last(any_shop: Shop, anyone: Client) -> None:
    response = anyone.post(CATEGORIES, json={"name": "  Desk ", "description": "Pens and such."})

    created = ok(response, 201)
    assert created == {"id": 8, "name": "Desk", "description": "Pens and such.", "product_count": 0}
    assert response.headers["Location"] == f"{CATEGORIES}/8"
    read = anyone.get(f"{CATEGORIES}/8")
    assert (ok(read), read.headers["ETag"]) == (created, response.headers["ETag"])
    assert "Desk" in [item["name"] for item in ok(any_shop.shopper().get("/api/categories"))["items"]]


def test_the_first_category_of_all_is_number_one(any_shop: Shop) -> None:
    assert ok(merchant_of(any_shop).post(CATEGORIES, json={"name": "Things"}), 201)["id"] == 1


@pytest.mark.parametrize("name", ["Things", "THINGS", "éLAN"])
def test_a_name_is_given_once_whatever_the_case(anyone: Client, name: str) -> None:
    problem(anyone.post(CATEGORIES, json={"name": name}), 409, "category_exists")
    ok(anyone.post(CATEGORIES, json={"name": "Desk"}), 201)
    problem(patch(anyone, 8, name=name), 409, "category_exists")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({}, "/name"), ({"name": " "}, "/name"), ({"name": "x", "id": 5}, "/id"), ({"name": "a\nb"}, "/name")],
)
def test_what_cannot_be_a_category_is_refused(shop: Shop, merchant: Client, body: dict[str, Any], pointer: str) -> None:
    assert pointers(problem(merchant.post(CATEGORIES, json=body), 422, "validation_failed")) == [pointer]


@pytest.mark.real
def test_of_many_that_create_one_category_at_once_one_does(any_shop: Shop) -> None:
    merchants = [merchant_of(any_shop) for _ in range(5)]

    same = at_once(5, lambda n: merchants[n].post(CATEGORIES, json={"name": "Desk"}).status_code)
    others = at_once(5, lambda n: merchants[n].post(CATEGORIES, json={"name": f"Desk {n}"}).get_json()["id"])

    assert sorted(same) == [201, 409, 409, 409, 409]
    assert sorted(others) == [2, 3, 4, 5, 6]


def test_a_change_names_what_it_was_made_to(anyone: Client) -> None:
    seen = anyone.get(f"{CATEGORIES}/7").headers["ETag"]

    problem(patch(anyone, 7, None, name="Verve"), 428, "precondition_required")
    first = patch(anyone, 7, seen, description="New.")
    problem(patch(anyone, 7, seen, name="Verve"), 412, "precondition_failed")

    assert ok(first) == {"id": 7, "name": "Élan", "description": "New.", "product_count": 0}
    assert ok(patch(anyone, 7, first.headers["ETag"], name="élan"))["name"] == "élan"


def test_a_change_of_nothing_keeps_the_version(anyone: Client) -> None:
    seen = anyone.get(f"{CATEGORIES}/7").headers["ETag"]

    assert patch(anyone, 7, seen, name="Élan").headers["ETag"] == seen
    assert patch(anyone, 7, seen).headers["ETag"] == seen


@pytest.mark.parametrize("member", ["name", "description"])
def test_nothing_can_be_null(shop: Shop, merchant: Client, member: str) -> None:
    shop.stocked(MUG=1)

    assert pointers(problem(patch(merchant, 1, **{member: None}), 422, "validation_failed")) == [f"/{member}"]


@pytest.mark.real
def test_of_many_changes_to_one_version_one_is_made(any_shop: Shop) -> None:
    any_shop.stocked(MUG=1)
    merchants = [merchant_of(any_shop) for _ in range(5)]
    seen = merchants[0].get(f"{CATEGORIES}/1").headers["ETag"]

    answers = at_once(5, lambda n: patch(merchants[n], 1, seen, name=f"Things {n}").status_code)

    assert sorted(answers) == [200, 412, 412, 412, 412]


def test_only_an_empty_category_is_deleted(anyone: Client) -> None:
    assert "2 products" in problem(anyone.delete(f"{CATEGORIES}/1"), 409, "category_in_use")["detail"]
    problem(anyone.delete(f"{CATEGORIES}/7", headers={"If-Match": '"1"'}), 412, "precondition_failed")

    assert anyone.delete(f"{CATEGORIES}/7").status_code == 204

    assert [item["id"] for item in ok(anyone.get(CATEGORIES))["items"]] == [1]


@pytest.mark.real
def test_a_category_is_not_deleted_under_a_product_that_comes(any_shop: Shop, anyone: Client) -> None:
    merchants = [merchant_of(any_shop) for _ in range(6)]
    product = {"name": "Vase", "price": "1.00", "category": "élan"}

    def race(n: int) -> int:
        if n == 0:
            return merchants[n].delete(f"{CATEGORIES}/7").status_code
        return merchants[n].post("/api/admin/products", json={**product, "sku": f"V{n}"}).status_code

    deleted, *created = at_once(6, race)

    left = [item["product_count"] for item in ok(anyone.get(CATEGORIES))["items"] if item["id"] == 7]
    assert (deleted, left) == ((204, []) if deleted == 204 else (409, [created.count(201)]))
    assert set(created) <= {201, 422}


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize(("number", "code"), [("99", "category_not_found"), ("0", "not_found"), ("x", "not_found")])
def test_an_unknown_category_is_not_found(shop: Shop, merchant: Client, method: str, number: str, code: str) -> None:
    response = merchant.open(f"{CATEGORIES}/{number}", method=method, json={} if method == "PATCH" else None)

    problem(response, 404, code)


@pytest.mark.parametrize("name", ["ΚΑΦΕΣ", "İçecek", "Éclairs", "STRASSE"])
def test_a_name_in_any_alphabet_is_found_and_taken_once(any_shop: Shop, name: str) -> None:
    merchant = merchant_of(any_shop)
    ok(merchant.post("/api/admin/categories", json={"name": name}), 201)

    problem(merchant.post("/api/admin/categories", json={"name": name}), 409, "category_exists")

    new = {"sku": "CUP-1", "name": name, "price": "3.00", "category": name}
    assert ok(merchant.post("/api/admin/products", json=new), 201)["category"] == name
    assert len(ok(merchant.get("/api/admin/products", query_string={"q": name}))["items"]) == 1
    assert len(ok(any_shop.shopper().get("/api/products", query_string={"q": name}))["items"]) == 1
    assert len(ok(any_shop.shopper().get("/api/products", query_string={"category": name}))["items"]) == 1
