"""Whatever is asked of the sandbox in whatever order: its books close, and agree with what was told."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from payments.sandbox import Sandbox
from shop.payments import (
    Absent,
    ActionRequired,
    Approved,
    Declined,
    Done,
    PaymentRequest,
    State,
    Unknown,
    Voided,
)
from tests.harness import Clock
from tests.payments.payer import request_for

AMOUNTS = st.integers(1, 1_200)
TOKENS = st.sampled_from(
    [
        "tok_approve",
        "tok_decline",
        "tok_timeout_before",
        "tok_timeout_after",
        "tok_fail_2",
        "tok_unreachable_2",
        "tok_action",
        "tok_wrong_amount",
        "tok_capture_refused",
        "tok_capture_timeout",
        "tok_void_timeout",
        "tok_refund_refused",
        "tok_refund_timeout",
    ]
)
DEFINITE = (Approved, Declined, ActionRequired, Voided)


class BooksMachine(RuleBasedStateMachine):
    """One payment an order, and everything that can be asked about it, in any order, with keys new and used."""

    requests: Bundle[PaymentRequest] = Bundle("requests")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.sandbox = Sandbox(Path(self.folder.name) / "sandbox.db", now=Clock())
        self.told: dict[str, State | None] = {}
        """By order, the last definite thing we were told; None: nothing, or in doubt since."""
        self.given_back: dict[str, dict[str, int]] = {}
        self.orders = 0

    def teardown(self) -> None:
        self.sandbox.close()
        self.folder.cleanup()

    def provider_id(self, request: PaymentRequest) -> str:
        told = self.told.get(request.order_id)
        return (told and told.provider_id) or "pay_unknown"

    @rule(target=requests, token=TOKENS, capture=st.booleans())
    def order(self, token: str, capture: bool) -> PaymentRequest:
        self.orders += 1
        return replace(request_for(f"o{self.orders}", token, 1_000), capture=capture)

    @rule(request=requests)
    def authorize(self, request: PaymentRequest) -> None:
        answer = self.sandbox.authorize(request)

        # A repeated key tells what was, not what is: only the first answer counts.
        if isinstance(answer, DEFINITE) and self.told.get(request.order_id) is None:
            self.told[request.order_id] = None
            self.look_up(request)

    @rule(request=requests)
    def look_up(self, request: PaymentRequest) -> None:
        found = self.sandbox.look_up(request.order_id, None)

        told = self.told.get(request.order_id)
        assert isinstance(found, (*DEFINITE, Absent))
        assert told in (None, found)
        self.told[request.order_id] = None if isinstance(found, Absent) else found

    @rule(request=requests, approve=st.booleans())
    def act(self, request: PaymentRequest, approve: bool) -> None:
        before = self.told.get(request.order_id)
        after = self.sandbox.act(self.provider_id(request), approve)

        if isinstance(before, ActionRequired):
            assert isinstance(after, Approved if approve else Declined)
            self.told[request.order_id] = after
        else:
            assert before is None or after == before

    @rule(request=requests, amount_minor=AMOUNTS | st.just(1_000), n=st.integers(0, 3))
    def capture(self, request: PaymentRequest, amount_minor: int, n: int) -> None:
        key = f"{request.order_id}:capture:{amount_minor}:{n}"
        answer = self.sandbox.capture(self.provider_id(request), amount_minor, "EUR", key)

        told = self.told.get(request.order_id)
        if isinstance(answer, Done):
            assert isinstance(told, Approved)
            self.told[request.order_id] = replace(told, amount_minor=amount_minor, captured=True)
        elif isinstance(answer, Unknown):
            self.told[request.order_id] = None

    @rule(request=requests, n=st.integers(0, 1))
    def void(self, request: PaymentRequest, n: int) -> None:
        told = self.told.get(request.order_id)
        answer = self.sandbox.void(
            self.provider_id(request), f"{request.order_id}:void:{n}:{self.provider_id(request)}"
        )

        if isinstance(answer, Done):
            assert told is not None
            assert not (isinstance(told, Approved) and told.captured)
            self.told[request.order_id] = told if isinstance(told, Declined) else Voided(answer.provider_id)
        elif isinstance(answer, Unknown):
            self.told[request.order_id] = None

    @rule(request=requests, amount_minor=AMOUNTS, n=st.integers(0, 3))
    def refund(self, request: PaymentRequest, amount_minor: int, n: int) -> None:
        key = f"{request.order_id}:refund:{amount_minor}:{n}:{self.provider_id(request)}"
        ask = partial(self.sandbox.refund, self.provider_id(request), amount_minor, "EUR", key)
        answer = ask()
        if isinstance(answer, Unknown):  # The reply was lost: the same key is told what became of it.
            answer = ask()

        if isinstance(answer, Done):
            self.given_back.setdefault(request.order_id, {})[key] = amount_minor

    @invariant()
    def the_books_close(self) -> None:
        for account in self.sandbox.books():
            assert account.charges <= 1
            assert account.refunded_minor <= account.captured_minor <= account.authorized_minor <= 1_001
            assert account.held_minor in (0, account.authorized_minor)
            assert account.held_minor == 0 or account.captured_minor == 0
            assert account.refunded_minor == sum(self.given_back.get(account.order_id, {}).values())
            told = self.told.get(account.order_id)
            if isinstance(told, Approved):
                assert told.amount_minor == (account.captured_minor if told.captured else account.held_minor)
            elif told is not None:
                assert account.held_minor == account.captured_minor == 0
                assert account.open == isinstance(told, ActionRequired)


TestTheBooks = BooksMachine.TestCase
TestTheBooks.settings = settings(max_examples=40, stateful_step_count=30)
