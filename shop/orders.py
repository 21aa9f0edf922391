"""An order's three statuses and the only ways they may move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shop.errors import Conflict

_STATUS = {
    "pending": {"processing", "confirmed", "failed", "cancelled"},
    "processing": {"requires_action", "confirmed", "failed", "cancelled"},
    "requires_action": {"processing", "confirmed", "failed", "cancelled"},
    "confirmed": {"cancelled"},
    "failed": set(),
    "cancelled": set(),
}
_PAYMENT = {
    "none": {"pending"},
    "pending": {"authorized", "captured", "voided", "failed", "unknown"},
    "unknown": {"authorized", "captured", "voided", "failed"},
    "authorized": {"captured", "voided"},
    "captured": {"partially_refunded", "refunded"},
    "partially_refunded": {"partially_refunded", "refunded"},
    "voided": set(),
    "refunded": set(),
    "failed": set(),
}
_FULFILLMENT = {
    "unfulfilled": {"partially_shipped", "shipped"},
    "partially_shipped": {"partially_shipped", "shipped"},
    "shipped": {"delivered", "returned"},
    "delivered": {"returned"},
    "returned": set(),
}
TRANSITIONS: Mapping[str, Mapping[str, set[str]]] = {
    "status": _STATUS,
    "payment_status": _PAYMENT,
    "fulfillment_status": _FULFILLMENT,
}
"""For each stored status of an order: from each value, the values it may move to."""

OPEN = frozenset({"pending", "processing", "requires_action"})
"""An order in one of these is still being worked on; any other status is terminal."""


class ImpossibleTransition(Conflict):
    """A status was asked to move where the table has no way; the message names the ways there are."""

    code = "transition_not_allowed"


def move(kind: str, now: str, to: str) -> str:
    """`to`, when the table lets a status of this kind move there from `now`.

    Raises ImpossibleTransition otherwise, naming what is possible.
    """
    possible = TRANSITIONS[kind][now]
    if to not in possible:
        ways = sorted(possible)
        only = f"only to {', '.join(ways)}" if ways else "it is final"
        raise ImpossibleTransition(f"{kind} cannot go from {now} to {to}, {only}", possible=ways)
    return to


def can_be(status: str | None, fulfillment: str | None, failure_code: str | None) -> bool:
    """Whether an order can have all of these at once; None stands for any.

    Only a confirmed order's goods leave the shop, and only a failed or cancelled order says why it is one.
    """
    left = fulfillment not in (None, "unfulfilled")
    if failure_code is not None:
        return not left and status in (None, "failed", "cancelled")
    return not left or status in (None, "confirmed")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a checkout came to nothing: a code of the closed list and all the lines concerned."""

    code: str
    message: str
    retryable: bool
    stage: str
    items: tuple[Mapping[str, str | int | None], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of an order's timeline."""

    stage: str
    at: int
    outcome: str = "ok"
    attempt: int = 1
    detail: str | None = None
