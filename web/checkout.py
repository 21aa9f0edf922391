"""Accepting a checkout: price the cart, refuse what is plainly wrong, then one script makes it durable."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from uuid_utils import uuid7

from carts.connection import RETRY_AFTER_SECONDS
from carts.inbox import Accepted, Answer, Busy, Changed, Empty, Full, Mismatch, Replayed, used_for
from carts.store import SeenCart
from db import orders
from shop.cards import SHORTEST, SHORTEST_IN_PHONES, holds_card_number
from shop.cart import unsellable
from shop.catalogue import Product
from shop.checkout import Address, Checkout
from shop.errors import (
    AlreadyCheckedOut,
    CardNumberRefused,
    CartChanged,
    CartEmpty,
    Conflict,
    Fault,
    IdempotencyKeyReused,
    InvalidIdempotencyKey,
    Overloaded,
    PaymentMethodUnsupported,
    PriceChanged,
    ShippingUnavailable,
    Unavailable,
    ValidationFailed,
    refuse_lines,
)
from shop.money import exponent, format_amount, parse_amount
from shop.pricing import Quote, basis, facts, price
from shop.rules import Destination, PaymentMethod, Rules, ShippingMethod
from shop.shipping import methods_for
from tasks.failpoints import failpoint
from web.follow import CROWDED_RETRY_AFTER_SECONDS, OPEN_RETRY_AFTER_SECONDS, follow, outcome, read_order
from web.schemas import AddressIn, CheckoutIn, SameAsShipping
from web.services import Services
from web.traces import traceparent
from web.views import Document, pending_order

MOST_PRICINGS = 5
OVERLOADED_RETRY_AFTER_SECONDS = 30, 60
"""At least and at most: spread at random, so that those who were refused together do not come back together."""
_KEY = re.compile(r'"([\x20-\x7e]{1,255})"|([\x21\x23-\x7e][\x20-\x7e]{0,254})')


@dataclass(frozen=True, slots=True)
class Outcome:
    """The order a checkout was accepted as, now or by an earlier request with the same key."""

    order_id: str
    replayed: bool
    checkout: Checkout | None = None
    """What was accepted just now; None for a replay."""


def as_accepted(services: Services, accepted: Outcome, session_id: str) -> Document:
    """The body of a 202: the order as it was accepted, the same for every replay."""
    checkout = accepted.checkout
    if checkout is None:
        snapshot = services.inbox.find(accepted.order_id, session_id)
        if snapshot is None:  # Older than a week: its row is all there is.
            return read_order(services, accepted.order_id, session_id)
        checkout = snapshot.checkout
    return pending_order(checkout, exponent(checkout.quote.currency))


def idempotency_key(header: str | None) -> str | None:
    """The key of an Idempotency-Key header: a structured-field string, or the bare text most clients send.

    Raises InvalidIdempotencyKey.
    """
    if header is None:
        return None
    match = _KEY.fullmatch(header.strip())
    if not match:
        raise InvalidIdempotencyKey("Idempotency-Key: use 1 to 255 printable ASCII characters, bare or quoted.")
    return match[1] or match[2]


def fingerprint(body: CheckoutIn) -> str:
    """Equal for bodies that mean the same: how the JSON was spelled does not count."""
    given = body.model_dump(exclude_unset=True)  # A field that is new and left out must not change it.
    return hashlib.sha256(msgspec.json.encode(given, order="sorted")).hexdigest()


def new_order_id() -> str:
    return str(uuid7())


def accept_and_wait(
    services: Services, session_id: str, body: CheckoutIn, key: str | None, seconds: int
) -> tuple[Outcome, Document | None, int]:
    """`accept`, then the order if it is terminal in time, and the seconds after which to ask again if not.

    The wait begins before the checkout is accepted, so that no look is needed to know that nothing has happened yet.
    A store that goes away while we wait is no error: the checkout is accepted, and its outcome can be read later.
    """
    order_id = new_order_id()
    with services.outcomes.waiter(order_id) as changed:
        accepted = accept(services, session_id, body, key, order_id)
        try:
            if accepted.replayed:
                order, retry_after = follow(services, accepted.order_id, session_id, seconds)
                return accepted, order if order["terminal"] else None, retry_after
            if changed is None:
                return accepted, None, CROWDED_RETRY_AFTER_SECONDS
            return accepted, outcome(services, changed, order_id, session_id, seconds), OPEN_RETRY_AFTER_SECONDS
        except Unavailable:
            return accepted, None, RETRY_AFTER_SECONDS


def accept(services: Services, session_id: str, body: CheckoutIn, key: str | None, order_id: str) -> Outcome:
    """Accept the session's cart as the checkout of this id, durably and once; ring the worker.

    Raises the Conflict, Invalid or Unavailable that stands against it; nothing is changed then.
    """
    refuse_card_numbers(body)
    print_ = fingerprint(body)
    for _ in range(MOST_PRICINGS):
        # Cart and key in one look: between two, a twin of this request could claim the one and use the other.
        cart = services.carts.get(session_id, key)
        if seen := used_for(cart.used, print_):
            return _seen(seen)
        if not cart.lines:
            return _answer_empty(services, session_id, key, print_)
        checkout = _priced_unless_changed(services, session_id, cart, body, key, print_, order_id)
        match _accepted(services, checkout) if checkout else Changed():
            case Accepted(_, at, ring, shard):
                if ring:
                    failpoint("accept.ringing")
                    services.bell.ring(shard)
                    failpoint("accept.rung")
                return Outcome(order_id, replayed=False, checkout=checkout and replace(checkout, accepted_at=at))
            case Replayed() | Mismatch() as seen:
                return _seen(seen)
            case Empty():
                return _answer_empty(services, session_id, key, print_)
            case Busy() | Full() as too_much:
                raise _overloaded(too_much)
            case Changed():
                continue
    raise CartChanged("The cart was changed each time it had been priced.")


def _accepted(services: Services, checkout: Checkout) -> Answer:
    failpoint("accept.accepting")
    answer = services.inbox.accept(checkout, traceparent())
    failpoint("accept.accepted")
    return answer


def refuse_card_numbers(body: CheckoutIn) -> None:
    """Raise CardNumberRefused when any text of a checkout looks like a card number. It is not repeated anywhere."""
    if faults := list(_card_numbers(body.model_dump(), "")):
        raise CardNumberRefused("This looks like a card number. Send the token of your payment provider.", faults)


def _card_numbers(value: Any, pointer: str) -> Iterator[Fault]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _card_numbers(member, f"{pointer}/{name}")
    elif isinstance(value, str):
        shortest = SHORTEST_IN_PHONES if pointer.endswith("/phone") else SHORTEST
        if holds_card_number(value, shortest):
            yield Fault("card_number_refused", "this looks like a card number", pointer)


def _overloaded(why: Busy | Full) -> Overloaded:
    least, most = OVERLOADED_RETRY_AFTER_SECONDS
    if isinstance(why, Busy):
        waits = f"Orders placed before are still waiting, the oldest for {why.oldest_age_seconds} seconds."
    else:
        waits = "There is no room for new orders."
    message = f"{waits} Your cart is kept as it is; try again in a minute."
    return Overloaded(message, least + secrets.randbelow(most - least + 1))


def _seen(seen: Replayed | Mismatch) -> Outcome:
    if isinstance(seen, Mismatch):
        message = "This Idempotency-Key was used for a checkout with another body."
        raise IdempotencyKeyReused(message, order_id=seen.order_id)
    return Outcome(seen.order_id, replayed=True)


def _answer_empty(services: Services, session_id: str, key: str | None, print_: str) -> Outcome:
    """There is no cart. An old key may say why (in SQL, for ever), and so may the last checkout."""
    if key:
        try:
            with services.database.reading() as session:
                row = orders.by_key(session, session_id, key)
        except Unavailable:
            row = None
        if row is not None:
            same = row.fingerprint == print_
            return _seen(Replayed(row.id) if same else Mismatch(row.id))
    if last := services.inbox.last_checked_out(session_id):
        raise AlreadyCheckedOut(f"This cart was checked out a moment ago, as order {last}.", order_id=last)
    raise CartEmpty("There is nothing in the cart.")


def _priced_unless_changed(
    services: Services, session_id: str, cart: SeenCart, body: CheckoutIn, key: str | None, print_: str, order_id: str
) -> Checkout | None:
    """`_priced`; None when something stands against it and the cart has changed meanwhile.

    Then a twin of this request may have taken the cart and the stock: look again before saying no.
    """
    try:
        return _priced(services, session_id, cart, body, key, print_, order_id)
    except Conflict:
        if services.carts.get(session_id).version == cart.version:
            raise
        return None


def _priced(
    services: Services, session_id: str, cart: SeenCart, body: CheckoutIn, key: str | None, print_: str, order_id: str
) -> Checkout:
    """The cart as a checkout that can be accepted. Raises what stands against it."""
    rules = services.rules
    payment = rules.payment_method(body.payment_method)
    if payment is None:
        ids = [method.id for method in rules.payment.methods]
        raise PaymentMethodUnsupported(
            *_choose("/payment_method", "payment_method_unsupported", body.payment_method, ids)
        )
    _check_token(payment, body.payment_token)
    shipping = address(body.shipping_info)
    method = chosen_method(rules, body.shipping_method, shipping)
    if isinstance(body.billing_info, SameAsShipping):
        billing = shipping
    else:
        billing = address(body.billing_info)
    if billing is None:
        raise _missing("/billing_info", "a billing address is needed when there is no shipping address")
    items = sellable(services, cart)
    quote = price(items, method, destination(rules, shipping), rules)
    _check_expected(body.expected_total, quote, rules)
    return Checkout(
        order_id=order_id,
        session_id=session_id,
        cart_id=cart.id or "",
        cart_version=cart.version,
        email=body.email,
        shipping_info=shipping,
        billing_info=billing,
        shipping_method=method.id,
        payment_method=body.payment_method,
        quote=quote,
        payment_token=body.payment_token,
        idempotency_key=key,
        fingerprint=print_,
        basis=basis((facts(product) for product, _ in items), services.rules_fingerprint),
    )


def _check_token(method: PaymentMethod, token: str | None) -> None:
    if method.provider and token is None:
        raise _missing("/payment_token", f"{method.name} needs the token of your payment provider")
    if token is not None and not method.provider:
        raise _missing("/payment_token", f"{method.name} takes no token")


def sellable(services: Services, cart: SeenCart) -> list[tuple[Product, int]]:
    """The cart's products and quantities. Raises the Conflict of every line that cannot be sold now."""
    products = services.catalogue.of(cart)
    if faults := unsellable(cart.lines, products, services.rules.cart.max_quantity):
        raise refuse_lines(faults)
    return [(products[line.product_id], line.quantity) for line in cart.lines]


def destination(rules: Rules, shipping: Address | None) -> Destination:
    return shipping.destination if shipping else rules.tax.home


def chosen_method(rules: Rules, method_id: str | None, shipping: Address | None) -> ShippingMethod:
    """The method asked for, or the first that serves the address. Raises ShippingUnavailable or ValidationFailed."""
    there = methods_for(rules, destination(rules, shipping))
    method = next((m for m in there if method_id in (None, m.id) and (shipping or m.pickup)), None)
    if method is None and shipping is None and (wanted := rules.shipping_method(method_id or "")) and not wanted.pickup:
        raise _missing("/shipping_info", "a shipping address is needed unless the order is picked up")
    if method is None:
        ids = [m.id for m in there if shipping or m.pickup]
        raise ShippingUnavailable(*_choose("/shipping_method", "shipping_unavailable", method_id or "none", ids))
    return method


def address(given: AddressIn | None) -> Address | None:
    return None if given is None else Address(**dict(given))


def _choose(pointer: str, code: str, wanted: str, there_are: Sequence[str]) -> tuple[str, list[Fault]]:
    message = f"{wanted} cannot be chosen here; there are {', '.join(there_are) or 'none'}."
    return message, [Fault(code, message, pointer)]


def _missing(pointer: str, message: str) -> ValidationFailed:
    return ValidationFailed(f"field {pointer}: {message}", [Fault("validation_failed", message, pointer)])


def _check_expected(expected: str | None, quote: Quote, rules: Rules) -> None:
    """Refuse a total above the one the shopper saw; a lower one is passed on."""
    if expected is None:
        return
    try:
        expected_minor = parse_amount(expected, rules.digits)
    except ValueError as error:
        raise ValidationFailed(
            f"field /expected_total: {error}", [Fault("validation_failed", str(error), "/expected_total")]
        ) from error
    if quote.total_minor > expected_minor:
        now = format_amount(quote.total_minor, rules.digits)
        message = f"The total is {now} {quote.currency} now; {expected} was expected."
        faults = [Fault("price_changed", message, "/expected_total")]
        raise PriceChanged(message, faults, expected_total=expected, current_total=now, currency=quote.currency)
