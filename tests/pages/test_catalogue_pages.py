"""The pages that are browsed without JavaScript: the same lists as the API's, at addresses that say what they are."""

from __future__ import annotations

import re

import pytest

from db.models import Category
from tests.harness import Client, Shop
from tests.pages.conftest import Reader
from web.pages import address, money


def names(page: str) -> list[str]:
    return re.findall(r'class="card-name">([^<]*)<', page)


@pytest.fixture
def stocked(shop: Shop) -> Shop:
    shop.product("mug", name="Mug", price_minor=1400, stock_quantity=3)
    shop.product("jug", name="Jug", price_minor=3000, stock_quantity=40)
    shop.product("pot", name="Pot", price_minor=9000, stock_quantity=0)
    with shop.database.writing() as session:
        session.add(Category(id=2, name="Bags & more", description="To carry things."))
    shop.product("bag", name="Bag", price_minor=5000, category_id=2)
    return shop


def test_the_front_door_is_the_shop_for_people_and_the_docs_for_programs(stocked: Shop, reader: Reader) -> None:
    page = reader.opens("/")
    asked = stocked.shopper().get("/", headers={"Accept": "application/json"})

    assert names(page.text) == ["Bag", "Pot", "Jug", "Mug"]
    assert (asked.status_code, asked.headers["Location"]) == (302, "/api/docs")
    assert page.headers["Vary"] == asked.headers["Vary"] == "Accept"


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("sort=price", ["Mug", "Jug", "Bag", "Pot"]),
        ("sort=-price", ["Pot", "Bag", "Jug", "Mug"]),
        ("category=things&sort=name", ["Jug", "Mug", "Pot"]),
        ("category=2", ["Bag"]),
        ("q=mug", ["Mug"]),
        ("available=true&sort=price", ["Mug", "Jug", "Bag"]),
        ("min_price=20&max_price=60&sort=price", ["Jug", "Bag"]),
        ("q=&min_price=&max_price=20", ["Mug"]),
    ],
)
def test_a_list_is_what_its_address_says(stocked: Shop, reader: Reader, query: str, shown: list[str]) -> None:
    assert names(reader.reads(f"/?{query}")) == shown


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("min_price=abc", "min price"),
        ("sort=cheapest&page=0", "page and sort"),
        ("category=nowhere", "category"),
        ("min_price=50&max_price=20", "min price"),
    ],
)
def test_what_an_address_asks_for_in_vain_is_left_out_and_said(
    stocked: Shop, reader: Reader, query: str, said: str
) -> None:
    page = reader.reads(f"/?q=mug&{query}")

    assert names(page) == ["Mug"]
    assert f"We did not understand {said}, and left it out." in page


def test_what_other_programs_hang_onto_an_address_does_no_harm(stocked: Shop, reader: Reader) -> None:
    page = reader.reads("/?utm_source=letter&q=mug&q=jug")

    assert names(page) == ["Mug"]
    assert "We did not understand" not in page


def test_long_lists_have_pages_that_keep_the_rest_of_the_address(shop: Shop, reader: Reader) -> None:
    for number in range(50):
        shop.product(f"p{number:02}", name=f"Product {number:02}")

    first, last = reader.reads("/?sort=name"), reader.reads("/?sort=name&page=3")

    assert names(first) == [f"Product {number:02}" for number in range(24)]
    assert names(last) == ["Product 48", "Product 49"]
    assert 'rel="next" href="/?sort=name&amp;page=2"' in first
    assert 'rel="prev" href="/?sort=name&amp;page=2"' in last
    assert "Page 1 of 3" in first


def test_a_list_without_anything_says_what_to_do(stocked: Shop, reader: Reader) -> None:
    page = reader.reads("/?q=zeppelin")

    assert "Nothing fits" in page
    assert "Remove the filter" in page


def test_an_empty_shop_has_a_front_page(shop: Shop, reader: Reader) -> None:
    assert "Nothing fits" in reader.reads("/")


def test_a_filter_changes_the_address_and_begins_at_the_first_page() -> None:
    given = {"q": "mug", "sort": "price", "page": "3"}

    assert address(given, category="bags & more") == "/?q=mug&sort=price&category=bags+%26+more"
    assert address(given, page=4) == "/?q=mug&sort=price&page=4"
    assert address({"q": "mug"}, q=None) == "/"


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        ("14.00", "USD", "$14.00"),
        ("1234567.50", "EUR", "€1,234,567.50"),
        ("1200", "JPY", "¥1,200"),
        ("9.90", "CHF", "CHF\u00a09.90"),
    ],
)
def test_amounts_are_written_as_people_write_them(amount: str, currency: str, written: str) -> None:
    assert money(amount, currency) == written


# ---------------------------------------------------------------- a product


def test_a_product_shows_what_there_is_to_know(stocked: Shop, reader: Reader) -> None:
    page = reader.reads("/products/mug")

    assert "<title>Mug – Oncecart Goods</title>" in page
    assert "$14.00" in page
    assert "Only 3 left" in page
    assert 'href="/?category=things"' in page
    assert "The cart needs JavaScript. Browsing does not." in page


def test_a_product_that_is_sold_out_cannot_be_added(stocked: Shop, reader: Reader) -> None:
    page = reader.reads("/products/pot")

    assert re.search(r"data-add disabled>Sold out<", page)


def test_a_variant_offers_the_sibling_that_differs_in_one_thing_alone(shop: Shop, reader: Reader) -> None:
    for colour in ("Red", "Blue"):
        for size in ("S", "M"):
            shop.product(
                f"tee-{colour}-{size}".lower(),
                name=f"Tee, {colour}",
                group_id="tee",
                options={"Colour": colour, "Size": size},
            )

    page = reader.reads("/products/tee-red-m")

    assert re.findall(r'<a href="/products/(tee-[a-z-]*)"( aria-current="true")?>(\w+)<', page) == [
        ("tee-blue-m", "", "Blue"),
        ("tee-red-m", ' aria-current="true"', "Red"),
        ("tee-red-m", ' aria-current="true"', "M"),
        ("tee-red-s", "", "S"),
    ]
    assert names(reader.reads("/")) == ["Tee"]


def test_what_merchants_write_is_text(shop: Shop, reader: Reader) -> None:
    shop.product("evil", name="<script>alert(1)</script>", description='"><img src=x onerror=alert(1)>')

    for path in ("/", "/products/evil", '/?q="><script>alert(1)</script>'):
        page = reader.reads(path)
        assert "<script>alert" not in page
        assert "<img src=x" not in page


def test_a_product_may_have_no_picture_or_one_that_is_kept_elsewhere(shop: Shop, reader: Reader) -> None:
    elsewhere = "https://pictures.example/mug.webp"
    shop.product("bare", image_url="", images=[])
    shop.product("mug", image_url=elsewhere, images=[elsewhere])

    page = reader.opens("/products/mug")

    assert "<img" not in reader.reads("/products/bare")
    assert reader.reads("/").count("no-picture") == 2  # At the top and in the list.
    assert f'src="{elsewhere}"' in page.text
    assert "img-src 'self' https: data:" in page.headers["Content-Security-Policy"]


def test_a_page_and_the_api_never_disagree(stocked: Shop, reader: Reader) -> None:
    shopper: Client = stocked.shopper()

    listed = shopper.get("/api/products?sort=name").get_json()["items"]

    assert names(reader.reads("/?sort=name")) == [item["name"] for item in listed]
