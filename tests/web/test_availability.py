"""A store is away (P9): what the shop still does, and how it refuses the rest."""

from __future__ import annotations

from typing import Any

import pytest

from shop.errors import Unavailable
from tests.harness import CHECKOUT_BODY, Client, Shop
from tests.web.answers import add, ok, problem, take_redis_away, take_sql_away

UNKNOWN = "01999999-9999-7999-8999-999999999999"


@pytest.fixture
def stocked(shop: Shop, shopper: Client) -> Shop:
    """A shop whose mugs and pans were looked at before, so that they are in the cache."""
    shop.stocked(MUG=5, PAN=5, PEN=5)
    add(shopper, "MUG", 2)
    add(shop.shopper(), "PAN", 1)
    return shop


# ---------------------------------------------------------------- SQL


def test_with_sql_away_carts_and_checkouts_go_on_from_the_stale_cache(stocked: Shop, shopper: Client) -> None:
    stocked.clock.forward(600)
    take_sql_away(stocked)

    assert ok(shopper.get("/api/cart"))["total_amount"] == "26.88"
    assert ok(add(shopper, "PAN"))["total_quantity"] == 3
    assert ok(shopper.put("/api/cart/update", json={"item_id": "PAN", "quantity": 2}))["total_quantity"] == 4
    assert ok(shopper.delete("/api/cart/remove/PAN"))["total_quantity"] == 2
    assert ok(shopper.post("/api/checkout/quote", json={}))["total_amount"] == "21.45"
    order = ok(shopper.post("/api/checkout", json=CHECKOUT_BODY, headers={"Idempotency-Key": "k"}), 202)
    assert order["total_amount"] == "26.88"

    again = shopper.post("/api/checkout", json=CHECKOUT_BODY, headers={"Idempotency-Key": "k"})
    assert ok(again, 202) == order
    body = problem(shopper.post("/api/checkout", json=CHECKOUT_BODY), 409, "already_checked_out")
    assert body["order_id"] == order["id"]


def test_with_sql_away_what_was_accepted_settles_once_it_is_back(stocked: Shop, shopper: Client) -> None:
    bring_back = take_sql_away(stocked)
    order = ok(shopper.post("/api/checkout", json=CHECKOUT_BODY), 202)
    bring_back()

    stocked.work_until_idle()

    assert ok(shopper.get(f"/api/orders/{order['id']}"))["status"] == "confirmed"
    stocked.books_close()


@pytest.mark.parametrize("path", ["/api/products", "/api/products/MUG", "/api/categories", "/api/orders"])
def test_with_sql_away_the_catalogue_and_the_history_say_when_to_come_back(
    stocked: Shop, shopper: Client, path: str
) -> None:
    take_sql_away(stocked)

    problem(shopper.get(path), 503, "service_unavailable")


def test_with_sql_away_a_product_that_was_never_looked_at_cannot_be_added(stocked: Shop, shopper: Client) -> None:
    take_sql_away(stocked)

    problem(add(shopper, "PEN"), 503, "service_unavailable")
    problem(add(shopper, "nothing"), 503, "service_unavailable")
    assert ok(shopper.get("/api/cart"))["total_quantity"] == 2


def test_with_sql_away_an_order_is_shown_from_its_snapshot(stocked: Shop, shopper: Client) -> None:
    order_id = ok(shopper.post("/api/checkout", json=CHECKOUT_BODY), 202)["id"]
    add(shopper)
    settled_id = ok(shopper.post("/api/checkout", json=CHECKOUT_BODY), 202)["id"]
    take_sql_away(stocked)

    assert ok(shopper.get(f"/api/orders/{order_id}"))["status"] == "pending"
    assert ok(shopper.get(f"/api/orders/{settled_id}"))["total_amount"] == "16.07"
    problem(shopper.get(f"/api/orders/{UNKNOWN}"), 503, "service_unavailable")
    problem(stocked.shopper().get(f"/api/orders/{order_id}"), 503, "service_unavailable")


def test_with_sql_away_a_settled_order_still_says_how_it_ended(stocked: Shop, shopper: Client) -> None:
    order_id = stocked.checkout(shopper)
    stocked.work_until_idle()
    take_sql_away(stocked)

    order = ok(shopper.get(f"/api/orders/{order_id}"))

    assert (order["status"], order["terminal"]) == ("confirmed", True)


# ---------------------------------------------------------------- Redis


@pytest.fixture
def past(stocked: Shop, shopper: Client) -> str:
    """An order from before Redis went away."""
    order_id = stocked.checkout(shopper)
    stocked.work_until_idle()
    add(shopper)
    take_redis_away(stocked.redis)
    return order_id


def test_with_redis_away_the_catalogue_and_past_orders_are_shown(stocked: Shop, shopper: Client, past: str) -> None:
    assert ok(shopper.get("/api/products"))["page"]["total"] == 3
    assert ok(shopper.get("/api/products/MUG"))["stock_quantity"] == 3
    assert ok(shopper.get("/api/categories"))["items"][0]["product_count"] == 3
    assert ok(shopper.get(f"/api/orders/{past}"))["status"] == "confirmed"
    assert ok(shopper.get(f"/api/orders/{past}", headers={"Prefer": "wait=20"}))["status"] == "confirmed"
    assert [item["id"] for item in ok(shopper.get("/api/orders"))["items"]] == [past]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/cart", None),
        ("POST", "/api/cart/add", {"product_id": "MUG"}),
        ("PUT", "/api/cart/update", {"item_id": "MUG", "quantity": 1}),
        ("PUT", "/api/cart/update", {"item_id": "MUG", "quantity": 100}),
        ("DELETE", "/api/cart/remove/MUG", None),
        ("DELETE", "/api/cart/clear", None),
        ("POST", "/api/checkout/quote", {}),
        ("POST", "/api/checkout", CHECKOUT_BODY),
    ],
)
@pytest.mark.parametrize("key", [None, "k"])
def test_with_redis_away_carts_and_checkouts_say_when_to_come_back(
    stocked: Shop, shopper: Client, past: str, method: str, path: str, body: object, key: str | None
) -> None:
    headers = {"Idempotency-Key": key} if key else {}

    response = (
        shopper.open(path, method=method, json=body, headers=headers)
        if body is not None
        else shopper.open(path, method=method, headers=headers)
    )

    problem(response, 503, "service_unavailable")


def test_with_redis_away_an_order_that_is_not_in_sql_may_still_exist(stocked: Shop, shopper: Client, past: str) -> None:
    problem(shopper.get(f"/api/orders/{UNKNOWN}"), 503, "service_unavailable")
    problem(shopper.get(f"/api/orders/{UNKNOWN}", headers={"Prefer": "wait=20"}), 503, "service_unavailable")


def test_a_bell_that_nobody_hears_does_not_spoil_a_checkout(
    stocked: Shop, shopper: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept = stocked.services.inbox.accept

    def accept_last(*given: Any) -> object:
        answer = accept(*given)
        take_redis_away(stocked.redis)
        return answer

    monkeypatch.setattr(stocked.services.inbox, "accept", accept_last)

    assert ok(shopper.post("/api/checkout", json=CHECKOUT_BODY), 202)["status"] == "pending"


def test_with_sql_away_an_empty_cart_is_simply_empty_whatever_the_key(stocked: Shop) -> None:
    take_sql_away(stocked)

    response = stocked.shopper().post("/api/checkout", json=CHECKOUT_BODY, headers={"Idempotency-Key": "old"})

    problem(response, 409, "cart_empty")


@pytest.mark.parametrize("key", [None, "k"])
def test_a_checkout_whose_answer_was_lost_can_be_repeated(
    stocked: Shop, shopper: Client, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    accept, accepted = stocked.services.inbox.accept, []

    def accept_and_lose_the_reply(*given: Any) -> None:
        accepted.append(accept(*given))
        raise Unavailable("The reply was lost.")

    headers = {"Idempotency-Key": key} if key else {}
    with monkeypatch.context() as patch:
        patch.setattr(stocked.services.inbox, "accept", accept_and_lose_the_reply)
        problem(shopper.post("/api/checkout", json=CHECKOUT_BODY, headers=headers), 503, "service_unavailable")
    again = shopper.post("/api/checkout", json=CHECKOUT_BODY, headers=headers)

    if key:
        assert ok(again, 202)["id"] == accepted[0].order_id
    else:
        assert problem(again, 409, "already_checked_out")["order_id"] == accepted[0].order_id
    assert stocked.services.inbox.size() == 1
