"""The three statuses of an order: every way they may move, and no other."""

from __future__ import annotations

import pytest

from shop.errors import Conflict
from shop.orders import OPEN, TRANSITIONS, ImpossibleTransition, can_be, move

# As DESIGN.md section 5 has it, written out once more so that a changed table fails here.
WAYS: dict[str, dict[str, list[str]]] = {
    "status": {
        "pending": ["cancelled", "confirmed", "failed", "processing"],
        "processing": ["cancelled", "confirmed", "failed", "requires_action"],
        "requires_action": ["cancelled", "confirmed", "failed", "processing"],
        "confirmed": ["cancelled"],
        "failed": [],
        "cancelled": [],
    },
    "payment_status": {
        "none": ["pending"],
        "pending": ["authorized", "captured", "failed", "unknown", "voided"],
        "unknown": ["authorized", "captured", "failed", "voided"],
        "authorized": ["captured", "voided"],
        "captured": ["partially_refunded", "refunded"],
        "partially_refunded": ["partially_refunded", "refunded"],
        "voided": [],
        "refunded": [],
        "failed": [],
    },
    "fulfillment_status": {
        "unfulfilled": ["partially_shipped", "shipped"],
        "partially_shipped": ["partially_shipped", "shipped"],
        "shipped": ["delivered", "returned"],
        "delivered": ["returned"],
        "returned": [],
    },
}
PAIRS = [(kind, now, to) for kind, table in WAYS.items() for now in table for to in table]
POSSIBLE = [(kind, now, to) for kind, now, to in PAIRS if to in WAYS[kind][now]]
IMPOSSIBLE = [pair for pair in PAIRS if pair not in POSSIBLE]


def test_there_are_three_statuses_with_these_values() -> None:
    assert {kind: set(table) for kind, table in TRANSITIONS.items()} == {
        kind: set(table) for kind, table in WAYS.items()
    }


@pytest.mark.parametrize(("kind", "now", "to"), POSSIBLE)
def test_a_status_moves_along_the_table(kind: str, now: str, to: str) -> None:
    assert move(kind, now, to) == to


@pytest.mark.parametrize(("kind", "now", "to"), IMPOSSIBLE)
def test_a_status_moves_no_other_way_and_says_which_there_are(kind: str, now: str, to: str) -> None:
    with pytest.raises(ImpossibleTransition) as refused:
        move(kind, now, to)

    ways = f"only to {', '.join(WAYS[kind][now])}" if WAYS[kind][now] else "it is final"
    assert str(refused.value) == f"{kind} cannot go from {now} to {to}, {ways}"
    assert isinstance(refused.value, Conflict)


@pytest.mark.parametrize(("kind", "to"), [("status", "paid"), ("payment_status", "confirmed")])
def test_a_status_that_does_not_exist_is_never_reached(kind: str, to: str) -> None:
    for now in WAYS[kind]:
        with pytest.raises(ImpossibleTransition):
            move(kind, now, to)


def test_an_order_is_open_until_it_is_confirmed_failed_or_cancelled() -> None:
    assert {"pending", "processing", "requires_action"} == OPEN
    assert set(WAYS["status"]) - OPEN == {"confirmed", "failed", "cancelled"}


def test_failed_and_cancelled_orders_stay_so() -> None:
    assert [now for now, ways in TRANSITIONS["status"].items() if not ways] == ["failed", "cancelled"]


def test_no_open_order_is_a_dead_end() -> None:
    assert all(set(TRANSITIONS["status"][now]) - OPEN for now in OPEN)


@pytest.mark.parametrize(
    ("status", "fulfillment", "failure_code", "possible"),
    [
        (None, None, None, True),
        ("confirmed", "shipped", None, True),
        ("cancelled", "unfulfilled", "cancelled", True),
        ("failed", None, "out_of_stock", True),
        (None, "unfulfilled", "out_of_stock", True),
        ("failed", "shipped", None, False),
        ("processing", "returned", None, False),
        ("confirmed", None, "out_of_stock", False),
        (None, "delivered", "cancelled", False),
    ],
)
def test_goods_leave_for_confirmed_orders_and_failures_belong_to_failed_ones(
    status: str | None, fulfillment: str | None, failure_code: str | None, possible: bool
) -> None:
    assert can_be(status, fulfillment, failure_code) is possible
