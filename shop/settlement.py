"""What becomes of accepted checkouts: first come, first served, all or nothing for each.

Pure, so that it can be tried on any input: no product is sold below zero (P3), what leaves the
stock stands in the confirmed quotes and nowhere else (P4), no total exceeds what was shown (P6).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from shop.cart import line_fault
from shop.catalogue import Product
from shop.checkout import Checkout
from shop.errors import CODES, Fault
from shop.money import exponent, format_amount
from shop.orders import Failure
from shop.pricing import Quote, basis, facts, price
from shop.rules import PaymentMethod, Rules


@dataclass(frozen=True, slots=True)
class Decision:
    """A checkout's end: confirmed at a quote, or failed with a reason (and then nothing is taken)."""

    checkout: Checkout
    quote: Quote
    """What the order costs; for a failed one, what was quoted."""
    failure: Failure | None = None
    payment: PaymentMethod | None = None
    """How it is to be paid before it is confirmed; None when no provider needs to be asked."""


def decide(
    checkouts: Iterable[Checkout],
    products: Mapping[str, Product],
    rules: Rules,
    taken_by: Mapping[str, str] | None = None,
) -> list[Decision]:
    """Decide every checkout, in the order given.

    `products` holds what is on hand before the first of them; a product that is gone is missing.
    `taken_by` names, for a checkout whose cart or key already has an order, that order.
    """
    shelf = Shelf(products, rules)
    decisions = []
    for checkout in checkouts:
        first = (taken_by or {}).get(checkout.order_id)
        decision = _repeated(checkout, first) if first else _decide(checkout, shelf)
        if decision.failure is None:
            for line in decision.quote.lines:
                shelf.left[line.product_id] -= line.quantity
        decisions.append(decision)
    return decisions


class Shelf:
    """The products of a settlement, and how many units are left of each as it goes on."""

    def __init__(self, products: Mapping[str, Product], rules: Rules) -> None:
        self.rules = rules
        self.products = products
        self.left = {product.id: product.stock_quantity for product in products.values()}
        self._rules = rules.fingerprint()
        self._facts = {product.id: facts(product) for product in products.values()}

    def fault(self, product_id: str, quantity: int, pointer: str) -> Fault | None:
        product = self.products.get(product_id)
        if product is not None:
            product = replace(product, stock_quantity=self.left[product_id])
        return line_fault(product_id, quantity, product, quantity, pointer)

    def has(self, product_id: str, quantity: int) -> bool:
        """Whether nothing stands against this line; the quick way to what `fault` says."""
        return quantity <= self.left.get(product_id, 0) and self.products[product_id].is_active

    def still_stands(self, checkout: Checkout) -> bool:
        """Whether all that the checkout's quote depends on is as it was: then it need not be worked out again."""
        return checkout.basis == basis((self._facts[line.product_id] for line in checkout.quote.lines), self._rules)


def _decide(checkout: Checkout, shelf: Shelf) -> Decision:
    lines, rules = checkout.quote.lines, shelf.rules
    faults = [
        fault
        for i, line in enumerate(lines)
        if not shelf.has(line.product_id, line.quantity)
        and (fault := shelf.fault(line.product_id, line.quantity, f"/items/{i}"))
    ]
    method = rules.shipping_method(checkout.shipping_method)
    if method is None or not method.serves(checkout.country or rules.tax.home.country):
        message = f"{checkout.quote.shipping.name} no longer serves this address."
        faults.append(Fault("shipping_unavailable", message, "/shipping_method"))
    payment = rules.payment_method(checkout.payment_method)
    if payment is None:
        message = f"{checkout.payment_method} can no longer be chosen."
        faults.append(Fault("payment_unavailable", message, "/payment_method"))
    if faults or method is None or payment is None:
        return Decision(checkout, checkout.quote, _failed(faults))
    if shelf.still_stands(checkout):
        return Decision(checkout, checkout.quote, payment=_asked(payment, checkout.quote))
    items = [(shelf.products[line.product_id], line.quantity) for line in lines]
    quote = price(items, method, checkout.destination(rules.tax.home), rules)
    if quote.currency != checkout.quote.currency or quote.total_minor > checkout.quote.total_minor:
        return Decision(checkout, checkout.quote, _failed([_risen(checkout.quote, quote)]))
    return Decision(checkout, quote, payment=_asked(payment, quote))


def _asked(method: PaymentMethod, quote: Quote) -> PaymentMethod | None:
    """The method, when its provider has to be asked: not for what is settled outside the shop, or costs nothing."""
    return method if method.provider and quote.total_minor else None


def _risen(shown: Quote, now: Quote) -> Fault:
    was, is_now = (
        f"{format_amount(quote.total_minor, exponent(quote.currency))} {quote.currency}" for quote in (shown, now)
    )
    return Fault("price_changed", f"The total is {is_now} now; {was} was shown.")


def _failed(faults: list[Fault]) -> Failure:
    """One failure of all that is wrong: the first fault's code, every fault among its items."""
    code = faults[0].code
    message = faults[0].message if len(faults) == 1 else f"{len(faults)} things stand against this order."
    items = tuple(
        {
            "code": fault.code,
            "message": fault.message,
            "pointer": fault.pointer,
            "product_id": fault.product_id,
            "requested": fault.requested,
            "available": fault.available,
        }
        for fault in faults
    )
    return Failure(code, message, CODES[code].retryable, "settling", items)


def _repeated(checkout: Checkout, first: str) -> Decision:
    message = f"This cart was already checked out as order {first}."
    return Decision(checkout, checkout.quote, Failure("already_checked_out", message, False, "settling"))


def give_up(checkout: Checkout, attempts: int) -> Decision:
    """The end of a checkout that could not be settled in `attempts` tries, whatever the cause."""
    message = f"We could not complete this order after {attempts} attempts. Nothing was taken or charged."
    return Decision(checkout, checkout.quote, Failure("internal_error", message, True, "settling"))
