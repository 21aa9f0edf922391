"""Every way the shop says no: one closed list of codes and one tree of errors.

    ShopError
    ├── Invalid       the request cannot be understood or is not allowed as it stands
    ├── Unauthenticated, Forbidden    no key to the admin API, or one without the scope
    ├── NotFound      there is no such thing, or it is not yours
    ├── Conflict      understood, but the shop's state forbids it now
    ├── RateLimited   asked too often
    └── Unavailable   a store is away, or the shop overloaded; the same request may succeed later

The same codes stand in problems, cart warnings and order failures. Adding one is a minor
change, renaming one breaks clients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Code:
    """What a code means: a title for people, what to do about it, and whether to try again as is."""

    title: str
    advice: str
    retryable: bool = False


CODES: dict[str, Code] = {
    # The request itself
    "malformed_json": Code("Not valid JSON", "Send a JSON object in UTF-8 as the body."),
    "invalid_parameter": Code("Invalid parameter", "Correct the parameters listed in errors."),
    "validation_failed": Code("Invalid fields", "Correct the fields listed in errors; each has a JSON pointer."),
    "bad_request": Code("Bad request", "The request could not be understood; see detail."),
    "not_found": Code("Not found", "Check the address; /api/docs lists every route."),
    "method_not_allowed": Code("Method not allowed", "Use one of the methods in the Allow header."),
    "payload_too_large": Code("Body too large", "Send at most 64 KiB, to the admin API at most 4 MiB."),
    "unsupported_media_type": Code("Not JSON", "Send the body with Content-Type: application/json."),
    "idempotency_key_invalid": Code(
        "Invalid Idempotency-Key", "Use 1 to 255 printable ASCII characters, bare or in double quotes."
    ),
    "idempotency_key_reused": Code(
        "Idempotency-Key used for another request", "Use a fresh key for a different request."
    ),
    # Catalogue and cart
    "product_not_found": Code("No such product", "Check the product's id."),
    "item_not_found": Code("Not in the cart", "Read the cart again; the item may have been removed elsewhere."),
    "product_unavailable": Code("Product no longer sold", "Remove it from the cart."),
    "out_of_stock": Code("Sold out", "Remove it, or come back when it is in stock again."),
    "insufficient_stock": Code("Not enough stock", "Lower the quantity to what is available."),
    "quantity_limit_exceeded": Code("More than one order may hold", "Lower the quantity to the limit."),
    "cart_limit_exceeded": Code("Too many different products", "Check out, or remove a product first."),
    # Checkout
    "cart_empty": Code("The cart is empty", "Add something first."),
    "cart_changed": Code("The cart keeps changing", "Read the cart again and repeat the checkout.", retryable=True),
    "already_checked_out": Code("Already checked out", "Follow the order named in order_id."),
    "price_changed": Code("The total has risen", "Show the new total and ask again."),
    "shipping_unavailable": Code("Shipping method not available", "Choose one of the methods a quote lists."),
    "payment_method_unsupported": Code("Payment method not available", "Choose one of the methods a quote lists."),
    "card_number_refused": Code(
        "No card numbers", "Send the token that your payment provider made of the card, never the number itself."
    ),
    "signature_invalid": Code("Not signed by the provider", "Check the webhook's secret, and the clock."),
    "order_not_found": Code("No such order", "Check the id, and use the session that placed the order."),
    # The merchant's side
    "unauthenticated": Code(
        "API key needed", "Send `Authorization: Bearer <key>` with a valid key; `flask keys create` makes one."
    ),
    "missing_scope": Code("Not allowed with this key", "Use a key with the scope that the detail names."),
    "precondition_required": Code(
        "If-Match needed",
        "Read it first and send its ETag as If-Match, or `If-Match: *` to overwrite whatever is there.",
    ),
    "precondition_failed": Code("Changed meanwhile", "Read it again, and repeat the change with the new ETag."),
    "category_not_found": Code("No such category", "Check the category's id or name."),
    "category_exists": Code("Category exists already", "Use another name, or change the one there is."),
    "category_in_use": Code("Category has products", "Move its products to another category first."),
    "product_exists": Code("Product exists already", "Use another SKU or id, or change the product there is."),
    "product_sold": Code("Product has been sold", "It stays for the sake of its orders; set is_active to false."),
    "transition_not_allowed": Code("Not possible in this state", "Do one of what the detail names as possible."),
    "shipment_exceeds_order": Code("More than is left to ship", "Lower the quantities to what errors says is left."),
    "payment_not_found": Code("No such payment", "Read the order, or GET /api/admin/payments/unresolved, for its key."),
    "refund_exceeds_payment": Code("More than is left to give back", "Lower the amount to what left says."),
    "webhook_not_found": Code("No such endpoint", "GET /api/admin/webhooks lists those there are."),
    "webhook_limit_exceeded": Code("Too many endpoints", "Remove one that is not needed any more."),
    "notice_not_found": Code("No such notice", "GET /api/admin/notices lists those of the last 30 days."),
    "already_restocked": Code(
        "Put back already", "Book further units as a stock movement: POST /api/admin/products/{id}/stock."
    ),
    # What can become of an accepted checkout
    "payment_declined": Code("Payment declined", "Use another means of payment."),
    "payment_unavailable": Code("Payment provider away", "Try again later.", retryable=True),
    "payment_action_timeout": Code("Payment was not confirmed in time", "Check out again.", retryable=True),
    "cancelled": Code("Cancelled", "The order was cancelled; nothing is owed."),
    # The shop
    "overloaded": Code(
        "No new orders for the moment",
        "Keep the cart, and repeat the request after Retry-After seconds.",
        retryable=True,
    ),
    "rate_limited": Code("Too many requests", "Repeat the request after Retry-After seconds.", retryable=True),
    "service_unavailable": Code("Away for a moment", "Repeat the request after Retry-After seconds.", retryable=True),
    "internal_error": Code("Our fault", "Try again; if it stays, report the request_id.", retryable=True),
}

FAILURE_CODES = frozenset(
    {
        "insufficient_stock",
        "out_of_stock",
        "product_unavailable",
        "price_changed",
        "shipping_unavailable",
        "payment_declined",
        "payment_unavailable",
        "payment_action_timeout",
        "cancelled",
        "already_checked_out",
        "internal_error",
    }
)
"""The codes an order's `failure` may carry. `already_checked_out` is for a checkout that a restored
older Redis accepted a second time; everything else is as the names say."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, beside others: a field, a parameter or a line of the cart.

    `pointer` is a JSON pointer (RFC 6901) into the body; `requested` and `available` are units.
    """

    code: str
    message: str
    pointer: str | None = None
    parameter: str | None = None
    product_id: str | None = None
    requested: int | None = None
    available: int | None = None


class ShopError(Exception):
    """Something the shop refuses. `str(error)` is written for the person in front of the screen."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, detail: str, faults: Sequence[Fault] = (), **extra: str | int | list[str]) -> None:
        super().__init__(detail)
        self.faults = tuple(faults)
        self.extra = extra


class BadSettings(ValueError):
    """The shop cannot start as it is set up; the message is one line that says what to change."""


class Invalid(ShopError):
    code = "bad_request"


class NotFound(ShopError):
    code = "not_found"


class Unauthenticated(ShopError):
    """No key to the admin API, a wrong one, or one that was revoked: nobody learns which."""

    code = "unauthenticated"


class Forbidden(ShopError):
    """A good key without the scope that is needed."""

    code = "missing_scope"


class Conflict(ShopError):
    pass


class Unavailable(ShopError):
    """A store is away. Nothing was changed that the same request would not find again."""

    code = "service_unavailable"


class Overloaded(Unavailable):
    """More was accepted than can be settled in time, so nothing new is; worth another try after `retry_after` s."""

    code = "overloaded"

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class RateLimited(ShopError):
    """Asked too often; worth another try after `retry_after` s."""

    code = "rate_limited"

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class InvalidParameter(Invalid):
    code = "invalid_parameter"


class MalformedJson(Invalid):
    code = "malformed_json"


class UnsupportedMediaType(Invalid):
    code = "unsupported_media_type"


class InvalidIdempotencyKey(Invalid):
    code = "idempotency_key_invalid"


class ValidationFailed(Invalid):
    code = "validation_failed"


class IdempotencyKeyReused(Invalid):
    code = "idempotency_key_reused"


class SignatureInvalid(Invalid):
    code = "signature_invalid"


class CardNumberRefused(Invalid):
    """A request with a card number in it. Whoever raises this never repeats the number."""

    code = "card_number_refused"


class PaymentMethodUnsupported(Invalid):
    code = "payment_method_unsupported"


class ShippingUnavailable(Invalid):
    code = "shipping_unavailable"


class PreconditionRequired(Invalid):
    code = "precondition_required"


class ChangedMeanwhile(Conflict):
    """If-Match names a version that is not there any more."""

    code = "precondition_failed"


class ProductNotFound(NotFound):
    code = "product_not_found"


class ItemNotFound(NotFound):
    code = "item_not_found"


class OrderNotFound(NotFound):
    code = "order_not_found"


class EndpointNotFound(NotFound):
    code = "webhook_not_found"


class NoticeNotFound(NotFound):
    code = "notice_not_found"


class PaymentNotFound(NotFound):
    code = "payment_not_found"


class CategoryNotFound(NotFound):
    code = "category_not_found"


class CategoryExists(Conflict):
    code = "category_exists"


class CategoryInUse(Conflict):
    code = "category_in_use"


class ProductExists(Conflict):
    code = "product_exists"


class ProductSold(Conflict):
    """A product that orders took units of cannot be deleted, only deactivated."""

    code = "product_sold"


class RefundExceedsPayment(Conflict):
    """More than was taken and is not being given back already; `left` says how much that is."""

    code = "refund_exceeds_payment"


class TooManyEndpoints(Conflict):
    code = "webhook_limit_exceeded"


class AlreadyRestocked(Conflict):
    """Units of a product came back for an order once; the ledger books that once."""

    code = "already_restocked"


class OutOfStock(Conflict):
    """No unit is on hand."""

    code = "out_of_stock"


class InsufficientStock(Conflict):
    """Fewer units on hand than asked for; `faults` say how many there are."""

    code = "insufficient_stock"


class ProductUnavailable(Conflict):
    code = "product_unavailable"


class QuantityLimitExceeded(Conflict):
    code = "quantity_limit_exceeded"


class CartLimitExceeded(Conflict):
    code = "cart_limit_exceeded"


class CartEmpty(Conflict):
    code = "cart_empty"


class CartChanged(Conflict):
    code = "cart_changed"


class AlreadyCheckedOut(Conflict):
    code = "already_checked_out"


class PriceChanged(Conflict):
    code = "price_changed"


LINE_ERRORS: dict[str, type[Conflict]] = {
    error.code: error for error in (ProductUnavailable, OutOfStock, InsufficientStock, QuantityLimitExceeded)
}


def refuse_lines(faults: Sequence[Fault]) -> Conflict:
    """The error for lines that cannot be sold: the first line's code, every line in `faults`."""
    detail = faults[0].message if len(faults) == 1 else f"{len(faults)} items in the cart cannot be sold as they are."
    return LINE_ERRORS[faults[0].code](detail, faults)
