"""What to ask a provider next, and what each answer makes of a payment and its order: every answer in every state."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shop.errors import CODES
from shop.paying import Answer, Call, Effect, Next, Operation, Owed, after, next_call, to_undo, when_cancelled
from shop.payments import (
    DECLINES,
    Absent,
    ActionRequired,
    Approved,
    Declined,
    Done,
    Refused,
    Unknown,
    Unreachable,
    Voided,
)

NOW = 1_000_000_000
DAY = 24 * 3600_000
ACTION = 15 * 60_000
TOTAL = 2000

RESERVED, TAKEN = Approved("pay", TOTAL, "USD", False), Approved("pay", TOTAL, "USD", True)
DECLINED, ACT = Declined("card_declined", "pay"), ActionRequired("pay", "https://bank.test/pay")
VOIDED, ABSENT, DONE, REFUSED = Voided("pay"), Absent(), Done("done"), Refused("no")
UNKNOWN, UNREACHABLE = Unknown("timed out"), Unreachable("no connection")

PROCESSING, CONFIRMED = Owed("processing", "pending", TOTAL), Owed("confirmed", "authorized", TOTAL)
CANCELLED, FAILED = Owed("cancelled", "pending", TOTAL), Owed("failed", "authorized", TOTAL)
PAID, CANCELLED_PAID = Owed("confirmed", "captured", TOTAL), Owed("cancelled", "captured", TOTAL)
CANCELLED_RESERVED = Owed("cancelled", "authorized", TOTAL)


def operation(kind: str = "authorize", status: str = "due", **others: object) -> Operation:
    known = None if kind == "authorize" else "pay"
    plain = Operation(kind, status, TOTAL, "USD", created_at=NOW, provider_id=known, tries=1)
    return replace(plain, **others)  # type: ignore[arg-type]


def asked(kind: str = "authorize", status: str = "unknown", **others: object) -> Operation:
    return operation(kind, status, **{"asked_at": NOW, "tries": 2, **others})


def judged(what: Operation, order: Owed, answer: Answer | None, now: int = NOW) -> Effect:
    return after(what, order, answer, now, DAY, ACTION)


# ---------------------------------------------------------------- what to ask

ACTING = asked(status="action", provider_id="pay", action_until=NOW + ACTION)
SEEN = asked(provider_id="pay")


@pytest.mark.parametrize(
    ("what", "order", "after_ms", "call"),
    [
        (operation(), PROCESSING, 0, Call.AUTHORIZE),
        (operation(), PROCESSING, 2 * DAY, Call.AUTHORIZE),  # The provider certainly knows nothing of it.
        (asked(), PROCESSING, DAY - 3600_000, Call.AUTHORIZE),
        (asked(), PROCESSING, DAY - 1, Call.LOOK_UP),  # The call may arrive when the key is forgotten.
        (asked(), PROCESSING, DAY, Call.LOOK_UP),
        (SEEN, PROCESSING, 0, Call.LOOK_UP),
        (ACTING, PROCESSING, 0, Call.LOOK_UP),
        (ACTING, PROCESSING, ACTION, Call.VOID),
        (operation(), CANCELLED, 0, Call.NONE),
        (asked(), CANCELLED, 0, Call.LOOK_UP),
        (SEEN, CANCELLED, 0, Call.LOOK_UP),
        (ACTING, CANCELLED, 0, Call.VOID),
        (operation("capture"), CONFIRMED, 0, Call.CAPTURE),
        (asked("capture"), CONFIRMED, 3600_000, Call.CAPTURE),
        (asked("capture"), CONFIRMED, DAY, Call.LOOK_UP),
        (operation("capture"), CANCELLED_RESERVED, 0, Call.NONE),
        (asked("capture"), CANCELLED_RESERVED, 0, Call.LOOK_UP),
        (operation("void"), FAILED, 0, Call.VOID),
        (asked("void", "due"), FAILED, 2 * DAY, Call.VOID),
        (asked("void"), FAILED, 0, Call.LOOK_UP),
        (operation("refund"), PAID, 2 * DAY, Call.REFUND),
        (asked("refund"), PAID, 3600_000, Call.REFUND),
        (asked("refund"), PAID, DAY, Call.NONE),  # With a forgotten key it would be a second refund.
    ],
)
def test_what_to_ask_next(what: Operation, order: Owed, after_ms: int, call: Call) -> None:
    assert next_call(what, order, NOW + after_ms, DAY) is call


# ---------------------------------------------------------------- what an answer means

VOID, REFUND, CAPTURE = Next("void", TOTAL), Next("refund", TOTAL), Next("capture", TOTAL)
VOID_USD, REFUND_USD = Next("void", TOTAL, "USD"), Next("refund", TOTAL, "USD")
LESS, FOREIGN = Approved("pay", 1999, "USD", False), Approved("pay", TOTAL, "EUR", True)
UNKNOWN_ORDER, CANCELLED_UNKNOWN = (
    replace(PROCESSING, payment_status="unknown"),
    replace(CANCELLED, payment_status="unknown"),
)
ACTING_ORDER = replace(PROCESSING, status="requires_action")
LATE = replace(ACTING, action_until=NOW)


@pytest.mark.parametrize(
    ("what", "order", "answer", "status", "order_status", "payment_status", "follows"),
    [
        # a payment that is asked for
        (operation(), PROCESSING, RESERVED, "succeeded", "confirmed", "authorized", CAPTURE),
        (operation(), PROCESSING, TAKEN, "succeeded", "confirmed", "captured", None),
        (operation(), PROCESSING, LESS, "succeeded", "failed", "authorized", Next("void", 1999, "USD")),
        (operation(), PROCESSING, FOREIGN, "succeeded", "failed", "captured", Next("refund", TOTAL, "EUR")),
        (operation(), PROCESSING, DECLINED, "declined", "failed", "failed", None),
        (operation(), PROCESSING, ACT, "action", "requires_action", None, None),
        (operation(), PROCESSING, UNKNOWN, "unknown", None, "unknown", None),
        (operation(), PROCESSING, UNREACHABLE, "due", None, None, None),
        (asked(), UNKNOWN_ORDER, RESERVED, "succeeded", "confirmed", "authorized", CAPTURE),
        (asked(), UNKNOWN_ORDER, DECLINED, "declined", "failed", "failed", None),
        (asked(), UNKNOWN_ORDER, ACT, "action", "requires_action", None, None),
        (asked(), UNKNOWN_ORDER, VOIDED, "voided", "failed", "voided", None),
        (asked(), UNKNOWN_ORDER, ABSENT, "unknown", None, None, None),
        (asked(), UNKNOWN_ORDER, UNKNOWN, "unknown", None, None, None),
        (asked(), UNKNOWN_ORDER, UNREACHABLE, "unknown", None, None, None),
        # one that the shopper must confirm
        (ACTING, ACTING_ORDER, RESERVED, "succeeded", "confirmed", "authorized", CAPTURE),
        (ACTING, ACTING_ORDER, DECLINED, "declined", "failed", "failed", None),
        (ACTING, ACTING_ORDER, ACT, "action", None, None, None),
        (ACTING, ACTING_ORDER, UNKNOWN, "action", None, None, None),
        (ACTING, ACTING_ORDER, UNREACHABLE, "action", None, None, None),
        (LATE, ACTING_ORDER, DONE, "voided", "failed", "voided", None),
        (LATE, ACTING_ORDER, REFUSED, "unknown", None, None, None),
        # one whose order was cancelled
        (operation(), CANCELLED, None, "dropped", None, "voided", None),
        (operation(), CANCELLED, RESERVED, "succeeded", None, "authorized", VOID_USD),
        (operation(), CANCELLED, TAKEN, "succeeded", None, "captured", REFUND_USD),
        (operation(), CANCELLED, DECLINED, "declined", None, "failed", None),
        (operation(), CANCELLED, ACT, "action", None, None, None),
        (operation(), CANCELLED, UNREACHABLE, "dropped", None, "voided", None),
        (asked(), CANCELLED_UNKNOWN, RESERVED, "succeeded", None, "authorized", VOID_USD),
        (asked(), CANCELLED_UNKNOWN, ABSENT, "unknown", None, None, None),
        (asked(), CANCELLED_UNKNOWN, UNREACHABLE, "unknown", None, None, None),
        (ACTING, CANCELLED, DONE, "voided", None, "voided", None),
        (ACTING, CANCELLED, REFUSED, "unknown", None, None, None),
        # a capture
        (operation("capture"), CONFIRMED, DONE, "succeeded", None, "captured", None),
        (operation("capture"), CONFIRMED, REFUSED, "refused", None, None, None),
        (operation("capture"), CONFIRMED, UNKNOWN, "unknown", None, None, None),
        (operation("capture"), CONFIRMED, UNREACHABLE, "due", None, None, None),
        (asked("capture"), CONFIRMED, TAKEN, "succeeded", None, "captured", None),
        (asked("capture"), CONFIRMED, RESERVED, "due", None, None, None),
        (asked("capture"), CONFIRMED, VOIDED, "refused", None, None, None),
        (operation("capture"), CANCELLED_RESERVED, None, "dropped", None, None, VOID),
        (asked("capture"), CANCELLED_RESERVED, DONE, "succeeded", None, "captured", REFUND),
        (asked("capture"), CANCELLED_RESERVED, TAKEN, "succeeded", None, "captured", REFUND),
        (asked("capture"), CANCELLED_RESERVED, REFUSED, "refused", None, None, VOID),
        (asked("capture"), CANCELLED_RESERVED, VOIDED, "refused", None, "voided", None),
        # a void
        (operation("void"), FAILED, DONE, "succeeded", None, "voided", None),
        (operation("void"), FAILED, REFUSED, "unknown", None, None, None),
        (operation("void"), FAILED, UNKNOWN, "due", None, None, None),
        (operation("void"), FAILED, UNREACHABLE, "due", None, None, None),
        (asked("void"), FAILED, TAKEN, "refused", None, "captured", REFUND),
        (asked("void"), FAILED, VOIDED, "succeeded", None, "voided", None),
        (asked("void"), FAILED, RESERVED, "due", None, None, None),
        # a refund
        (operation("refund"), PAID, DONE, "succeeded", None, "refunded", None),
        (operation("refund", amount_minor=500), PAID, DONE, "succeeded", None, "partially_refunded", None),
        (operation("refund", amount_minor=500), CANCELLED_PAID, DONE, "succeeded", None, "refunded", None),
        (operation("refund"), PAID, REFUSED, "refused", None, None, None),
        (operation("refund"), PAID, UNKNOWN, "unknown", None, None, None),
        (operation("refund"), PAID, UNREACHABLE, "due", None, None, None),
        (asked("refund"), PAID, None, "stuck", None, None, None),
    ],
)
def test_what_an_answer_means(
    what: Operation,
    order: Owed,
    answer: Answer | None,
    status: str,
    order_status: str | None,
    payment_status: str | None,
    follows: Next | None,
) -> None:
    effect = judged(what, order, answer)

    assert (effect.status, effect.order_status, effect.payment_status) == (status, order_status, payment_status)
    assert effect.follows == follows
    assert effect.releases == (order_status == "failed")
    assert (effect.failure is not None) == (order_status == "failed")
    assert (effect.again_in_ms is not None) == (status in ("due", "unknown", "action"))


def test_a_refund_of_an_order_that_is_over_is_whole_only_with_the_last_of_them() -> None:
    order = replace(CANCELLED_PAID, refunding_minor=1500)

    effect = judged(operation("refund", amount_minor=500), order, DONE)

    assert effect.payment_status == "partially_refunded"


@pytest.mark.parametrize("reason", sorted(DECLINES))
def test_a_declined_shopper_is_told_what_to_do(reason: str) -> None:
    failure = judged(operation(), PROCESSING, Declined(reason)).failure

    assert failure is not None
    assert (failure.code, failure.message) == ("payment_declined", DECLINES[reason])
    assert failure.retryable == CODES["payment_declined"].retryable


def test_a_payment_that_was_not_confirmed_in_time_says_so() -> None:
    failure = judged(LATE, ACTING_ORDER, DONE).failure

    assert failure is not None
    assert failure.code == "payment_action_timeout"


def test_another_amount_than_the_orders_fails_it_and_says_what_was_approved() -> None:
    failure = judged(operation(), PROCESSING, LESS).failure

    assert failure is not None
    assert "19.99 USD" in failure.message


# ---------------------------------------------------------------- patience


def test_a_provider_that_is_out_of_reach_for_ten_minutes_and_five_tries_fails_the_order() -> None:
    early = judged(operation(tries=9), PROCESSING, UNREACHABLE, NOW + 599_999)
    first = judged(operation(tries=4), PROCESSING, UNREACHABLE, NOW + DAY)
    late = judged(operation(tries=5), PROCESSING, UNREACHABLE, NOW + 600_000)

    assert (early.status, first.status) == ("due", "due")
    assert not early.asked
    assert (late.status, late.order_status, late.payment_status) == ("dropped", "failed", "voided")
    assert late.failure is not None
    assert late.failure.code == "payment_unavailable"


@pytest.mark.parametrize("answer", [UNKNOWN, UNREACHABLE, ABSENT])
def test_what_nobody_knows_after_a_day_and_twenty_tries_is_stuck_with_its_stock_held(answer: Answer) -> None:
    early = judged(asked(tries=99), UNKNOWN_ORDER, answer, NOW + DAY - 1)
    few = judged(asked(tries=19), UNKNOWN_ORDER, answer, NOW + DAY)
    late = judged(asked(tries=20), UNKNOWN_ORDER, answer, NOW + DAY)

    assert (early.status, few.status) == ("unknown", "unknown")
    assert (late.status, late.again_in_ms, late.order_status, late.releases) == ("stuck", None, None, False)


def test_a_shopper_s_time_to_act_does_not_wear_out_our_patience() -> None:
    waiting = replace(ACTING, tries=99, action_until=NOW + DAY)

    assert judged(waiting, ACTING_ORDER, UNKNOWN, NOW + DAY).status == "action"
    assert judged(waiting, ACTING_ORDER, UNKNOWN, NOW + 2 * DAY).status == "stuck"


def test_a_cancelled_order_without_a_payment_is_done_once_no_call_of_ours_can_arrive() -> None:
    assert judged(asked(), CANCELLED_UNKNOWN, ABSENT, NOW + DAY - 1).status == "unknown"
    assert judged(asked(), CANCELLED_UNKNOWN, ABSENT, NOW + DAY).payment_status == "voided"


@pytest.mark.parametrize("kind", ["capture", "void", "refund"])
def test_what_could_never_be_asked_is_stuck_after_a_day(kind: str) -> None:
    assert judged(operation(kind, tries=20), PAID, UNREACHABLE, NOW + DAY - 1).status == "due"
    assert judged(operation(kind, tries=20), PAID, UNREACHABLE, NOW + DAY).status == "stuck"


def test_a_capture_whose_key_is_forgotten_and_that_did_not_happen_is_asked_for_anew() -> None:
    effect = judged(asked("capture"), CONFIRMED, RESERVED, NOW + 2 * DAY)

    assert (effect.status, effect.again_in_ms, effect.asked) == ("due", 0, False)


def test_a_provider_that_neither_voids_nor_lets_go_is_not_asked_at_full_speed() -> None:
    refused = asked(provider_id="pay", action_until=NOW, tries=8)

    assert judged(refused, ACTING_ORDER, ACT, NOW).again_in_ms == 60_000
    assert judged(refused, CANCELLED, ACT, NOW).again_in_ms == 60_000
    assert judged(asked("void", tries=99), FAILED, RESERVED, NOW + DAY).status == "stuck"


def test_looks_at_an_action_end_at_its_deadline() -> None:
    effect = judged(replace(ACTING, tries=9), ACTING_ORDER, ACT, NOW + ACTION - 700)

    assert (effect.again_in_ms, effect.action_until) == (700, NOW + ACTION)


def test_the_timeline_tells_of_an_action_once() -> None:
    first = judged(operation(), PROCESSING, ACT)

    assert first.events == (("requires_action", "ok", None),)
    assert first.action_until == NOW + ACTION
    assert judged(ACTING, ACTING_ORDER, ACT).events == ()


# ---------------------------------------------------------------- cancel


@pytest.mark.parametrize(
    ("what", "status"),
    [
        (operation(), "dropped"),
        (operation(leased=True), "due"),
        (asked(), "unknown"),
        (ACTING, "action"),
        (asked(status="stuck"), "unknown"),
        (operation("capture"), "dropped"),
        (asked("capture", "stuck"), "stuck"),
        (operation("refund"), "dropped"),
        (asked("refund", "succeeded"), "succeeded"),
    ],
)
def test_what_a_cancel_makes_of_an_operation(what: Operation, status: str) -> None:
    assert when_cancelled(what) == status


APPROVED = asked(status="succeeded", provider_id="pay")


@pytest.mark.parametrize(
    ("others", "payment_status", "follows"),
    [
        ([], "pending", None),
        ([], "unknown", None),
        ([asked("capture", "dropped")], "authorized", VOID),
        ([asked("capture", "refused")], "authorized", VOID),
        ([asked("capture", "unknown")], "authorized", None),
        ([], "captured", REFUND),
        ([asked("refund", "succeeded", amount_minor=500)], "partially_refunded", Next("refund", 1500)),
        ([asked("refund", "unknown", amount_minor=500)], "captured", Next("refund", 1500)),
        ([asked("refund", "stuck", amount_minor=500)], "captured", Next("refund", 1500)),
        ([asked("refund", "refused", amount_minor=500)], "captured", REFUND),
        ([asked("refund", "due")], "captured", None),
        ([], "refunded", None),
    ],
)
def test_what_a_cancel_asks_the_provider_for(
    others: list[Operation], payment_status: str, follows: Next | None
) -> None:
    assert to_undo([APPROVED, *others], payment_status) == follows
