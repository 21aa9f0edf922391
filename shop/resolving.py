"""What stands for a person: why it does, what to do about it, and what their word makes of it."""

from __future__ import annotations

from typing import Final

from shop.errors import Fault, ValidationFailed
from shop.money import exponent, format_amount
from shop.orders import OPEN, ImpossibleTransition
from shop.paying import WAITING, Answer, Operation
from shop.payments import Approved, Declined, Done, Refused, Voided

LONGEST_AUTHORIZED_MS: Final = 24 * 3600_000
"""A confirmed order's money is taken within seconds; banks forget what they reserved after a few days."""


def why(operation: Operation) -> str:
    """Why an operation stands for a person, as one of `stuck`, `<kind>_refused` and `not_captured`."""
    if operation.status == "stuck":
        return "stuck"
    if operation.status == "refused":
        return f"{operation.kind}_refused"
    return "not_captured"


def advice(key: str, operation: Operation, order_id: str, provider: str) -> str:
    """What a person can do about it."""
    payment = f"payment {operation.provider_id}" if operation.provider_id else "a payment"
    look = f"Ask {provider}'s dashboard for {payment} with our reference {order_id}"
    resolve, refund = f"flask payments resolve {key}", f"POST /api/admin/orders/{order_id}/refunds"
    its_id = operation.provider_id or "ITS_ID"
    match (operation.status, operation.kind):
        case ("stuck", "authorize"):
            return f"{look}. Then {resolve} --charged {its_id}, or --not-charged if nothing came of it."
        case ("stuck", "capture"):
            return f"{look}. Was its money taken? Then {resolve} --charged {its_id}, else --not-charged."
        case ("stuck", "void"):
            return f"{look}. Is it given up? Then {resolve} --not-charged; was money taken, --charged {its_id}."
        case ("stuck", _):
            return (
                f"{look}. Was {_amount(operation)} given back? Then {resolve} --refunded ITS_ID, else --not-refunded."
            )
        case ("refused", "capture"):
            return (
                f"{look} and why its money cannot be taken. Then flask payments retry {key}; "
                f"{resolve} --charged {its_id} if it was taken; or cancel the order."
            )
        case ("refused", "refund"):
            return (
                f"Give {_amount(operation)} back at {provider} or by hand, then {resolve} --refunded REFERENCE; "
                f"or refund it once more: {refund}."
            )
        case ("refused", _):
            return f"It was taken and cannot be given up; give it back: {refund}."
        case _:
            return f"{look}: it is reserved and was not taken. See that a worker runs, then flask payments retry {key}."


def may_retry(operation: Operation, now: int, key_ms: int, left_minor: int) -> None:
    """Raise ImpossibleTransition unless an operation can be asked once more without doing it twice.

    `left_minor` is what of the order may still be given back besides; `key_ms` how long a repeated key is known.
    """
    if operation.status in WAITING:
        return
    refused_void = operation.kind == "void" and operation.status == "refused"  # The money was taken meanwhile.
    if operation.status not in ("stuck", "refused") or refused_void:
        raise _impossible(f"Nothing is to be retried: this {operation.kind} is {operation.status}.")
    if operation.kind != "refund":
        return
    if operation.asked_at is not None and now - operation.asked_at >= key_ms:
        raise _impossible("The provider has forgotten this refund's key and would refund a second time: resolve it.")
    if operation.status == "refused" and operation.amount_minor > left_minor:
        raise _impossible("Its money was given back, or is being given back, by another refund.")


def when_retried(operation: Operation) -> str:
    """The status of an operation that is to be asked once more: what may have happened stays unknown."""
    return "unknown" if operation.status == "stuck" and operation.kind != "void" else "due"


def seen(
    operation: Operation, order_status: str, happened: bool, provider_id: str | None, captures: bool, left_minor: int
) -> Answer:
    """What a person saw at the provider, as the provider would have said it.

    `happened`: money was charged, of a refund: given back. Raises ImpossibleTransition where nobody needs to ask,
    ValidationFailed for another payment than the one that is known.
    """
    if operation.status != "stuck" and not (operation.status == "refused" and operation.kind in ("capture", "refund")):
        raise _impossible(f"Nothing is to be resolved: this {operation.kind} is {operation.status}.")
    if operation.status == "refused" and not happened:
        raise _impossible(f"This {operation.kind} was refused already: nothing came of it.")
    if operation.kind == "capture" and operation.status == "refused" and order_status != "confirmed":
        raise _impossible("The order is over: its void or refund settles what was taken.")
    known = operation.provider_id if operation.kind != "refund" else None
    if known and provider_id and known != provider_id:
        message = f"this payment is called {known} there"
        raise ValidationFailed(f"field /provider_id: {message}", [Fault("validation_failed", message, "/provider_id")])
    told = provider_id or known or ""
    match operation.kind:
        case "authorize":
            return _authorized(operation, order_status, happened, told, captures)
        case "capture":
            return Done(told) if happened else Refused("It was not taken.")
        case "void":
            taken = Approved(told, operation.amount_minor, operation.currency, captured=True)
            return taken if happened else Voided(told)
        case _:
            if operation.status == "refused" and operation.amount_minor > left_minor:
                raise _impossible("Its money was given back, or is being given back, by another refund.")
            return Done(told) if happened else Refused("It was not given back.")


def _authorized(operation: Operation, order_status: str, happened: bool, provider_id: str, captures: bool) -> Answer:
    if happened:
        return Approved(provider_id, operation.amount_minor, operation.currency, captured=captures)
    return Declined("processing_error") if order_status in OPEN else Voided(provider_id)


def _amount(operation: Operation) -> str:
    return f"{format_amount(operation.amount_minor, exponent(operation.currency))} {operation.currency}"


def _impossible(message: str) -> ImpossibleTransition:
    return ImpossibleTransition(message)
