"""What every payment provider behind the port must do; the sandbox and Stripe are held against it.

A test module subclasses `ProviderContract` and gives the fixture `case`:

    class TestTheSandbox(ProviderContract):
        @pytest.fixture
        def case(self, tmp_path): ...
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import pytest

from shop.payments import (
    DECLINES,
    Absent,
    ActionRequired,
    Approved,
    Declined,
    Done,
    PaymentRequest,
    Provider,
    Refused,
    Unknown,
    Unreachable,
    Voided,
)


@dataclass(frozen=True)
class Case:
    """A provider on trial, and how to bring about at it what the contract speaks of."""

    provider: Provider
    approve: str
    """A token that is approved at once; likewise the others."""
    decline: str
    action: str
    slow: str
    """One that takes a while, so that two calls can meet; `approve` where a provider has none."""
    act: Callable[[str, bool], object]
    """What the shopper does at the provider: its id of the payment, and whether to approve."""
    charges: Callable[[str], int]
    """How often an order was charged (money reserved or taken), by the provider's own books."""
    lacks: Mapping[str, str] = field(default_factory=dict)
    """Names of tests to skip here, and why."""

    def request(self, token: str, amount_minor: int = 4_200, currency: str = "EUR") -> PaymentRequest:
        order_id = f"ord_{uuid.uuid4().hex}"
        return PaymentRequest(
            order_id=order_id,
            key=f"{order_id}:authorize",
            amount_minor=amount_minor,
            currency=currency,
            token=token,
            email="ada@example.com",
            return_url=f"https://shop.example/orders/{order_id}",
        )

    def approved(self, request: PaymentRequest) -> str:
        """Have it approved; the provider's id of the payment."""
        answer = self.provider.authorize(request)
        assert isinstance(answer, Approved), answer
        return answer.provider_id

    def captured(self, request: PaymentRequest) -> str:
        provider_id = self.approved(request)
        done = self.provider.capture(provider_id, request.amount_minor, request.currency, f"{request.order_id}:capture")
        assert isinstance(done, Done), done
        return provider_id

    def action_required(self) -> tuple[PaymentRequest, ActionRequired]:
        request = self.request(self.action)
        answer = self.provider.authorize(request)
        assert isinstance(answer, ActionRequired), answer
        return request, answer


class ProviderContract:
    @pytest.fixture(autouse=True)
    def _skip_what_the_provider_lacks(self, request: pytest.FixtureRequest, case: Case) -> None:
        reason = case.lacks.get(request.function.__name__)
        if reason:
            pytest.skip(reason)

    def test_it_has_a_name_and_remembers_keys_for_a_while(self, case: Case) -> None:
        assert case.provider.name
        assert case.provider.key_seconds >= 3_600

    # ------------------------------------------------------------ authorize

    def test_an_approval_tells_amount_and_currency_as_asked(self, case: Case) -> None:
        request = case.request(case.approve, 12_345, "EUR")

        answer = case.provider.authorize(request)

        assert isinstance(answer, Approved)
        assert answer == Approved(answer.provider_id, 12_345, "EUR", captured=False)

    @pytest.mark.parametrize(("currency", "amount_minor"), [("JPY", 4_200), ("KWD", 12_340), ("USD", 99)])
    def test_amounts_are_minor_units_however_many_decimals_the_currency_has(
        self, case: Case, currency: str, amount_minor: int
    ) -> None:
        request = case.request(case.approve, amount_minor, currency)

        answer = case.provider.authorize(request)

        assert isinstance(answer, Approved)
        assert answer == Approved(answer.provider_id, amount_minor, currency, captured=False)
        assert case.provider.look_up(request.order_id, answer.provider_id) == answer

    def test_money_can_be_taken_at_once(self, case: Case) -> None:
        request = replace(case.request(case.approve), capture=True)

        answer = case.provider.authorize(request)

        assert isinstance(answer, Approved)
        assert answer == Approved(answer.provider_id, 4_200, "EUR", captured=True)
        assert case.provider.look_up(request.order_id, answer.provider_id) == answer

    def test_a_decline_has_a_reason_that_the_shopper_can_act_on(self, case: Case) -> None:
        request = case.request(case.decline)

        answer = case.provider.authorize(request)

        assert isinstance(answer, Declined)
        assert answer.reason in DECLINES
        assert case.charges(request.order_id) == 0

    def test_the_same_key_twice_is_one_charge_and_one_answer(self, case: Case) -> None:
        request = case.request(case.approve)

        answers = [case.provider.authorize(request) for _ in range(3)]

        assert isinstance(answers[0], Approved)
        assert answers == [answers[0]] * 3
        assert case.charges(request.order_id) == 1

    def test_the_same_key_from_20_threads_at_once_is_one_charge(self, case: Case) -> None:
        request = case.request(case.slow)

        with ThreadPoolExecutor(20) as threads:
            answers = list(threads.map(case.provider.authorize, [request] * 20))

        definite = {answer for answer in answers if not isinstance(answer, (Unknown, Unreachable))}
        last = case.provider.authorize(request)
        assert isinstance(last, Approved)
        assert definite <= {last}
        assert case.charges(request.order_id) == 1

    def test_a_declined_key_stays_declined(self, case: Case) -> None:
        request = case.request(case.decline)

        first, second = case.provider.authorize(request), case.provider.authorize(request)

        assert isinstance(first, Declined)
        assert isinstance(second, Declined)
        assert second.reason == first.reason
        assert case.charges(request.order_id) == 0

    def test_a_key_used_for_something_else_is_never_taken_for_the_first_payment(self, case: Case) -> None:
        request = case.request(case.approve)
        first = case.approved(request)

        answer = case.provider.authorize(replace(request, amount_minor=request.amount_minor + 1))

        assert isinstance(answer, Unknown)
        assert case.charges(request.order_id) == 1
        assert case.provider.look_up(request.order_id, first) == Approved(first, 4_200, "EUR", captured=False)

    # ------------------------------------------------------------ look up

    def test_a_payment_is_found_by_their_id_and_by_our_reference(self, case: Case) -> None:
        request = case.request(case.approve)
        answer = case.provider.authorize(request)

        assert isinstance(answer, Approved)
        assert case.provider.look_up(request.order_id, answer.provider_id) == answer
        assert case.provider.look_up(request.order_id, None) == answer

    def test_what_was_never_asked_for_is_absent(self, case: Case) -> None:
        assert case.provider.look_up(f"ord_{uuid.uuid4().hex}", None) == Absent()

    def test_a_decline_can_be_looked_up_or_is_absent(self, case: Case) -> None:
        request = case.request(case.decline)
        case.provider.authorize(request)

        assert isinstance(case.provider.look_up(request.order_id, None), Declined | Absent)

    # ------------------------------------------------------------ capture and refund

    def test_what_is_reserved_can_be_taken_and_given_back_in_parts(self, case: Case) -> None:
        request = case.request(case.approve)
        provider_id = case.approved(request)

        capture = case.provider.capture(provider_id, 4_200, "EUR", f"{request.order_id}:capture")
        parts = [case.provider.refund(provider_id, part, "EUR", f"{request.order_id}:{part}") for part in (4_000, 200)]
        too_much = case.provider.refund(provider_id, 1, "EUR", f"{request.order_id}:more")

        assert isinstance(capture, Done)
        assert all(isinstance(part, Done) for part in parts), parts
        assert isinstance(too_much, Refused)
        state = case.provider.look_up(request.order_id, provider_id)
        assert state == Approved(provider_id, 4_200, "EUR", captured=True)

    def test_a_repeated_capture_takes_nothing_more(self, case: Case) -> None:
        request = case.request(case.approve)
        provider_id = case.approved(request)

        answers = [case.provider.capture(provider_id, 4_200, "EUR", f"{request.order_id}:capture") for _ in range(3)]

        assert isinstance(answers[0], Done)
        assert answers == [answers[0]] * 3
        assert case.charges(request.order_id) == 1

    def test_a_repeated_refund_gives_nothing_more_back(self, case: Case) -> None:
        request = case.request(case.approve)
        provider_id = case.captured(request)

        same = [case.provider.refund(provider_id, 1_000, "EUR", f"{request.order_id}:1") for _ in range(3)]
        rest = case.provider.refund(provider_id, 3_200, "EUR", f"{request.order_id}:2")

        assert isinstance(same[0], Done)
        assert same == [same[0]] * 3
        assert isinstance(rest, Done)
        assert rest != same[0]

    def test_more_than_was_taken_is_never_given_back(self, case: Case) -> None:
        request = case.request(case.approve)
        provider_id = case.captured(request)

        assert isinstance(case.provider.refund(provider_id, 4_201, "EUR", f"{request.order_id}:1"), Refused)

    def test_what_was_not_taken_cannot_be_given_back(self, case: Case) -> None:
        request = case.request(case.approve)
        provider_id = case.approved(request)

        assert isinstance(case.provider.refund(provider_id, 4_200, "EUR", f"{request.order_id}:1"), Refused)

    def test_more_than_was_reserved_is_never_taken(self, case: Case) -> None:
        request = case.request(case.approve)
        provider_id = case.approved(request)

        assert isinstance(case.provider.capture(provider_id, 4_201, "EUR", f"{request.order_id}:capture"), Refused)
        assert case.provider.look_up(request.order_id, provider_id) == Approved(
            provider_id, 4_200, "EUR", captured=False
        )

    # ------------------------------------------------------------ void

    def test_a_payment_can_be_given_up_before_it_is_taken_and_then_not_be_taken(self, case: Case) -> None:
        request = case.request(case.approve)
        provider_id = case.approved(request)

        voids = [case.provider.void(provider_id, f"{request.order_id}:void") for _ in range(2)]
        capture = case.provider.capture(provider_id, 4_200, "EUR", f"{request.order_id}:capture")

        assert voids == [Done(provider_id), Done(provider_id)]
        assert isinstance(capture, Refused)
        assert case.provider.look_up(request.order_id, provider_id) == Voided(provider_id)

    def test_a_second_void_with_another_key_is_done_too(self, case: Case) -> None:
        request = case.request(case.approve)
        provider_id = case.approved(request)

        voids = [case.provider.void(provider_id, f"{request.order_id}:void:{n}") for n in range(2)]

        assert voids == [Done(provider_id), Done(provider_id)]

    def test_money_that_was_taken_cannot_be_voided(self, case: Case) -> None:
        request = case.request(case.approve)
        provider_id = case.captured(request)

        assert isinstance(case.provider.void(provider_id, f"{request.order_id}:void"), Refused)
        assert case.provider.look_up(request.order_id, provider_id) == Approved(
            provider_id, 4_200, "EUR", captured=True
        )

    # ------------------------------------------------------------ action

    def test_an_action_has_a_url_and_charges_nothing_yet(self, case: Case) -> None:
        request, action = case.action_required()

        assert action.url.startswith(("http://", "https://"))
        assert case.charges(request.order_id) == 0
        state = case.provider.look_up(request.order_id, None)
        assert isinstance(state, ActionRequired)
        assert state.provider_id == action.provider_id

    def test_an_approved_action_is_an_approved_payment(self, case: Case) -> None:
        request, action = case.action_required()

        case.act(action.provider_id, True)

        approved = Approved(action.provider_id, 4_200, "EUR", captured=False)
        assert case.provider.look_up(request.order_id, action.provider_id) == approved
        assert case.provider.look_up(request.order_id, None) == approved
        assert case.charges(request.order_id) == 1

    def test_a_refused_action_is_a_declined_payment(self, case: Case) -> None:
        request, action = case.action_required()

        case.act(action.provider_id, False)

        state = case.provider.look_up(request.order_id, action.provider_id)
        assert isinstance(state, Declined)
        assert state.reason == "authentication_failed"
        assert case.charges(request.order_id) == 0

    def test_a_payment_that_waits_for_the_shopper_can_be_given_up(self, case: Case) -> None:
        request, action = case.action_required()

        void = case.provider.void(action.provider_id, f"{request.order_id}:void")

        assert void == Done(action.provider_id)
        assert case.provider.look_up(request.order_id, action.provider_id) == Voided(action.provider_id)
        assert case.charges(request.order_id) == 0
