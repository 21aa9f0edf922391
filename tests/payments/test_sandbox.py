"""The sandbox keeps the contract, plays every token, and its books are right whoever dies in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from payments.sandbox import Sandbox
from payments.sandbox_store import SQLITE, Account
from shop.payments import (
    DECLINES,
    Absent,
    ActionRequired,
    Approved,
    Declined,
    Done,
    Provider,
    Refused,
    Unknown,
    Unreachable,
    Voided,
)
from tests.harness import Clock
from tests.payments.contract import Case, ProviderContract
from tests.payments.payer import request_for

HOUR = 3_600


@pytest.fixture
def sandbox(tmp_path: Path, clock: Clock) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path / "sandbox.db", slow_seconds=0.05, now=clock, public_url="https://pay.example/")
    yield sandbox
    sandbox.close()


def account(sandbox: Sandbox, order_id: str) -> Account:
    nothing = Account(order_id, 0, 0, 0, 0, 0, 0, 0)
    return next((account for account in sandbox.books() if account.order_id == order_id), nothing)


def approved(sandbox: Sandbox, token: str, order_id: str = "o1") -> str:
    answer = sandbox.authorize(request_for(order_id, token))
    assert isinstance(answer, Approved), answer
    return answer.provider_id


def captured(sandbox: Sandbox, token: str) -> str:
    provider_id = approved(sandbox, token)
    assert sandbox.capture(provider_id, 4_200, "EUR", "c") == Done(provider_id)
    return provider_id


class TestTheSandboxKeepsTheContract(ProviderContract):
    @pytest.fixture
    def case(self, sandbox: Sandbox) -> Case:
        provider: Provider = sandbox
        return Case(
            provider,
            approve="tok_approve",
            decline="tok_decline_insufficient_funds",
            action="tok_action",
            slow="tok_slow",
            act=sandbox.act,
            charges=lambda order_id: account(sandbox, order_id).charges,
        )


# ---------------------------------------------------------------- tokens


@pytest.mark.parametrize("reason", DECLINES)
def test_every_reason_to_decline_has_its_token(sandbox: Sandbox, reason: str) -> None:
    answer = sandbox.authorize(request_for("o1", f"tok_decline_{reason}"))

    assert isinstance(answer, Declined)
    assert answer.reason == reason
    assert account(sandbox, "o1") == Account("o1", 0, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    "token", ["", "tok_nonsense", "tok_slow_", "tok_slow_-1", "tok_fail", "tok_decline_mood", "tok_approve "]
)
def test_other_tokens_are_not_supported(sandbox: Sandbox, token: str) -> None:
    answer = sandbox.authorize(request_for("o1", token))

    assert isinstance(answer, Declined)
    assert answer.reason == "not_supported"


def test_the_number_of_a_card_is_not_kept(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.authorize(request_for("o1", "4242424242424242"))
    sandbox.close()

    for file in tmp_path.iterdir():
        assert b"4242424242424242" not in file.read_bytes()


def test_a_call_that_got_lost_on_its_way_charges_nothing_and_the_next_is_approved(sandbox: Sandbox) -> None:
    request = request_for("o1", "tok_timeout_before")

    assert isinstance(sandbox.authorize(request), Unknown)
    assert sandbox.look_up("o1", None) == Absent()
    assert account(sandbox, "o1").charges == 0

    assert isinstance(sandbox.authorize(request), Approved)
    assert account(sandbox, "o1").charges == 1


def test_an_answer_that_got_lost_on_its_way_back_is_told_again(sandbox: Sandbox) -> None:
    request = request_for("o1", "tok_timeout_after")

    assert isinstance(sandbox.authorize(request), Unknown)
    assert account(sandbox, "o1").charges == 1

    found = sandbox.look_up("o1", None)
    assert isinstance(found, Approved)
    assert sandbox.authorize(request) == found
    assert account(sandbox, "o1").charges == 1


@pytest.mark.parametrize(("token", "kind"), [("tok_fail_3", Unknown), ("tok_unreachable_3", Unreachable)])
def test_calls_fail_as_often_as_the_token_says(sandbox: Sandbox, token: str, kind: type) -> None:
    request = request_for("o1", token)

    answers = [sandbox.authorize(request) for _ in range(3)]

    assert [type(answer) for answer in answers] == [kind] * 3
    assert sandbox.look_up("o1", None) == Absent()
    assert isinstance(sandbox.authorize(request), Approved)
    assert account(sandbox, "o1").charges == 1


def test_failures_are_counted_for_each_key_and_outlive_the_process(sandbox: Sandbox, tmp_path: Path) -> None:
    first, second = request_for("o1", "tok_fail_1"), request_for("o2", "tok_fail_1")
    assert isinstance(sandbox.authorize(first), Unknown)

    another = Sandbox(tmp_path / "sandbox.db")

    assert isinstance(another.authorize(first), Approved)
    assert isinstance(another.authorize(second), Unknown)
    assert isinstance(another.authorize(second), Approved)
    another.close()


def test_a_slow_answer_comes_and_is_no_slower_when_repeated_later(sandbox: Sandbox) -> None:
    first = sandbox.authorize(request_for("o1", "tok_slow"))

    assert isinstance(first, Approved)
    assert sandbox.authorize(request_for("o1", "tok_slow")) == first


def test_an_answer_slower_than_the_time_out_is_unknown_until_it_is_there(tmp_path: Path) -> None:
    hasty = Sandbox(tmp_path / "sandbox.db", time_out_seconds=0.05)
    request = request_for("o1", "tok_slow_500")

    assert hasty.authorize(request) == Unknown("timed out")
    assert hasty.authorize(request) == Unknown("timed out")
    assert hasty.look_up("o1", None) == Unknown("in progress")
    patient = Sandbox(tmp_path / "sandbox.db")
    answer = patient.authorize(request)

    assert isinstance(answer, Approved)
    assert hasty.look_up("o1", None) == answer
    assert account(patient, "o1").charges == 1
    patient.close()
    hasty.close()


def test_a_wrong_amount_is_told_as_it_is(sandbox: Sandbox) -> None:
    answer = sandbox.authorize(request_for("o1", "tok_wrong_amount", 4_200))

    assert isinstance(answer, Approved)
    assert answer.amount_minor == 4_201
    assert sandbox.look_up("o1", None) == answer
    assert account(sandbox, "o1").authorized_minor == 4_201


def test_a_refused_capture_stays_refused_and_can_be_given_up(sandbox: Sandbox) -> None:
    provider_id = approved(sandbox, "tok_capture_refused")

    assert isinstance(sandbox.capture(provider_id, 4_200, "EUR", "c1"), Refused)
    assert isinstance(sandbox.capture(provider_id, 4_200, "EUR", "c2"), Refused)
    assert sandbox.void(provider_id, "v") == Done(provider_id)
    assert account(sandbox, "o1") == Account("o1", 1, 4_200, 0, 0, 0, 0, 0)


def test_a_capture_that_would_be_refused_is_declined_when_the_money_is_to_be_taken_at_once(sandbox: Sandbox) -> None:
    answer = sandbox.authorize(replace(request_for("o1", "tok_capture_refused"), capture=True))

    assert isinstance(answer, Declined)
    assert answer.reason == "processing_error"


@pytest.mark.parametrize("token", ["tok_timeout_after", "tok_capture_timeout"])
def test_the_answer_of_an_immediate_capture_can_get_lost(sandbox: Sandbox, token: str) -> None:
    request = replace(request_for("o1", token), capture=True)

    assert isinstance(sandbox.authorize(request), Unknown)
    answer = sandbox.authorize(request)

    assert isinstance(answer, Approved)
    assert answer.captured
    assert account(sandbox, "o1") == Account("o1", 1, 4_200, 0, 4_200, 0, 0, 0)


def test_a_capture_whose_answer_got_lost_has_happened_once(sandbox: Sandbox) -> None:
    provider_id = approved(sandbox, "tok_capture_timeout")

    answers = [sandbox.capture(provider_id, 4_200, "EUR", "c") for _ in range(3)]

    assert answers == [Unknown("connection lost"), Done(provider_id), Done(provider_id)]
    assert account(sandbox, "o1").captured_minor == 4_200


def test_a_void_whose_answer_got_lost_has_happened(sandbox: Sandbox) -> None:
    provider_id = approved(sandbox, "tok_void_timeout")

    assert isinstance(sandbox.void(provider_id, "v"), Unknown)
    assert sandbox.look_up("o1", provider_id) == Voided(provider_id)
    assert sandbox.void(provider_id, "v") == Done(provider_id)


def test_a_refund_whose_answer_got_lost_has_happened_once(sandbox: Sandbox) -> None:
    provider_id = captured(sandbox, "tok_refund_timeout")

    answers = [sandbox.refund(provider_id, 1_000, "EUR", "r") for _ in range(3)]

    assert isinstance(answers[0], Unknown)
    assert isinstance(answers[1], Done)
    assert answers[2] == answers[1]
    assert account(sandbox, "o1").refunded_minor == 1_000


def test_a_refused_refund_gives_nothing_back(sandbox: Sandbox) -> None:
    provider_id = captured(sandbox, "tok_refund_refused")

    assert isinstance(sandbox.refund(provider_id, 1_000, "EUR", "r"), Refused)
    assert account(sandbox, "o1").refunded_minor == 0


# ---------------------------------------------------------------- actions


def test_the_page_of_an_action_is_under_our_public_address(sandbox: Sandbox) -> None:
    answer = sandbox.authorize(request_for("o1", "tok_action"))

    assert isinstance(answer, ActionRequired)
    assert answer.url == f"https://pay.example/sandbox/pay/{answer.provider_id}"
    shown = sandbox.payment(answer.provider_id)
    assert shown is not None
    assert (shown.order_id, shown.amount_minor, shown.currency, shown.status) == ("o1", 4_200, "EUR", "action_required")
    assert shown.return_url == "https://shop.example/o"


@pytest.mark.parametrize("approve", [True, False])
def test_the_first_click_decides(sandbox: Sandbox, approve: bool) -> None:
    answer = sandbox.authorize(request_for("o1", "tok_action_never"))
    assert isinstance(answer, ActionRequired)

    first = sandbox.act(answer.provider_id, approve)
    second = sandbox.act(answer.provider_id, not approve)

    assert isinstance(first, Approved if approve else Declined)
    assert second == first
    assert sandbox.look_up("o1", None) == first


def test_a_click_changes_nothing_about_a_payment_that_was_given_up(sandbox: Sandbox) -> None:
    answer = sandbox.authorize(request_for("o1", "tok_action"))
    assert isinstance(answer, ActionRequired)
    sandbox.void(answer.provider_id, "v")

    assert sandbox.act(answer.provider_id, True) == Voided(answer.provider_id)
    assert account(sandbox, "o1").charges == 0


def test_an_action_can_lead_to_the_money_being_taken_at_once(sandbox: Sandbox) -> None:
    answer = sandbox.authorize(replace(request_for("o1", "tok_action"), capture=True))
    assert isinstance(answer, ActionRequired)

    assert sandbox.act(answer.provider_id, True) == Approved(answer.provider_id, 4_200, "EUR", captured=True)


def test_a_click_on_an_unknown_payment_finds_nothing(sandbox: Sandbox) -> None:
    assert sandbox.act("pay_unknown", True) == Absent()
    assert sandbox.payment("pay_unknown") is None


@pytest.mark.parametrize(("token", "kind"), [("tok_action_approved", Approved), ("tok_action_refused", Declined)])
def test_an_action_can_be_decided_unseen(sandbox: Sandbox, clock: Clock, token: str, kind: type) -> None:
    sandbox.authorize(request_for("o1", token))
    sandbox.authorize(request_for("o2", f"{token}_500"))

    assert isinstance(sandbox.look_up("o1", None), kind)
    assert isinstance(sandbox.look_up("o2", None), ActionRequired)
    clock.forward(0.5)
    assert isinstance(sandbox.look_up("o2", None), kind)


# ---------------------------------------------------------------- moves


def test_a_partial_capture_gives_the_rest_up(sandbox: Sandbox) -> None:
    provider_id = approved(sandbox, "tok_approve")

    assert sandbox.capture(provider_id, 4_000, "EUR", "c1") == Done(provider_id)
    assert sandbox.look_up("o1", None) == Approved(provider_id, 4_000, "EUR", captured=True)
    assert isinstance(sandbox.capture(provider_id, 200, "EUR", "c2"), Refused)
    assert account(sandbox, "o1") == Account("o1", 1, 4_200, 0, 4_000, 0, 0, 0)


def test_a_capture_with_another_key_of_what_is_taken_already_is_done(sandbox: Sandbox) -> None:
    provider_id = captured(sandbox, "tok_approve")

    assert sandbox.capture(provider_id, 4_200, "EUR", "another") == Done(provider_id)
    assert account(sandbox, "o1").captured_minor == 4_200


@pytest.mark.parametrize(("amount_minor", "currency"), [(4_200, "USD"), (0, "EUR"), (-1, "EUR"), (4_201, "EUR")])
def test_nothing_is_taken_or_given_back_but_what_is_there(sandbox: Sandbox, amount_minor: int, currency: str) -> None:
    provider_id = approved(sandbox, "tok_approve")

    assert isinstance(sandbox.capture(provider_id, amount_minor, currency, "c1"), Refused)
    sandbox.capture(provider_id, 4_200, "EUR", "c2")
    assert isinstance(sandbox.refund(provider_id, amount_minor, currency, "r"), Refused)
    assert account(sandbox, "o1") == Account("o1", 1, 4_200, 0, 4_200, 0, 0, 0)


@pytest.mark.parametrize("token", ["tok_action", "tok_decline"])
def test_what_was_not_approved_cannot_be_taken(sandbox: Sandbox, token: str) -> None:
    answer = sandbox.authorize(request_for("o1", token))
    assert isinstance(answer, (ActionRequired, Declined))
    assert answer.provider_id

    assert isinstance(sandbox.capture(answer.provider_id, 4_200, "EUR", "c"), Refused)


def test_giving_up_a_declined_payment_is_done_and_it_stays_declined(sandbox: Sandbox) -> None:
    answer = sandbox.authorize(request_for("o1", "tok_decline"))
    assert isinstance(answer, Declined)
    assert answer.provider_id

    assert sandbox.void(answer.provider_id, "v") == Done(answer.provider_id)
    assert sandbox.look_up("o1", None) == answer


def test_an_unknown_payment_is_refused_by_every_operation_and_absent(sandbox: Sandbox) -> None:
    assert isinstance(sandbox.capture("pay_x", 1, "EUR", "c"), Refused)
    assert isinstance(sandbox.void("pay_x", "v"), Refused)
    assert isinstance(sandbox.refund("pay_x", 1, "EUR", "r"), Refused)
    assert sandbox.look_up("o1", "pay_x") == Absent()


def test_nothing_is_paid_for_an_order_of_nothing(sandbox: Sandbox) -> None:
    assert isinstance(sandbox.authorize(request_for("o1", "tok_approve", 0)), Declined)


def test_our_reference_finds_the_payment_with_money_in_it(sandbox: Sandbox) -> None:
    paid = approved(sandbox, "tok_approve")
    sandbox.authorize(replace(request_for("o1", "tok_decline"), key="second"))

    assert sandbox.look_up("o1", None) == Approved(paid, 4_200, "EUR", captured=False)

    sandbox.void(paid, "v")

    assert isinstance(sandbox.look_up("o1", None), Declined)


# ---------------------------------------------------------------- keys


def test_a_key_used_twice_for_different_things_is_kept_as_misuse(sandbox: Sandbox) -> None:
    request = request_for("o1", "tok_approve")
    provider_id = approved(sandbox, "tok_approve")

    answers = [
        sandbox.authorize(replace(request, amount_minor=1)),
        sandbox.authorize(replace(request, order_id="o2")),
        sandbox.capture(provider_id, 4_200, "EUR", request.key),
    ]

    assert {type(answer) for answer in answers} == {Unknown}
    assert account(sandbox, "o1") == Account("o1", 1, 4_200, 4_200, 0, 0, 0, 2)
    assert account(sandbox, "o2") == Account("o2", 0, 0, 0, 0, 0, 0, 1)
    assert [call.misuse for call in sandbox.calls("o1")] == [False, True, True]


def test_looking_for_a_payment_under_another_order_is_misuse(sandbox: Sandbox) -> None:
    provider_id = approved(sandbox, "tok_approve")

    assert isinstance(sandbox.look_up("o2", provider_id), Unknown)
    assert account(sandbox, "o2").misuses == 1


def test_a_key_is_forgotten_after_a_day_and_then_charges_again(sandbox: Sandbox, clock: Clock) -> None:
    first = approved(sandbox, "tok_approve")
    clock.forward(24 * HOUR)
    assert approved(sandbox, "tok_approve") == first

    clock.forward(0.001)

    assert approved(sandbox, "tok_approve") != first
    assert account(sandbox, "o1").charges == 2


def test_every_call_is_kept_with_what_was_told(sandbox: Sandbox, clock: Clock) -> None:
    request = request_for("o1", "tok_timeout_after")
    sandbox.authorize(request)
    state = sandbox.look_up("o1", None)
    assert isinstance(state, Approved)
    sandbox.capture(state.provider_id, 4_200, "EUR", "c")
    sandbox.void(state.provider_id, "v")
    sandbox.refund(state.provider_id, 200, "EUR", "r")

    calls = list(sandbox.calls())

    assert [(call.operation, call.key, call.amount_minor, type(call.answer)) for call in calls] == [
        ("authorize", "o1:authorize", 4_200, Unknown),
        ("look_up", None, None, Approved),
        ("capture", "c", 4_200, Done),
        ("void", "v", None, Refused),
        ("refund", "r", 200, Done),
    ]
    assert {(call.order_id, call.at, call.misuse) for call in calls} == {("o1", clock(), False)}
    assert calls[1].answer == state


def test_books_that_cannot_be_opened_are_an_answer_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "sandbox.db").write_text("This is no database, and long enough for SQLite to see that it is none.")
    sandbox = Sandbox(tmp_path / "sandbox.db")

    assert isinstance(sandbox.authorize(request_for("o1", "tok_approve")), Unreachable)
    assert isinstance(sandbox.look_up("o1", None), Unreachable)
    assert isinstance(sandbox.void("pay_x", "v"), Unreachable)


def test_books_that_somebody_else_keeps_locked_are_unreachable_in_time(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path / "sandbox.db", time_out_seconds=0.1)
    sandbox.look_up("o1", None)
    rival = SQLITE.connect(str(tmp_path / "sandbox.db"), isolation_level=None)
    rival.execute("BEGIN IMMEDIATE")

    answer = sandbox.authorize(request_for("o1", "tok_approve"))

    assert isinstance(answer, Unreachable)
    rival.close()
    assert isinstance(sandbox.authorize(request_for("o1", "tok_approve")), Approved)
    sandbox.close()
