"""The merchant's products: create, read, change, delete, list; and shoppers see it at once."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event

from db import audit
from db.models import Category
from tests.carts.sample import at_once
from tests.harness import Client, Shop
from tests.web.admin.conftest import key_for, merchant_of
from tests.web.answers import add, ok, pointers, problem, take_redis_away

NEW = {"sku": "Mug/1 blue", "name": "Blue mug", "price": "14.50", "category": "things"}
PRODUCTS = "/api/admin/products"


@pytest.fixture
def categories(any_shop: Shop) -> None:
    with any_shop.database.writing() as session:
        session.add(Category(id=1, name="Things", description="All sorts."))
        session.add(Category(id=7, name="Kitchen", description=""))


def etag_of(merchant: Client, product_id: str = "MUG") -> str:
    response = merchant.get(f"{PRODUCTS}/{product_id}")
    ok(response)
    return response.headers["ETag"]


def patch(merchant: Client, product_id: str = "MUG", etag: str | None = "*", **changes: Any) -> Any:
    headers = {} if etag is None else {"If-Match": etag}
    return merchant.patch(f"{PRODUCTS}/{product_id}", json=changes, headers=headers)


def no_violations(shop: Shop) -> None:
    """What `flask audit` asks of SQL."""
    for check in audit.CHECKS.values():
        with shop.database.reading() as session:
            assert [found for found in check(session) if isinstance(found, audit.Violation)] == []


# ---------------------------------------------------------------- who may


@pytest.mark.parametrize("scopes", [("stock",), ("orders",), ("stock", "orders")])
def test_products_need_the_scope_catalogue(shop: Shop, scopes: tuple[str, ...]) -> None:
    shop.stocked(MUG=1)
    merchant = merchant_of(shop, *scopes)

    for response in (
        merchant.get(PRODUCTS),
        merchant.get(f"{PRODUCTS}/MUG"),
        merchant.post(PRODUCTS, json=NEW),
        patch(merchant, name="x"),
        merchant.delete(f"{PRODUCTS}/MUG"),
        merchant.get("/api/admin/categories"),
    ):
        assert "catalogue" in problem(response, 403, "missing_scope")["detail"]


def test_without_a_key_nobody_learns_whether_there_is_a_product(shop: Shop) -> None:
    shop.stocked(MUG=1)

    for path in (f"{PRODUCTS}/MUG", f"{PRODUCTS}/JAR"):
        problem(shop.shopper().get(path), 401, "unauthenticated")


# ---------------------------------------------------------------- creating


def test_a_product_is_created_with_what_is_given(any_shop: Shop, categories: None) -> None:
    merchant = merchant_of(any_shop, name="Ada's key")
    given = {
        **NEW,
        "id": "blue-mug",
        "category": "KITCHEN",
        "description_html": "<p>Glazed <b>twice</b>.</p><script>alert(1)</script>",
        "images": ["/static/1.svg", "https://shop.example/2.png"],
        "specifications": {"Volume": "300 ml", "Colour": "blue"},
        "tax_class": "reduced",
        "weight_grams": 350,
        "group_id": "mug",
        "options": {"Colour": "Blue"},
        "is_active": False,
        "stock_quantity": 12,
        "low_stock_threshold": 3,
    }

    response = merchant.post(PRODUCTS, json=given)

    created = ok(response, 201)
    assert response.headers["Location"] == f"{PRODUCTS}/blue-mug"
    assert response.headers["Cache-Control"] == "no-store"
    assert created == {
        **given,
        "category": "Kitchen",
        "category_id": 7,
        "currency": "USD",
        "description": "Glazed twice.",
        "description_html": "<p>Glazed <b>twice</b>.</p>",
        "image_url": "/static/1.svg",
        "stock_status": "in_stock",
        "created_at": "2026-11-18T11:06:40.000Z",
        "updated_at": "2026-11-18T11:06:40.000Z",
    }
    read = merchant.get(response.headers["Location"])
    assert ok(read) == created
    assert read.headers["ETag"] == response.headers["ETag"]
    (opening,) = ok(merchant.get(f"{PRODUCTS}/blue-mug/movements"))["items"]
    assert (opening["kind"], opening["quantity"], opening["actor"]) == ("opening", 12, "Ada's key")
    any_shop.books_close()


def test_what_is_left_out_has_a_default(any_shop: Shop, categories: None) -> None:
    created = ok(merchant_of(any_shop).post(PRODUCTS, json=NEW), 201)

    assert created["id"] == "mug-1-blue"
    assert (created["is_active"], created["stock_quantity"], created["low_stock_threshold"]) == (True, 0, 5)
    assert (created["description"], created["description_html"], created["image_url"]) == ("", None, "")
    assert (created["images"], created["specifications"], created["options"]) == ([], {}, {})
    assert (created["tax_class"], created["weight_grams"], created["group_id"]) == ("standard", 0, None)
    any_shop.books_close()


def test_shoppers_see_a_new_product(any_shop: Shop, categories: None) -> None:
    merchant = merchant_of(any_shop)
    shopper = any_shop.shopper()
    problem(add(shopper, "mug-1-blue"), 404, "product_not_found")

    ok(merchant.post(PRODUCTS, json={**NEW, "stock_quantity": 2}), 201)

    assert ok(shopper.get("/api/products/mug-1-blue"))["price"] == "14.50"
    assert ok(add(shopper, "mug-1-blue"))["total_quantity"] == 1


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"category": "Garden"}, "/category"),
        ({"category": "1"}, "/category"),
        ({"price": "1.999"}, "/price"),
        ({"price": "-1"}, "/price"),
        ({"price": 14.5}, "/price"),
        ({"tax_class": "none"}, "/tax_class"),
        ({"sku": "日本"}, None),
        ({"sku": "☃"}, "/id"),
        ({"sku": ""}, "/sku"),
        ({"id": "a b"}, "/id"),
        ({"name": "a\x00b"}, "/name"),
        ({"images": ["javascript:alert(1)"]}, "/images/0"),
        ({"stock_quantity": -1}, "/stock_quantity"),
        ({"weight_grams": 1.5}, "/weight_grams"),
        ({"group_id": "a b"}, "/group_id"),
        ({"colour": "red"}, "/colour"),
    ],
)
def test_what_cannot_be_a_product_is_refused_with_a_pointer(
    any_shop: Shop, categories: None, changes: dict[str, Any], pointer: str | None
) -> None:
    response = merchant_of(any_shop).post(PRODUCTS, json={**NEW, **changes})

    if pointer is None:
        ok(response, 201)
    else:
        assert pointers(problem(response, 422, "validation_failed")) == [pointer]


@pytest.mark.parametrize("member", ["sku", "name", "price", "category"])
def test_a_product_needs_a_sku_a_name_a_price_and_a_category(shop: Shop, merchant: Client, member: str) -> None:
    body = {name: value for name, value in NEW.items() if name != member}

    assert pointers(problem(merchant.post(PRODUCTS, json=body), 422, "validation_failed")) == [f"/{member}"]


def test_a_sku_and_an_id_are_given_once(any_shop: Shop, categories: None) -> None:
    merchant = merchant_of(any_shop)
    ok(merchant.post(PRODUCTS, json=NEW), 201)

    for again in (NEW, {**NEW, "id": "other"}, {**NEW, "sku": "MUG-1-Blue"}):
        body = problem(merchant.post(PRODUCTS, json=again), 409, "product_exists")
        assert body["product_id"] == "mug-1-blue"
    any_shop.books_close()


@pytest.mark.real
def test_of_many_that_create_one_sku_at_once_one_does(any_shop: Shop, categories: None) -> None:
    merchants = [merchant_of(any_shop) for _ in range(6)]

    answers = at_once(6, lambda n: merchants[n].post(PRODUCTS, json={**NEW, "id": f"mug-{n}"}).status_code)

    assert sorted(answers) == [201, 409, 409, 409, 409, 409]
    any_shop.books_close()


# ---------------------------------------------------------------- changing


def test_only_what_is_named_is_changed(any_shop: Shop, categories: None) -> None:
    merchant = merchant_of(any_shop)
    any_shop.product("MUG", description="Old.", group_id="mug", stock_quantity=4)
    before = ok(merchant.get(f"{PRODUCTS}/MUG"))

    response = patch(merchant, etag=etag_of(merchant), price="12.00", category="kitchen", images=["/a.svg", "/b.svg"])

    assert ok(response) == {
        **before,
        "price": "12.00",
        "category": "Kitchen",
        "category_id": 7,
        "images": ["/a.svg", "/b.svg"],
        "image_url": "/a.svg",
        "updated_at": "2026-11-18T11:06:40.001Z",
    }
    assert response.headers["ETag"] == etag_of(merchant)
    assert ok(merchant.get(f"{PRODUCTS}/MUG")) == ok(response)


@pytest.mark.parametrize("nothing", [None, ""])
def test_html_and_group_are_removed_by_null_or_nothing(shop: Shop, merchant: Client, nothing: str | None) -> None:
    shop.product("MUG", description="Old.", description_html="<p>Old.</p>", group_id="mug")

    changed = ok(patch(merchant, description_html=nothing, group_id=nothing))

    assert (changed["description_html"], changed["group_id"], changed["description"]) == (None, None, "Old.")


@pytest.mark.parametrize("member", ["sku", "name", "price", "category", "images", "specifications", "is_active"])
def test_nothing_else_can_be_null(shop: Shop, merchant: Client, member: str) -> None:
    shop.stocked(MUG=1)

    body = problem(patch(merchant, **{member: None}), 422, "validation_failed")

    assert pointers(body) == [f"/{member}"]
    assert "leave it out" in body["detail"]


def test_a_plain_description_replaces_the_html(shop: Shop, merchant: Client) -> None:
    shop.product("MUG", description="Old.", description_html="<p>Old.</p>")

    changed = ok(patch(merchant, description="New."))

    assert (changed["description"], changed["description_html"]) == ("New.", None)


def test_the_order_of_specifications_is_the_merchants(shop: Shop, merchant: Client) -> None:
    shop.product("MUG", specifications={"Volume": "300 ml", "Colour": "blue"})

    changed = ok(patch(merchant, specifications={"Colour": "blue", "Volume": "300 ml"}))

    assert list(changed["specifications"]) == ["Colour", "Volume"]


def test_stock_and_id_are_not_changed_here(shop: Shop, merchant: Client) -> None:
    shop.stocked(MUG=1)

    assert pointers(problem(patch(merchant, stock_quantity=5), 422)) == ["/stock_quantity"]
    assert pointers(problem(patch(merchant, id="CUP"), 422)) == ["/id"]


def test_a_sku_may_change_to_a_free_one(any_shop: Shop) -> None:
    any_shop.stocked(MUG=1, CUP=1)
    merchant = merchant_of(any_shop)

    assert ok(patch(merchant, sku="MUG-2"))["sku"] == "MUG-2"
    assert problem(patch(merchant, sku="SKU-CUP"), 409, "product_exists")["product_id"] == "CUP"
    assert ok(merchant.get(f"{PRODUCTS}?sku=MUG-2"))["items"][0]["id"] == "MUG"


def test_a_change_of_nothing_keeps_the_version(any_shop: Shop) -> None:
    any_shop.stocked(MUG=1)
    merchant = merchant_of(any_shop)
    etag = etag_of(merchant)
    any_shop.clock.forward(5)

    response = patch(merchant, etag=etag, name="Mug", price="10.00", options={}, sku="SKU-MUG")

    ok(response)
    assert response.headers["ETag"] == etag == etag_of(merchant)
    assert patch(merchant, etag=etag).headers["ETag"] == etag


def test_a_change_names_what_it_was_made_to(any_shop: Shop) -> None:
    any_shop.stocked(MUG=1)
    merchant = merchant_of(any_shop)
    seen = etag_of(merchant)

    problem(patch(merchant, etag=None, name="A"), 428, "precondition_required")
    first = patch(merchant, etag=seen, name="A")
    problem(patch(merchant, etag=seen, name="B"), 412, "precondition_failed")
    second = patch(merchant, etag=first.headers["ETag"], name="B")

    assert ok(second)["name"] == "B"
    assert len({seen, first.headers["ETag"], second.headers["ETag"]}) == 3


def test_a_sale_does_not_change_the_version(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    merchant = merchant_of(any_shop)
    seen = etag_of(merchant)
    any_shop.checkout(MUG=1)
    any_shop.work_until_idle()

    changed = ok(patch(merchant, etag=seen, price="11.00"))

    assert changed["stock_quantity"] == 2


@pytest.mark.real
def test_of_many_changes_to_one_version_one_is_made(any_shop: Shop) -> None:
    any_shop.stocked(MUG=1)
    merchants = [merchant_of(any_shop) for _ in range(6)]
    seen = etag_of(merchants[0])

    answers = at_once(6, lambda n: patch(merchants[n], etag=seen, name=f"Mug {n}").status_code)

    assert sorted(answers) == [200, 412, 412, 412, 412, 412]


@pytest.mark.real
def test_of_many_that_take_one_sku_at_once_one_gets_it(any_shop: Shop) -> None:
    any_shop.stocked(**{f"MUG{n}": 1 for n in range(5)})
    merchants = [merchant_of(any_shop) for _ in range(5)]

    answers = at_once(5, lambda n: patch(merchants[n], f"MUG{n}", sku="BEST").status_code)

    assert sorted(answers) == [200, 409, 409, 409, 409]


# ---------------------------------------------------------------- what shoppers see


def test_shoppers_see_a_new_price_at_once(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    shopper, merchant = any_shop.shopper(), merchant_of(any_shop)
    assert ok(add(shopper))["subtotal"] == "10.00"

    ok(patch(merchant, price="8.00", name="Cheap mug"))

    cart = ok(shopper.get("/api/cart"))
    assert (cart["subtotal"], cart["items"][0]["name"]) == ("8.00", "Cheap mug")
    assert [warning["code"] for warning in cart["warnings"]] == ["price_changed"]
    assert ok(shopper.get("/api/products/MUG"))["price"] == "8.00"


def test_a_deactivated_product_in_a_cart_is_unavailable(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    shopper, merchant = any_shop.shopper(), merchant_of(any_shop)
    ok(add(shopper))

    ok(patch(merchant, is_active=False))

    cart = ok(shopper.get("/api/cart"))
    assert [warning["code"] for warning in cart["warnings"]] == ["product_unavailable"]
    assert cart["items"][0]["unit_price"] is None
    problem(shopper.get("/api/products/MUG"), 404, "product_not_found")
    problem(add(any_shop.shopper()), 404, "product_not_found")


def test_a_deleted_product_in_a_cart_is_unavailable(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    shopper, merchant = any_shop.shopper(), merchant_of(any_shop)
    ok(add(shopper))

    assert merchant.delete(f"{PRODUCTS}/MUG").status_code == 204

    assert [warning["code"] for warning in ok(shopper.get("/api/cart"))["warnings"]] == ["product_unavailable"]


@pytest.mark.parametrize("cached", [True, False])
def test_a_look_that_began_before_a_change_does_not_hide_it(any_shop: Shop, cached: bool) -> None:
    any_shop.stocked(MUG=3)
    shopper, merchant = any_shop.shopper(), merchant_of(any_shop)
    if cached:
        ok(add(shopper))
        any_shop.clock.forward(4)
    changed: list[int] = []

    def change_meanwhile(*_: Any) -> None:
        """The look has read SQL, and has not put into the cache what it read."""
        if not changed:
            changed.append(0)
            changed.append(patch(merchant, price="8.00").status_code)

    event.listen(any_shop.database.engine, "checkin", change_meanwhile)
    (item,) = ok(add(shopper))["items"]
    event.remove(any_shop.database.engine, "checkin", change_meanwhile)

    # Added at the price of the first look; the answer looks again.
    assert changed == [0, 200]
    assert (item["price_when_added"], item["unit_price"]) == ("10.00", "8.00")
    assert ok(shopper.get("/api/cart"))["items"][0]["unit_price"] == "8.00"


def test_with_redis_away_a_product_can_be_changed_and_deleted(shop: Shop, merchant: Client) -> None:
    shop.stocked(MUG=3)
    take_redis_away(shop.redis)

    assert ok(patch(merchant, price="8.00"))["price"] == "8.00"
    assert merchant.delete(f"{PRODUCTS}/MUG").status_code == 204


# ---------------------------------------------------------------- deleting


def test_a_product_that_was_never_sold_goes_with_its_ledger(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3, CUP=2)
    merchant = merchant_of(any_shop)
    ok(merchant.post(f"{PRODUCTS}/MUG/stock", json={"quantity": 2, "reason": "received"}), 201)

    assert merchant.delete(f"{PRODUCTS}/MUG", headers={"If-Match": etag_of(merchant)}).status_code == 204

    problem(merchant.get(f"{PRODUCTS}/MUG"), 404, "product_not_found")
    problem(merchant.delete(f"{PRODUCTS}/MUG"), 404, "product_not_found")
    assert any_shop.ledger("MUG") == 0
    no_violations(any_shop)
    any_shop.books_close()


def test_a_product_that_was_sold_stays(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    merchant = merchant_of(any_shop)
    any_shop.checkout(MUG=1)
    any_shop.work_until_idle()

    body = problem(merchant.delete(f"{PRODUCTS}/MUG"), 409, "product_sold")

    assert "is_active" in body["detail"]
    assert any_shop.stock("MUG") == any_shop.ledger("MUG") == 2
    no_violations(any_shop)


def test_a_checkout_that_waits_for_a_deleted_product_fails(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    order_id = any_shop.checkout(MUG=1)

    assert merchant_of(any_shop).delete(f"{PRODUCTS}/MUG").status_code == 204
    any_shop.work_until_idle()

    assert any_shop.order(order_id).failure["code"] == "product_unavailable"
    no_violations(any_shop)


def test_a_deletion_may_name_the_version_it_means(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    merchant = merchant_of(any_shop)

    problem(merchant.delete(f"{PRODUCTS}/MUG", headers={"If-Match": '"1"'}), 412, "precondition_failed")

    assert any_shop.stock("MUG") == 3


def test_a_deleted_product_can_be_created_again(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    merchant, shopper = merchant_of(any_shop), any_shop.shopper()
    ok(add(shopper))
    merchant.delete(f"{PRODUCTS}/MUG")

    ok(merchant.post(PRODUCTS, json={**NEW, "id": "MUG", "sku": "SKU-MUG", "stock_quantity": 1}), 201)

    assert ok(shopper.get("/api/cart"))["subtotal"] == "14.50"


# ---------------------------------------------------------------- the list


def ids(merchant: Client, **query: Any) -> list[str]:
    """The ids of the whole list, a small page at a time."""
    found: list[str] = []
    query["per_page"] = 2
    while True:
        answer = ok(merchant.get(PRODUCTS, query_string=query))
        found += [item["id"] for item in answer["items"]]
        if answer["page"]["next_cursor"] is None:
            return found
        query["cursor"] = answer["page"]["next_cursor"]


@pytest.fixture
def shelf(any_shop: Shop, categories: None) -> Client:
    any_shop.product("A", sku="5", name="pear", stock_quantity=9, group_id="g")
    any_shop.product("B", sku="4", name="Apple", stock_quantity=5, group_id="g", is_active=False)
    any_shop.product("C", sku="3", name="plum", stock_quantity=0, category_id=7)
    any_shop.product("D", sku="2", name="fig", stock_quantity=3, low_stock_threshold=2)
    any_shop.product("E", sku="1", name="fig", stock_quantity=20, low_stock_threshold=20, description="Sweet, 100%")
    any_shop.product("F", sku="0", name="date", stock_quantity=0, is_active=False, category_id=7)
    return merchant_of(any_shop)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, "FEDCBA"),
        ({"sort": "created_at"}, "ABCDEF"),
        ({"sort": "sku"}, "FEDCBA"),
        ({"is_active": "true"}, "EDCA"),
        ({"is_active": "false", "sort": "created_at"}, "BF"),
        ({"is_active": "true", "sort": "sku"}, "EDCA"),
        ({"category": "kitchen"}, "FC"),
        ({"category": "7", "is_active": "true"}, "C"),
        ({"q": "FIG"}, "ED"),
        ({"q": "100% sweet"}, "E"),
        ({"sku": "4"}, "B"),
        ({"sku": "9"}, ""),
        ({"low_stock": "true"}, "CFBE"),
        ({"low_stock": "true", "sort": "stock", "is_active": "true"}, "CE"),
        ({"low_stock": "true", "category": "kitchen"}, "CF"),
        ({"low_stock": "false"}, "FEDCBA"),
    ],
)
def test_the_list_is_narrowed_sorted_and_paged(shelf: Client, query: dict[str, str], found: str) -> None:
    assert ids(shelf, **query) == list(found)
    assert ok(shelf.get(PRODUCTS, query_string={**query, "total": "true"}))["page"]["total"] == len(found)


def test_the_list_is_sorted_by_name_with_the_id_as_the_last_key(shelf: Client) -> None:
    found = ids(shelf, sort="name")

    assert [i for i in found if i in "DE"] == ["D", "E"]
    assert found.index("F") < found.index("D") < found.index("A") < found.index("C")


def test_an_entry_says_what_a_list_needs(shelf: Client) -> None:
    (entry,) = ok(shelf.get(PRODUCTS, query_string={"sku": "2"}))["items"]

    assert (entry["category"], entry["price"], entry["currency"]) == ("Things", "10.00", "USD")
    assert (entry["stock_quantity"], entry["low_stock_threshold"], entry["stock_status"]) == (3, 2, "in_stock")
    assert "description" not in entry


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"sort": "price"}, "sort"),
        ({"sort": "stock"}, "sort"),
        ({"sort": "name", "low_stock": "true"}, "sort"),
        ({"category": "Garden"}, "category"),
        ({"per_page": "101"}, "per_page"),
        ({"is_active": "perhaps"}, "is_active"),
        ({"cursor": "forged"}, "cursor"),
        ({"page": "2"}, "page"),
    ],
)
def test_what_the_list_cannot_do_is_said(shop: Shop, merchant: Client, query: dict[str, str], parameter: str) -> None:
    body = problem(merchant.get(PRODUCTS, query_string=query), 400, "invalid_parameter")

    assert body["errors"][0]["parameter"] == parameter


def test_a_cursor_belongs_to_its_sort(shelf: Client) -> None:
    cursor = ok(shelf.get(PRODUCTS, query_string={"per_page": 2}))["page"]["next_cursor"]

    problem(shelf.get(PRODUCTS, query_string={"cursor": cursor, "sort": "name"}), 400, "invalid_parameter")
    problem(shelf.get("/api/admin/stock/low", query_string={"cursor": cursor}), 400, "invalid_parameter")


def test_a_key_with_the_scope_is_enough(shop: Shop) -> None:
    shop.stocked(MUG=1)

    answer = shop.shopper().get(PRODUCTS, headers={"Authorization": f"Bearer {key_for(shop, 'catalogue')}"})

    assert [item["id"] for item in ok(answer)["items"]] == ["MUG"]
