"""Checking out: what is accepted, what is refused, and that a repetition makes no second order."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.harness import CHECKOUT_BODY, Client, Shop
from tests.servers import until
from tests.web.answers import add, address, ok, pointers, problem, session_of, take_redis_away
from web.sessions import HEADER


def check_out(
    shopper: Client, key: str | None = None, headers: dict[str, str] | None = None, **body: Any
) -> TestResponse:
    sent = {name: value for name, value in {**CHECKOUT_BODY, **body}.items() if value is not None}
    keyed = {"Idempotency-Key": key} if key else {}
    return shopper.post("/api/checkout", json=sent, headers={**keyed, **(headers or {})})


@pytest.fixture
def full(shop: Shop, shopper: Client) -> Client:
    """A shopper with two mugs at 10.00, 100 g each, of five."""
    shop.stocked(MUG=5)
    ok(add(shopper, quantity=2))
    return shopper


def amounts(order: Any) -> tuple[str, str, str, str]:
    return order["subtotal"], order["shipping_amount"], order["tax_amount"], order["total_amount"]


# ---------------------------------------------------------------- accepted


def test_a_checkout_is_accepted_with_the_whole_order(shop: Shop, full: Client) -> None:
    response = check_out(full)

    order = ok(response, 202)
    assert response.headers["Location"] == f"/api/orders/{order['id']}" == order["links"]["self"]
    assert response.headers["Retry-After"] == "1"
    assert "Idempotent-Replayed" not in response.headers
    assert (order["status"], order["terminal"], order["number"]) == ("pending", False, None)
    assert amounts(order) == ("20.00", "5.06", "1.82", "26.88")
    (item,) = order["items"]
    assert (item["product_id"], item["quantity"], item["price_at_time"], item["tax_amount"], item["subtotal"]) == (
        "MUG",
        2,
        "10.00",
        "1.45",
        "20.00",
    )
    assert order["shipping_info"]["line1"] == "1 Main Street"
    assert order["billing_info"] == order["shipping_info"]
    assert ok(full.get("/api/cart"))["items"] == []
    assert shop.stock("MUG") == 5


@pytest.mark.parametrize(
    ("to", "method", "expected"),
    [
        (address(), "standard", ("20.00", "5.06", "1.82", "26.88")),
        (address(region="NY"), "standard", ("20.00", "5.06", "2.23", "27.29")),
        (address(country="DE", region=None), "standard", ("20.00", "5.06", "4.76", "29.82")),
        (address(country="JP", region=None), "international", ("20.00", "20.20", "0.00", "40.20")),
    ],
)
def test_the_confirmed_order_costs_exactly_what_was_accepted(
    shop: Shop, full: Client, to: Any, method: str, expected: tuple[str, ...]
) -> None:
    accepted = ok(check_out(full, shipping_info=to, shipping_method=method), 202)
    shop.work_until_idle()

    confirmed = ok(full.get(f"/api/orders/{accepted['id']}"))

    assert confirmed["status"] == "confirmed"
    assert amounts(accepted) == amounts(confirmed) == expected
    for same in ("items", "tax_lines", "shipping_info", "billing_info", "email", "accepted_at", "created_at", "links"):
        assert confirmed[same] == accepted[same], same
    shop.books_close()


def test_a_pick_up_needs_no_address_but_one_for_the_bill(shop: Shop, full: Client) -> None:
    body: dict[str, Any] = {"shipping_info": None, "shipping_method": "pickup"}

    refused = problem(check_out(full, **body), 422, "validation_failed")
    order = ok(check_out(full, **body, billing_info=address(name="Bill")), 202)

    assert pointers(refused) == ["/billing_info"]
    assert order["shipping_info"] is None
    assert order["billing_info"]["name"] == "Bill"
    assert amounts(order) == ("20.00", "0.00", "1.45", "21.45")


def test_a_bill_may_go_elsewhere_or_to_the_same_address(shop: Shop, full: Client) -> None:
    order = ok(check_out(full, billing_info=address(name="Bill", line2="Floor 2", company="B Ltd.", phone="+1 2")), 202)
    assert order["billing_info"] == {**address(name="Bill", line2="Floor 2", company="B Ltd.", phone="+1 2")}

    add(full)
    order = ok(check_out(full, billing_info={"same_as_shipping": True}), 202)
    assert order["billing_info"] == order["shipping_info"]


def test_the_shipping_is_free_from_the_boundary_on(shop: Shop, shopper: Client) -> None:
    shop.stocked(7500, MUG=5)
    add(shopper)

    assert amounts(ok(check_out(shopper), 202)) == ("75.00", "0.00", "5.44", "80.44")


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({"payment_method": "gold"}, "payment_method_unsupported", "/payment_method"),
        ({"shipping_method": "drone"}, "shipping_unavailable", "/shipping_method"),
        (
            {"shipping_method": "express", "shipping_info": address(country="DE", region=None)},
            "shipping_unavailable",
            "/shipping_method",
        ),
        ({"shipping_info": None}, "validation_failed", "/shipping_info"),
        ({"email": None}, "validation_failed", "/email"),
        ({"email": "nobody"}, "validation_failed", "/email"),
        ({"email": "a@b.example\r\nBcc: c@d.example"}, "validation_failed", "/email"),
        ({"email": "a" * 250 + "@example.com"}, "validation_failed", "/email"),
        ({"shipping_method": None}, "validation_failed", "/shipping_method"),
        ({"payment_method": None}, "validation_failed", "/payment_method"),
        ({"shipping_info": address(country="USA")}, "validation_failed", "/shipping_info/country"),
        ({"shipping_info": address(country="us")}, "validation_failed", "/shipping_info/country"),
        ({"shipping_info": address(name=" ")}, "validation_failed", "/shipping_info/name"),
        ({"shipping_info": address(name="A\nB")}, "validation_failed", "/shipping_info/name"),
        ({"shipping_info": address(planet="Mars")}, "validation_failed", "/shipping_info/planet"),
        ({"billing_info": address(city="")}, "validation_failed", "/billing_info/city"),
        ({"billing_info": address(planet="Mars")}, "validation_failed", "/billing_info/planet"),
        ({"billing_info": {}}, "validation_failed", "/billing_info/name"),
        ({"billing_info": {"same_as_shipping": False}}, "validation_failed", "/billing_info/same_as_shipping"),
        ({"billing_info": {"same_as_shipping": True, "name": "A"}}, "validation_failed", "/billing_info/name"),
        ({"billing_info": "same"}, "validation_failed", "/billing_info"),
        ({"expected_total": 26.88}, "validation_failed", "/expected_total"),
        ({"expected_total": "-1"}, "validation_failed", "/expected_total"),
        ({"expected_total": "26.880"}, "validation_failed", "/expected_total"),
        ({"expected_total": "026.88"}, "validation_failed", "/expected_total"),
        ({"expected_total": "9999999999999"}, "validation_failed", "/expected_total"),
        ({"a/b~c": 1}, "validation_failed", "/a~1b~0c"),
    ],
)
def test_what_is_wrong_is_pointed_at_and_the_cart_stays(
    shop: Shop, full: Client, body: dict[str, Any], code: str, pointer: str
) -> None:
    refused = problem(check_out(full, **body), 422, code)

    assert pointer in pointers(refused)
    assert not any("(" in found for found in pointers(refused))
    assert ok(full.get("/api/cart"))["total_quantity"] == 2
    assert shop.services.inbox.size() == 0


def test_each_pointer_leads_into_the_body_that_was_sent(shop: Shop, full: Client) -> None:
    body = {"email": 1, "billing_info": {"name": 1, "planet": "Mars"}, "shipping_info": {"city": None}}

    found = pointers(problem(check_out(full, **body), 422))

    assert sorted(found) == sorted(
        [
            "/email",
            *(f"/billing_info/{name}" for name in ("name", "line1", "city", "postal_code", "country", "planet")),
            *(f"/shipping_info/{name}" for name in ("name", "line1", "city", "postal_code", "country")),
        ]
    )


def test_a_total_above_the_expected_one_is_refused_with_the_current_one(shop: Shop, full: Client) -> None:
    shop.change("MUG", price_minor=1001)

    body = problem(check_out(full, expected_total="26.88"), 409, "price_changed")

    assert (body["expected_total"], body["current_total"], body["currency"]) == ("26.88", "26.90", "USD")
    assert pointers(body) == ["/expected_total"]
    assert ok(full.get("/api/cart"))["total_quantity"] == 2


@pytest.mark.parametrize("expected", ["26.88", "26.89", "1000"])
def test_a_total_not_above_the_expected_one_is_accepted(shop: Shop, full: Client, expected: str) -> None:
    assert ok(check_out(full, expected_total=expected), 202)["total_amount"] == "26.88"


def test_lines_that_cannot_be_sold_are_refused_at_once_and_all_named(shop: Shop, shopper: Client) -> None:
    shop.stocked(A=5, B=5, C=5, D=5)
    for product_id in "ABCD":
        add(shopper, product_id, 3)
    shop.change("A", is_active=False)
    shop.change("B", stock_quantity=0)
    shop.change("D", stock_quantity=2)
    places = {item["item_id"]: f"/items/{i}" for i, item in enumerate(ok(shopper.get("/api/cart"))["items"])}

    body = problem(check_out(shopper), 409)

    assert {(f["product_id"], f["code"], f["pointer"], f["available"]) for f in body["errors"]} == {
        ("A", "product_unavailable", places["A"], 0),
        ("B", "out_of_stock", places["B"], 0),
        ("D", "insufficient_stock", places["D"], 2),
    }
    assert body["code"] == body["errors"][0]["code"]
    assert ok(shopper.get("/api/cart"))["total_quantity"] == 12
    assert shop.services.inbox.size() == 0


def test_an_empty_cart_cannot_be_checked_out(shop: Shop, shopper: Client) -> None:
    problem(check_out(shopper), 409, "cart_empty")
    problem(check_out(shopper, key="k"), 409, "cart_empty")


def test_a_cart_that_was_checked_out_a_moment_ago_names_its_order(shop: Shop, full: Client) -> None:
    order = ok(check_out(full), 202)

    for _ in range(2):
        assert problem(check_out(full), 409, "already_checked_out")["order_id"] == order["id"]
    assert shop.services.inbox.size() == 1


def test_a_new_cart_can_be_checked_out_after_the_first(shop: Shop, full: Client) -> None:
    first = ok(check_out(full), 202)
    add(full)
    second = ok(check_out(full), 202)

    shop.work_until_idle()

    assert first["id"] != second["id"]
    assert [shop.order(i["id"]).status for i in (first, second)] == ["confirmed", "confirmed"]
    assert shop.stock("MUG") == 2


def test_a_cart_emptied_by_hand_is_simply_empty(shop: Shop, full: Client) -> None:
    ok(check_out(full), 202)
    full.delete("/api/cart/clear")

    problem(check_out(full), 409, "cart_empty")


# ---------------------------------------------------------------- Idempotency-Key


@pytest.mark.parametrize("key", ["abc", '"abc"', ' "abc" ', "abc "])
def test_a_key_may_be_bare_or_quoted(shop: Shop, full: Client, key: str) -> None:
    order = ok(check_out(full, key="abc"), 202)

    again = check_out(full, key=key)

    assert ok(again, 202)["id"] == order["id"]
    assert again.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize(
    "key", ["", " ", '""', '"', '"abc', "é", "a\tb", "a" * 256, f'"{"a" * 256}"', "\x7f", "\x00", "a\x01"]
)
def test_a_key_that_is_none_is_refused(shop: Shop, full: Client, key: str) -> None:
    response = full.post("/api/checkout", json=CHECKOUT_BODY, environ_overrides={"HTTP_IDEMPOTENCY_KEY": key})

    problem(response, 400, "idempotency_key_invalid")
    assert ok(full.get("/api/cart"))["total_quantity"] == 2


@pytest.mark.parametrize("key", ["a" * 255, '"' + "b" * 255 + '"', "a:b*?[x]{}", 'a"b', "a, b", "'; DROP TABLE orders"])
def test_a_key_may_be_any_printable_text(shop: Shop, full: Client, key: str) -> None:
    order = ok(check_out(full, key=key), 202)
    shop.work_until_idle()

    assert ok(check_out(full, key=key), 202)["id"] == order["id"]
    assert shop.order(order["id"]).idempotency_key == key.strip('"')


def test_a_replay_answers_the_same_and_makes_nothing(shop: Shop, full: Client) -> None:
    first = check_out(full, key="k")
    add(full)

    replayed = check_out(full, key="k")
    shop.work_until_idle()
    settled = check_out(full, key="k")

    for again in (replayed, settled):
        assert ok(again, 202) == first.get_json()
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.headers["Location"] == first.headers["Location"]
    assert shop.order_count() == 1
    assert ok(full.get("/api/cart"))["total_quantity"] == 1


def test_a_key_with_another_body_is_refused_naming_the_order(shop: Shop, full: Client) -> None:
    order = ok(check_out(full, key="k"), 202)

    body = problem(check_out(full, key="k", payment_method="cash_on_delivery"), 422, "idempotency_key_reused")

    assert body["order_id"] == order["id"]


def test_the_spelling_of_the_json_does_not_count(shop: Shop, full: Client) -> None:
    order = ok(check_out(full, key="k"), 202)
    reordered = {name: CHECKOUT_BODY[name] for name in reversed(CHECKOUT_BODY)}
    reordered["shipping_info"] = dict(reversed(CHECKOUT_BODY["shipping_info"].items()))
    spelled = json.dumps(reordered, indent=4).replace("Ada", "\\u0041da")

    again = full.post("/api/checkout", data=spelled, content_type="application/json", headers={"Idempotency-Key": "k"})

    assert ok(again, 202)["id"] == order["id"]


def test_a_body_that_only_one_json_reader_understands_is_no_error_of_ours(shop: Shop, full: Client) -> None:
    text = '{"email": NaN, ' + json.dumps(CHECKOUT_BODY)[1:]

    response = full.post("/api/checkout", data=text, content_type="application/json", headers={"Idempotency-Key": "k"})

    assert response.status_code in (202, 400, 422), response.text


def test_keys_belong_to_their_session(shop: Shop, full: Client) -> None:
    first = ok(check_out(full, key="k"), 202)
    other = shop.shopper()
    add(other)

    response = check_out(other, key="k")

    assert ok(response, 202)["id"] != first["id"]
    assert "Idempotent-Replayed" not in response.headers


def test_a_key_is_remembered_in_sql_after_it_expired_in_redis(shop: Shop, full: Client) -> None:
    first = check_out(full, key="k")
    shop.work_until_idle()
    session_id = session_of(shop, full)
    shop.redis.delete(f"idempotency:{session_id}:k", f"checked_out:{session_id}")

    again = check_out(full, key="k")
    other = check_out(full, key="k", payment_method="cash_on_delivery")

    assert ok(again, 202) == first.get_json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert problem(other, 422, "idempotency_key_reused")["order_id"] == first.get_json()["id"]


def test_a_replay_when_the_snapshot_is_gone_too_answers_the_order_as_it_is(shop: Shop, full: Client) -> None:
    first = ok(check_out(full, key="k"), 202)
    shop.work_until_idle()
    session_id = session_of(shop, full)
    shop.redis.delete(f"idempotency:{session_id}:k", f"checked_out:{session_id}", f"accepted:{first['id']}")

    again = ok(check_out(full, key="k"), 202)

    assert (again["id"], again["status"]) == (first["id"], "confirmed")


def test_a_replay_of_a_failed_checkout_names_the_failed_order(shop: Shop, full: Client) -> None:
    first = ok(check_out(full, key="k"), 202)
    shop.change("MUG", stock_quantity=0)
    shop.work_until_idle()

    assert ok(check_out(full, key="k"), 202)["id"] == first["id"]
    assert shop.order(first["id"]).status == "failed"


def test_a_request_that_was_refused_does_not_use_up_its_key(shop: Shop, full: Client) -> None:
    problem(check_out(full, key="k", expected_total="1"), 409, "price_changed")

    assert ok(check_out(full, key="k"), 202)["status"] == "pending"


def test_a_twin_accepted_between_two_looks_is_replayed(
    shop: Shop, full: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = session_of(shop, full)
    get, twin = shop.services.carts.get, []

    def get_late(who: str, *key: str) -> Any:
        if who == session_id and not twin:
            twin.append(None)
            twin[0] = ok(check_out(full, key="k"), 202)["id"]
        return get(who, *key)

    monkeypatch.setattr(shop.services.carts, "get", get_late)
    response = check_out(full, key="k")

    assert ok(response, 202)["id"] == twin[0]
    assert response.headers["Idempotent-Replayed"] == "true"
    assert shop.services.inbox.size() == 1


# ---------------------------------------------------------------- a cart that moves


@pytest.fixture
def changes_while_priced(shop: Shop, full: Client, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Make the cart change in another tab, a number of times, each time between its pricing and its acceptance."""

    def prepare(times: int) -> list[int]:
        session_id, find, done = session_of(shop, full), shop.services.catalogue.find, []

        def find_and_change(product_ids: list[str], *look: Any) -> Any:
            found = find(product_ids, *look)
            if len(done) < times:
                done.append(1)
                shop.services.carts.add(session_id, "MUG", 1, 1000, 20)
            return found

        monkeypatch.setattr(shop.services.catalogue, "find", find_and_change)
        return done

    return prepare


def test_a_cart_that_changed_while_it_was_priced_is_priced_again(
    full: Client, changes_while_priced: Callable[[int], list[int]]
) -> None:
    done = changes_while_priced(2)

    order = ok(check_out(full), 202)

    assert len(done) == 2
    assert order["items"][0]["quantity"] == 4
    assert order["subtotal"] == "40.00"


def test_a_cart_that_keeps_changing_is_refused_and_kept(
    shop: Shop, full: Client, changes_while_priced: Callable[[int], list[int]]
) -> None:
    shop.change("MUG", stock_quantity=20)
    done = changes_while_priced(5)

    body = problem(check_out(full), 409, "cart_changed")

    assert body["retryable"] is True
    assert len(done) == 5
    assert ok(full.get("/api/cart"))["total_quantity"] == 7
    assert shop.services.inbox.size() == 0


@pytest.mark.parametrize("key", ["a-key", None], ids=["with a key", "without a key"])
def test_a_twin_that_took_the_last_unit_meanwhile_is_named_instead_of_a_shortage(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    shop.stocked(LAST=1)
    shopper, find, done = shop.shopper(), shop.services.catalogue.find, []
    ok(shopper.post("/api/cart/add", json={"product_id": "LAST", "quantity": 1}))
    headers = {"Idempotency-Key": key} if key else {}

    def find_after_the_twin(product_ids: list[str], *look: Any) -> Any:
        if not done:
            done.append(True)
            done.append(shopper.post("/api/checkout", json=CHECKOUT_BODY, headers=headers).get_json()["id"])
            shop.work_until_idle()
        return find(product_ids, *look)

    monkeypatch.setattr(shop.services.catalogue, "find", find_after_the_twin)
    shop.clock.forward(10)  # So that the look at the products goes to SQL, and finds none left.
    response = shopper.post("/api/checkout", json=CHECKOUT_BODY, headers=headers)

    if key:
        assert ok(response, 202)["id"] == done[1]
        assert response.headers["Idempotent-Replayed"] == "true"
    else:
        assert problem(response, 409, "already_checked_out")["order_id"] == done[1]


# ---------------------------------------------------------------- at once


def at_once(shop: Shop, token: str, keys: list[str | None]) -> list[TestResponse]:
    """The same checkout from as many browsers at once, all with one session."""
    with ThreadPoolExecutor(len(keys)) as pool:
        return list(pool.map(lambda key: check_out(shop.shopper(), key, {HEADER: token}), keys))


def test_twenty_identical_requests_with_one_key_make_one_order(real_shop: Shop) -> None:
    real_shop.stocked(MUG=50)
    token = add(real_shop.shopper(), quantity=2).headers[HEADER]

    answers = at_once(real_shop, token, ["k"] * 20)
    real_shop.work_until_idle()

    assert {ok(answer, 202)["id"] for answer in answers} == {answers[0].get_json()["id"]}
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert real_shop.order_count() == 1
    assert real_shop.stock("MUG") == 48
    real_shop.books_close()


def test_twenty_identical_requests_without_a_key_make_one_order(real_shop: Shop) -> None:
    real_shop.stocked(MUG=50)
    token = add(real_shop.shopper(), quantity=2).headers[HEADER]

    answers = at_once(real_shop, token, [None] * 20)
    real_shop.work_until_idle()

    (accepted,) = (answer for answer in answers if answer.status_code == 202)
    for answer in answers:
        if answer is not accepted:
            assert problem(answer, 409, "already_checked_out")["order_id"] == accepted.get_json()["id"]
    assert real_shop.order_count() == 1
    assert real_shop.stock("MUG") == 48


# ---------------------------------------------------------------- Prefer: wait


def test_a_client_that_waits_gets_the_finished_order(real_shop: Shop) -> None:
    real_shop.stocked(MUG=5)
    shopper = real_shop.shopper()
    add(shopper, quantity=2)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(check_out, shopper, None, {"Prefer": "wait=20"})
        until(lambda: real_shop.queue.count)
        real_shop.work_until_idle()
        response = waiting.result()

    order = ok(response, 200)
    assert (order["status"], order["number"]) == ("confirmed", 1001)
    assert response.headers["Preference-Applied"] == "wait=20"
    assert response.headers["Location"] == f"/api/orders/{order['id']}"
    assert "Retry-After" not in response.headers


def test_a_client_that_waits_in_vain_gets_its_202(real_shop: Shop) -> None:
    real_shop.stocked(MUG=5)
    shopper = real_shop.shopper()
    add(shopper, quantity=2)

    response = check_out(shopper, headers={"Prefer": "wait=1"})

    assert ok(response, 202)["status"] == "pending"
    assert response.headers["Retry-After"] == "1"


def test_a_crowd_of_waiters_gets_its_202_at_once_and_a_larger_retry_after(
    shop: Shop, full: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shop.services.outcomes, "_most", 0)

    response = check_out(full, headers={"Prefer": "wait=25"})

    ok(response, 202)
    assert response.headers["Retry-After"] == "3"


def test_an_accepted_checkout_is_a_202_even_if_nobody_can_say_more(
    shop: Shop, full: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept = shop.services.inbox.accept

    def accept_last(*given: Any) -> Any:
        answer = accept(*given)
        take_redis_away(shop.redis)
        return answer

    monkeypatch.setattr(shop.services.inbox, "accept", accept_last)
    response = check_out(full, headers={"Prefer": "wait=5"})

    assert ok(response, 202)["status"] == "pending"
    assert response.headers["Location"] == f"/api/orders/{response.get_json()['id']}"
