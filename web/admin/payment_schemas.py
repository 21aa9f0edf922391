"""What goes over the wire of the admin API's payments."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, Tag

from web.admin.order_schemas import AdminPaymentOut, PortionIn, Reason, Text2000
from web.schemas import In, Instant, Line200, MoneyIn, OrderStatus, Out, PaymentStatus, Query


def _restock_kind(value: Any) -> str:
    return "(lines)" if isinstance(value, list) else "(all)"


# Told apart by their kind, so that only the faults of what was meant are reported.
RestockIn = Annotated[
    Annotated[bool, Tag("(all)")] | Annotated[list[PortionIn], Field(min_length=1, max_length=1000), Tag("(lines)")],
    Discriminator(_restock_kind),
]


class RefundHeader(BaseModel):
    idempotency_key: str | None = Field(
        None, alias="Idempotency-Key", description="Makes repeating this request harmless, for ever."
    )


class RefundIn(In):
    amount: MoneyIn | None = Field(None, examples=["12.50"], description="Left out: all that is left.")
    reason: Reason | None = Field(None, description="For your books; the shopper never sees it.")
    restock: RestockIn = Field(
        default=False, description="Units that go back on the shelf: `true` for all of the order, or some lines."
    )


class PaidIn(In):
    reference: Line200 | None = Field(None, description="Of the bank transfer, or the courier's receipt.")
    note: Text2000 | None = Field(None, description="The shopper never sees it.")


class PaymentPath(BaseModel):
    key: Annotated[str, Field(pattern=r"^[0-9a-f-]{36}-(authorize|capture|void|refund)(-[1-9][0-9]{0,5})?$")]


class ResolutionIn(In):
    outcome: Literal["charged", "not_charged", "refunded", "not_refunded"] = Field(
        description="What you saw at the provider; of a refund, `refunded` or `not_refunded`."
    )
    provider_id: Line200 | None = Field(
        None, description="What the provider calls the payment, or the refund. Needed for `charged` and `refunded`."
    )


class UnresolvedQuery(Query):
    per_page: Annotated[int, Field(ge=1, le=1000)] = 100


class UnresolvedEntry(Out):
    payment: AdminPaymentOut
    order_id: str
    order_number: int | None
    order_status: OrderStatus
    payment_status: PaymentStatus
    why: Literal["stuck", "capture_refused", "refund_refused", "void_refused", "not_captured"]
    advice: str = Field(description="What to do about it.")
    since: Instant


class UnresolvedOut(Out):
    items: list[UnresolvedEntry] = Field(description="The longest untouched first.")
    more: bool = Field(description="Whether there are more than `per_page`.")
