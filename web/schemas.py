"""What goes over the wire: the same models validate, answer and make the OpenAPI document.

Amounts are exact decimal strings in the shop's currency ("19.99"), instants are ISO 8601 in UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    EmailStr,
    Field,
    StringConstraints,
    Tag,
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _one_line(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("control characters and line breaks are not allowed")
    return value


OneLine = AfterValidator(_one_line)
Line20 = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20), OneLine]
Line40 = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40), OneLine]
Line100 = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), OneLine]
Line200 = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), OneLine]

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
ProductId = Annotated[str, Field(pattern=ID_PATTERN)]
Money = Annotated[str, Field(description="An exact decimal amount in `currency`.", examples=["19.99"])]
MoneyIn = Annotated[str, Field(pattern=r"^[0-9]{1,13}(\.[0-9]{1,3})?$")]
Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-22T21:30:00.120Z"])]
MethodId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Quantity = Annotated[int, Field(ge=1, le=10_000)]
Cursor = Annotated[str, Field(min_length=1, max_length=500)]


def instant(ms: int) -> str:
    """An instant (ms since the epoch) as ISO 8601 with milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class In(BaseModel):
    """A request body: exact types, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Query(BaseModel):
    """Query parameters: strings read as what they mean, no unknown ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Out(BaseModel):
    model_config = ConfigDict(extra="forbid")


# ---------------------------------------------------------------- requests


class AddToCart(In):
    product_id: ProductId = Field(examples=["enamel-mug"])
    quantity: Quantity = 1


class UpdateCart(In):
    item_id: ProductId = Field(examples=["enamel-mug"])
    quantity: Annotated[int, Field(ge=0, le=10_000, description="0 removes the item.")]


class AddressIn(In):
    """A postal address."""

    name: Line100 = Field(examples=["Ada Lovelace"])
    line1: Line200 = Field(examples=["1 Main Street"])
    city: Line100 = Field(examples=["Oakland"])
    postal_code: Line20 = Field(examples=["94601"])
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2.", examples=["US"])]
    region: Annotated[
        str | None,
        Field(pattern=r"^[A-Z0-9]{1,3}$", description="State or province, as in ISO 3166-2.", examples=["CA"]),
    ] = None
    line2: Line200 | None = None
    company: Line100 | None = None
    phone: Line40 | None = None


class SameAsShipping(In):
    same_as_shipping: Literal[True]


UNION_TAGS = frozenset({"(address)", "(same)", "(all)", "(lines)"})
"""What pydantic puts into an error's place beside the members of the body; see problems.validation_faults."""


def _billing_kind(value: Any) -> str:
    same = isinstance(value, SameAsShipping) or (isinstance(value, dict) and "same_as_shipping" in value)
    return "(same)" if same else "(address)"


# Told apart by a member, so that only the faults of what was meant are reported.
BillingIn = Annotated[
    Annotated[AddressIn, Tag("(address)")] | Annotated[SameAsShipping, Tag("(same)")], Discriminator(_billing_kind)
]


class QuoteIn(In):
    shipping_info: AddressIn | None = Field(None, description="Not needed for a pick-up.")
    shipping_method: MethodId | None = Field(None, description="Left out: the first that serves the address.")


def _bare(value: Any) -> Any:
    if isinstance(value, str) and "<" in value:  # EmailStr would drop the name and keep the address
        raise ValueError("give the address alone, without a name")
    return value


class CheckoutIn(In):
    email: Annotated[EmailStr, BeforeValidator(_bare)] = Field(examples=["ada@example.com"], max_length=254)
    shipping_info: AddressIn | None = Field(None, description="Not needed for a pick-up.")
    billing_info: BillingIn = Field(default=SameAsShipping(same_as_shipping=True))
    shipping_method: MethodId = Field(examples=["standard"])
    payment_method: MethodId = Field(examples=["invoice"])
    payment_token: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,254}$")] | None = Field(
        None,
        examples=["tok_approve"],
        description="What the payment provider made of the card. Only for methods with a provider.",
    )
    expected_total: MoneyIn | None = Field(
        None, examples=["35.57"], description="The total the shopper saw; a higher one is refused with `price_changed`."
    )


class CancelOrder(In):
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), OneLine] | None = (
        None
    )


class ProductPath(BaseModel):
    product_id: ProductId


class ItemPath(BaseModel):
    item_id: ProductId


class OrderPath(BaseModel):
    order_id: Annotated[str, Field(pattern=r"^[0-9a-f-]{36}$")]


class ProviderPath(BaseModel):
    provider: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


class CodePath(BaseModel):
    code: Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]


FACETS = ("category", "price", "availability")


def _facets(value: str) -> str:
    unknown = set(value.split(",")) - set(FACETS)
    if unknown:
        raise ValueError(f"unknown facets {sorted(unknown)}; there are {', '.join(FACETS)}")
    return value


class ProductsQuery(Query):
    page: Annotated[int, Field(ge=1, le=10_000)] | None = None
    per_page: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Cursor | None = Field(None, description="`page.next_cursor` of the page before.")
    category: Line100 | None = Field(None, description="A category's id or name.")
    min_price: MoneyIn | None = None
    max_price: MoneyIn | None = None
    available: bool | None = None
    q: Line100 | None = Field(
        None,
        description="Words of name, description or SKU: all of them, whatever case and accents; the last may be "
        "unfinished. A SKU with a digit in it finds that product alone.",
    )
    sort: Literal["price", "-price", "name", "-created_at"] = "-created_at"
    facets: Annotated[str, Field(max_length=60), AfterValidator(_facets)] | None = Field(
        None, description="Any of `category,price,availability`, comma separated."
    )
    total: bool = Field(default=True, description="`false` leaves out the count of all entries.")


class OrdersQuery(Query):
    per_page: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Cursor | None = None


class OrderQuery(Query):
    token: Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9._-]+$")] | None = Field(
        None, description="From the link of a mail: opens this one order to whoever has it, to be read."
    )


class PreferHeader(BaseModel):
    prefer: str | None = Field(None, alias="Prefer", description="`wait=N`: hold the answer up to N (25) seconds.")


class CheckoutHeader(PreferHeader):
    idempotency_key: str | None = Field(
        None, alias="Idempotency-Key", description="Makes repeating this request harmless for 24 hours."
    )


# ---------------------------------------------------------------- answers


class FaultOut(Out):
    code: str
    message: str
    pointer: str | None = Field(None, description="JSON pointer into the request body or the cart.")
    parameter: str | None = None
    product_id: str | None = None
    requested: int | None = None
    available: int | None = None


class Problem(BaseModel):
    """RFC 9457. Some codes add members, such as `order_id` or `current_total`."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    request_id: str
    errors: list[FaultOut] | None = None


class CategoryOut(Out):
    id: int
    name: str
    description: str
    product_count: int
    product_count_exact: bool = Field(description="`false`: it is not counted to its end, there may be more.")


class CategoriesOut(Out):
    items: list[CategoryOut]


StockStatus = Literal["in_stock", "low_stock", "out_of_stock"]


class GroupOut(Out):
    """A product that comes in variants, as a list shows it."""

    id: str
    variants: int
    min_price: Money
    max_price: Money
    available: bool = Field(description="Whether any variant is in stock.")


class ProductEntry(Out):
    id: str
    sku: str
    name: str
    description: str
    price: Money
    currency: str
    category_id: int
    image_url: str
    stock_status: StockStatus
    stock_quantity: int
    available: bool
    options: dict[str, str]
    group: GroupOut | None
    created_at: Instant


class VariantOut(Out):
    id: str
    sku: str
    name: str
    price: Money
    available: bool
    stock_status: StockStatus
    options: dict[str, str]
    image_url: str


class ProductOut(Out):
    id: str
    sku: str
    name: str
    description: str
    description_html: str | None = Field(description="The same as sanitized HTML, where the merchant wrote some.")
    price: Money
    currency: str
    category_id: int
    image_url: str
    images: list[str]
    specifications: dict[str, str]
    stock_status: StockStatus
    stock_quantity: int
    available: bool
    max_quantity: int
    weight_grams: int
    tax_class: str
    options: dict[str, str]
    group_id: str | None
    variants: list[VariantOut] = Field(description="The siblings of a variant, itself included.")
    created_at: Instant
    updated_at: Instant


class PageOut(Out):
    per_page: int
    page: int | None = Field(description="None when paged by cursor.")
    total: int | None = Field(description="Entries in all, as far as `total_exact`; None when not asked for.")
    total_exact: bool | None = Field(
        None, description="`false`: a long list is not counted to its end, there are more."
    )
    pages: int | None = Field(description="None without an exact total.")
    next_cursor: str | None = Field(description="None on the last page.")


class CategoryFacet(Out):
    id: int
    name: str
    count: int


class PriceFacet(Out):
    min_price: Money
    below: Money | None
    count: int


class AvailabilityFacet(Out):
    available: int
    all: int


class FacetsOut(Out):
    category: list[CategoryFacet] | None = None
    price: list[PriceFacet] | None = None
    availability: AvailabilityFacet | None = None
    exact: bool = Field(description="`false`: large numbers are not counted to their end, there may be more.")


class ProductsOut(Out):
    items: list[ProductEntry]
    page: PageOut
    facets: FacetsOut | None = None


class WarningOut(Out):
    code: str
    message: str
    pointer: str
    product_id: str
    requested: int | None = None
    available: int | None = None
    was: Money | None = None
    now: Money | None = None


class CartItemOut(Out):
    item_id: str
    product_id: str
    sku: str | None
    name: str
    image_url: str | None
    options: dict[str, str]
    quantity: int
    max_quantity: int = Field(description="The most of it that can be ordered now.")
    unit_price: Money | None = Field(description="None when it is no longer sold.")
    price_when_added: Money
    subtotal: Money
    tax_amount: Money
    available: bool
    available_quantity: int
    added_at: Instant


class CartOut(Out):
    id: str | None
    version: int
    items: list[CartItemOut]
    item_count: int
    total_quantity: int
    currency: str
    prices_include_tax: bool
    subtotal: Money
    tax_amount: Money
    shipping_amount: Money
    total_amount: Money
    estimated: bool = Field(description="Shipping and tax are for the shop's home; a quote has them for an address.")
    warnings: list[WarningOut]
    expires_at: Instant | None


class TaxLineOut(Out):
    name: str
    rate_percent: str
    base_amount: Money
    tax_amount: Money


class QuoteLineOut(Out):
    product_id: str
    sku: str
    name: str
    quantity: int
    unit_price: Money
    subtotal: Money
    tax_name: str
    tax_rate_percent: str
    tax_amount: Money


class ShippingCostOut(Out):
    method: str
    name: str
    base: Money
    by_weight: Money
    by_item: Money
    free: Money
    total: Money


class StepOut(Out):
    what: str
    formula: str
    exact: str
    amount: Money


class ShippingOptionOut(Out):
    method: str
    name: str
    amount: Money
    total_amount: Money
    days: list[int] = Field(description="Estimated working days, from and to.")
    pickup: bool
    selected: bool


class PaymentOptionOut(Out):
    method: str
    name: str
    description: str
    provider: str | None = Field(description="Whose token the checkout needs as `payment_token`; None: no token.")


class QuoteOut(Out):
    currency: str
    prices_include_tax: bool
    lines: list[QuoteLineOut]
    subtotal: Money
    shipping_amount: Money
    tax_amount: Money
    total_amount: Money
    tax_lines: list[TaxLineOut]
    shipping: ShippingCostOut
    shipping_options: list[ShippingOptionOut]
    payment_methods: list[PaymentOptionOut]
    warnings: list[WarningOut]
    explanation: list[StepOut] = Field(description="Every number: how it comes about, exact and rounded (half up).")
    cart_version: int


class AddressOut(Out):
    name: str
    line1: str
    city: str
    postal_code: str
    country: str
    region: str | None = None
    line2: str | None = None
    company: str | None = None
    phone: str | None = None


class OrderItemOut(Out):
    position: int = Field(description="The line's number in the order, from 1.")
    product_id: str
    sku: str
    name: str
    quantity: int
    shipped_quantity: int = Field(description="How much of it is on its way, or there.")
    price_at_time: Money
    tax_amount: Money
    subtotal: Money


class ShipmentItemOut(Out):
    position: int = Field(description="The line of the order.")
    product_id: str
    sku: str
    name: str
    quantity: int


class ShipmentOut(Out):
    number: int = Field(description="Within the order, from 1.")
    carrier: str | None
    tracking_number: str | None
    tracking_url: str | None
    shipped_at: Instant
    delivered_at: Instant | None
    items: list[ShipmentItemOut]


class FailureOut(Out):
    code: str
    message: str
    retryable: bool
    stage: str
    items: list[FaultOut]


class EventOut(Out):
    stage: str
    at: Instant
    attempt: int
    outcome: str
    detail: str | None


class LinksOut(Out):
    self: str


OrderStatus = Literal["pending", "processing", "requires_action", "confirmed", "failed", "cancelled"]
PaymentStatus = Literal[
    "none",
    "pending",
    "authorized",
    "captured",
    "voided",
    "refunded",
    "partially_refunded",
    "failed",
    "unknown",
]
FulfillmentStatus = Literal["unfulfilled", "partially_shipped", "shipped", "delivered", "returned"]


class OrderSummary(Out):
    id: str
    number: int | None
    status: OrderStatus
    terminal: bool
    payment_status: PaymentStatus
    fulfillment_status: FulfillmentStatus
    currency: str
    total_amount: Money
    item_count: int
    created_at: Instant
    updated_at: Instant
    failure_code: str | None
    links: LinksOut


class OrdersPage(Out):
    per_page: int
    next_cursor: str | None


class OrdersOut(Out):
    items: list[OrderSummary]
    page: OrdersPage


class PaymentActionOut(Out):
    """The shopper must do something at the payment provider: send them to `url`."""

    url: str
    until: Instant = Field(description="After this the payment is given up, and the cart given back.")


class RefundOut(Out):
    amount: Money
    status: Literal["pending", "succeeded", "refused", "unknown"]
    created_at: Instant


class PaymentOut(Out):
    action: PaymentActionOut | None = Field(description="While the order `requires_action`.")
    refunded_amount: Money
    refunds: list[RefundOut]


class OrderFacts(Out):
    """What the shopper and the merchant both see of an order."""

    id: str
    number: int | None = Field(description="For people; given on confirmation.")
    status: OrderStatus
    terminal: bool = Field(description="Whether the outcome is final; poll until it is.")
    payment_status: PaymentStatus
    fulfillment_status: FulfillmentStatus
    email: str
    currency: str
    items: list[OrderItemOut]
    subtotal: Money
    shipping_amount: Money
    tax_amount: Money
    total_amount: Money
    prices_include_tax: bool
    tax_lines: list[TaxLineOut]
    shipping_info: AddressOut | None
    billing_info: AddressOut
    shipping_method: str
    payment_method: str
    payment: PaymentOut
    failure: FailureOut | None
    shipments: list[ShipmentOut]
    created_at: Instant
    accepted_at: Instant
    settled_at: Instant | None
    updated_at: Instant


class OrderOut(OrderFacts):
    timeline: list[EventOut]
    links: LinksOut


class ClearedOut(Out):
    cleared: bool
    cart: CartOut


class CheckOut(Out):
    ok: bool
    detail: str


class ReadyOut(Out):
    ready: bool
    checks: dict[str, CheckOut]


class HealthOut(Out):
    status: Literal["ok"]
