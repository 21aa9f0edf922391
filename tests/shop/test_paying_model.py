"""The rules of paying against a little provider, in whatever order things happen, get lost or come late (P5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shop.orders import OPEN, TRANSITIONS
from shop.paying import WAITING, Answer, Call, Effect, Next, Operation, Owed, after, next_call, to_undo, when_cancelled
from shop.payments import (
    Absent,
    ActionRequired,
    Approved,
    Declined,
    Done,
    Refused,
    State,
    Unknown,
    Unreachable,
    Voided,
)

TOTAL = 1000
SECOND, DAY = 1000, 24 * 3600_000
LEASE, ACTION, TRAVEL = 3 * SECOND, 15 * 60 * SECOND, 60 * SECOND
"""TRAVEL: no call is on its way for longer."""
WAYS = ["heard", "heard", "lost", "answer lost", "late", "late", "unreachable"]


@dataclass
class Payment:
    """The truth about a payment, at its provider."""

    state: str
    reserved: int = 0
    taken: int = 0
    refunded: int = 0


@dataclass
class Bank:
    """A provider with a day's memory for keys."""

    course: str
    refuses: str
    payments: list[Payment] = field(default_factory=list)
    keys: dict[str, tuple[object, Answer, int]] = field(default_factory=dict)
    approved: list[int] = field(default_factory=list)

    def once(self, key: str, asked: object, now: int, first: Callable[[], Answer]) -> Answer:
        known = self.keys.get(key)
        if known and now - known[2] < DAY:
            assert known[0] == asked, f"{key} was used for {known[0]} and for {asked}"
            return known[1]
        answer = first()
        self.keys[key] = asked, answer, now
        return answer

    def authorize(self, amount: int, automatic: bool) -> Answer:
        self.payments.append(Payment("action" if self.course == "action" else "none"))
        if self.course == "decline":
            self.payments[-1].state = "declined"
        elif self.course != "action":
            self.approve(amount + {"more": 1, "less": -1}.get(self.course, 0), automatic)
        return self.look_up()

    def approve(self, amount: int, automatic: bool) -> None:
        payment = self.payments[-1]
        payment.state, payment.reserved = ("taken", 0) if automatic else ("reserved", amount)
        payment.taken = amount if automatic else 0
        self.approved.append(amount)

    def look_up(self) -> State | Absent:
        if not self.payments:
            return Absent()
        payment = self.payments[-1]
        match payment.state:
            case "declined":
                return Declined("card_declined", "pay")
            case "action":
                return ActionRequired("pay", "https://bank.test/pay")
            case "voided":
                return Voided("pay")
            case _:
                return Approved("pay", payment.reserved or payment.taken, "USD", payment.state == "taken")

    def capture(self, amount: int) -> Answer:
        payment = self.payments[-1]
        if payment.state != "reserved" or self.refuses == "capture":
            return Refused(f"it is {payment.state}")
        payment.state, payment.taken, payment.reserved = "taken", amount, 0
        return Done("pay")

    def void(self) -> Answer:
        payment = self.payments[-1]
        if payment.state == "taken":
            return Refused("it is taken")
        if payment.state != "declined":
            payment.state, payment.reserved = "voided", 0
        return Done("pay")

    def refund(self, amount: int) -> Answer:
        payment = self.payments[-1]
        if self.refuses == "refund" or amount > payment.taken - payment.refunded:
            return Refused("no")
        payment.refunded += amount
        return Done(f"refund-{payment.refunded}")


@dataclass
class Row:
    """An operation as the database keeps it."""

    operation: Operation
    next_at: int | None


@dataclass
class Flight:
    """A call by somebody who holds a lease."""

    key: str
    lease: int
    operation: Operation
    call: Call
    answer: Answer | None = None
    called: bool = False


class Paying(RuleBasedStateMachine):
    """One order, whose every step is decided by shop.paying and written as db.payments writes it."""

    @initialize(
        automatic=st.booleans(),
        course=st.sampled_from(["approve", "approve", "approve", "decline", "action", "action", "more", "less"]),
        refuses=st.sampled_from(["", "", "", "capture", "refund"]),
        ending=st.sampled_from(["heard", "heard", "lost", "unreachable"]),
    )
    def begin(self, automatic: bool, course: str, refuses: str, ending: str) -> None:
        self.now = 1_000 * DAY
        self.automatic, self.ending = automatic, ending
        self.bank = Bank(course, refuses)
        self.status, self.paid = "processing", "pending"
        self.released = 0
        self.under_way: list[tuple[int, Callable[[], Answer]]] = []
        self.flights: list[Flight] = []
        self.rows: dict[str, Row] = {}
        self.add("authorize", TOTAL)

    # ------------------------------------------------------------ the shop

    def add(self, kind: str, amount: int) -> None:
        refunds = sum(row.operation.kind == "refund" for row in self.rows.values())
        key = f"{kind}-{refunds + 1}" if kind == "refund" else kind
        known = None if kind == "authorize" else "pay"
        new = Operation(kind, "due", amount, "USD", created_at=self.now, provider_id=known)
        self.rows.setdefault(key, Row(new, self.now))

    def owed(self, key: str) -> Owed:
        refunds = {k: r.operation for k, r in self.rows.items() if r.operation.kind == "refund"}
        given = sum(o.amount_minor for o in refunds.values() if o.status == "succeeded")
        asked = sum(o.amount_minor for k, o in refunds.items() if o.status not in ("succeeded", "dropped") and k != key)
        return Owed(self.status, self.paid, TOTAL, given, asked)

    def due(self) -> list[str]:
        due = [(row.next_at, key) for key, row in self.rows.items() if row.next_at is not None]
        return [key for at, key in sorted(due) if at <= self.now]

    def lease(self, key: str) -> Flight:
        row = self.rows[key]
        operation = replace(row.operation, tries=row.operation.tries + 1)
        call = next_call(operation, self.owed(key), self.now, DAY)
        assert call is not Call.CAPTURE or self.status == "confirmed"
        row.operation = replace(operation, asked_at=operation.asked_at or self.now, leased=True)
        row.next_at = self.now + LEASE
        return Flight(key, operation.tries, operation, call)

    def call(self, flight: Flight, way: str) -> None:
        flight.called = True
        if flight.call is Call.NONE:
            return
        if way == "unreachable":
            flight.answer = Unreachable("no connection")
            return
        flight.answer = Unknown(way)
        if way == "late":
            self.under_way.append((self.now + TRAVEL, lambda: self.arrive(flight)))
        elif way != "lost":
            answer = self.arrive(flight)
            flight.answer = answer if way == "heard" else flight.answer

    def arrive(self, flight: Flight) -> Answer:
        """A call reaches the provider."""
        bank, key, amount = self.bank, flight.key, flight.operation.amount_minor
        match flight.call:
            case Call.AUTHORIZE:
                return bank.once(key, "authorize", self.now, lambda: bank.authorize(amount, self.automatic))
            case Call.CAPTURE:
                return bank.once(key, "capture", self.now, lambda: bank.capture(amount))
            case Call.VOID:
                void_key = key if flight.operation.kind == "void" else f"{key}-void"
                return bank.once(void_key, "void", self.now, bank.void)
            case Call.REFUND:
                return bank.once(key, ("refund", amount), self.now, lambda: bank.refund(amount))
            case _:
                return bank.look_up()

    def write(self, flight: Flight) -> None:
        row = self.rows[flight.key]
        if row.operation.tries != flight.lease or row.operation.status not in WAITING:
            return
        judged = replace(flight.operation, status=row.operation.status, provider_id=row.operation.provider_id)
        effect = after(judged, self.owed(flight.key), flight.answer, self.now, DAY, ACTION)
        self.apply(row, effect)

    def apply(self, row: Row, effect: Effect) -> None:
        now = row.operation
        row.operation = replace(
            now,
            status=effect.status,
            provider_id=now.provider_id if now.kind == "refund" else effect.provider_id or now.provider_id,
            action_until=effect.action_until or now.action_until,
            asked_at=now.asked_at if effect.asked else None,
            leased=False,
        )
        row.next_at = None if effect.again_in_ms is None else self.now + effect.again_in_ms
        if effect.order_status:
            self.status = self.moved("status", self.status, effect.order_status)
        if effect.payment_status:
            self.paid = self.moved("payment_status", self.paid, effect.payment_status)
        self.released += effect.releases
        self.follow(effect.follows)

    def follow(self, follows: Next | None) -> None:
        if follows:
            self.add(follows.kind, follows.amount_minor)

    @staticmethod
    def moved(kind: str, now: str, to: str) -> str:
        assert to in TRANSITIONS[kind][now], f"{kind} from {now} to {to}"
        return to

    # ------------------------------------------------------------ what may happen

    @precondition(lambda self: self.due())
    @rule(way=st.sampled_from(WAYS))
    def work(self, way: str) -> None:
        flight = self.lease(self.due()[0])
        self.call(flight, way)
        self.write(flight)

    @precondition(lambda self: self.due())
    @rule()
    def take(self) -> None:
        self.flights.append(self.lease(self.due()[0]))

    @precondition(lambda self: self.flights)
    @rule(way=st.sampled_from(WAYS), which=st.integers(0, 9))
    def ask(self, way: str, which: int) -> None:
        flight = self.flights[which % len(self.flights)]
        if not flight.called:
            self.call(flight, way)

    @precondition(lambda self: self.flights)
    @rule(which=st.integers(0, 9), repeated=st.booleans())
    def hear(self, which: int, repeated: bool) -> None:
        flight = self.flights[which % len(self.flights)]
        if flight.called:
            self.write(flight)
            if not repeated:
                self.flights.remove(flight)

    @precondition(lambda self: self.flights)
    @rule()
    def die(self) -> None:
        self.flights.clear()

    @precondition(lambda self: self.status in OPEN or self.status == "confirmed")
    @rule()
    def cancel(self) -> None:
        if self.status in OPEN or self.paid in ("authorized", "captured", "partially_refunded"):
            self.status = self.moved("status", self.status, "cancelled")
            self.released += 1
            for row in self.rows.values():
                status = when_cancelled(row.operation)
                row.operation = replace(row.operation, status=status)
                if status == "dropped":
                    row.next_at = None
                elif status in WAITING and not row.operation.leased:
                    row.next_at = self.now
            if self.paid == "pending" and self.rows["authorize"].operation.status == "dropped":
                self.paid = self.moved("payment_status", self.paid, "voided")
            self.follow(to_undo([row.operation for row in self.rows.values()], self.paid))

    @precondition(lambda self: self.status == "confirmed" and self.paid in ("captured", "partially_refunded"))
    @rule(part=st.integers(1, TOTAL))
    def refund(self, part: int) -> None:
        refunds = [row.operation for row in self.rows.values() if row.operation.kind == "refund"]
        asked = sum(each.amount_minor for each in refunds if each.status not in ("refused", "dropped"))
        if asked < TOTAL:
            self.add("refund", min(part, TOTAL - asked))

    @precondition(lambda self: self.bank.payments and self.bank.payments[-1].state == "action")
    @rule(approves=st.booleans())
    def shopper_acts(self, approves: bool) -> None:
        if approves:
            self.bank.approve(TOTAL, self.automatic)
        else:
            self.bank.payments[-1].state = "declined"

    @rule(ms=st.sampled_from([500, 2 * SECOND, 5 * SECOND, 5 * SECOND, 61 * SECOND, ACTION, DAY - TRAVEL // 2, DAY]))
    def wait(self, ms: int) -> None:
        until = self.now + ms
        for at, arrives in sorted(self.under_way, key=lambda call: call[0]):
            if at <= until:
                self.now = max(self.now, at)
                arrives()
        self.under_way = [call for call in self.under_way if call[0] > until]
        if ms > TRAVEL:  # Whoever slept as long makes no call any more: it has given up its lease.
            self.flights = [flight for flight in self.flights if flight.called]
        self.now = until

    @precondition(lambda self: self.under_way)
    @rule()
    def hurry(self) -> None:
        _, arrives = self.under_way.pop()
        arrives()

    # ------------------------------------------------------------ what must hold

    @invariant()
    def one_payment_at_most_and_no_more_back_than_was_taken(self) -> None:
        assert len(self.bank.payments) <= 1
        assert len(self.bank.approved) <= 1
        assert all(payment.refunded <= payment.taken for payment in self.bank.payments)

    @invariant()
    def confirmed_means_approved_in_full(self) -> None:
        if self.status == "confirmed":
            assert self.bank.approved == [TOTAL]

    @invariant()
    def stock_goes_back_once_and_with_the_order(self) -> None:
        assert self.released == (self.status in ("failed", "cancelled"))

    def teardown(self) -> None:
        if not hasattr(self, "rows"):
            return
        self.flights.clear()
        steps = 0
        while any(row.next_at is not None for row in self.rows.values()):
            steps += 1
            assert steps < 4_000 * len(self.rows), f"never comes to rest: {self.rows}"
            if self.due():
                self.work(self.ending)
            else:
                first = min(row.next_at for row in self.rows.values() if row.next_at is not None)
                self.wait(first - self.now)
            self.confirmed_means_approved_in_full()
            self.stock_goes_back_once_and_with_the_order()
        self.wait(2 * TRAVEL)
        self.one_payment_at_most_and_no_more_back_than_was_taken()
        self.the_books_close()

    def the_books_close(self) -> None:
        states = {(row.operation.kind, row.operation.status) for row in self.rows.values()}
        if any(status == "stuck" for _, status in states):
            assert self.status not in OPEN or self.paid == "unknown"
            return  # For a person.
        assert self.status not in OPEN
        truth = self.bank.payments[-1] if self.bank.payments else Payment("none")
        given = sum(
            r.operation.amount_minor
            for r in self.rows.values()
            if r.operation.status == "succeeded" and r.operation.kind == "refund"
        )
        assert truth.refunded == given
        if self.status == "confirmed" and ("capture", "refused") not in states:
            assert truth.taken == TOTAL
            back = {0: "captured", TOTAL: "refunded"}.get(given, "partially_refunded")
            assert self.paid == back
        elif self.status != "confirmed" and ("refund", "refused") not in states:
            assert truth.reserved == 0
            assert truth.state != "action"
            assert truth.taken == truth.refunded
            assert self.paid in (("refunded",) if truth.taken else ("voided", "failed"))


TestPaying = Paying.TestCase
TestPaying.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)
