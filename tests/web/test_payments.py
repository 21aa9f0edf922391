"""What providers and returning shoppers tell the shop, and what it makes of that: it looks, and believes nobody."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from db.models import PaymentRow
from shop.cards import holds_card_number
from shop.payments import Approved
from tests.harness import CHECKOUT_BODY, Client, Shop
from tests.tasks.helpers import sql_away
from tests.web.answers import problem

CARD: dict[str, Any] = {"payment_method": "card"}


def buys(shop: Shop, token: str, shopper: Client | None = None) -> str:
    shop.stocked(MUG=3)
    order_id = shop.checkout(shopper, {**CARD, "payment_token": token}, MUG=1)
    shop.work_until_idle()
    return order_id


def payment_of(shop: Shop, order_id: str) -> PaymentRow:
    with shop.database.reading() as session:
        return session.scalars(select(PaymentRow).where(PaymentRow.order_id == order_id)).first()  # type: ignore[return-value]


def send(shop: Shop, body: bytes, headers: dict[str, str]) -> Any:
    return shop.shopper().post("/api/payments/sandbox/webhook", data=body, headers=headers)


# ---------------------------------------------------------------- checkout


def test_a_method_with_a_provider_needs_a_token(shop: Shop) -> None:
    shop.stocked(MUG=3)
    shopper = shop.shopper()
    shopper.post("/api/cart/add", json={"product_id": "MUG"})

    answer = shopper.post("/api/checkout", json={**CHECKOUT_BODY, **CARD})

    assert problem(answer, 422, "validation_failed")["errors"][0]["pointer"] == "/payment_token"


def test_a_method_without_a_provider_takes_no_token(shop: Shop) -> None:
    shop.stocked(MUG=3)
    shopper = shop.shopper()
    shopper.post("/api/cart/add", json={"product_id": "MUG"})

    answer = shopper.post("/api/checkout", json={**CHECKOUT_BODY, "payment_token": "tok_approve"})

    assert problem(answer, 422, "validation_failed")["errors"][0]["pointer"] == "/payment_token"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("payment_token", "4242424242424242"),
        ("line1", "4242 4242 4242 4242"),
        ("name", "card 3782-822463-10005 ok"),
        ("phone", "5555555555554444"),
        ("line1", "4111 1111 1111 1111 12/27"),
        ("line1", "4111111111111111 123"),
        ("line1", "Flat 5 4111111111111111"),
        ("line1", "4111-1111-1111-1111 12 27 123"),
    ],
)
def test_a_card_number_is_refused_and_not_repeated(
    shop: Shop, field: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.stocked(MUG=3)
    shopper = shop.shopper()
    shopper.post("/api/cart/add", json={"product_id": "MUG"})
    body: dict[str, Any] = {**CHECKOUT_BODY, **CARD, "payment_token": "tok_approve"}
    if field == "payment_token":
        body[field] = value
    else:
        body["shipping_info"] = {**body["shipping_info"], field: value}

    answer = shopper.post("/api/checkout", json=body)

    problem(answer, 422, "card_number_refused")
    everything = answer.text + capsys.readouterr().out + str(list(map(shop.redis.type, shop.redis.keys("accepted:*"))))
    assert value not in everything
    assert shop.redis.keys("accepted:*") == []


@pytest.mark.parametrize("text", ["+4915112345678", "1234567890123456", "4242424242424241", "10115", "tok_4242"])
def test_other_numbers_are_no_card_numbers(text: str) -> None:
    assert not holds_card_number(text)


# ---------------------------------------------------------------- an action at the provider


def test_a_shopper_who_must_act_is_sent_to_the_provider_and_comes_back(any_shop: Shop) -> None:
    shopper = any_shop.shopper()
    order_id = buys(any_shop, "tok_action", shopper)
    order = shopper.get(f"/api/orders/{order_id}").get_json()
    assert order["status"] == "requires_action"
    action = order["payment"]["action"]
    page = "/sandbox" + action["url"].split("/sandbox", 1)[1]

    shown = shopper.get(page)
    clicked = shopper.post(page, data={"decision": "approve"})
    back = shopper.get(clicked.headers["Location"].removeprefix("http://shop.test"))
    any_shop.work_until_idle()

    assert "10.73 USD" in shown.text or "USD" in shown.text
    assert (clicked.status_code, back.status_code) == (303, 303)
    assert back.headers["Location"] == f"/orders/{order_id}"
    order = shopper.get(f"/api/orders/{order_id}").get_json()
    assert (order["status"], order["payment_status"]) == ("confirmed", "captured")
    assert order["payment"]["action"] is None


def test_a_shopper_who_refuses_at_the_provider_gets_the_cart_back(any_shop: Shop) -> None:
    shopper = any_shop.shopper()
    order_id = buys(any_shop, "tok_action", shopper)
    provider_id = payment_of(any_shop, order_id).provider_id
    shopper.post(f"/sandbox/pay/{provider_id}", data={"decision": "refuse"})

    shopper.get(f"/api/payments/return/{order_id}")
    any_shop.work_until_idle()

    order = shopper.get(f"/api/orders/{order_id}").get_json()
    assert (order["status"], order["failure"]["code"]) == ("failed", "payment_declined")
    assert any_shop.stock("MUG") == any_shop.ledger("MUG") == 3
    assert len(shopper.get("/api/cart").get_json()["items"]) == 1


def test_past_the_deadline_the_payment_is_voided_and_the_stock_released(any_shop: Shop) -> None:
    order_id = buys(any_shop, "tok_action_never")
    assert any_shop.stock("MUG") == 2

    any_shop.clock.forward(15 * 60 + 1)
    any_shop.pay()

    order = any_shop.order(order_id)
    assert (order.status, order.failure_code, order.payment_status) == ("failed", "payment_action_timeout", "voided")
    assert any_shop.stock("MUG") == any_shop.ledger("MUG") == 3


# ---------------------------------------------------------------- webhooks


def test_a_webhook_makes_the_shop_look_at_once(any_shop: Shop) -> None:
    order_id = buys(any_shop, "tok_action")
    provider_id = payment_of(any_shop, order_id).provider_id
    assert provider_id
    any_shop.sandbox.act(provider_id, True)

    answer = send(any_shop, *any_shop.sandbox.webhook(provider_id))
    any_shop.work_until_idle()

    assert answer.status_code == 204
    assert any_shop.order(order_id).status == "confirmed"


def test_a_webhook_finds_a_payment_whose_answer_was_lost(any_shop: Shop) -> None:
    order_id = buys(any_shop, "tok_timeout_after")
    assert payment_of(any_shop, order_id).provider_id is None
    found = any_shop.sandbox.look_up(order_id, None)
    assert isinstance(found, Approved)
    provider_id = found.provider_id

    send(any_shop, *any_shop.sandbox.webhook(provider_id))
    any_shop.work_until_idle()

    assert any_shop.order(order_id).status == "confirmed"


def test_a_shopper_comes_back_to_the_order_also_while_sql_is_away(shop: Shop) -> None:
    order_id = buys(shop, "tok_action")

    with sql_away(shop):
        back = shop.shopper().get(f"/api/payments/return/{order_id}")

    assert (back.status_code, back.headers["Location"]) == (303, f"/orders/{order_id}")


def test_a_webhook_is_not_believed_but_looked_up(shop: Shop) -> None:
    order_id = buys(shop, "tok_action")
    provider_id = payment_of(shop, order_id).provider_id
    assert provider_id

    body, headers = shop.sandbox.webhook(provider_id)  # Nobody has approved anything.
    send(shop, body, headers)
    shop.work_until_idle()

    assert shop.order(order_id).status == "requires_action"


def test_a_webhook_that_comes_twice_late_or_for_another_shop_changes_nothing(shop: Shop) -> None:
    order_id = buys(shop, "tok_action")
    provider_id = payment_of(shop, order_id).provider_id
    assert provider_id
    shop.sandbox.act(provider_id, True)
    webhook = shop.sandbox.webhook(provider_id)
    send(shop, *webhook)
    shop.work_until_idle()
    before = shop.order(order_id)

    answers = [send(shop, *webhook).status_code for _ in range(2)]
    with shop.database.writing() as session:  # As if the payment belonged to an order of another shop.
        session.execute(update(PaymentRow).values(provider_id="pay_elsewhere"))
    answers.append(send(shop, *shop.sandbox.webhook(provider_id)).status_code)
    shop.work_until_idle()

    assert answers == [204, 204, 204]
    assert shop.order(order_id).updated_at == before.updated_at
    assert shop.stock("MUG") == 2


@pytest.mark.parametrize("damage", ["body", "signature", "missing", "old"])
def test_a_webhook_without_a_good_signature_is_refused(shop: Shop, damage: str) -> None:
    order_id = buys(shop, "tok_action")
    body, headers = shop.sandbox.webhook(payment_of(shop, order_id).provider_id or "")
    if damage == "body":
        body = body.replace(b"payment", b"Payment")
    elif damage == "signature":
        headers["webhook-signature"] = "v1,AAAA"
    elif damage == "missing":
        del headers["webhook-signature"]
    else:
        shop.clock.forward(3600)

    answer = send(shop, body, headers)

    problem(answer, 400, "signature_invalid")
    assert shop.order(order_id).status == "requires_action"


def test_a_webhook_of_a_provider_we_do_not_have_is_not_found(shop: Shop) -> None:
    problem(shop.shopper().post("/api/payments/paypal/webhook", data=b"{}"), 404, "not_found")


def test_a_webhook_that_never_ends_is_refused(shop: Shop) -> None:
    answer = shop.shopper().post("/api/payments/sandbox/webhook", data=b"x" * (600 * 1024))

    problem(answer, 413, "payload_too_large")


def test_the_sandbox_pages_know_no_other_payments(shop: Shop) -> None:
    assert shop.shopper().get("/sandbox/pay/nothing").status_code == 404
    assert shop.shopper().post("/sandbox/pay/nothing").status_code == 404
