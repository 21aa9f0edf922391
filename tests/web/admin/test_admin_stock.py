"""The merchant's stock: what came and went, counts, the ledger, what runs low; conserved at all times (P4)."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from tasks.checkout import settle
from tests.carts.sample import at_once
from tests.harness import Client, Shop
from tests.web.admin.conftest import merchant_of
from tests.web.answers import add, ok, pointers, problem


@pytest.fixture
def anyone(any_shop: Shop) -> Client:
    """A merchant with three mugs."""
    any_shop.stocked(MUG=3)
    return merchant_of(any_shop, "stock", name="Ada's key")


def book(merchant: Client, key: str | None = None, product_id: str = "MUG", **body: Any) -> TestResponse:
    headers = {"Idempotency-Key": key} if key else {}
    return merchant.post(f"/api/admin/products/{product_id}/stock", json=body, headers=headers)


def ledger(merchant: Client, product_id: str = "MUG", per_page: int = 100) -> list[dict[str, Any]]:
    """The whole ledger, a page at a time."""
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"per_page": per_page}
    while True:
        answer = ok(merchant.get(f"/api/admin/products/{product_id}/movements", query_string=query))
        found += answer["items"]
        if answer["page"]["next_cursor"] is None:
            return found
        query["cursor"] = answer["page"]["next_cursor"]


@pytest.mark.parametrize("scopes", [("catalogue",), ("orders",)])
def test_stock_needs_its_own_scope(shop: Shop, scopes: tuple[str, ...]) -> None:
    shop.stocked(MUG=3)
    merchant = merchant_of(shop, *scopes)

    for path in ("/api/admin/products/MUG/movements", "/api/admin/stock/low"):
        problem(merchant.get(path), 403, "missing_scope")
    problem(book(merchant, quantity=1, reason="received"), 403, "missing_scope")


# ---------------------------------------------------------------- what came and went


def test_what_is_received_stands_in_the_ledger_and_on_the_shelf(any_shop: Shop, anyone: Client) -> None:
    changed = ok(book(anyone, quantity=24, reason="received", note="Delivery 4711"), 201)

    assert (changed["product_id"], changed["stock_quantity"], changed["stock_status"]) == ("MUG", 27, "in_stock")
    movement = changed["movement"]
    assert movement == {
        "id": movement["id"],
        "kind": "received",
        "quantity": 24,
        "balance": 27,
        "note": "Delivery 4711",
        "actor": "Ada's key",
        "order_id": None,
        "at": "2026-11-18T11:06:40.000Z",
    }
    assert ledger(anyone)[0] == movement
    any_shop.books_close()


@pytest.mark.parametrize(
    ("body", "kind", "quantity", "left"),
    [
        ({"quantity": 2, "reason": "returned"}, "returned", 2, 5),
        ({"quantity": -3, "reason": "adjusted"}, "adjusted", -3, 0),
        ({"quantity": 1, "reason": "adjusted"}, "adjusted", 1, 4),
        ({"counted": 0}, "adjusted", -3, 0),
        ({"counted": 10, "note": "Stocktaking"}, "adjusted", 7, 10),
    ],
)
def test_stock_changes_by_what_is_booked(
    any_shop: Shop, anyone: Client, body: dict[str, Any], kind: str, quantity: int, left: int
) -> None:
    changed = ok(book(anyone, **body), 201)

    assert (changed["movement"]["kind"], changed["movement"]["quantity"]) == (kind, quantity)
    assert changed["stock_quantity"] == changed["movement"]["balance"] == any_shop.stock("MUG") == left
    any_shop.books_close()


def test_a_count_that_finds_what_was_expected_moves_nothing(any_shop: Shop, anyone: Client) -> None:
    changed = ok(book(anyone, counted=3))

    assert (changed["movement"], changed["stock_quantity"]) == (None, 3)
    assert len(ledger(anyone)) == 1


def test_stock_never_falls_below_zero(any_shop: Shop, anyone: Client) -> None:
    body = problem(book(anyone, quantity=-4, reason="adjusted"), 409, "insufficient_stock")

    (fault,) = body["errors"]
    assert (fault["available"], fault["requested"], fault["pointer"]) == (3, 4, "/quantity")
    assert any_shop.stock("MUG") == 3
    any_shop.books_close()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/quantity"),
        ({"note": "x"}, "/quantity"),
        ({"quantity": 1}, "/reason"),
        ({"reason": "received"}, "/quantity"),
        ({"quantity": 0, "reason": "adjusted"}, "/quantity"),
        ({"quantity": -1, "reason": "received"}, "/quantity"),
        ({"quantity": -1, "reason": "returned"}, "/quantity"),
        ({"quantity": 1, "reason": "sold"}, "/reason"),
        ({"quantity": 1, "counted": 1}, "/quantity"),
        ({"counted": 1, "reason": "adjusted"}, "/reason"),
        ({"counted": -1}, "/counted"),
        ({"counted": 1.0}, "/counted"),
        ({"quantity": 10**10, "reason": "received"}, "/quantity"),
        ({"counted": 1, "note": "a\x00"}, "/note"),
    ],
)
def test_what_cannot_be_booked_is_refused_with_a_pointer(
    shop: Shop, merchant: Client, body: dict[str, Any], pointer: str
) -> None:
    shop.stocked(MUG=3)

    assert pointers(problem(book(merchant, **body), 422, "validation_failed")) == [pointer]
    assert shop.stock("MUG") == 3


def test_an_unknown_product_has_no_stock(any_shop: Shop, anyone: Client) -> None:
    problem(book(anyone, product_id="JAR", counted=3), 404, "product_not_found")
    problem(anyone.get("/api/admin/products/JAR/movements"), 404, "product_not_found")


def test_shoppers_see_new_stock_at_once(any_shop: Shop, anyone: Client) -> None:
    shopper = any_shop.shopper()
    ok(add(shopper, quantity=3))
    problem(add(shopper), 409, "insufficient_stock")

    ok(book(anyone, quantity=1, reason="received"), 201)

    assert ok(add(shopper))["total_quantity"] == 4


# ---------------------------------------------------------------- the same once more


@pytest.mark.parametrize(
    "body",
    [
        {"quantity": 2, "reason": "received"},
        {"quantity": -2, "reason": "adjusted", "note": "Broken"},
        {"counted": 8},
        {"counted": 3, "note": "As expected"},
    ],
)
def test_a_repeated_request_counts_once(any_shop: Shop, anyone: Client, body: dict[str, Any]) -> None:
    first = book(anyone, "delivery", **body)
    ok(book(anyone, quantity=1, reason="received"), 201)
    any_shop.checkout(MUG=1)
    any_shop.work_until_idle()

    again = book(anyone, '"delivery"', **body)

    assert ok(again, 201)["movement"] == ok(first, 201)["movement"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert ok(again, 201)["stock_quantity"] == any_shop.stock("MUG") == ok(first, 201)["stock_quantity"]
    assert len(ledger(anyone)) == 4
    any_shop.books_close()


@pytest.mark.parametrize(
    "other",
    [
        {"quantity": 3, "reason": "received"},
        {"quantity": 2, "reason": "returned"},
        {"quantity": 2, "reason": "received", "note": "x"},
        {"counted": 5},
        {"counted": 2},
    ],
)
def test_a_key_is_for_one_body(any_shop: Shop, anyone: Client, other: dict[str, Any]) -> None:
    ok(book(anyone, "k", quantity=2, reason="received"), 201)

    problem(book(anyone, "k", **other), 422, "idempotency_key_reused")

    assert any_shop.stock("MUG") == 5


def test_a_key_is_for_one_product(any_shop: Shop, anyone: Client) -> None:
    any_shop.stocked(CUP=1)

    ok(book(anyone, "k", quantity=2, reason="received"), 201)
    ok(book(anyone, "k", "CUP", quantity=2, reason="received"), 201)

    assert (any_shop.stock("MUG"), any_shop.stock("CUP")) == (5, 3)


def test_a_key_that_was_refused_may_be_used_again(any_shop: Shop, anyone: Client) -> None:
    problem(book(anyone, "k", quantity=-4, reason="adjusted"), 409, "insufficient_stock")

    ok(book(anyone, "k", quantity=-3, reason="adjusted"), 201)


def test_a_key_must_be_one(shop: Shop, merchant: Client) -> None:
    shop.stocked(MUG=3)

    problem(book(merchant, "é", counted=1), 400, "idempotency_key_invalid")


@pytest.mark.real
@pytest.mark.parametrize("body", [{"quantity": 5, "reason": "received"}, {"counted": 8}])
def test_many_repeated_requests_at_once_count_once(any_shop: Shop, anyone: Client, body: dict[str, Any]) -> None:
    merchants = [merchant_of(any_shop) for _ in range(10)]

    answers = at_once(10, lambda n: book(merchants[n], "k", **body))

    assert {ok(answer, 201)["movement"]["id"] for answer in answers} == {ledger(anyone)[0]["id"]}
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert any_shop.stock("MUG") == 8
    any_shop.books_close()


# ---------------------------------------------------------------- many at once


@pytest.mark.real
def test_stock_is_conserved_whatever_is_booked_and_sold_at_once(any_shop: Shop, anyone: Client) -> None:
    merchants = [merchant_of(any_shop) for _ in range(20)]
    any_shop.checkout(MUG=1)
    bodies: list[dict[str, Any]] = [
        *({"quantity": -2, "reason": "adjusted"} for _ in range(8)),
        *({"quantity": 1, "reason": "received"} for _ in range(6)),
        *({"counted": n} for n in range(5)),
    ]

    def act(n: int) -> int:
        if n == 0:
            return settle()
        return book(merchants[n], **bodies[n - 1]).status_code

    answers = at_once(20, act)

    assert answers[0] == 1
    assert set(answers[1:]) <= {200, 201, 409}
    entries = ledger(anyone, per_page=3)
    assert entries[0]["balance"] == any_shop.stock("MUG")
    assert all(entry["balance"] >= 0 for entry in entries)
    assert len(entries) == 1 + answers.count(201) + sum(entry["kind"] == "sold" for entry in entries)
    any_shop.books_close()


@pytest.mark.real
def test_of_many_that_take_the_last_units_as_many_get_them_as_there_are(any_shop: Shop, anyone: Client) -> None:
    merchants = [merchant_of(any_shop) for _ in range(20)]

    answers = at_once(20, lambda n: book(merchants[n], quantity=-1, reason="adjusted").status_code)

    assert (answers.count(201), answers.count(409)) == (3, 17)
    assert any_shop.stock("MUG") == 0
    any_shop.books_close()


# ---------------------------------------------------------------- the ledger and the low


def test_the_ledger_pages_with_the_stock_after_each_movement(any_shop: Shop, anyone: Client) -> None:
    ok(book(anyone, quantity=7, reason="received"), 201)
    order_id = any_shop.checkout(MUG=4)
    any_shop.work_until_idle()
    ok(book(anyone, counted=5, note="One is broken"), 201)

    for per_page in (1, 2, 3, 100):
        assert [
            (entry["kind"], entry["quantity"], entry["balance"], entry["order_id"], entry["actor"], entry["note"])
            for entry in ledger(anyone, per_page=per_page)
        ] == [
            ("adjusted", -1, 5, None, "Ada's key", "One is broken"),
            ("sold", -4, 6, order_id, None, None),
            ("received", 7, 10, None, "Ada's key", None),
            ("opening", 3, 3, None, None, None),
        ]


def test_a_page_of_the_ledger_stays_right_when_stock_moves_meanwhile(any_shop: Shop, anyone: Client) -> None:
    ok(book(anyone, quantity=7, reason="received"), 201)
    path = "/api/admin/products/MUG/movements"
    cursor = ok(anyone.get(path, query_string={"per_page": 1}))["page"]["next_cursor"]
    ok(book(anyone, quantity=90, reason="received"), 201)

    (opening,) = ok(anyone.get(path, query_string={"per_page": 1, "cursor": cursor}))["items"]

    assert opening["balance"] == 3
    any_shop.stocked(CUP=1)
    other = anyone.get("/api/admin/products/CUP/movements", query_string={"cursor": cursor})
    problem(other, 400, "invalid_parameter")


def test_what_runs_low_is_listed_lowest_first(any_shop: Shop) -> None:
    any_shop.product("A", stock_quantity=5)
    any_shop.product("B", stock_quantity=6)
    any_shop.product("C", stock_quantity=0, low_stock_threshold=0)
    any_shop.product("D", stock_quantity=40, low_stock_threshold=50)
    any_shop.product("E", stock_quantity=5, is_active=False)
    merchant = merchant_of(any_shop, "stock")

    first = ok(merchant.get("/api/admin/stock/low", query_string={"per_page": 2}))
    cursor = first["page"]["next_cursor"]
    second = ok(merchant.get("/api/admin/stock/low", query_string={"per_page": 2, "cursor": cursor}))

    assert [item["id"] for item in first["items"] + second["items"]] == ["C", "A", "D"]
    assert second["page"]["next_cursor"] is None
    inactive = ok(merchant.get("/api/admin/stock/low", query_string={"is_active": "false"}))["items"]
    assert [item["id"] for item in inactive] == ["E"]


def test_stocking_up_takes_a_product_off_the_list(any_shop: Shop, anyone: Client) -> None:
    assert [item["id"] for item in ok(anyone.get("/api/admin/stock/low"))["items"]] == ["MUG"]

    ok(book(anyone, quantity=3, reason="received"), 201)

    assert ok(anyone.get("/api/admin/stock/low"))["items"] == []
