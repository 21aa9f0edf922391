"""Whether an order and what was done with its money agree (P5), judged from the smallest parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shop.orders import OPEN

TAKEN: Final = ("captured", "partially_refunded", "refunded")
OVER: Final = ("none", "voided", "failed", "refunded")
"""What the payment of an order that came to nothing ends as."""


@dataclass(frozen=True, slots=True)
class Paid:
    """An order, and how many operations of each fate it has; amounts in minor units."""

    status: str
    payment_status: str
    total_minor: int
    numbered: bool
    """It was confirmed once."""
    authorizes: int
    approved: int
    approved_minor: int
    taken_at_once: int
    """Of the approved, those that took the money."""
    captures: int
    captured_minor: int
    voided: int
    """Voids that succeeded."""
    found_taken: int
    """Voids that were refused: the money had been taken."""
    refunds: int
    """Those that succeeded."""
    refunded_minor: int
    refunding_minor: int
    """What was given back, is being given back, or may have been."""
    working: int
    """Operations that are due some time."""
    stuck: int
    captures_refused: int
    refunds_refused: int

    @property
    def taken_minor(self) -> int:
        if self.captured_minor:
            return self.captured_minor
        return self.approved_minor if self.taken_at_once or self.found_taken else 0

    @property
    def standing(self) -> bool:
        """Whether it stands for a person, who has a list of these; it breaks no promise."""
        if self.status == "confirmed":
            return bool(self.stuck or (self.captures_refused and self.payment_status == "authorized"))
        open_books = self.payment_status in ("captured", "partially_refunded")
        return bool(self.stuck or (self.refunds_refused and open_books))


def wrong_payment(paid: Paid) -> Iterator[str]:
    """What is wrong between an order and its money; `taken` and `given back` speak of minor units."""
    if paid.authorizes > 1:
        yield f"{paid.authorizes} payments were asked for"
    if paid.status == "confirmed":
        yield from _confirmed(paid)
    elif paid.status in OPEN:
        yield from _open(paid)
    elif not (paid.working or paid.standing):
        yield from _over(paid)
    yield from _given_back(paid)


def _confirmed(paid: Paid) -> Iterator[str]:
    status, taken = paid.payment_status, paid.taken_minor
    if paid.authorizes and (not paid.approved or paid.approved_minor != paid.total_minor):
        yield f"is confirmed, but {paid.approved_minor} of {paid.total_minor} were approved"
    if status in TAKEN:
        if taken != paid.total_minor:
            yield f"is confirmed and {status}, but {taken} of {paid.total_minor} were taken"
    elif taken:
        yield f"is confirmed and {status}, but {taken} were taken"
    elif status == "authorized":
        if not paid.captures:
            yield "is confirmed and authorized, and nobody is to take the money"
    elif (status, bool(paid.authorizes)) != ("pending", False) and (status, paid.total_minor) != ("none", 0):
        yield f"is confirmed, but its payment is {status}"


def _open(paid: Paid) -> Iterator[str]:
    if not (paid.working or paid.stuck):
        yield f"is {paid.status}, and nobody works on its payment"
    if paid.taken_minor:
        yield f"is {paid.status}, but {paid.taken_minor} were taken"


def _over(paid: Paid) -> Iterator[str]:
    """It failed or was cancelled, and nobody works on it: nothing of the shopper's money may be left."""
    status, taken = paid.payment_status, paid.taken_minor
    if status not in OVER:
        yield f"is {paid.status} and {status}, and nobody works on that"
    elif status != "refunded" and taken:
        yield f"is {paid.status} and {status}, but {taken} were taken"
    # A reservation also goes by itself: then it was a capture that found that out.
    elif status != "refunded" and paid.approved and not (paid.voided or (paid.captures and status == "voided")):
        yield f"is {paid.status} and {status}, but {paid.approved_minor} are still reserved"


def _given_back(paid: Paid) -> Iterator[str]:
    taken, given, status = paid.taken_minor, paid.refunded_minor, paid.payment_status
    if status in TAKEN and not taken and paid.status != "confirmed":
        yield f"is {paid.status} and {status}, but nothing was taken"
        return
    # Another amount than was asked for confirms no order, and is known by the refund that gives it back.
    exact = paid.numbered or paid.refunds > 1
    if exact and paid.refunding_minor > taken:
        yield f"of {taken} taken {paid.refunding_minor} are given back"
        return
    right = {
        "partially_refunded": given > 0 and (given < taken or not exact),
        "refunded": given == taken if exact else given > 0,
    }
    if not right.get(status, given == 0):
        yield f"is {status}, but of {taken} taken {given} were given back"
