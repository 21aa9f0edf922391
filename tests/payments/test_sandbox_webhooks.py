"""The sandbox's webhooks are signed, fresh and about a payment, or they are refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from payments.sandbox import Sandbox
from payments.sandbox_webhooks import SandboxWebhooks, new_secret
from shop.payments import ActionRequired, BadSignature, Called, Webhooks
from shop.webhooks import secret_bytes, signature
from tests.harness import Clock
from tests.payments.payer import request_for

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def sandbox(tmp_path: Path, clock: Clock) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path / "sandbox.db", webhook_secret=SECRET, now=clock)
    yield sandbox
    sandbox.close()


@pytest.fixture
def provider_id(sandbox: Sandbox) -> str:
    answer = sandbox.authorize(request_for("o1", "tok_action"))
    assert isinstance(answer, ActionRequired)
    return answer.provider_id


def seconds(clock: Clock) -> float:
    return clock() / 1000


def test_the_signature_is_that_of_the_standard() -> None:
    body = b'{"test": 2432232314}'

    signed = signature(secret_bytes(SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)

    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_the_sandbox_signs_its_reader_believes(sandbox: Sandbox, provider_id: str, clock: Clock) -> None:
    reader: Webhooks = sandbox.webhooks()

    body, headers = sandbox.webhook(provider_id)

    called = reader.read(body, headers, seconds(clock))
    assert called == Called("o1", provider_id, headers["webhook-id"])


def test_header_names_have_no_case_and_an_old_signature_may_stand_beside(
    sandbox: Sandbox, provider_id: str, clock: Clock
) -> None:
    body, headers = sandbox.webhook(provider_id)
    headers["webhook-signature"] = f"v1,b2xk {headers['webhook-signature']} v2,bmV3"

    called = sandbox.webhooks().read(body, {name.title(): value for name, value in headers.items()}, seconds(clock))

    assert called is not None


def test_the_same_news_has_the_same_id_and_other_news_another(sandbox: Sandbox, provider_id: str, clock: Clock) -> None:
    first = sandbox.webhook(provider_id)[1]
    clock.forward(60)
    again = sandbox.webhook(provider_id)[1]
    sandbox.act(provider_id, True)
    news = sandbox.webhook(provider_id)[1]

    assert again["webhook-id"] == first["webhook-id"]
    assert again["webhook-timestamp"] != first["webhook-timestamp"]
    assert news["webhook-id"] != first["webhook-id"]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("webhook-signature", ""),
        ("webhook-signature", "v1,"),
        ("webhook-signature", "v1,Zm9yZ2Vk"),
        ("webhook-signature", "ü"),
        ("webhook-id", "evt_other"),
        ("webhook-timestamp", "1795000001"),
    ],
)
def test_a_call_that_was_changed_is_refused(
    sandbox: Sandbox, provider_id: str, clock: Clock, header: str, value: str
) -> None:
    body, headers = sandbox.webhook(provider_id)

    with pytest.raises(BadSignature):
        sandbox.webhooks().read(body, {**headers, header: value}, seconds(clock))
    with pytest.raises(BadSignature):
        sandbox.webhooks().read(body + b" ", headers, seconds(clock))
    with pytest.raises(BadSignature):
        sandbox.webhooks().read(body, {}, seconds(clock))


def test_a_call_signed_with_another_secret_is_refused(sandbox: Sandbox, provider_id: str, clock: Clock) -> None:
    body, headers = sandbox.webhook(provider_id)

    with pytest.raises(BadSignature):
        SandboxWebhooks(new_secret()).read(body, headers, seconds(clock))


@pytest.mark.parametrize("late", [-301, 301])
def test_a_call_from_another_time_is_refused(sandbox: Sandbox, provider_id: str, clock: Clock, late: int) -> None:
    body, headers = sandbox.webhook(provider_id)
    at = int(headers["webhook-timestamp"])

    assert sandbox.webhooks().read(body, headers, at + (300 if late > 0 else -300)) is not None
    with pytest.raises(BadSignature, match="too long ago"):
        sandbox.webhooks().read(body, headers, at + late)


@pytest.mark.parametrize("timestamp", ["", "soon", "-1", "1e9", "9" * 5_000])
def test_a_signed_time_that_is_none_is_refused(timestamp: str) -> None:
    headers = {
        "webhook-id": "evt",
        "webhook-timestamp": timestamp,
        "webhook-signature": signature(secret_bytes(SECRET), "evt", timestamp, b"{}"),
    }

    with pytest.raises(BadSignature):
        SandboxWebhooks(SECRET).read(b"{}", headers, 0)


def test_news_of_something_else_is_none_of_ours() -> None:
    headers = {
        "webhook-id": "evt",
        "webhook-timestamp": "100",
        "webhook-signature": signature(secret_bytes(SECRET), "evt", "100", b'{"type":"payout.sent"}'),
    }

    assert SandboxWebhooks(SECRET).read(b'{"type":"payout.sent"}', headers, 100) is None


def test_without_a_given_secret_the_file_has_one_for_all_processes(tmp_path: Path, clock: Clock) -> None:
    first, second = (Sandbox(tmp_path / "sandbox.db", now=clock) for _ in range(2))
    answer = first.authorize(request_for("o1", "tok_action"))
    assert isinstance(answer, ActionRequired)

    body, headers = first.webhook(answer.provider_id)

    assert second.webhooks().read(body, headers, seconds(clock)) is not None
    first.close()
    second.close()


@pytest.mark.parametrize("secret", ["whsec_short", "whsec_*", "whsec_c2hvcnQ=", ""])
def test_a_secret_that_protects_nothing_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="webhook secret"):
        SandboxWebhooks(secret)


def test_there_is_no_news_of_an_unknown_payment(sandbox: Sandbox) -> None:
    with pytest.raises(LookupError):
        sandbox.webhook("pay_unknown")
