"""What to ask a provider next, and what its answer makes of a payment and its order.

Pure, so that every answer can be tried in every state. Nothing here guesses: an order is confirmed by an
approval of exactly its total, its stock is released only when the provider certainly has nothing of it, and
whatever was reserved or taken for an order that is not confirmed is voided or refunded (P5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from shop.errors import CODES
from shop.money import exponent, format_amount
from shop.orders import OPEN, Failure, move
from shop.payments import (
    DECLINES,
    Absent,
    ActionRequired,
    Approved,
    Declined,
    Done,
    NoAnswer,
    Refused,
    State,
    Unknown,
    Unreachable,
    Voided,
)

UNHEARD_OF = "the provider knows no payment of this order"
Answer = State | Absent | Done | Refused | NoAnswer
WAITING = frozenset({"due", "unknown", "action"})
"""An operation in one of these states is still being worked on."""
GIVE_UP_MS = 10 * 60_000
GIVE_UP_TRIES = 5
"""A provider that could not even be reached for so long and so often: the order fails, with its cart given back."""
STUCK_TRIES = 20
"""Nobody is called to help before so many tries, a quarter of an hour: we may have been away as long as they."""
MARGIN_MS = 5 * 60_000
"""A key is not used again shortly before it is forgotten: a call takes its time, and clocks differ."""
FIRST_DELAY_MS, LONGEST_DELAY_MS = 1_000, 60_000
FIRST_LOOK_MS, LONGEST_LOOK_MS = 2_000, 15_000


class Call(Enum):
    """What to do about an operation."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    LOOK_UP = "look_up"
    NONE = "none"
    """Nothing may be asked: it never was and need not be, or to repeat it could do it twice."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing a provider is to be told, as often as it takes, with one key: `authorize`, `capture`, `void`
    or `refund`."""

    kind: str
    status: str
    """`due unknown action` while it is worked on; `succeeded declined refused voided dropped stuck` when it is not."""
    amount_minor: int
    currency: str
    created_at: int
    asked_at: int | None = None
    """When it was first asked, ms; None while the provider certainly knows nothing of it."""
    provider_id: str | None = None
    action_until: int | None = None
    tries: int = 0
    leased: bool = False
    """Whether somebody may be asking just now."""


@dataclass(frozen=True, slots=True)
class Owed:
    """What of an order matters to its payment."""

    status: str
    payment_status: str
    total_minor: int
    refunded_minor: int = 0
    refunding_minor: int = 0
    """Asked to be given back besides what is being judged, and not given back so far."""


@dataclass(frozen=True, slots=True)
class Next:
    """An operation that follows from an answer."""

    kind: str
    amount_minor: int
    currency: str | None = None
    """None: the payment's."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What an answer makes of the operation and of its order; None leaves a thing as it is."""

    status: str
    again_in_ms: int | None = None
    """When to go on with it; None: never."""
    provider_id: str | None = None
    action_url: str | None = None
    action_until: int | None = None
    asked: bool = True
    """False: the provider certainly knows nothing of it."""
    order_status: str | None = None
    payment_status: str | None = None
    failure: Failure | None = None
    releases: bool = False
    """Whether the order's stock goes back to the shelves."""
    approved: tuple[int, str] | None = None
    """The amount and currency that were approved, where they may not be what was asked for."""
    follows: Next | None = None
    events: tuple[tuple[str, str, str | None], ...] = ()
    """For the timeline: stage, outcome, detail."""


def next_call(operation: Operation, order: Owed, now: int, key_ms: int) -> Call:
    """What to ask now. `key_ms` is how long the provider answers a repeated key with what its first call did."""
    known_key = operation.asked_at is None or now - operation.asked_at < key_ms - min(MARGIN_MS, key_ms // 10)
    match operation.kind:
        case "authorize":
            return _next_authorize(operation, order, now, known_key)
        case "capture":
            if order.status != "confirmed":
                return Call.NONE if operation.asked_at is None else Call.LOOK_UP
            return Call.CAPTURE if known_key else Call.LOOK_UP
        case "void":
            # A refused void: the money was taken meanwhile, or nothing is left of it.
            return Call.LOOK_UP if operation.status == "unknown" else Call.VOID
        case _:
            # A refund cannot be looked up, and with a forgotten key it would be a second one.
            return Call.REFUND if known_key else Call.NONE


def _next_authorize(operation: Operation, order: Owed, now: int, known_key: bool) -> Call:
    if order.status in OPEN:
        if operation.status == "action":
            late = operation.action_until is not None and now >= operation.action_until
            return Call.VOID if late else Call.LOOK_UP
        return Call.LOOK_UP if operation.provider_id or not known_key else Call.AUTHORIZE
    if operation.asked_at is None:
        return Call.NONE
    return Call.VOID if operation.provider_id and operation.status != "unknown" else Call.LOOK_UP


def after(operation: Operation, order: Owed, answer: Answer | None, now: int, key_ms: int, action_ms: int) -> Effect:
    """What an answer means. `answer` is None for Call.NONE; `action_ms` is how long a shopper has to act."""
    match operation.kind:
        case "authorize":
            return _after_authorize(operation, order, answer, now, key_ms, action_ms)
        case "capture":
            return _after_capture(operation, order, answer, now, key_ms)
        case "void":
            return _after_void(operation, order, answer, now, key_ms)
        case _:
            return _after_refund(operation, order, answer, now, key_ms)


# ---------------------------------------------------------------- authorize


def _after_authorize(
    operation: Operation, order: Owed, answer: Answer | None, now: int, key_ms: int, action_ms: int
) -> Effect:
    match answer:
        case Approved():
            return _approved(operation, order, answer)
        case Declined():
            return _declined(order, answer)
        case ActionRequired():
            return _action(operation, order, answer, now, action_ms)
        case Voided() | Done():
            return _nothing_left(operation, order, now)
        case None:
            return Effect("dropped", asked=False, payment_status=_paid(order, "voided"))
        case _:
            return _unclear(operation, order, answer, now, key_ms)


def _unclear(operation: Operation, order: Owed, answer: Refused | Absent | NoAnswer, now: int, key_ms: int) -> Effect:
    match answer:
        case Refused(message) if _is_hopeless(operation, now, key_ms):
            event = ("payment_unknown", "stuck", message)
            return Effect("stuck", payment_status=_paid(order, "unknown"), events=(event,))
        case Refused(message):
            # It could not be voided, so something has become of it: look at once.
            return Effect("unknown", 0, events=(("payment_unknown", "retry", message),))
        case Absent():
            # A call of ours may still be under way, until the provider would have forgotten its key.
            if order.status not in OPEN and _since(operation, now) >= key_ms:
                return _nothing_left(operation, order, now)
            return _unknown(operation, order, UNHEARD_OF, now, key_ms)
        case Unreachable(detail):
            return _unreached(operation, order, detail, now, key_ms)
        case Unknown(detail):
            return _unknown(operation, order, detail, now, key_ms)


def _approved(operation: Operation, order: Owed, answer: Approved) -> Effect:
    paid = "captured" if answer.captured else "authorized"
    exact = answer.amount_minor == operation.amount_minor and answer.currency == operation.currency
    event = (f"payment_{paid}", "ok", None)
    payment_status = _paid(order, paid)
    if order.status in OPEN and exact:
        return Effect(
            "succeeded",
            provider_id=answer.provider_id,
            order_status=move("status", order.status, "confirmed"),
            payment_status=payment_status,
            follows=None if answer.captured else Next("capture", operation.amount_minor),
            events=(event, ("confirmed", "ok", None)),
        )
    # Money for an order that is over, or not the order's money: it goes back.
    undo = Next("refund" if answer.captured else "void", answer.amount_minor, answer.currency)
    if order.status not in OPEN:
        return Effect(
            "succeeded",
            provider_id=answer.provider_id,
            payment_status=payment_status,
            approved=(answer.amount_minor, answer.currency),
            follows=undo,
            events=(event,),
        )
    told = f"{format_amount(answer.amount_minor, exponent(answer.currency))} {answer.currency}"
    message = f"The payment provider approved {told}, which is not what was asked for. It is given back."
    effect = _failing(
        order, "succeeded", "payment_declined", message, paid, provider_id=answer.provider_id, undo=undo, event=event
    )
    return replace(effect, approved=(answer.amount_minor, answer.currency))


def _declined(order: Owed, answer: Declined) -> Effect:
    message = DECLINES.get(answer.reason, DECLINES["card_declined"])
    event = ("payment_declined", answer.reason, None)
    if order.status in OPEN:
        return _failing(
            order, "declined", "payment_declined", message, "failed", provider_id=answer.provider_id, event=event
        )
    return Effect("declined", payment_status=_paid(order, "failed"), events=(event,))


def _action(operation: Operation, order: Owed, answer: ActionRequired, now: int, action_ms: int) -> Effect:
    until = operation.action_until or now + action_ms
    # We looked because it could not be given up, or because an answer was lost: not at full speed, once more.
    again = _delay(operation.tries, FIRST_DELAY_MS, LONGEST_DELAY_MS) if operation.status == "unknown" else 0
    if order.status not in OPEN:
        return Effect("action", again, provider_id=answer.provider_id, action_until=until)
    look = _delay(operation.tries, FIRST_LOOK_MS, LONGEST_LOOK_MS)
    wait = min(look, until - now) if now < until else again
    return Effect(
        "action",
        wait,
        provider_id=answer.provider_id,
        action_url=answer.url,
        action_until=until,
        order_status=move("status", order.status, "requires_action") if order.status == "processing" else None,
        events=(("requires_action", "ok", None),) if operation.action_until is None else (),
    )


def _nothing_left(operation: Operation, order: Owed, now: int) -> Effect:
    """The payment was given up: by us at the deadline or after a cancel, or at the provider."""
    event = ("payment_voided", "ok", None)
    if order.status not in OPEN:
        return Effect("voided", payment_status=_paid(order, "voided"), events=(event,))
    late = operation.action_until is not None and now >= operation.action_until
    code = "payment_action_timeout" if late else "payment_declined"
    message = "The payment was not confirmed in time." if late else "The payment was given up at the provider."
    return _failing(order, "voided", code, message, "voided", event=event)


def _unreached(operation: Operation, order: Owed, detail: str, now: int, key_ms: int) -> Effect:
    if operation.asked_at is not None:  # This call certainly came to nothing; an earlier one may not have.
        return _unknown(operation, order, detail, now, key_ms, news=False)
    if order.status not in OPEN:
        return Effect("dropped", asked=False, payment_status=_paid(order, "voided"))
    if now - operation.created_at >= GIVE_UP_MS and operation.tries >= GIVE_UP_TRIES:
        message = "The payment provider could not be reached. Nothing was charged."
        return _failing(order, "dropped", "payment_unavailable", message, "voided")
    return Effect("due", _delay(operation.tries, FIRST_DELAY_MS, LONGEST_DELAY_MS), asked=False)


def _unknown(operation: Operation, order: Owed, detail: str, now: int, key_ms: int, *, news: bool = True) -> Effect:
    """Nobody knows. Ask again; past the provider's memory a person must (and the stock stays taken)."""
    if _is_hopeless(operation, now, key_ms):
        return Effect("stuck", payment_status=_paid(order, "unknown"), events=(("payment_unknown", "stuck", detail),))
    status = "action" if operation.status == "action" else "unknown"
    first_time = news and operation.status == "due" and operation.kind == "authorize"
    return Effect(
        status,
        _delay(operation.tries, FIRST_DELAY_MS, LONGEST_DELAY_MS),
        payment_status=_paid(order, "unknown") if first_time else None,
        events=(("payment_unknown", "retry", detail),) if first_time else (),
    )


# ---------------------------------------------------------------- capture, void, refund


def _after_capture(operation: Operation, order: Owed, answer: Answer | None, now: int, key_ms: int) -> Effect:
    confirmed = order.status == "confirmed"
    match answer:
        case None:
            return Effect("dropped", asked=False, follows=Next("void", operation.amount_minor))
        case Done() | Approved(captured=True):
            return Effect(
                "succeeded",
                payment_status=_paid(order, "captured"),
                follows=None if confirmed else Next("refund", operation.amount_minor),
                events=(("payment_captured", "ok", None),),
            )
        case Refused(message):
            undo = None if confirmed else Next("void", operation.amount_minor)
            return Effect("refused", follows=undo, events=(("capture_refused", "refused", message),))
        case Voided() | Declined() | Absent():
            message = "the reservation is gone"
            status = None if confirmed else _paid(order, "voided")
            return Effect("refused", payment_status=status, events=(("capture_refused", "refused", message),))
        case Approved():  # Reserved still: as if it had never been asked, which it need not be for a cancelled order.
            return Effect("due", 0, asked=False)
        case _:
            return _again(operation, answer, now, key_ms)


def _after_void(operation: Operation, order: Owed, answer: Answer | None, now: int, key_ms: int) -> Effect:
    match answer:
        case Done() | Voided() | Absent():
            return Effect("succeeded", payment_status=_paid(order, "voided"), events=(("payment_voided", "ok", None),))
        case Declined():
            return Effect("succeeded", payment_status=_paid(order, "voided"))
        case Approved(captured=True):
            paid = _paid(order, "captured")
            return Effect("refused", payment_status=paid, follows=Next("refund", answer.amount_minor))
        case Approved() | ActionRequired() if not _is_hopeless(operation, now, key_ms):
            return Effect("due", _delay(operation.tries, FIRST_DELAY_MS, LONGEST_DELAY_MS))
        case Refused():
            return Effect("unknown", 0)
        case _:
            effect = _again(operation, answer, now, key_ms)
            # A void may be repeated at any time: it must not become a look-up for a lost answer.
            return effect if effect.status != "unknown" else Effect("due", effect.again_in_ms)


def _after_refund(operation: Operation, order: Owed, answer: Answer | None, now: int, key_ms: int) -> Effect:
    match answer:
        case Done(provider_id):
            refunded = order.refunded_minor + operation.amount_minor
            # An order that is over may have cost another amount than its total: then all of that is given back.
            whole = refunded >= order.total_minor or (order.status != "confirmed" and not order.refunding_minor)
            status = "refunded" if whole else "partially_refunded"
            amount = format_amount(operation.amount_minor, exponent(operation.currency))
            return Effect(
                "succeeded",
                provider_id=provider_id,
                payment_status=_paid(order, status),
                events=(("payment_refunded", "ok", f"{amount} {operation.currency}"),),
            )
        case Refused(message):
            return Effect("refused", events=(("refund_refused", "refused", message),))
        case None:
            return Effect("stuck", events=(("refund_unknown", "stuck", "the provider may have forgotten its key"),))
        case _:
            return _again(operation, answer, now, key_ms)


def _again(operation: Operation, answer: Answer | None, now: int, key_ms: int) -> Effect:
    detail = answer.detail if isinstance(answer, Unknown | Unreachable) else repr(answer)
    if _is_hopeless(operation, now, key_ms):
        return Effect("stuck", events=((f"{operation.kind}_unknown", "stuck", detail),))
    delay = _delay(operation.tries, FIRST_DELAY_MS, LONGEST_DELAY_MS)
    if isinstance(answer, Unreachable) and operation.asked_at is None:
        return Effect("due", delay, asked=False)
    return Effect("unknown", delay)


# ---------------------------------------------------------------- cancel


def when_cancelled(operation: Operation) -> str:
    """The status of an operation once its order was cancelled: what certainly was never asked is dropped.

    What somebody gave up on is looked at again: there is nothing left that it could harm.
    """
    if operation.kind == "authorize" and operation.status == "stuck":
        return "unknown"
    never_asked = operation.status in WAITING and operation.asked_at is None and not operation.leased
    return "dropped" if never_asked else operation.status


def to_undo(operations: Sequence[Operation], payment_status: str) -> Next | None:
    """What the provider must be told for an order that was cancelled, once its operations are `when_cancelled`.

    None also while something is being asked: its answer brings what follows.
    """
    authorize = next(operation for operation in operations if operation.kind == "authorize")
    if payment_status == "authorized":
        asked = any(each.kind == "capture" and each.status not in ("dropped", "refused") for each in operations)
        return None if asked else Next("void", authorize.amount_minor)
    if payment_status in ("captured", "partially_refunded"):
        refunds = [each for each in operations if each.kind == "refund"]
        rest = authorize.amount_minor - sum(
            each.amount_minor for each in refunds if each.status not in ("dropped", "refused")
        )
        return Next("refund", rest) if rest > 0 else None
    return None


# ---------------------------------------------------------------- small parts


def _failing(
    order: Owed,
    status: str,
    code: str,
    message: str,
    payment_status: str,
    *,
    provider_id: str | None = None,
    undo: Next | None = None,
    event: tuple[str, str, str | None] | None = None,
) -> Effect:
    """The order comes to nothing: its stock goes back to the shelves and its cart to the shopper."""
    failed = ("failed", code, message)
    return Effect(
        status,
        provider_id=provider_id,
        asked=code != "payment_unavailable",
        order_status=move("status", order.status, "failed"),
        payment_status=_paid(order, payment_status),
        failure=Failure(code, message, CODES[code].retryable, "payment"),
        releases=True,
        follows=undo,
        events=(event, failed) if event else (failed,),
    )


def _paid(order: Owed, to: str) -> str | None:
    """The payment status to move to; None when it is there already."""
    return None if order.payment_status == to else move("payment_status", order.payment_status, to)


def _since(operation: Operation, now: int) -> int:
    """For how long we have been asking, in ms: a shopper who had time to act does not count."""
    begun = operation.created_at if operation.asked_at is None else operation.asked_at
    return now - max(begun, operation.action_until or 0)


def _is_hopeless(operation: Operation, now: int, key_ms: int) -> bool:
    return _since(operation, now) >= key_ms and operation.tries >= STUCK_TRIES


def _delay(tries: int, first_ms: int, longest_ms: int) -> int:
    """Twice as long after each try. Whoever writes it down adds the jitter."""
    return min(first_ms << min(max(tries - 1, 0), 16), longest_ms)
