"""What Stripe's webhooks tell, and which of them are believed."""

from __future__ import annotations

import json
from typing import Any

import pytest
import stripe as library
from hypothesis import given
from hypothesis import strategies as st

from payments.stripe import Stripe
from shop.payments import BadSignature, Called
from tests.payments.test_stripe import NOW, ORDER, WEBHOOK_SECRET, an_intent, stripe_at

EVENT = {
    "id": "evt_1",
    "object": "event",
    "type": "payment_intent.succeeded",
    "data": {"object": an_intent("succeeded")},
}


def signed(event: Any, secret: str = WEBHOOK_SECRET, at: int = NOW) -> tuple[bytes, dict[str, str]]:
    """An event as Stripe sends it, signed by Stripe's own library."""
    body = event if isinstance(event, str) else json.dumps(event)
    header = library.WebhookSignature.generate_signature_header(body, secret, at)
    return body.encode(), {"Stripe-Signature": header}


@pytest.fixture(scope="module")
def webhooks() -> Stripe:
    return stripe_at("http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("about", "called"),
    [
        (an_intent("succeeded"), Called(ORDER, "pi_1", "evt_1")),
        (an_intent("succeeded", metadata={}), Called(None, "pi_1", "evt_1")),
        (
            {"object": "charge", "id": "ch_1", "payment_intent": "pi_1", "metadata": {"order_id": ORDER}},
            Called(ORDER, "pi_1", "evt_1"),
        ),
        ({"object": "refund", "id": "re_1", "payment_intent": "pi_1", "metadata": {}}, Called(None, "pi_1", "evt_1")),
        ({"object": "dispute", "id": "dp_1", "payment_intent": "pi_1"}, Called(None, "pi_1", "evt_1")),
        ({"object": "charge", "id": "ch_1", "payment_intent": None}, None),
        ({"object": "customer", "id": "cus_1"}, None),
        ({"object": "setup_intent", "id": "seti_1", "payment_intent": "pi_1"}, None),
    ],
)
def test_an_event_tells_which_payment_to_look_up(
    webhooks: Stripe, about: dict[str, Any], called: Called | None
) -> None:
    body, headers = signed({**EVENT, "data": {"object": about}})

    assert webhooks.read(body, headers, NOW) == called


@pytest.mark.parametrize("body", ["", "[]", "1", "{", '{"id": "evt_1"}', '{"data": {"object": null}}'])
def test_a_signed_call_that_is_no_event_is_nothing_of_ours(webhooks: Stripe, body: str) -> None:
    assert webhooks.read(*signed(body), NOW) is None


def test_the_header_may_be_spelled_in_any_case(webhooks: Stripe) -> None:
    body, headers = signed(EVENT)

    assert webhooks.read(body, {"stripe-signature": headers["Stripe-Signature"]}, NOW)


def test_a_signature_holds_for_five_minutes(webhooks: Stripe) -> None:
    body, headers = signed(EVENT)

    assert webhooks.read(body, headers, NOW + 300)
    with pytest.raises(BadSignature, match="too long ago"):
        webhooks.read(body, headers, NOW + 301)


def test_one_good_signature_among_several_is_enough_while_a_secret_is_replaced(webhooks: Stripe) -> None:
    body, ours = signed(EVENT)
    _, other = signed(EVENT, "whsec_another")
    good = ours["Stripe-Signature"].partition("v1=")[2]

    assert webhooks.read(body, {"Stripe-Signature": f"{other['Stripe-Signature']},v1={good},v0=deadbeef"}, NOW)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=1760000000",
        "v1=abc",
        "t=,v1=abc",
        "t=later,v1=abc",
        "t=²,v1=abc",
        "t=1760000000,v1=",
        "t=1760000000,v1=ÿ",
        f"t={'9' * 5_000},v1=abc",
        "t=1760000000,v0=abc",
        "=,=,=",
    ],
)
def test_a_header_that_proves_nothing_is_refused(webhooks: Stripe, header: str) -> None:
    with pytest.raises(BadSignature):
        webhooks.read(signed(EVENT)[0], {"Stripe-Signature": header}, NOW)


def test_a_call_without_a_signature_or_with_another_secret_or_body_is_refused(webhooks: Stripe) -> None:
    body, headers = signed(EVENT)

    for call, given_headers in (
        (body, {}),
        (body, signed(EVENT, "whsec_x")[1]),
        (body + b" ", headers),
        (b"\xff", headers),
    ):
        with pytest.raises(BadSignature):
            webhooks.read(call, given_headers, NOW)


@given(st.binary(max_size=200), st.text(max_size=200))
def test_no_call_whatever_is_believed_or_breaks_it(body: bytes, header: str) -> None:
    with pytest.raises(BadSignature):
        stripe_at("http://127.0.0.1:1").read(body, {"Stripe-Signature": header}, NOW)
