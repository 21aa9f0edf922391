"""What may become of a payment at the sandbox: values in, values out."""

from __future__ import annotations

import secrets
from dataclasses import replace

from payments.sandbox_store import Payment
from payments.sandbox_tokens import Script
from shop.payments import ActionRequired, Approved, Declined, Done, PaymentRequest, Refused, State, Voided

Change = tuple[Payment, Done | Refused]
"""A payment after an operation, and what its caller is told."""


def opened(request: PaymentRequest, token: str, course: Script, now: int, answered_at: int) -> Payment:
    """The payment that a request makes."""
    payment = Payment(
        provider_id=f"pay_{secrets.token_hex(12)}",
        order_id=request.order_id,
        token=token,
        amount_minor=request.amount_minor,
        currency=request.currency,
        capture=request.capture,
        return_url=request.return_url,
        status="action_required",
        decline=None,
        authorized_minor=0,
        captured_minor=0,
        refunded_minor=0,
        created_at=now,
        answered_at=answered_at,
    )
    if course.decline:
        return replace(payment, status="declined", decline=course.decline)
    if request.amount_minor < 1 or (request.capture and course.refuses == "capture"):
        return replace(payment, status="declined", decline="processing_error")
    return payment if course.needs_action else approved(payment, course.extra_minor)


def approved(payment: Payment, extra_minor: int = 0) -> Payment:
    amount_minor = payment.amount_minor + extra_minor
    if payment.capture:
        return replace(payment, status="captured", authorized_minor=amount_minor, captured_minor=amount_minor)
    return replace(payment, status="authorized", authorized_minor=amount_minor)


def acted(payment: Payment, approve: bool) -> Payment:
    """After the shopper's answer; the same payment once it is decided."""
    if payment.status != "action_required":
        return payment
    return approved(payment) if approve else replace(payment, status="declined", decline="authentication_failed")


def acted_unseen(payment: Payment, course: Script, now: int) -> Payment:
    """After the answer of a shopper who needs no page, if it is time for it."""
    if course.acts is None or now < payment.created_at + course.acts_after_ms:
        return payment
    return acted(payment, course.acts)


def captured(payment: Payment, amount_minor: int, currency: str) -> Change:
    """Taken: in whole, or in part, which gives the rest up. Taken already in the same amount: done as well."""
    if payment.status == "captured" and (amount_minor, currency) == (payment.captured_minor, payment.currency):
        return payment, Done(payment.provider_id)
    if payment.status != "authorized":
        return payment, Refused(f"The payment is {payment.status}.")
    if currency != payment.currency or not 1 <= amount_minor <= payment.authorized_minor:
        return payment, Refused(f"{payment.authorized_minor} {payment.currency} is reserved.")
    return replace(payment, status="captured", captured_minor=amount_minor), Done(payment.provider_id)


def voided(payment: Payment) -> Change:
    """Given up. Where nothing is reserved there is nothing to do, which is done."""
    if payment.status == "captured":
        return payment, Refused("The money was taken already.")
    if payment.status in ("authorized", "action_required"):
        payment = replace(payment, status="voided")
    return payment, Done(payment.provider_id)


def refunded(payment: Payment, amount_minor: int, currency: str) -> Change:
    rest = payment.captured_minor - payment.refunded_minor
    if currency != payment.currency or not 1 <= amount_minor <= rest:
        return payment, Refused(f"{rest} {payment.currency} can be given back.")
    refund_id = f"re_{secrets.token_hex(12)}"
    return replace(payment, refunded_minor=payment.refunded_minor + amount_minor), Done(refund_id)


def state(payment: Payment, pay_url: str) -> State:
    """What the payment is, in the words of the port; `pay_url` is where the shopper can act."""
    if payment.status == "declined":
        return Declined(payment.decline or "processing_error", payment.provider_id)
    if payment.status == "action_required":
        return ActionRequired(payment.provider_id, pay_url)
    if payment.status == "voided":
        return Voided(payment.provider_id)
    taken = payment.status == "captured"
    amount_minor = payment.captured_minor if taken else payment.authorized_minor
    return Approved(payment.provider_id, amount_minor, payment.currency, taken)
