"""What goes over the wire of the admin API's orders."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from shop.errors import FAILURE_CODES
from web.instants import below_instant, from_instant
from web.schemas import (
    Cursor,
    EventOut,
    FulfillmentStatus,
    In,
    Instant,
    Line100,
    LinksOut,
    Money,
    MoneyIn,
    OneLine,
    OrderFacts,
    OrderItemOut,
    OrdersPage,
    OrderStatus,
    Out,
    PaymentStatus,
    ProductId,
    Quantity,
    Query,
)

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_URL = r"^https://[^\s<>\"\\^`{|}\x00-\x1f\x7f-\x9f]+$"


def _text(value: str) -> str:
    if _UNPRINTABLE.search(value):
        raise ValueError("control characters are not allowed")
    return value


def _https(value: str) -> str:
    try:
        host = urlsplit(value).hostname
    except ValueError:
        host = None
    if not host:
        raise ValueError("write a URL that begins with https://")
    return value


def _failure_code(value: str) -> str:
    if value not in FAILURE_CODES:
        raise ValueError(f"there are {', '.join(sorted(FAILURE_CODES))}")
    return value


Text2000 = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000), AfterValidator(_text)
]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), OneLine]
HttpsUrl = Annotated[str, Field(max_length=2000, pattern=_URL), AfterValidator(_https)]
Email = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=254), OneLine]
_WRITTEN = WithJsonSchema({"type": "string", "maxLength": 40})
From = Annotated[int, BeforeValidator(from_instant), _WRITTEN]
Below = Annotated[int, BeforeValidator(below_instant), _WRITTEN]


class AdminOrdersQuery(Query):
    status: OrderStatus | None = None
    payment_status: PaymentStatus | None = None
    fulfillment_status: FulfillmentStatus | None = None
    failure_code: Annotated[str, Field(max_length=40), AfterValidator(_failure_code)] | None = None
    created_from: From | None = Field(
        None,
        description="From this instant on (ISO 8601 with `Z` or an offset), or from this date's beginning in UTC.",
    )
    created_to: Below | None = Field(
        None,
        description="Before this instant, or up to this date's end in UTC: an instant is excluded, a date included.",
    )
    min_total: MoneyIn | None = None
    max_total: MoneyIn | None = None
    email: Email | None = Field(None, description="The whole address, in any case.")
    product: ProductId | None = Field(None, description="A product's id: orders with a line of it.")
    number: Annotated[int, Field(ge=1, le=10**15)] | None = None
    q: Email | None = Field(None, description="An order's id or number, or an e-mail address: whatever it looks like.")
    sort: Literal["-created_at", "created_at", "-total", "total"] = "-created_at"
    per_page: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Cursor | None = Field(None, description="`page.next_cursor` of the page before.")


class PortionIn(In):
    position: Annotated[int, Field(ge=1, le=10_000, description="The line of the order.")]
    quantity: Quantity


class ShipmentIn(In):
    items: Annotated[list[PortionIn], Field(min_length=1, max_length=1000)] | None = Field(
        None, description="Left out: all that is not shipped yet."
    )
    carrier: Line100 | None = Field(None, examples=["DHL"])
    tracking_number: Line100 | None = None
    tracking_url: HttpsUrl | None = None


class DeliveryIn(In):
    shipment: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="Its number; left out: all that are on their way."
    )


class ReturnIn(In):
    restock: bool = Field(default=True, description="Whether the goods go back on the shelf.")
    note: Text2000 | None = Field(None, description="Goes into the timeline as a note; the shopper never sees it.")


class CancelIn(In):
    reason: Reason | None = Field(None, description="The shopper reads it.")
    restock: bool = Field(default=True, description="Whether the goods go back on the shelf.")


class NoteIn(In):
    text: Text2000 = Field(description="The shopper never sees it.")


# ---------------------------------------------------------------- answers


class AdminOrderEntry(Out):
    id: str
    number: int | None
    status: OrderStatus
    payment_status: PaymentStatus
    fulfillment_status: FulfillmentStatus
    currency: str
    total_amount: Money
    email: str
    recipient: str = Field(description="The name on the shipping address; of a pick-up, on the billing address.")
    item_count: int = Field(description="Lines, not units.")
    failure_code: str | None
    created_at: Instant
    updated_at: Instant
    links: LinksOut


class AdminOrdersOut(Out):
    items: list[AdminOrderEntry]
    page: OrdersPage


class AdminEventOut(EventOut):
    actor: str | None = Field(description="The API key that did it; None for the shop itself.")


class AdminPaymentOut(Out):
    """One thing a payment provider was told about an order, or that was paid by hand."""

    key: str = Field(description="Our idempotency key with the provider.")
    kind: Literal["authorize", "capture", "void", "refund"]
    status: Literal["due", "unknown", "action", "succeeded", "declined", "refused", "voided", "dropped", "stuck"] = (
        Field(description="`due`, `unknown` and `action` are being worked on; `stuck` stands for a person.")
    )
    amount: Money
    currency: str
    provider: str = Field(description="`manual`: it was paid by hand.")
    provider_id: str | None = Field(description="The payment, as the provider calls it.")
    result_id: str | None = Field(
        description="The refund, as the provider calls it; of a manual payment its reference."
    )
    reason: str | None
    actor: str | None = Field(description="The API key that asked for it; None for the shop itself.")
    idempotency_key: str | None = Field(description="Of the request that asked for it.")
    tries: int
    detail: str | None = Field(description="What the provider last said about it.")
    created_at: Instant
    updated_at: Instant
    next_at: Instant | None = Field(description="When it goes on; None: it is done.")
    action_until: Instant | None = Field(description="How long the shopper has to act.")


class AdminOrderItemOut(OrderItemOut):
    fulfillable_quantity: int = Field(
        description="How much of it is still to be shipped: neither sent nor given back before that."
    )


class AdminOrderOut(OrderFacts):
    items: list[AdminOrderItemOut]  # type: ignore[assignment] # a line with more to it
    payments: list[AdminPaymentOut] = Field(description="Oldest first.")
    timeline: list[AdminEventOut]
    links: LinksOut
