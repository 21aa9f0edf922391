"""The merchant gives money back: in parts or all of it, never more than was taken, each refund once."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.carts.sample import at_once
from tests.harness import Client, Shop
from tests.tasks.test_audit import audit
from tests.web.admin.conftest import merchant_of
from tests.web.answers import ok, pointers, problem


class Case:
    """A paid order of two mugs and a pen, and its merchant."""

    def __init__(self, shop: Shop, token: str = "tok_approve") -> None:
        self.shop = shop
        self.shopper, self.merchant = shop.shopper(), merchant_of(shop, "orders", name="Ada's key")
        shop.stocked(500, MUG=10, PEN=10)
        body = {"payment_method": "card", "payment_token": token}
        self.order_id = shop.checkout(self.shopper, body, MUG=2, PEN=1)
        shop.work_until_idle()
        self.total = shop.order(self.order_id).total_minor

    def refund(self, headers: dict[str, str] | None = None, client: Client | None = None, **body: Any) -> TestResponse:
        path = f"/api/admin/orders/{self.order_id}/refunds"
        return (client or self.merchant).post(path, json=body, headers=headers)

    def seen(self) -> Any:
        return ok(self.merchant.get(f"/api/admin/orders/{self.order_id}"))

    def shown(self) -> Any:
        return ok(self.shopper.get(f"/api/orders/{self.order_id}"))

    def given_back(self) -> int:
        """What the provider gave back, in minor units."""
        return sum(account.refunded_minor for account in self.shop.sandbox.books())

    def refunds(self) -> list[tuple[str, str]]:
        return [(each["amount"], each["status"]) for each in self.seen()["payments"] if each["kind"] == "refund"]


@pytest.fixture
def case(shop: Shop) -> Case:
    return Case(shop)


@pytest.fixture
def any_case(any_shop: Shop) -> Case:
    return Case(any_shop)


def money(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"


# ---------------------------------------------------------------- money


def test_all_of_it_is_given_back_when_no_amount_is_named(any_case: Case) -> None:
    order = ok(any_case.refund(reason="Broken on arrival"), 201)
    assert order["payment_status"] == "captured"
    any_case.shop.work_until_idle()

    seen = any_case.seen()
    assert (seen["status"], seen["payment_status"]) == ("confirmed", "refunded")
    assert any_case.given_back() == any_case.total
    refund = seen["payments"][-1]
    assert (refund["key"], refund["kind"], refund["status"]) == (f"{any_case.order_id}-refund-1", "refund", "succeeded")
    assert (refund["amount"], refund["reason"], refund["actor"]) == (
        money(any_case.total),
        "Broken on arrival",
        "Ada's key",
    )
    assert refund["result_id"]
    assert "tok_approve" not in str(seen)
    assert [(event["stage"], event["detail"], event["actor"]) for event in seen["timeline"]][-2:] == [
        ("refund_requested", f"{money(any_case.total)} USD", "Ada's key"),
        ("payment_refunded", f"{money(any_case.total)} USD", None),
    ]
    assert any_case.shop.stock("MUG") == 8
    assert audit(any_case.shop).exit_code == 0


def test_it_is_given_back_in_parts_until_nothing_is_left(any_case: Case) -> None:
    ok(any_case.refund(amount="5"), 201)
    ok(any_case.refund(amount="2.50"), 201)
    any_case.shop.work_until_idle()
    assert any_case.seen()["payment_status"] == "partially_refunded"

    ok(any_case.refund(), 201)
    any_case.shop.work_until_idle()

    assert any_case.refunds() == [
        ("5.00", "succeeded"),
        ("2.50", "succeeded"),
        (money(any_case.total - 750), "succeeded"),
    ]
    assert any_case.seen()["payment_status"] == "refunded"
    assert any_case.given_back() == any_case.total
    assert audit(any_case.shop).exit_code == 0
    problem(any_case.refund(amount="0.01"), 409, "transition_not_allowed")


def test_more_than_is_left_is_refused_also_while_a_refund_is_under_way(any_case: Case) -> None:
    ok(any_case.refund(amount="10.00"), 201)

    refused = problem(any_case.refund(amount="20.00"), 409, "refund_exceeds_payment")

    assert refused["left"] == money(any_case.total - 1000)
    assert pointers(refused) == ["/amount"]
    ok(any_case.refund(), 201)
    assert problem(any_case.refund(), 409, "refund_exceeds_payment")["left"] == "0.00"
    any_case.shop.work_until_idle()
    assert any_case.given_back() == any_case.total


def test_a_refund_that_was_refused_counts_no_more(any_shop: Shop) -> None:
    case = Case(any_shop, "tok_refund_refused")
    ok(case.refund(amount="5.00"), 201)
    any_shop.work_until_idle()
    assert case.refunds() == [("5.00", "refused")]

    ok(case.refund(), 201)

    assert case.refunds() == [("5.00", "refused"), (money(case.total), "due")]


def test_a_refund_whose_answer_got_lost_is_asked_for_again_and_given_once(any_shop: Shop) -> None:
    case = Case(any_shop, "tok_refund_timeout")
    ok(case.refund(amount="5.00"), 201)
    any_shop.work_until_idle()
    assert case.refunds() == [("5.00", "unknown")]
    problem(case.refund(amount=money(case.total)), 409, "refund_exceeds_payment")

    any_shop.clock.forward(90)
    any_shop.pay()

    assert case.refunds() == [("5.00", "succeeded")]
    assert case.given_back() == 500


def test_of_many_refunds_at_once_no_more_than_was_taken_is_given_back(any_case: Case) -> None:
    clients = [merchant_of(any_case.shop, "orders") for _ in range(6)]

    answers = at_once(6, lambda n: any_case.refund(client=clients[n], amount="7.00").status_code)
    any_case.shop.work_until_idle()

    possible = any_case.total // 700
    assert sorted(answers) == [201] * possible + [409] * (6 - possible)
    assert any_case.given_back() == 700 * possible <= any_case.total


def test_after_a_refund_in_part_a_cancelled_order_gets_the_rest(any_case: Case) -> None:
    ok(any_case.refund(amount="5.00", restock=[{"position": 1, "quantity": 1}]), 201)
    any_case.shop.work_until_idle()

    ok(any_case.shopper.post(f"/api/orders/{any_case.order_id}/cancel", json={}))
    any_case.shop.work_until_idle()

    assert any_case.seen()["payment_status"] == "refunded"
    assert any_case.given_back() == any_case.total
    assert any_case.shop.stock("MUG") == any_case.shop.ledger("MUG") == 10
    assert any_case.shop.stock("PEN") == 10
    result = audit(any_case.shop)
    assert result.exit_code == 0, result.output


def test_a_cancelled_order_whose_refund_was_refused_can_be_refunded_again(any_shop: Shop) -> None:
    case = Case(any_shop, "tok_refund_refused")
    ok(case.shopper.post(f"/api/orders/{case.order_id}/cancel", json={}))
    any_shop.work_until_idle()
    assert case.refunds() == [(money(case.total), "refused")]

    ok(case.refund(), 201)

    assert case.refunds() == [(money(case.total), "refused"), (money(case.total), "due")]


@pytest.mark.parametrize("amount", ["0", "0.00", "1.005", "-1", "01.00", "1e2", ""])
def test_an_amount_that_is_none_is_refused(case: Case, amount: str) -> None:
    assert pointers(problem(case.refund(amount=amount), 422, "validation_failed")) == ["/amount"]
    assert case.refunds() == []


@pytest.mark.parametrize(
    ("token", "status"), [("tok_decline", "failed"), ("tok_action", "pending"), ("tok_capture_refused", "authorized")]
)
def test_money_that_was_not_taken_cannot_be_given_back(shop: Shop, token: str, status: str) -> None:
    case = Case(shop, token)

    refused = problem(case.refund(), 409, "transition_not_allowed")

    assert f"payment_status is {status}" in refused["detail"]


def test_a_refund_needs_the_scope_and_an_order(case: Case) -> None:
    problem(case.refund(client=merchant_of(case.shop, "stock")), 403, "missing_scope")
    problem(case.refund(client=case.shop.shopper()), 401, "unauthenticated")
    case.order_id = "01999999-9999-7999-8999-999999999999"
    problem(case.refund(), 404, "order_not_found")


def test_a_refund_of_a_version_that_is_not_there_any_more_is_refused(case: Case) -> None:
    problem(case.refund({"If-Match": '"1"'}), 412, "precondition_failed")

    assert case.refunds() == []


# ---------------------------------------------------------------- repeated requests


def test_a_repeated_request_makes_no_second_refund(any_case: Case) -> None:
    key = {"Idempotency-Key": "refund-7"}
    first = any_case.refund(key, amount="5.00", restock=[{"position": 1, "quantity": 1}])
    again = any_case.refund(key, amount="5.00", restock=[{"position": 1, "quantity": 1}])

    assert (first.status_code, again.status_code) == (201, 201)
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.get_json() == first.get_json()
    assert first.get_json()["payments"][-1]["idempotency_key"] == "refund-7"
    any_case.shop.work_until_idle()
    assert any_case.given_back() == 500
    assert any_case.shop.stock("MUG") == 9


def test_the_same_key_for_another_refund_is_refused(any_case: Case) -> None:
    ok(any_case.refund({"Idempotency-Key": "k"}, amount="5.00"), 201)

    problem(any_case.refund({"Idempotency-Key": "k"}, amount="6.00"), 422, "idempotency_key_reused")
    ok(any_case.refund({"Idempotency-Key": "l"}, amount="6.00"), 201)

    assert any_case.refunds() == [("5.00", "due"), ("6.00", "due")]


def test_a_request_that_is_sent_twice_at_once_makes_one_refund(any_case: Case) -> None:
    clients = [merchant_of(any_case.shop, "orders") for _ in range(4)]

    answers = at_once(4, lambda n: any_case.refund({"Idempotency-Key": "k"}, clients[n], amount="1.00"))

    assert [answer.status_code for answer in answers] == [201] * 4
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 3
    assert any_case.refunds() == [("1.00", "due")]


# ---------------------------------------------------------------- goods


def test_units_come_back_with_it(any_case: Case) -> None:
    ok(any_case.refund(amount="5.00", restock=[{"position": 1, "quantity": 1}]), 201)

    assert (any_case.shop.stock("MUG"), any_case.shop.stock("PEN")) == (9, 9)
    assert any_case.shop.ledger("MUG") == 9
    shown = ok(any_case.shopper.get("/api/products/MUG"))
    assert shown["stock_quantity"] == 9
    any_case.shop.work_until_idle()
    assert audit(any_case.shop).exit_code == 0


def test_all_units_come_back_with_it(any_case: Case) -> None:
    ok(any_case.refund(restock=True), 201)

    assert (any_case.shop.stock("MUG"), any_case.shop.stock("PEN")) == (10, 10)
    any_case.shop.work_until_idle()
    assert audit(any_case.shop).exit_code == 0


def test_units_of_a_product_come_back_for_an_order_once(any_case: Case) -> None:
    ok(any_case.refund(amount="5.00", restock=[{"position": 1, "quantity": 1}]), 201)

    refused = problem(
        any_case.refund(amount="5.00", restock=[{"position": 1, "quantity": 1}]), 409, "already_restocked"
    )

    assert "MUG" in refused["detail"]
    assert "stock movement" in refused["detail"]
    assert any_case.refunds() == [("5.00", "due")]
    assert any_case.shop.stock("MUG") == 9
    ok(any_case.refund(amount="5.00", restock=[{"position": 2, "quantity": 1}]), 201)
    assert any_case.shop.stock("PEN") == 10


def test_what_came_back_with_a_refund_does_not_come_back_again_with_the_order(any_case: Case) -> None:
    ok(any_case.refund(amount="5.00", restock=[{"position": 1, "quantity": 1}]), 201)
    any_case.shop.work_until_idle()
    for what in ("shipments", "return"):
        response = any_case.merchant.post(f"/api/admin/orders/{any_case.order_id}/{what}", json={})
        assert response.status_code in (200, 201)

    assert (any_case.shop.stock("MUG"), any_case.shop.stock("PEN")) == (10, 10)
    assert any_case.shop.ledger("MUG") == 10
    result = audit(any_case.shop)
    assert result.exit_code == 0, result.output


def ship(case: Case, **body: Any) -> TestResponse:
    return case.merchant.post(f"/api/admin/orders/{case.order_id}/shipments", json=body)


def left_to_ship(case: Case) -> list[tuple[int, int]]:
    """By line: what was sent, and what is still to be."""
    return [(item["shipped_quantity"], item["fulfillable_quantity"]) for item in case.seen()["items"]]


def test_units_that_came_back_before_they_were_sent_are_not_shipped(any_case: Case) -> None:
    assert left_to_ship(any_case) == [(0, 2), (0, 1)]
    ok(any_case.refund(amount="5.00", restock=[{"position": 1, "quantity": 1}]), 201)
    assert left_to_ship(any_case) == [(0, 1), (0, 1)]

    refused = problem(ship(any_case, items=[{"position": 1, "quantity": 2}]), 409, "shipment_exceeds_order")
    shipped = ok(ship(any_case), 201)

    assert refused["errors"][0]["available"] == 1
    assert shipped["fulfillment_status"] == "shipped"
    assert left_to_ship(any_case) == [(1, 0), (1, 0)]
    any_case.shop.work_until_idle()
    assert audit(any_case.shop).exit_code == 0


def test_an_order_that_came_back_before_it_was_sent_is_not_shipped_but_can_be_cancelled(any_case: Case) -> None:
    ok(any_case.refund(restock=True), 201)
    any_case.shop.work_until_idle()

    refused = problem(ship(any_case), 409, "shipment_exceeds_order")

    assert "Nothing is left to ship" in refused["detail"]
    assert left_to_ship(any_case) == [(0, 0), (0, 0)]
    cancelled = ok(any_case.merchant.post(f"/api/admin/orders/{any_case.order_id}/cancel", json={}))
    assert (cancelled["status"], cancelled["payment_status"]) == ("cancelled", "refunded")
    assert (any_case.shop.stock("MUG"), any_case.shop.stock("PEN")) == (10, 10)
    assert audit(any_case.shop).exit_code == 0


@pytest.mark.parametrize("arrived", [False, True])
def test_an_order_whose_rest_came_back_is_shipped_and_arrives(any_case: Case, *, arrived: bool) -> None:
    ok(ship(any_case, items=[{"position": 1, "quantity": 1}]), 201)
    deliver = f"/api/admin/orders/{any_case.order_id}/deliver"
    if arrived:
        ok(any_case.merchant.post(deliver, json={}))

    order = ok(
        any_case.refund(amount="5.00", restock=[{"position": 1, "quantity": 1}, {"position": 2, "quantity": 1}]),
        201,
    )

    assert order["fulfillment_status"] == ("delivered" if arrived else "shipped")
    problem(ship(any_case), 409, "transition_not_allowed")
    if not arrived:
        order = ok(any_case.merchant.post(deliver, json={}))
    assert order["fulfillment_status"] == "delivered"
    any_case.shop.work_until_idle()
    result = audit(any_case.shop)
    assert result.exit_code == 0, result.output
    ok(any_case.merchant.post(f"/api/admin/orders/{any_case.order_id}/return", json={}))
    assert (any_case.shop.stock("MUG"), any_case.shop.stock("PEN")) == (10, 10)
    assert audit(any_case.shop).exit_code == 0


def test_a_failed_order_whose_units_were_released_gives_none_back(any_shop: Shop) -> None:
    case = Case(any_shop, "tok_refund_refused")
    ok(case.shopper.post(f"/api/orders/{case.order_id}/cancel", json={}))
    any_shop.work_until_idle()

    problem(case.refund(restock=True), 409, "already_restocked")

    assert any_shop.stock("MUG") == 10


@pytest.mark.parametrize(
    ("restock", "pointer"),
    [
        ([{"position": 3, "quantity": 1}], "/restock/0/position"),
        ([{"position": 1, "quantity": 3}], "/restock/0/quantity"),
        ([{"position": 1, "quantity": 1}, {"position": 1, "quantity": 1}], "/restock/1/position"),
        ([{"position": 1, "quantity": 0}], "/restock/0/quantity"),
        ([], "/restock"),
        ("all", "/restock"),
    ],
)
def test_units_that_were_not_bought_do_not_come_back(case: Case, restock: Any, pointer: str) -> None:
    assert pointers(problem(case.refund(restock=restock), 422, "validation_failed")) == [pointer]
    assert case.refunds() == []
    assert case.shop.stock("MUG") == 8
