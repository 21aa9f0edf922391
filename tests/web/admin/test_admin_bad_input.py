"""Whatever a merchant sends of products, categories and stock: never a 5xx, and the books close."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness import Client, Shop
from tests.web.admin.conftest import merchant_of
from tests.web.answers import problem
from web.admin.schemas import CategoryIn, ProductIn, ProductPatch, StockChangeIn

ODD = st.sampled_from(
    ["", " ", "\x00", "\ud800", "é", "0", "-1", "1e9", "\u2028", "null", "<b>", "%", "\\", "x" * 300, "Things", "1.00"]
)
NUMBERS = st.sampled_from([0, -1, 1, 3, 2**31, 2**63, 10**30, 1.5, -0.0])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | ODD | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD, inner, max_size=3),
    max_leaves=4,
)


def bodies(model: Any) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(sorted(model.model_fields)), VALUES, max_size=4)


@pytest.fixture(scope="module")
def stocked(lasting_shop: Shop) -> Shop:
    lasting_shop.stocked(MUG=3)
    return lasting_shop


@pytest.fixture(scope="module")
def merchant(stocked: Shop) -> Client:
    return merchant_of(stocked)


@pytest.mark.parametrize(
    ("method", "path", "model", "good"),
    [
        ("POST", "products", ProductIn, {"sku": "NEW", "name": "New", "price": "1.00", "category": "Things"}),
        ("PATCH", "products/MUG", ProductPatch, {}),
        ("POST", "categories", CategoryIn, {"name": "New"}),
        ("PATCH", "categories/1", CategoryIn, {}),
        ("POST", "products/MUG/stock", StockChangeIn, {"quantity": 1, "reason": "adjusted"}),
    ],
)
@settings(max_examples=60)
@given(data=st.data())
def test_a_body_is_taken_or_refused_but_never_our_fault(
    stocked: Shop, merchant: Client, method: str, path: str, model: Any, good: dict[str, Any], data: st.DataObject
) -> None:
    body = {**good, **data.draw(bodies(model))}

    response = merchant.open(f"/api/admin/{path}", method=method, json=body, headers={"If-Match": "*"})

    assert response.status_code < 500, body
    if response.status_code >= 400:
        problem(response)


@pytest.mark.parametrize("path", ["products", "products/MUG/movements", "stock/low", "categories"])
@settings(max_examples=60)
@given(
    name=st.sampled_from(["q", "category", "sku", "sort", "low_stock", "cursor", "per_page", "is_active"]), value=ODD
)
def test_a_query_is_taken_or_refused_but_never_our_fault(merchant: Client, path: str, name: str, value: str) -> None:
    text = value.encode(errors="surrogatepass")

    response = merchant.get(f"/api/admin/{path}", query_string={name: text})

    assert response.status_code < 500
    if response.status_code >= 400:
        problem(response)


@pytest.mark.parametrize("etag", ["", "x", '"', '"1"', 'W/"1"', "*, *", '"é"', ","])
def test_any_if_match_is_understood_or_does_not_match(stocked: Shop, merchant: Client, etag: str) -> None:
    response = merchant.patch(
        "/api/admin/products/MUG", json={"name": "Mug"}, environ_overrides={"HTTP_IF_MATCH": etag}
    )

    assert response.status_code in (200, 412, 428)


def test_after_all_that_the_books_close(stocked: Shop) -> None:
    stocked.books_close()
