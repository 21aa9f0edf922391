"""The catalogue: what is listed, in which order, how it is paged, and what is kept out of sight."""

from __future__ import annotations

from typing import Any

import pytest

from db import product_list
from db.models import Category
from tests.harness import Client, Shop
from tests.web.answers import add, ok, problem


@pytest.fixture(scope="module")
def shelves(lasting_shop: Shop) -> Shop:
    return fill(lasting_shop)


@pytest.fixture(scope="module")
def visitor(shelves: Shop) -> Client:
    """Somebody who only looks around."""
    return shelves.shopper()


def fill(shop: Shop) -> Shop:
    """Three categories, six products of which two are variants of one, and two that are inactive."""
    with shop.database.writing() as session:
        session.add(Category(id=1, name="Kitchen", description="To cook."))
        session.add(Category(id=2, name="Paper", description="To write."))
        session.add(Category(id=3, name="Empty", description=""))
    shop.product("mug", name="Enamel mug", description="For tea.", price_minor=1200, stock_quantity=10)
    shop.product("pan", name="Iron pan", description="For eggs. 100% iron", price_minor=4500, stock_quantity=0)
    shop.product("pen", name="Fountain pen", price_minor=2999, stock_quantity=3, category_id=2)
    shop.product("pad", name="Week_pad", price_minor=1200, stock_quantity=5, category_id=2)
    tee: dict[str, Any] = {"group_id": "tee", "category_id": 1}
    shop.product("tee-l", name="Tee", price_minor=2500, stock_quantity=0, options={"Size": "Large"}, **tee)
    shop.product("tee-s", name="Tee", price_minor=2000, stock_quantity=6, options={"Size": "Small"}, **tee)
    shop.product("tee-x", name="Tee", price_minor=1, options={"Size": "Secret"}, is_active=False, **tee)
    shop.product("old", name="Old thing", price_minor=100, category_id=2, is_active=False)
    return shop


def listed(shopper: Client, query: str = "") -> list[str]:
    return [item["id"] for item in ok(shopper.get(f"/api/products?{query}"))["items"]]


# ---------------------------------------------------------------- filters


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", ["tee-l", "pad", "pen", "pan", "mug"]),
        ("category=Kitchen", ["tee-l", "pan", "mug"]),
        ("category=kitchen", ["tee-l", "pan", "mug"]),
        ("category=2", ["pad", "pen"]),
        ("category=3", []),
        ("min_price=12.00", ["tee-l", "pad", "pen", "pan", "mug"]),
        ("min_price=12.01", ["tee-l", "pen", "pan"]),
        ("max_price=12", ["pad", "mug"]),
        ("max_price=11.99", []),
        ("min_price=20&max_price=29.99", ["tee-l", "pen"]),
        ("min_price=0&max_price=0", []),
        ("available=true", ["tee-s", "pad", "pen", "mug"]),
        ("available=false", ["tee-l", "pan"]),
        ("q=MUG", ["mug"]),
        ("q=tea", ["mug"]),
        ("q=SKU-pen", ["pen"]),
        ("q=iron+eggs", ["pan"]),
        ("q=iron+mug", []),
        ("q=100%25", ["pan"]),
        ("q=week_pad", ["pad"]),
        ("q=enamel+m", ["mug"]),
        ("q=mu+enamel", []),
        ("q=_", []),
        ("q=%25", []),
        ("q=%5C", []),
        ("q='%20OR%201%3D1", []),
        ("category=Paper&available=true&max_price=12&q=week", ["pad"]),
    ],
)
def test_a_filter_narrows_the_list(shelves: Shop, visitor: Client, query: str, ids: list[str]) -> None:
    assert listed(visitor, query) == ids


def test_the_total_counts_what_the_filter_lets_through(shelves: Shop, visitor: Client) -> None:
    page = ok(visitor.get("/api/products?category=Kitchen&per_page=2"))["page"]
    assert page["total"] == 3
    assert page["pages"] == 2

    page = ok(visitor.get("/api/products?total=false"))["page"]
    assert page["total"] is None
    assert page["pages"] is None


def test_a_long_list_says_that_it_was_not_counted_to_its_end(
    shelves: Shop, visitor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product_list, "MOST_COUNTED", 4)

    page = ok(visitor.get("/api/products?per_page=2"))["page"]

    assert (page["total"], page["total_exact"], page["pages"]) == (4, False, None)
    assert page["next_cursor"] is not None


def test_a_search_ignores_case_beyond_ascii_too(shop: Shop, shopper: Client) -> None:
    shop.product("eclair", name="Éclair au café", description="À manger")

    assert listed(shopper, "q=Éclair") == ["eclair"]
    assert listed(shopper, "q=ECLAIR+cafe") == ["eclair"]


def test_a_category_is_found_by_its_name_beyond_ascii_too(shop: Shop, shopper: Client) -> None:
    with shop.database.writing() as session:
        session.add(Category(id=1, name="Épicerie", description=""))
    shop.product("eclair")

    assert listed(shopper, "category=Épicerie") == ["eclair"]


# ---------------------------------------------------------------- sorting and paging


@pytest.mark.parametrize(
    ("sort", "ids"),
    [
        ("price", ["mug", "pad", "tee-l", "pen", "pan"]),
        ("-price", ["pan", "pen", "tee-l", "pad", "mug"]),
        ("name", ["mug", "pen", "pan", "tee-l", "pad"]),
        ("-created_at", ["tee-l", "pad", "pen", "pan", "mug"]),
    ],
)
@pytest.mark.parametrize("per_page", [1, 2, 3, 100])
def test_every_sort_pages_the_same_by_cursor_and_by_number(
    shelves: Shop, visitor: Client, sort: str, ids: list[str], per_page: int
) -> None:
    by_cursor: list[str] = []
    cursor = ""
    while True:
        found = ok(visitor.get(f"/api/products?sort={sort}&per_page={per_page}{cursor}"))
        by_cursor += [item["id"] for item in found["items"]]
        assert len(found["items"]) <= per_page
        if found["page"]["next_cursor"] is None:
            break
        cursor = f"&cursor={found['page']['next_cursor']}"
    pages = ok(visitor.get(f"/api/products?sort={sort}&per_page={per_page}"))["page"]["pages"]
    by_number = [i for n in range(pages) for i in listed(visitor, f"sort={sort}&per_page={per_page}&page={n + 1}")]

    assert by_cursor == ids
    assert by_number == ids


def test_a_cursor_neither_skips_nor_repeats_when_a_product_is_added(shop: Shop, shopper: Client) -> None:
    fill(shop)
    first = ok(shopper.get("/api/products?per_page=2"))
    shop.product("new", category_id=1)

    second = listed(shopper, f"per_page=2&cursor={first['page']['next_cursor']}")

    assert second == ["pen", "pan"]


def test_a_page_beyond_the_last_is_empty(shelves: Shop, visitor: Client) -> None:
    found = ok(visitor.get("/api/products?page=10000&per_page=100"))

    assert found["items"] == []
    assert found["page"] == {
        "per_page": 100,
        "page": 10000,
        "total": 5,
        "total_exact": True,
        "pages": 1,
        "next_cursor": None,
    }


# ---------------------------------------------------------------- groups and facets


def test_a_group_is_listed_once_with_what_its_variants_cost(shelves: Shop, visitor: Client) -> None:
    (tee,) = (item for item in ok(visitor.get("/api/products"))["items"] if item["id"] == "tee-l")

    assert tee["group"] == {
        "id": "tee",
        "variants": 2,
        "min_price": "20.00",
        "max_price": "25.00",
        "available": True,
    }
    assert tee["price"] == "25.00"
    assert tee["stock_status"] == "out_of_stock"
    assert tee["options"] == {"Size": "Large"}


def test_facets_count_entries_and_each_ignores_its_own_filter(shelves: Shop, visitor: Client) -> None:
    query = "facets=category,price,availability&category=Paper&max_price=12"
    facets = ok(visitor.get(f"/api/products?{query}"))["facets"]

    assert facets["category"] == [{"id": 1, "name": "Kitchen", "count": 1}, {"id": 2, "name": "Paper", "count": 1}]
    assert [(f["min_price"], f["below"], f["count"]) for f in facets["price"]] == [
        ("0.00", "10.00", 0),
        ("10.00", "25.00", 1),
        ("25.00", "50.00", 1),
        ("50.00", "100.00", 0),
        ("100.00", "250.00", 0),
        ("250.00", None, 0),
    ]
    assert facets["availability"] == {"available": 1, "all": 1}


def test_facets_come_only_when_asked_for(shelves: Shop, visitor: Client) -> None:
    assert ok(visitor.get("/api/products"))["facets"] is None

    facets = ok(visitor.get("/api/products?facets=availability"))["facets"]
    assert facets == {
        "category": None,
        "price": None,
        "availability": {"available": 4, "all": 5},
        "exact": True,
    }


# ---------------------------------------------------------------- details


def test_the_details_show_everything_and_the_siblings(shop: Shop, shopper: Client) -> None:
    fill(shop)
    shop.product(
        "kettle",
        description="<b>Boils</b> & whistles",
        images=["/static/a.svg", "/static/b.svg"],
        specifications={"Volume": "1 l"},
        tax_class="reduced",
        stock_quantity=25,
        price_minor=105,
    )

    kettle = ok(shopper.get("/api/products/kettle"))
    tee = ok(shopper.get("/api/products/tee-s"))

    assert kettle["price"] == "1.05"
    assert kettle["currency"] == "USD"
    assert kettle["description"] == "<b>Boils</b> & whistles"
    assert kettle["images"] == ["/static/a.svg", "/static/b.svg"]
    assert kettle["specifications"] == {"Volume": "1 l"}
    assert kettle["tax_class"] == "reduced"
    assert kettle["max_quantity"] == 20
    assert kettle["variants"] == []
    assert tee["stock_status"] == "in_stock"
    assert tee["max_quantity"] == 6
    assert [(v["id"], v["price"], v["available"], v["options"]) for v in tee["variants"]] == [
        ("tee-l", "25.00", False, {"Size": "Large"}),
        ("tee-s", "20.00", True, {"Size": "Small"}),
    ]


@pytest.mark.parametrize(
    ("stock", "status"), [(0, "out_of_stock"), (1, "low_stock"), (5, "low_stock"), (6, "in_stock")]
)
def test_the_stock_status_follows_the_stock(shop: Shop, shopper: Client, stock: int, status: str) -> None:
    shop.stocked(MUG=stock)

    mug = ok(shopper.get("/api/products/MUG"))

    assert (mug["stock_status"], mug["stock_quantity"], mug["available"]) == (status, stock, stock > 0)


def test_the_details_are_live(shop: Shop, shopper: Client) -> None:
    shop.stocked(MUG=3)
    shop.checkout(MUG=3)
    shop.work_until_idle()

    assert ok(shopper.get("/api/products/MUG"))["available"] is False


def test_an_unknown_product_is_a_problem(shop: Shop, shopper: Client) -> None:
    body = problem(shopper.get("/api/products/nothing"), 404, "product_not_found")

    assert "nothing" in body["detail"]


def test_categories_count_what_a_shopper_sees(shelves: Shop, visitor: Client) -> None:
    assert ok(visitor.get("/api/categories"))["items"] == [
        {"id": 3, "name": "Empty", "description": "", "product_count": 0, "product_count_exact": True},
        {"id": 1, "name": "Kitchen", "description": "To cook.", "product_count": 3, "product_count_exact": True},
        {"id": 2, "name": "Paper", "description": "To write.", "product_count": 2, "product_count_exact": True},
    ]


# ---------------------------------------------------------------- inactive


def test_an_inactive_product_is_nowhere_to_be_seen(shelves: Shop, visitor: Client) -> None:
    assert "old" not in listed(visitor)
    assert listed(visitor, "q=Old") == []
    problem(visitor.get("/api/products/old"), 404, "product_not_found")
    problem(visitor.get("/api/products/tee-x"), 404, "product_not_found")
    problem(add(visitor, "old"), 404, "product_not_found")
    assert "Secret" not in visitor.get("/api/products/tee-s").text
    assert ok(visitor.get("/api/cart"))["items"] == []


# ---------------------------------------------------------------- ETag


@pytest.mark.parametrize("path", ["/api/products", "/api/products/MUG", "/api/categories"])
def test_an_unchanged_answer_is_not_sent_again(shop: Shop, shopper: Client, path: str) -> None:
    shop.stocked(MUG=3)
    etag = shopper.get(path).headers["ETag"]

    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = shopper.get(path, headers={"If-None-Match": known})
        assert again.status_code == 304
        assert again.data == b""
        assert again.headers["ETag"] == etag
    assert shopper.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_the_etag_moves_with_the_stock(shop: Shop, shopper: Client) -> None:
    shop.stocked(MUG=3)
    etag = shopper.get("/api/products/MUG").headers["ETag"]
    shop.change("MUG", stock_quantity=2)

    assert ok(shopper.get("/api/products/MUG", headers={"If-None-Match": etag}))["stock_quantity"] == 2


def test_a_head_has_the_headers_of_a_get(shop: Shop, shopper: Client) -> None:
    shop.stocked(MUG=3)

    get, head = shopper.get("/api/products/MUG"), shopper.head("/api/products/MUG")

    assert head.status_code == 200
    assert head.data == b""
    assert head.headers["ETag"] == get.headers["ETag"]


# ---------------------------------------------------------------- bad parameters


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("unknown=1", "unknown"),
        ("Page=1", "Page"),
        ("=x", ""),
        ("page=1&page=2", "page"),
        ("q=a&q=a", "q"),
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=1e3", "page"),
        ("page=10001", "page"),
        ("page=99999999999999999999999999", "page"),
        ("page=", "page"),
        ("page=one", "page"),
        ("per_page=0", "per_page"),
        ("per_page=101", "per_page"),
        ("min_price=-1", "min_price"),
        ("min_price=12.345", "min_price"),
        ("min_price=12.3456", "min_price"),
        ("min_price=1e3", "min_price"),
        ("min_price=0x10", "min_price"),
        ("min_price=01", "min_price"),
        ("min_price=1,5", "min_price"),
        ("min_price=NaN", "min_price"),
        ("min_price=%D9%A1", "min_price"),
        ("min_price=9999999999999", "min_price"),
        ("max_price=99999999999999999999", "max_price"),
        ("max_price=", "max_price"),
        ("max_price=1%00", "max_price"),
        ("min_price=2&max_price=1.99", "min_price"),
        ("category=nothing", "category"),
        ("category=999", "category"),
        ("category=99999999999999999999", "category"),
        ("category=", "category"),
        ("category=%00", "category"),
        ("q=%00", "q"),
        ("q=a%0Ab", "q"),
        ("q=" + "a" * 101, "q"),
        ("q=%20%20", "q"),
        ("available=perhaps", "available"),
        ("available=2", "available"),
        ("sort=stock", "sort"),
        ("sort=price;DROP", "sort"),
        ("facets=colour", "facets"),
        ("facets=", "facets"),
        ("facets=category,", "facets"),
        ("total=x", "total"),
        ("cursor=", "cursor"),
        ("cursor=forged", "cursor"),
        ("cursor=W10.abc", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=%C3%A9", "cursor"),
        ("cursor=" + "a" * 501, "cursor"),
    ],
)
def test_a_bad_parameter_is_named(shelves: Shop, visitor: Client, query: str, parameter: str) -> None:
    body = problem(visitor.get(f"/api/products?{query}"), 400, "invalid_parameter")

    assert body["errors"][0]["parameter"] == parameter


def test_a_cursor_is_good_for_its_own_sort_and_list_only(shelves: Shop, visitor: Client) -> None:
    cursor = ok(visitor.get("/api/products?sort=price&per_page=1"))["page"]["next_cursor"]

    for path in (f"/api/products?sort=name&cursor={cursor}", f"/api/orders?cursor={cursor}"):
        body = problem(visitor.get(path), 400, "invalid_parameter")
        assert body["errors"][0]["parameter"] == "cursor"


def test_a_changed_cursor_is_refused(shelves: Shop, visitor: Client) -> None:
    cursor = ok(visitor.get("/api/products?per_page=1"))["page"]["next_cursor"]

    problem(visitor.get(f"/api/products?cursor={cursor[1:]}"), 400, "invalid_parameter")
    problem(visitor.get(f"/api/products?cursor={cursor[:-1]}"), 400, "invalid_parameter")


def test_page_and_cursor_exclude_each_other(shelves: Shop, visitor: Client) -> None:
    cursor = ok(visitor.get("/api/products?per_page=1"))["page"]["next_cursor"]

    body = problem(visitor.get(f"/api/products?page=2&cursor={cursor}"), 400, "invalid_parameter")

    assert body["errors"][0]["parameter"] == "cursor"


def test_every_bad_parameter_is_listed(shop: Shop, shopper: Client) -> None:
    body = problem(shopper.get("/api/products?page=0&per_page=0&colour=red"), 400, "invalid_parameter")

    assert {fault["parameter"] for fault in body["errors"]} == {"page", "per_page", "colour"}
