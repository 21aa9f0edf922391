"""What was paid past all providers: the merchant notes it, and gives it back by hand."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.carts.sample import at_once
from tests.harness import Client, Shop
from tests.tasks.test_audit import audit
from tests.web.admin.conftest import merchant_of
from tests.web.answers import ok, problem


class Case:
    """A confirmed order of a mug, to be paid by `method`, and its merchant."""

    def __init__(self, shop: Shop, method: str = "invoice", token: str | None = None) -> None:
        self.shop = shop
        self.shopper, self.merchant = shop.shopper(), merchant_of(shop, "orders", name="Ada's key")
        shop.stocked(MUG=10)
        body = {"payment_method": method, **({"payment_token": token} if token else {})}
        self.order_id = shop.checkout(self.shopper, body, MUG=1)
        shop.work_until_idle()

    def paid(self, client: Client | None = None, **body: Any) -> TestResponse:
        return (client or self.merchant).post(f"/api/admin/orders/{self.order_id}/payments", json=body)

    def refund(self, **body: Any) -> TestResponse:
        return self.merchant.post(f"/api/admin/orders/{self.order_id}/refunds", json=body)


@pytest.mark.parametrize("method", ["invoice", "cash_on_delivery"])
def test_an_order_that_was_paid_by_hand_is_captured(any_shop: Shop, method: str) -> None:
    case = Case(any_shop, method)

    order = ok(case.paid(reference="Transfer 17", note="Two days late"), 201)

    assert order["payment_status"] == "captured"
    (row,) = order["payments"]
    assert (row["key"], row["kind"], row["status"]) == (f"{case.order_id}-capture", "capture", "succeeded")
    assert (row["provider"], row["result_id"], row["reason"]) == ("manual", "Transfer 17", "Two days late")
    assert (row["amount"], row["actor"], row["next_at"]) == (order["total_amount"], "Ada's key", None)
    assert [(event["stage"], event["actor"]) for event in order["timeline"]][-1] == ("payment_captured", "Ada's key")
    shown = ok(case.shopper.get(f"/api/orders/{case.order_id}"))
    assert shown["payment_status"] == "captured"
    assert "late" not in str(shown)
    assert audit(any_shop).exit_code == 0


def test_nobody_is_told_of_what_was_paid_by_hand(any_shop: Shop) -> None:
    case = Case(any_shop)
    ok(case.paid(), 201)
    ok(case.refund(amount="1.00"), 201)

    any_shop.clock.forward(3600)
    any_shop.pay()

    assert list(any_shop.sandbox.calls()) == []
    rows = ok(case.merchant.get(f"/api/admin/orders/{case.order_id}"))["payments"]
    assert [(row["tries"], row["status"]) for row in rows] == [(0, "succeeded"), (0, "succeeded")]


def test_it_is_paid_once(any_shop: Shop) -> None:
    case = Case(any_shop)
    clients = [merchant_of(any_shop, "orders") for _ in range(4)]

    answers = at_once(4, lambda n: case.paid(clients[n]).status_code)

    assert sorted(answers) == [201, 409, 409, 409]
    problem(case.paid(), 409, "transition_not_allowed")
    assert audit(any_shop).exit_code == 0


def test_it_is_given_back_by_hand(any_shop: Shop) -> None:
    case = Case(any_shop)
    problem(case.refund(), 409, "transition_not_allowed")
    ok(case.paid(), 201)

    part = ok(case.refund(amount="5.00", restock=True), 201)
    assert (part["payment_status"], part["payment"]["refunded_amount"]) == ("partially_refunded", "5.00")
    assert part["timeline"][-1]["stage"] == "payment_refunded"
    assert part["timeline"][-1]["actor"] == "Ada's key"
    problem(case.refund(amount=part["total_amount"]), 409, "refund_exceeds_payment")
    whole = ok(case.refund(), 201)

    assert whole["payment_status"] == "refunded"
    assert whole["payment"]["refunded_amount"] == whole["total_amount"]
    assert any_shop.stock("MUG") == 10
    assert audit(any_shop).exit_code == 0


def test_an_order_that_was_paid_by_hand_is_cancelled_once_its_money_is_back(any_shop: Shop) -> None:
    case = Case(any_shop)
    ok(case.paid(), 201)
    problem(case.shopper.post(f"/api/orders/{case.order_id}/cancel", json={}), 409, "transition_not_allowed")
    ok(case.refund(), 201)

    order = ok(case.shopper.post(f"/api/orders/{case.order_id}/cancel", json={}))

    assert (order["status"], order["payment_status"]) == ("cancelled", "refunded")
    assert audit(any_shop).exit_code == 0


@pytest.mark.parametrize("token", ["tok_approve", "tok_capture_refused", "tok_action", "tok_decline"])
def test_what_a_provider_takes_is_not_paid_by_hand(shop: Shop, token: str) -> None:
    case = Case(shop, "card", token)
    before = shop.order(case.order_id).payment_status

    problem(case.paid(), 409, "transition_not_allowed")

    assert shop.order(case.order_id).payment_status == before


def test_a_cancelled_order_is_not_paid_by_hand(shop: Shop) -> None:
    case = Case(shop)
    ok(case.shopper.post(f"/api/orders/{case.order_id}/cancel", json={}))

    refused = problem(case.paid(), 409, "transition_not_allowed")

    assert "cancelled" in refused["detail"]
    problem(case.paid(merchant_of(shop, "stock")), 403, "missing_scope")
