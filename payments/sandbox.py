"""The sandbox: a small payment service of our own, for the demo and the tests.

It keeps its books in its own SQLite file, which any number of processes may share, so that it can be asked
afterwards what it was told. The token of a payment says what becomes of it:

    tok_approve                 approved
    tok_decline                 declined: the card
    tok_decline_<reason>        declined for that reason, one of shop.payments.DECLINES
    tok_slow, tok_slow_<ms>     approved, but the answer takes a while
    tok_timeout_before          the first call gets lost on its way; the next is approved
    tok_timeout_after           approved, but the first answer gets lost on its way back
    tok_fail_<n>                n calls end in a server error, the next is approved
    tok_unreachable_<n>         n calls find no connection, the next is approved
    tok_action                  the shopper must approve or refuse on a page
    tok_action_approved         likewise, and does so unseen: before the first look-up
    tok_action_approved_<ms>    or so long after
    tok_action_refused, _<ms>   likewise, and refuses
    tok_action_never            a page that nobody goes to: like tok_action
    tok_wrong_amount            approves one minor unit more than asked
    tok_capture_refused         approved, but taking the money is refused; declined when it is to be taken at once
    tok_capture_timeout         approved; the money is taken, but the first answer gets lost
    tok_void_timeout            likewise when the payment is given up
    tok_refund_refused          approved and taken, but never given back
    tok_refund_timeout          given back, but the first answer gets lost

Any other is declined as not supported.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from payments.sandbox_moves import Change, acted, acted_unseen, captured, opened, refunded, state, voided
from payments.sandbox_store import SQLITE, Account, Answer, Books, Busy, Call, Known, Payment, Transaction
from payments.sandbox_tokens import NOT_SUPPORTED, Operation, Script, script
from payments.sandbox_webhooks import SandboxWebhooks, new_secret, signed
from shop.payments import Absent, Done, NoAnswer, PaymentRequest, Refused, State, Unknown, Unreachable
from shop.webhooks import secret_bytes

KEY_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class _Reply:
    """What the caller is told, `wait_ms` after it was decided."""

    answer: Answer
    wait_ms: int = 0
    misuse: bool = False


_Decide = Callable[[Transaction], _Reply]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Sandbox:
    """A payment provider (shop.payments.Provider) that is a file.

    `now` is milliseconds since the epoch and rules over keys and actions; slowness is real, whatever `now` says.
    A charge is in the books before its slow answer is waited for: a caller that is killed meanwhile has paid.
    Without a `webhook_secret` the file holds one of its own, the same for every process.
    """

    name: Final = "sandbox"

    def __init__(
        self,
        path: Path,
        *,
        time_out_seconds: float = 10.0,
        slow_seconds: float = 3.0,
        key_seconds: int = KEY_SECONDS,
        public_url: str = "http://127.0.0.1:8000",
        webhook_secret: str | None = None,
        now: Callable[[], int] = now_ms,
    ) -> None:
        self.key_seconds = key_seconds
        self._books = Books(path, patience_seconds=time_out_seconds / 2)  # Once for our threads, once for others.
        self._time_out_ms = int(time_out_seconds * 1000)
        self._slow_ms = int(slow_seconds * 1000)
        self._public_url = public_url.rstrip("/")
        self._webhook_secret = webhook_secret
        self._now = now

    # ------------------------------------------------------------ the port

    def authorize(self, request: PaymentRequest) -> State | NoAnswer:
        course = self._script(request.token)
        asked = _fingerprint("authorize", asdict(request))
        lost_reply = course.lost_reply == "authorize" or (request.capture and course.lost_reply == "capture")

        def decide(books: Transaction) -> _Reply:
            if course.lost_calls and books.count_lost(request.key, course.lost_calls):
                return _Reply(Unreachable("no connection") if course.unreachable else Unknown("server error"))
            first = partial(self._pay, books, request, course)
            return self._once(books, request.key, asked, first, course.delay_ms, lost_reply)

        call = partial(Call, "authorize", request.key, request.order_id, None, request.amount_minor, request.currency)
        return self._told(decide, call)  # type: ignore[return-value] # never Done, Refused or Absent

    def look_up(self, order_id: str, provider_id: str | None) -> State | Absent | NoAnswer:
        call = partial(Call, "look_up", None, order_id, provider_id, None, None)
        return self._told(lambda books: self._found(books, order_id, provider_id), call)  # type: ignore[return-value] # only what this call can find

    def capture(self, provider_id: str, amount_minor: int, currency: str, key: str) -> Done | Refused | NoAnswer:
        move = partial(captured, amount_minor=amount_minor, currency=currency)
        return self._changed("capture", provider_id, amount_minor, currency, key, move)

    def void(self, provider_id: str, key: str) -> Done | Refused | NoAnswer:
        return self._changed("void", provider_id, None, None, key, voided)

    def refund(self, provider_id: str, amount_minor: int, currency: str, key: str) -> Done | Refused | NoAnswer:
        move = partial(refunded, amount_minor=amount_minor, currency=currency)
        return self._changed("refund", provider_id, amount_minor, currency, key, move)

    # ------------------------------------------------------------ beside the port

    def act(self, provider_id: str, approve: bool) -> State | Absent | NoAnswer:
        """The shopper's click at the provider: what the payment is then. Of no effect once that is decided."""
        call = partial(Call, "act", None, None, provider_id, None, None)
        return self._told(lambda books: self._clicked(books, provider_id, approve), call)  # type: ignore[return-value] # only what this call can find

    def payment(self, provider_id: str) -> Payment | None:
        """A payment as it stands in the books."""
        return self._books.payment(provider_id)

    def books(self) -> Iterator[Account]:
        """What every order cost its shopper, by order."""
        return self._books.accounts()

    def calls(self, order_id: str | None = None) -> Iterator[Call]:
        """Every call that came in and what was told, or those about one order; oldest first."""
        return self._books.calls(order_id)

    def webhook(self, provider_id: str) -> tuple[bytes, dict[str, str]]:
        """Body and headers of the call that tells of a payment as it stands; sending it is for others.

        The same state has the same id however often it is told. Raises LookupError for an unknown payment.
        """
        payment = self.payment(provider_id)
        if payment is None:
            raise LookupError(f"no payment {provider_id}")
        event_id = f"evt_{provider_id}_{payment.status}_{payment.refunded_minor}"
        data = {"provider_id": provider_id, "order_id": payment.order_id, "status": payment.status}
        return signed(secret_bytes(self._secret()), event_id, self._now() // 1000, data)

    def webhooks(self) -> SandboxWebhooks:
        """The reader of our webhooks."""
        return SandboxWebhooks(self._secret())

    def close(self) -> None:
        self._books.close()

    # ------------------------------------------------------------ how a call is answered

    def _told(self, decide: _Decide, call: Callable[..., Call]) -> Answer:
        """Decide a call and keep it in one transaction; wait, then answer. Raises nothing."""
        started = time.monotonic()
        try:
            with self._books.writing() as books:
                reply = self._in_time(decide(books), started)
                books.log(call(at=self._now(), answer=reply.answer, misuse=reply.misuse))
        except Busy as error:
            return Unreachable(str(error))
        except SQLITE.Error as error:
            return Unknown(f"the books cannot be written: {error}")
        if reply.wait_ms > 0:
            time.sleep(reply.wait_ms / 1000)
        return reply.answer

    def _in_time(self, reply: _Reply, started: float) -> _Reply:
        """The reply, unless it comes later than the caller waits; `started` is of the monotonic clock."""
        left_ms = max(0, self._time_out_ms - int((time.monotonic() - started) * 1000))
        return reply if reply.wait_ms <= left_ms else _Reply(Unknown("timed out"), left_ms)

    def _once(
        self,
        books: Transaction,
        key: str,
        asked: str,
        first: Callable[[int], Answer],
        delay_ms: int = 0,
        lost_reply: bool = False,
    ) -> _Reply:
        """What the key's first call was answered, or the answer to this one if it is the first."""
        known = books.known(key, self._now() - self.key_seconds * 1000)
        if known and known.asked != asked:
            return _Reply(Unknown("This key was used for another call."), misuse=True)
        if known:
            return _Reply(known.answer, known.answered_at - now_ms())
        answered_at = now_ms() + delay_ms
        answer = first(answered_at)
        books.remember(key, Known(asked, answer, answered_at), self._now())
        return _Reply(Unknown("connection lost") if lost_reply else answer, delay_ms)

    def _changed(
        self,
        operation: Operation,
        provider_id: str,
        amount_minor: int | None,
        currency: str | None,
        key: str,
        move: Callable[[Payment], Change],
    ) -> Done | Refused | NoAnswer:
        asked = _fingerprint(operation, [provider_id, amount_minor, currency])

        def decide(books: Transaction) -> _Reply:
            payment = books.payment(provider_id)
            course = self._script(payment.token) if payment else NOT_SUPPORTED

            def first(_answered_at: int) -> Answer:
                if payment is None or course.refuses == operation:
                    return Refused("The bank refuses." if payment else "There is no such payment.")
                changed, answer = move(payment)
                books.update(changed)
                return answer

            return self._once(books, key, asked, first, lost_reply=course.lost_reply == operation)

        call = partial(Call, operation, key, None, provider_id, amount_minor, currency)
        return self._told(decide, call)  # type: ignore[return-value] # a Change, or nothing is known

    # ------------------------------------------------------------ what is decided

    def _pay(self, books: Transaction, request: PaymentRequest, course: Script, answered_at: int) -> Answer:
        # What is no token of ours is not kept: it might be the number of a card.
        token = "" if course is NOT_SUPPORTED else request.token
        payment = opened(request, token, course, self._now(), answered_at)
        books.add(payment)
        return state(payment, self._pay_url(payment))

    def _found(self, books: Transaction, order_id: str, provider_id: str | None) -> _Reply:
        payment = books.payment(provider_id) if provider_id else books.payment_of(order_id)
        if payment is None:
            return _Reply(Absent())
        if payment.order_id != order_id:
            return _Reply(Unknown("That payment is another order's."), misuse=True)
        if payment.answered_at > now_ms():
            return _Reply(Unknown("in progress"))
        now = acted_unseen(payment, self._script(payment.token), self._now())
        books.update(now)
        return _Reply(state(now, self._pay_url(now)))

    def _clicked(self, books: Transaction, provider_id: str, approve: bool) -> _Reply:
        payment = books.payment(provider_id)
        if payment is None:
            return _Reply(Absent())
        decided = acted(payment, approve)
        books.update(decided)
        return _Reply(state(decided, self._pay_url(decided)))

    def _script(self, token: str) -> Script:
        return script(token, self._slow_ms)

    def _pay_url(self, payment: Payment) -> str:
        return f"{self._public_url}/sandbox/pay/{payment.provider_id}"

    def _secret(self) -> str:
        if self._webhook_secret is None:
            with self._books.writing() as books:
                self._webhook_secret = books.setting("webhook_secret", new_secret())
        return self._webhook_secret


def _fingerprint(operation: Operation, arguments: Any) -> str:
    """The same for the same call. Only a digest: a token that is none of ours must not be kept."""
    return hashlib.sha256(json.dumps([operation, arguments], sort_keys=True).encode()).hexdigest()
