"""What may become of a confirmed order: what may be shipped, what status follows, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shop.errors import Conflict, Fault, ValidationFailed
from shop.orders import TRANSITIONS, Failure, ImpossibleTransition, move

MOST_NAMED = 5
"""Lines that a shipment's description names; of the others it says how many there are."""


class MoreThanLeft(Conflict):
    """More of a line than is left of it to ship, or nothing at all; `faults` name every such line."""

    code = "shipment_exceeds_order"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an order, how much of it was shipped, and how much never will be: it was given back before."""

    position: int
    product_id: str
    name: str
    quantity: int
    shipped: int
    withdrawn: int = 0

    @property
    def left(self) -> int:
        return self.quantity - self.shipped - self.withdrawn


@dataclass(frozen=True, slots=True)
class Portion:
    """Units of an order's line, as they go into a shipment."""

    position: int
    quantity: int


# ---------------------------------------------------------------- shipping


def may_ship(status: str, fulfillment: str) -> None:
    """Raise ImpossibleTransition unless there can be something left to ship."""
    _needs_confirmed(status, "shipped")
    move("fulfillment_status", fulfillment, "shipped")


def to_ship(lines: Sequence[Line], wanted: Sequence[Portion] | None) -> list[Portion]:
    """What goes into the next shipment: what is wanted, or all that is left.

    Raises ValidationFailed for lines that are not there or are named twice, MoreThanLeft for too many units, or
    when nothing is left.
    """
    if not any(line.left for line in lines):
        raise MoreThanLeft("Nothing is left to ship: what was not sent was given back with a refund.")
    if wanted is None:
        return [Portion(line.position, line.left) for line in lines if line.left]
    by_position = {line.position: line for line in lines}
    unknown = [_unknown(i, wanted, by_position) for i in range(len(wanted))]
    if faults := [fault for fault in unknown if fault]:
        raise ValidationFailed(faults[0].message, faults)
    exceeded = [
        _exceeded(i, portion, by_position[portion.position])
        for i, portion in enumerate(wanted)
        if portion.quantity > by_position[portion.position].left
    ]
    if exceeded:
        several = f"Of {len(exceeded)} lines more units are to be shipped than are left."
        raise MoreThanLeft(exceeded[0].message if len(exceeded) == 1 else several, exceeded)
    return sorted(wanted, key=lambda portion: portion.position)


def _unknown(i: int, wanted: Sequence[Portion], lines: Mapping[int, Line]) -> Fault | None:
    position, pointer = wanted[i].position, f"/items/{i}/position"
    if position not in lines:
        return Fault("validation_failed", f"the order has no line {position}", pointer)
    if any(earlier.position == position for earlier in wanted[:i]):
        return Fault("validation_failed", f"line {position} is named twice", pointer)
    return None


def _exceeded(i: int, portion: Portion, line: Line) -> Fault:
    return Fault(
        MoreThanLeft.code,
        f"{portion.quantity} of {line.name} are to be shipped, {line.left} are left of {line.quantity}",
        f"/items/{i}/quantity",
        product_id=line.product_id,
        requested=portion.quantity,
        available=line.left,
    )


def after_shipment(fulfillment: str, lines: Sequence[Line], parcel: Sequence[Portion]) -> str:
    """The fulfilment status once this shipment is on its way."""
    return move("fulfillment_status", fulfillment, "partially_shipped" if _left_after(lines, parcel) else "shipped")


def _left_after(lines: Sequence[Line], gone: Sequence[Portion]) -> int:
    return sum(line.left for line in lines) - sum(portion.quantity for portion in gone)


def fulfillable(status: str, fulfillment: str, line: Line) -> int:
    """How much of an order's line is still to be shipped."""
    return line.left if status == "confirmed" and "shipped" in TRANSITIONS["fulfillment_status"][fulfillment] else 0


def withdrawn(lines: Sequence[Line], units: Mapping[str, int]) -> list[Portion]:
    """What is not shipped any more when units of products are given back: those that were not sent come first."""
    given = [Portion(line.position, min(units.get(line.product_id, 0), line.left)) for line in lines]
    return [portion for portion in given if portion.quantity]


def after_withdrawal(
    fulfillment: str, lines: Sequence[Line], given: Sequence[Portion], undelivered: Sequence[int]
) -> list[str]:
    """The fulfilment statuses that an order comes to once these are not shipped any more: none while some are left.

    `undelivered` are the numbers of the shipments that are on their way.
    """
    if fulfillment != "partially_shipped" or _left_after(lines, given):
        return []
    shipped = move("fulfillment_status", fulfillment, "shipped")
    return [shipped] if undelivered else [shipped, move("fulfillment_status", shipped, "delivered")]


def shipment_text(
    number: int, lines: Sequence[Line], parcel: Sequence[Portion], carrier: str | None, tracking_number: str | None
) -> str:
    """A shipment for the timeline: its number, what is in it, and how it travels."""
    names = {line.position: line.name for line in lines}
    named = [f"{portion.quantity} × {names[portion.position]}" for portion in parcel[:MOST_NAMED]]
    if len(parcel) > MOST_NAMED:
        named.append(f"{len(parcel) - MOST_NAMED} more")
    way = ", ".join(part for part in (carrier, tracking_number) if part)
    return f"Shipment {number}: {', '.join(named)}{f' ({way})' if way else ''}"


# ---------------------------------------------------------------- delivery and return


def to_deliver(
    status: str, fulfillment: str, undelivered: Sequence[int], shipments: int, wanted: int | None
) -> list[int]:
    """The numbers of the shipments that arrive now: the one that is wanted, or all that are on their way.

    Raises ValidationFailed for a number that is not there, ImpossibleTransition when nothing is on its way.
    """
    _needs_confirmed(status, "delivered")
    if wanted is not None and not 1 <= wanted <= shipments:
        message = f"the order has no shipment {wanted}"
        raise ValidationFailed(message, [Fault("validation_failed", message, "/shipment")])
    arriving = [number for number in undelivered if wanted in (None, number)]
    if fulfillment == "returned":
        raise _refused("The order came back", "fulfillment_status", fulfillment)
    if not arriving:
        everything = "Everything shipped was delivered already" if shipments else "Nothing was shipped yet"
        what = everything if wanted is None else f"Shipment {wanted} was delivered already"
        raise _refused(what, "fulfillment_status", fulfillment)
    return arriving


def after_delivery(fulfillment: str, undelivered: Sequence[int], arriving: Sequence[int]) -> str:
    """The fulfilment status once these shipments have arrived: delivered when everything was shipped and is there."""
    if fulfillment == "shipped" and set(undelivered) <= set(arriving):
        return move("fulfillment_status", fulfillment, "delivered")
    return fulfillment


def delivery_text(arriving: Sequence[int]) -> str:
    return f"Shipment{'s' if len(arriving) > 1 else ''} {', '.join(map(str, arriving))}"


def after_return(status: str, fulfillment: str) -> str:
    """The fulfilment status of an order that came back as a whole. Raises ImpossibleTransition."""
    _needs_confirmed(status, "returned")
    return move("fulfillment_status", fulfillment, "returned")


# ---------------------------------------------------------------- cancelling


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What becomes of an order that is cancelled, and why it was."""

    status: str
    failure: Failure


def cancel(status: str, fulfillment: str, reason: str | None) -> Cancelled:
    """What a cancelled order becomes. Raises ImpossibleTransition once any of it was shipped."""
    cancelled = move("status", status, "cancelled")
    if fulfillment != "unfulfilled":
        advice = {"partially_shipped": ": ship the rest", "shipped": ": take it back when it returns"}
        raise _refused(f"Goods have left already{advice.get(fulfillment, '')}", "fulfillment_status", fulfillment)
    failure = Failure("cancelled", reason or "The order was cancelled.", retryable=False, stage="fulfilling")
    return Cancelled(cancelled, failure)


def payment_when_cancelled(payment: str) -> str:
    """What becomes of money that no provider was asked for: what was owed is owed no more.

    Raises ImpossibleTransition for money that was taken: the merchant gives it back by hand first.
    """
    return payment if payment in ("none", "voided", "failed", "refunded") else move("payment_status", payment, "voided")


# ---------------------------------------------------------------- refusals


def _needs_confirmed(status: str, to: str) -> None:
    if status != "confirmed":
        raise _refused(f"Only a confirmed order can be {to}; this one is {status}", "status", status)


def _refused(what: str, kind: str, now: str) -> ImpossibleTransition:
    ways = sorted(TRANSITIONS[kind][now])
    possible = f"from {now} {kind} can go to {', '.join(ways)}" if ways else f"{now} is final"
    return ImpossibleTransition(f"{what}; {possible}.", possible=ways)
