"""What of a payment may be given back, and which goods come back with it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from shop.errors import AlreadyRestocked, Fault, RefundExceedsPayment, ValidationFailed
from shop.fulfilment import Line, Portion
from shop.money import exponent, format_amount
from shop.orders import TRANSITIONS, ImpossibleTransition
from shop.paying import Operation

GIVES_NOTHING: Final = ("refused", "dropped")
"""A refund in one of these states gave nothing back and will not."""


def may_refund(payment_status: str) -> None:
    """Raise ImpossibleTransition unless money was taken and not all of it given back."""
    if payment_status in ("captured", "partially_refunded"):
        return
    ways = sorted(TRANSITIONS["payment_status"][payment_status])
    can = f"it can go to {', '.join(ways)}" if ways else "that is final"
    message = f"Only money that was captured can be given back; payment_status is {payment_status}, {can}."
    raise ImpossibleTransition(message, possible=ways)


def taken_minor(operations: Sequence[Operation]) -> int:
    """What was taken for an order of which something was taken: what was captured, or approved and taken at once."""
    captured = [each.amount_minor for each in operations if each.kind == "capture" and each.status == "succeeded"]
    return sum(captured) or next((each.amount_minor for each in operations if each.kind == "authorize"), 0)


def left_minor(operations: Sequence[Operation]) -> int:
    """What of it is not given back, and not being given back: nobody knows of an unknown refund what it did."""
    refunds = [each for each in operations if each.kind == "refund" and each.status not in GIVES_NOTHING]
    return max(0, taken_minor(operations) - sum(each.amount_minor for each in refunds))


def to_refund(wanted_minor: int | None, left_minor: int, currency: str) -> int:
    """How much to give back: what is wanted, or all that is left.

    Raises ValidationFailed for nothing, RefundExceedsPayment for more than is left.
    """
    if wanted_minor == 0:
        message = "must be more than 0"
        raise ValidationFailed(f"field /amount: {message}", [Fault("validation_failed", message, "/amount")])
    amount_minor = left_minor if wanted_minor is None else wanted_minor
    if amount_minor > left_minor or not left_minor:
        left = format_amount(left_minor, exponent(currency))
        message = f"{left} {currency} are left to give back" if left_minor else "Nothing is left to give back"
        fault = Fault(RefundExceedsPayment.code, message, "/amount")
        raise RefundExceedsPayment(f"{message}; refunds that are under way count.", [fault], left=left)
    return amount_minor


def after_refund(refunded_minor: int, taken_minor: int) -> str:
    """The payment status once so much of it was given back."""
    return "refunded" if refunded_minor >= taken_minor else "partially_refunded"


def to_restock(lines: Sequence[Line], wanted: Sequence[Portion] | None, back: Collection[str]) -> dict[str, int]:
    """Units of each product that come back: of the lines that are wanted, or (None) of all.

    `back` are the products of which something came back before. Raises ValidationFailed for lines that are not
    there, are named twice or have fewer units, AlreadyRestocked for products that came back before.
    """
    if wanted is None:
        wanted = [Portion(line.position, line.quantity) for line in lines]
    by_position = {line.position: line for line in lines}
    if faults := [fault for i in range(len(wanted)) if (fault := _impossible(i, wanted, by_position))]:
        raise ValidationFailed(faults[0].message, faults)
    units = {by_position[portion.position].product_id: portion.quantity for portion in wanted}
    if again := sorted(units.keys() & set(back)):
        message = "Units of {} came back for this order already; book further ones as a stock movement."
        raise AlreadyRestocked(
            message.format(", ".join(again[:5])),
            [Fault(AlreadyRestocked.code, message.format(product), product_id=product) for product in again],
        )
    return units


def _impossible(i: int, wanted: Sequence[Portion], lines: dict[int, Line]) -> Fault | None:
    position, pointer = wanted[i].position, f"/restock/{i}"
    if position not in lines:
        return Fault("validation_failed", f"the order has no line {position}", f"{pointer}/position")
    if any(earlier.position == position for earlier in wanted[:i]):
        return Fault("validation_failed", f"line {position} is named twice", f"{pointer}/position")
    line = lines[position]
    if wanted[i].quantity > line.quantity:
        return Fault(
            "validation_failed",
            f"line {position} has {line.quantity} units",
            f"{pointer}/quantity",
            product_id=line.product_id,
            requested=wanted[i].quantity,
            available=line.quantity,
        )
    return None
