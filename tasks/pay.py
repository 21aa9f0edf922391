"""Paying: tell providers what they are to be told, many at once, and write down what they answer.

The rows are leased in one transaction, the providers called outside any, and the answers written in
batches. Killed anywhere, the next run finds the rows due again and asks with the same keys.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import structlog
from sqlalchemy.orm import Session

from carts.inbox import Settled
from db import payments
from db.payments import KEY_MS, Ended, Work
from shop.errors import Unavailable
from shop.orders import OPEN
from shop.paying import Answer, Call, next_call
from shop.payments import PaymentRequest, Provider, Unknown, Unreachable
from tasks.breaker import Breaker
from tasks.failpoints import failpoint
from tasks.runtime import Runtime, current
from tasks.tracing import now_ns

AT_ONCE = 32
"""Calls at the same time, so that a provider that takes a second does not limit the shop to one order a second."""
MOST_OLD = AT_ONCE // 4
"""Of them at most so many for what was tried before, while new payments wait."""
LINGER_SECONDS = 0.005
"""How long a first answer waits for company before it is written down."""
LOOK_SECONDS = 0.05
"""How often a run whose calls are all under way looks for what has become due meanwhile."""
RENEW_SECONDS = 1.0
LONGEST_RUN_SECONDS = 30.0
"""After this a run rings for the next one and ends, well before RQ's time-out for a job."""

log = structlog.get_logger()

Answered = tuple[Work, Answer | None]
_breakers: dict[str, Breaker] = {}


def pay() -> int:
    """Work on everything that is due with the providers, until nothing is. Answers how many answers were written.

    May run twice and be killed anywhere: a payment is asked for again with the same key.
    """
    runtime = current()
    # First: whoever is settled from here on rings again.
    failpoint("pay.woken")
    runtime.inbox.answer_doorbell()
    failpoint("pay.begun")
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="pay") as pool:
        return _Run(runtime, pool).until_idle(time.monotonic() + LONGEST_RUN_SECONDS)


class _Run:
    """One run of the job: what is in flight, what was answered and not yet written, what was told and not yet noted."""

    def __init__(self, runtime: Runtime, pool: ThreadPoolExecutor) -> None:
        self._runtime = runtime
        self._pool = pool
        self._flying: dict[Future[Answer], Work] = {}
        self._answers: list[Answered] = []
        self._told: list[Ended] = []
        self._renewed = time.monotonic()

    def until_idle(self, until: float) -> int:
        written = 0
        while True:
            takes_more = time.monotonic() < until
            written += len(self._answers)
            ends, works = self._turn(AT_ONCE - len(self._flying) if takes_more else 0)
            self._tell(ends)
            if works:
                failpoint("pay.leased")
            for work in works:
                self._send(work)
            if not (self._flying or self._answers or self._told):
                break
            if self._flying:
                # What there is to write already goes with the answers that come in a moment.
                self._collect(LINGER_SECONDS if self._answers or self._told else LOOK_SECONDS)
        if not takes_more:
            failpoint("pay.leaving")
            self._runtime.bell.ring()
            failpoint("pay.left")
        return written

    def _turn(self, most: int) -> tuple[list[Ended], list[Work]]:
        """Write the answers, take up to `most` new works; when that throws, one by one. Raises Unavailable."""
        answers, told = self._answers, self._told
        renews = bool(self._flying) and time.monotonic() - self._renewed > RENEW_SECONDS
        if not (answers or told or renews or (most and self._is_due())):
            return [], []
        self._answers, self._told = [], []
        try:
            return self._write(answers, told, most, renews)
        except Unavailable:
            raise
        except Exception:
            # Whatever it is, one poisoned payment must not hold up the others. Who was told is told again.
            log.exception("pay.batch_threw", answers=len(answers))
            return [end for answer in answers for end in self._written_alone(answer)], []

    def _is_due(self) -> bool:
        """Whether anything is: a look costs less than a transaction that would write nothing."""
        with self._runtime.database.reading() as session:
            return payments.due(session, self._runtime.now()) is not None

    def _write(
        self, answers: Sequence[Answered], told: Sequence[Ended], most: int, renews: bool
    ) -> tuple[list[Ended], list[Work]]:
        """One transaction."""
        runtime, now, began_ns = self._runtime, self._runtime.now(), now_ns()
        with runtime.database.writing() as session:
            ended = self._apply(session, answers, told, now) if answers or told else []
            if renews:
                payments.renew(session, [*self._flying.values()], now)
            old = sum(work.lease > 1 for work in self._flying.values())
            works, ends = (
                payments.lease(session, runtime.worker, most, now, max(0, MOST_OLD - old)) if most else ([], [])
            )
            failpoint("pay.writing")
        failpoint("pay.written")
        if renews:
            self._renewed = time.monotonic()
        for end in ended:
            event = "payment.action" if end.status in OPEN else "payment.ended"
            log.info(event, order_id=end.order_id, status=end.status)
        if runtime.traces and ended:
            runtime.traces.paid({end.order_id: end.status for end in ended}, began_ns, runtime.inbox.traceparents)
        told_twice = {end.key for end in ended}
        return [*ended, *(end for end in ends if end.key not in told_twice)], works

    def _apply(self, session: Session, answers: Sequence[Answered], told: Sequence[Ended], now: int) -> list[Ended]:
        key_ms = {name: provider.key_seconds * 1000 for name, provider in self._runtime.providers.items()}
        return payments.answered(
            session, answers, told, now, key_ms, self._runtime.rules.payment.action_minutes * 60_000
        )

    def _written_alone(self, answer: Answered) -> list[Ended]:
        try:
            return self._write([answer], [], 0, renews=False)[0]
        except Unavailable:
            raise
        except Exception:
            work = answer[0]
            log.exception("pay.threw", order_id=work.order_id, key=work.key, tries=work.lease)
            with self._runtime.database.writing() as session:
                payments.set_aside(session, work, self._runtime.now())
                failpoint("pay.setting_aside")
            failpoint("pay.set_aside")
            return []

    def _tell(self, ends: Sequence[Ended]) -> None:
        """Give failed carts back and wake who waits. Raises Unavailable: then a later run tells them."""
        if not ends:
            return
        try:
            self._tell_all(ends)
        except Unavailable:
            raise
        except Exception:
            log.exception("pay.tell_threw", orders=len(ends))
            for end in ends:
                self._tell_alone(end)

    def _tell_all(self, ends: Sequence[Ended]) -> None:
        settled = [Settled(end.order_id, end.session_id, end.status, end.sold) for end in ends]
        failpoint("pay.telling")
        self._runtime.inbox.settled(settled, {product for end in ends for product in end.product_ids})
        failpoint("pay.told")
        self._told += ends

    def _tell_alone(self, end: Ended) -> None:
        try:
            self._tell_all([end])
        except Unavailable:
            raise
        except Exception:
            # Its order is written and stands; a later run tells it.
            log.exception("pay.tell_threw", order_id=end.order_id)

    def _send(self, work: Work) -> None:
        """Ask the provider, unless nothing needs to be asked or it is better left alone."""
        runtime, now = self._runtime, self._runtime.now()
        provider = runtime.providers.get(work.provider)
        key_ms = provider.key_seconds * 1000 if provider else KEY_MS
        call = next_call(work.operation, work.order, now, key_ms)
        if call is Call.NONE:
            self._answers.append((work, None))
        elif provider is None:
            self._answers.append((work, Unreachable(f"the provider {work.provider} is not set up")))
        elif not _breaker(work.provider).lets_through(now):
            self._answers.append((work, Unreachable("the provider does not answer; it is left alone for a while")))
        else:
            self._flying[self._pool.submit(_ask, provider, call, work, runtime)] = work

    def _collect(self, patience_seconds: float) -> None:
        """Wait for answers, a first one and those that come with it."""
        done, _ = wait(self._flying, timeout=patience_seconds, return_when=FIRST_COMPLETED)
        if done and len(done) < len(self._flying):
            wait([future for future in self._flying if future not in done], timeout=LINGER_SECONDS)
            done = {future for future in self._flying if future.done()}
        for future in done:
            work = self._flying.pop(future)
            answer = future.result()
            breaker = _breaker(work.provider)
            if isinstance(answer, Unknown | Unreachable):
                breaker.was_silent(self._runtime.now())
            else:
                breaker.answered()
            self._answers.append((work, answer))
        if done:
            failpoint("pay.called")


def _breaker(provider: str) -> Breaker:
    """One for each provider, for as long as the process lives."""
    return _breakers.setdefault(provider, Breaker())


def _ask(provider: Provider, call: Call, work: Work, runtime: Runtime) -> Answer:
    """Make a call and note how it went. Never raises: whatever goes wrong, nobody knows what it did."""
    started, began_ns = time.perf_counter(), now_ns()
    failpoint("pay.asking")
    try:
        answer = _call(provider, call, work, runtime.public_url)
    except Exception as error:
        log.exception("payment.threw", order_id=work.order_id, key=work.key, call=call.value)
        answer = Unknown(f"the call threw {type(error).__name__}")
    failpoint("pay.asked")
    log.info(
        "payment.answered",
        order_id=work.order_id,
        key=work.key,
        provider=work.provider,
        call=call.value,
        answer=type(answer).__name__,
        attempt=work.lease,
        ms=round((time.perf_counter() - started) * 1000, 1),
    )
    if runtime.traces:
        told = work.provider, call.value, type(answer).__name__
        runtime.traces.called_provider(work.order_id, *told, began_ns, runtime.inbox.traceparents)
    return answer


def _call(provider: Provider, call: Call, work: Work, public_url: str) -> Answer:
    operation = work.operation
    match call:
        case Call.AUTHORIZE:
            return provider.authorize(_request(work, public_url))
        case Call.LOOK_UP:
            return provider.look_up(work.order_id, operation.provider_id)
        case Call.VOID:
            return provider.void(operation.provider_id or "", _void_key(work))
        case Call.CAPTURE:
            return provider.capture(operation.provider_id or "", operation.amount_minor, operation.currency, work.key)
        case _:
            return provider.refund(operation.provider_id or "", operation.amount_minor, operation.currency, work.key)


def _void_key(work: Work) -> str:
    """Of its own also where a payment is given up that was never approved: a key stands for one call."""
    return work.key if work.operation.kind == "void" else f"{work.key}-void"


def _request(work: Work, public_url: str) -> PaymentRequest:
    return PaymentRequest(
        order_id=work.order_id,
        key=work.key,
        amount_minor=work.operation.amount_minor,
        currency=work.operation.currency,
        token=work.token,
        email=work.email,
        return_url=f"{public_url}/api/payments/return/{work.order_id}",
        capture=work.captures,
    )
