"""Following orders: never missing after a 202, for their own session only, by polling or by waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tasks.checkout import settle
from tasks.pay import pay
from tests.harness import Client, Shop
from tests.servers import until
from tests.tasks.crashes import dies_at, work_to_the_end
from tests.tasks.helpers import cart_of
from tests.web.answers import add, ok, problem, take_redis_away
from web.follow import wait_seconds

UNKNOWN = "01999999-9999-7999-8999-999999999999"


@pytest.fixture
def stocked(shop: Shop) -> Shop:
    shop.stocked(MUG=5)
    return shop


# ---------------------------------------------------------------- one order


def test_a_pending_order_is_shown_before_there_is_a_row(stocked: Shop, shopper: Client) -> None:
    order_id = stocked.checkout(shopper, MUG=2)

    response = shopper.get(f"/api/orders/{order_id}")

    order = ok(response)
    assert stocked.order_count() == 0
    assert response.headers["Retry-After"] == "1"
    assert (order["id"], order["status"], order["terminal"]) == (order_id, "pending", False)
    assert [event["stage"] for event in order["timeline"]] == ["accepted"]
    assert order["total_amount"] == "26.88"


def test_a_confirmed_order_shows_its_number_and_timeline(stocked: Shop, shopper: Client) -> None:
    order_id = stocked.checkout(shopper, MUG=2)
    stocked.work_until_idle()

    response = shopper.get(f"/api/orders/{order_id}")

    order = ok(response)
    assert "Retry-After" not in response.headers
    assert (order["status"], order["terminal"], order["number"]) == ("confirmed", True, 1001)
    assert (order["payment_status"], order["fulfillment_status"]) == ("pending", "unfulfilled")
    assert [(e["stage"], e["outcome"]) for e in order["timeline"]] == [
        ("accepted", "ok"),
        ("stock_taken", "ok"),
        ("confirmed", "ok"),
    ]
    assert order["failure"] is None
    assert order["settled_at"] is not None


def test_a_failed_order_says_why_for_every_line_and_gives_the_cart_back(stocked: Shop, shopper: Client) -> None:
    stocked.stocked(PAN=5, PEN=5)
    order_id = stocked.checkout(shopper, MUG=2, PAN=3, PEN=1)
    stocked.change("MUG", stock_quantity=1)
    stocked.change("PAN", is_active=False)
    stocked.work_until_idle()

    order = ok(shopper.get(f"/api/orders/{order_id}"))

    assert (order["status"], order["terminal"], order["number"]) == ("failed", True, None)
    failure = order["failure"]
    assert (failure["stage"], failure["retryable"]) == ("settling", False)
    assert {(i["product_id"], i["code"], i["requested"], i["available"]) for i in failure["items"]} == {
        ("MUG", "insufficient_stock", 2, 1),
        ("PAN", "product_unavailable", 3, 0),
    }
    assert failure["code"] == failure["items"][0]["code"]
    cart = ok(shopper.get("/api/cart"))
    assert {item["item_id"]: item["quantity"] for item in cart["items"]} == {"MUG": 2, "PAN": 3, "PEN": 1}
    assert len(cart["warnings"]) == 2
    summary = ok(shopper.get("/api/orders"))["items"][0]
    assert (summary["status"], summary["failure_code"]) == ("failed", failure["code"])


def test_an_order_is_not_told_as_failed_before_its_cart_is_back(stocked: Shop, shopper: Client) -> None:
    order_id = stocked.checkout(shopper, MUG=2)
    stocked.change("MUG", stock_quantity=1)
    dies_at("settle.telling", stocked, settle, stocked.runtime)

    assert (stocked.order(order_id).status, told(shopper, order_id), cart_of(shopper)) == ("failed", "pending", {})
    work_to_the_end(stocked)

    assert (told(shopper, order_id), cart_of(shopper)) == ("failed", {"MUG": 2})


def test_a_payment_is_not_told_as_declined_before_the_cart_is_back(stocked: Shop, shopper: Client) -> None:
    order_id = stocked.checkout(shopper, {"payment_method": "card", "payment_token": "tok_decline"}, MUG=2)
    settle()
    dies_at("pay.telling", stocked, pay, stocked.pay_runtime)

    assert (stocked.order(order_id).status, told(shopper, order_id), cart_of(shopper)) == ("failed", "processing", {})
    work_to_the_end(stocked)

    assert (told(shopper, order_id), cart_of(shopper)) == ("failed", {"MUG": 2})


def test_with_redis_away_a_failed_order_is_told_whether_or_not_its_cart_is_back(stocked: Shop, shopper: Client) -> None:
    order_id = stocked.checkout(shopper, MUG=2)
    stocked.change("MUG", stock_quantity=1)
    dies_at("settle.telling", stocked, settle, stocked.runtime)
    take_redis_away(stocked.redis)

    assert told(shopper, order_id) == "failed"


def test_an_order_whose_cart_never_comes_back_is_told_as_failed_after_a_minute(stocked: Shop, shopper: Client) -> None:
    order_id = stocked.checkout(shopper, MUG=2)
    stocked.change("MUG", stock_quantity=1)
    dies_at("settle.telling", stocked, settle, stocked.runtime)

    stocked.clock.forward(59)
    assert told(shopper, order_id) == "pending"
    stocked.clock.forward(2)
    assert told(shopper, order_id) == "failed"


def told(shopper: Client, order_id: str) -> str:
    status: str = ok(shopper.get(f"/api/orders/{order_id}"))["status"]
    return status


@pytest.mark.parametrize("settled", [False, True])
def test_an_order_of_another_session_does_not_exist(stocked: Shop, shopper: Client, settled: bool) -> None:
    order_id = stocked.checkout(shopper, MUG=2)
    if settled:
        stocked.work_until_idle()

    problem(stocked.shopper().get(f"/api/orders/{order_id}"), 404, "order_not_found")
    assert ok(stocked.shopper().get("/api/orders"))["items"] == []


def test_an_unknown_order_does_not_exist(shop: Shop, shopper: Client) -> None:
    problem(shopper.get(f"/api/orders/{UNKNOWN}"), 404, "order_not_found")
    problem(shopper.get(f"/api/orders/{UNKNOWN}", headers={"Prefer": "wait=25"}), 404, "order_not_found")
    problem(shopper.get("/api/orders/nonsense"), 404, "not_found")
    problem(shopper.get(f"/api/orders/{UNKNOWN.upper().replace('9', 'A')}"), 404, "not_found")


def test_an_order_settled_between_two_looks_is_shown_settled(
    stocked: Shop, shopper: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = stocked.checkout(shopper, MUG=2)
    find = stocked.services.inbox.find

    def find_late(*which: str) -> Any:
        stocked.work_until_idle()
        return find(*which)

    monkeypatch.setattr(stocked.services.inbox, "find", find_late)

    assert ok(shopper.get(f"/api/orders/{order_id}"))["status"] == "confirmed"


def test_an_order_that_fails_between_two_looks_is_not_told_so_before_its_cart_is_back(
    stocked: Shop, shopper: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = stocked.checkout(shopper, {"payment_method": "card", "payment_token": "tok_decline"}, MUG=2)
    find = stocked.services.inbox.find

    def find_late(*which: str) -> Any:
        monkeypatch.undo()
        settle()
        dies_at("pay.telling", stocked, pay, stocked.pay_runtime)
        return find(*which)

    monkeypatch.setattr(stocked.services.inbox, "find", find_late)

    assert (told(shopper, order_id), stocked.order(order_id).status) == ("processing", "failed")


def test_the_order_keeps_its_prices_whatever_the_catalogue_says_later(stocked: Shop, shopper: Client) -> None:
    order_id = stocked.checkout(shopper, MUG=2)
    stocked.work_until_idle()
    stocked.change("MUG", price_minor=9999, name="Golden mug")

    (item,) = ok(shopper.get(f"/api/orders/{order_id}"))["items"]

    assert (item["name"], item["price_at_time"], item["subtotal"]) == ("Mug", "10.00", "20.00")


# ---------------------------------------------------------------- ETag and waiting


def test_an_unchanged_order_is_not_sent_again(stocked: Shop, shopper: Client) -> None:
    path = f"/api/orders/{stocked.checkout(shopper, MUG=2)}"
    pending = shopper.get(path).headers["ETag"]

    unchanged = shopper.get(path, headers={"If-None-Match": pending})
    stocked.work_until_idle()
    changed = shopper.get(path, headers={"If-None-Match": pending})

    assert unchanged.status_code == 304
    assert unchanged.headers["Retry-After"] == "1"
    assert ok(changed)["status"] == "confirmed"
    assert shopper.get(path, headers={"If-None-Match": changed.headers["ETag"]}).status_code == 304


@pytest.mark.parametrize("with_etag", [False, True])
def test_a_waiting_client_is_told_of_the_change(real_shop: Shop, with_etag: bool) -> None:
    real_shop.stocked(MUG=5)
    shopper = real_shop.shopper()
    path = f"/api/orders/{real_shop.checkout(shopper, MUG=2)}"
    headers = {"Prefer": "wait=20"}
    if with_etag:
        headers["If-None-Match"] = shopper.get(path).headers["ETag"]

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(shopper.get, path, headers=headers)
        until(lambda: real_shop.services.outcomes._listening.is_set() and real_shop.services.outcomes._count)
        real_shop.work_until_idle()
        response = waiting.result()

    assert ok(response)["status"] == "confirmed"
    assert response.headers["Preference-Applied"] == "wait=20"


def test_news_that_the_client_has_not_seen_is_not_held_back(stocked: Shop, shopper: Client) -> None:
    path = f"/api/orders/{stocked.checkout(shopper, MUG=2)}"

    response = shopper.get(path, headers={"If-None-Match": '"something older"', "Prefer": "wait=25"})

    assert ok(response)["status"] == "pending"


def test_a_terminal_order_is_answered_at_once(stocked: Shop, shopper: Client) -> None:
    path = f"/api/orders/{stocked.checkout(shopper, MUG=2)}"
    stocked.work_until_idle()
    etag = shopper.get(path).headers["ETag"]

    started = time.monotonic()
    assert shopper.get(path, headers={"Prefer": "wait=25"}).status_code == 200
    assert shopper.get(path, headers={"Prefer": "wait=25", "If-None-Match": etag}).status_code == 304
    assert time.monotonic() - started < 10


def test_a_wait_in_vain_ends_with_what_there_is(real_shop: Shop) -> None:
    real_shop.stocked(MUG=5)
    shopper = real_shop.shopper()
    path = f"/api/orders/{real_shop.checkout(shopper, MUG=2)}"
    etag = shopper.get(path).headers["ETag"]

    response = shopper.get(path, headers={"Prefer": "wait=1", "If-None-Match": etag})

    assert response.status_code == 304
    assert response.headers["Retry-After"] == "1"


def test_a_crowd_of_waiters_is_answered_at_once_with_a_larger_retry_after(
    stocked: Shop, shopper: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/api/orders/{stocked.checkout(shopper, MUG=2)}"
    monkeypatch.setattr(stocked.services.outcomes, "_most", 0)

    response = shopper.get(path, headers={"Prefer": "wait=25"})

    assert ok(response)["status"] == "pending"
    assert response.headers["Retry-After"] == "3"


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("wait=5", 5),
        ("wait=0", 0),
        ("wait=25", 25),
        ("wait=26", 25),
        ("wait=999999", 25),
        ("wait=99999999999999999999", 25),
        ("WAIT=5", 5),
        ('wait="5"', 5),
        ("wait = 5", 5),
        ("respond-async, wait=10", 10),
        ("respond-async;x=y, wait=10;z", 10),
        ("wait=-1", 0),
        ("wait=+1", 0),
        ("wait=1e9", 0),
        ("wait=1.5", 0),
        ("wait=5x", 0),
        ("wait=abc", 0),
        ("wait", 0),
        ("wait=", 0),
        ("await=5", 0),
        ("x-wait=5", 0),
        ("wait=٥", 0),
    ],
)
def test_the_wait_is_read_and_capped(prefer: str | None, seconds: int) -> None:
    assert wait_seconds(prefer) == seconds


# ---------------------------------------------------------------- history


def history(shopper: Client, query: str = "") -> Any:
    return ok(shopper.get(f"/api/orders?{query}"))


def test_the_history_is_paged_newest_first(stocked: Shop, shopper: Client) -> None:
    stocked.stocked(PAN=50)
    ids = []
    for _ in range(5):
        ids.append(stocked.checkout(shopper, PAN=1))
        stocked.clock.forward(1)
    stocked.work_until_idle()

    seen: list[str] = []
    query = "per_page=2"
    sizes = []
    while query:
        found = history(shopper, query)
        sizes.append(len(found["items"]))
        seen += [item["id"] for item in found["items"]]
        cursor = found["page"]["next_cursor"]
        query = f"per_page=2&cursor={cursor}" if cursor else ""

    assert seen == ids[::-1]
    assert sizes == [2, 2, 1]


def test_the_history_sums_each_order_up(stocked: Shop, shopper: Client) -> None:
    stocked.stocked(PAN=5)
    order_id = stocked.checkout(shopper, MUG=2, PAN=1)
    stocked.work_until_idle()

    (entry,) = history(shopper)["items"]

    order = ok(shopper.get(entry["links"]["self"]))
    assert entry["item_count"] == 2
    assert entry["id"] == order_id
    for same in ("number", "status", "terminal", "total_amount", "currency", "created_at", "updated_at"):
        assert entry[same] == order[same]


def test_the_history_includes_what_was_accepted_a_moment_ago(stocked: Shop, shopper: Client) -> None:
    first = stocked.checkout(shopper, MUG=1)
    stocked.work_until_idle()
    second, third = stocked.checkout(shopper, MUG=1), stocked.checkout(shopper, MUG=1)

    found = history(shopper)

    assert [item["id"] for item in found["items"]] == [third, second, first]
    assert [item["status"] for item in found["items"]] == ["pending", "pending", "confirmed"]
    assert found["items"][0]["total_amount"] == "16.07"


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_order_settled_while_the_history_is_read_is_in_it_once(
    stocked: Shop, shopper: Client, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    order_id = stocked.checkout(shopper, MUG=1)
    open_ids: Callable[[str], list[str]] = stocked.services.inbox.open_ids

    def open_ids_while_settling(session_id: str) -> list[str]:
        if when == "before":
            stocked.work_until_idle()
        found = open_ids(session_id)
        if when == "after":
            stocked.work_until_idle()
        return found

    monkeypatch.setattr(stocked.services.inbox, "open_ids", open_ids_while_settling)

    assert [item["id"] for item in history(shopper)["items"]] == [order_id]


def test_a_later_page_of_the_history_has_no_pending_orders(stocked: Shop, shopper: Client) -> None:
    for _ in range(2):
        stocked.checkout(shopper, MUG=1)
        stocked.clock.forward(1)
    stocked.work_until_idle()
    stocked.checkout(shopper, MUG=1)

    first = history(shopper, "per_page=1")
    second = history(shopper, f"per_page=1&cursor={first['page']['next_cursor']}")

    assert [item["status"] for item in first["items"]] == ["pending", "confirmed"]
    assert [item["status"] for item in second["items"]] == ["confirmed"]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("per_page=0", "per_page"),
        ("per_page=101", "per_page"),
        ("page=1", "page"),
        ("cursor=forged", "cursor"),
        ("cursor=", "cursor"),
        ("per_page=1&per_page=2", "per_page"),
    ],
)
def test_a_bad_parameter_of_the_history_is_named(shop: Shop, shopper: Client, query: str, parameter: str) -> None:
    body = problem(shopper.get(f"/api/orders?{query}"), 400, "invalid_parameter")

    assert body["errors"][0]["parameter"] == parameter


def test_a_new_session_has_no_history(shop: Shop, shopper: Client) -> None:
    assert history(shopper) == {"items": [], "page": {"per_page": 20, "next_cursor": None}}


def test_an_order_of_one_session_is_not_in_anothers_history_page(stocked: Shop, shopper: Client) -> None:
    other = stocked.shopper()
    mine, theirs = stocked.checkout(shopper, MUG=1), stocked.checkout(other, MUG=1)
    ok(add(other))
    stocked.work_until_idle()

    assert [item["id"] for item in history(shopper)["items"]] == [mine]
    assert [item["id"] for item in history(other)["items"]] == [theirs]
