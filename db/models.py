"""The tables. Money is whole minor units, instants are milliseconds since the epoch.

The types are the ones that SQLite's STRICT tables and PostgreSQL both have, and every rule a
row must obey that SQL can check, SQL checks.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

Whole = BigInteger().with_variant(Integer(), "sqlite")
"""A 64-bit integer: an amount in minor units (`_minor`), an instant in ms (`_at`), a key."""


_encode = msgspec.json.Encoder().encode


class Flag(TypeDecorator[bool]):
    """A boolean: SQLite's STRICT tables know only 0 and 1."""

    impl = Boolean
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(Integer() if dialect.name == "sqlite" else Boolean())

    def process_result_value(self, value: Any, dialect: Dialect) -> bool | None:
        return None if value is None else bool(value)


def as_json(value: Any) -> str | None:
    """A document as the text that a Json column holds; None stays None."""
    return None if value is None else _encode(value).decode()


class Json(TypeDecorator[Any]):
    """A document as JSON text, read back as dicts and lists."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return as_json(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else msgspec.json.decode(value)


STRICT: Final = {"sqlite_strict": True}


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Category(Base):
    __tablename__ = "categories"
    __table_args__ = (STRICT,)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    description: Mapped[str] = mapped_column(Text, default="")


class ProductRow(Base):
    """A product, or one variant of it: variants share a `group_id` and say in `options` what they are."""

    __tablename__ = "products"
    __table_args__ = (
        CheckConstraint("stock_quantity >= 0", name="stock_not_negative"),
        CheckConstraint("price_minor >= 0", name="price_not_negative"),
        CheckConstraint("weight_grams >= 0", name="weight_not_negative"),
        CheckConstraint("low_stock_threshold >= 0", name="low_stock_threshold_not_negative"),
        # For the merchant's list, with the id as the last key; the shopper's has a table of its own: ListedRow.
        Index("ix_products_active_name", "is_active", "name", "id"),
        Index("ix_products_active_created", "is_active", "created_at", "id"),
        Index("ix_products_category_created", "category_id", "is_active", "created_at", "id"),
        Index("ix_products_group", "group_id", "id"),
        # What is running low: nothing else is in it, so that it costs next to nothing.
        Index(
            "ix_products_low_stock",
            "stock_quantity",
            "id",
            sqlite_where=text("stock_quantity <= low_stock_threshold"),
            postgresql_where=text("stock_quantity <= low_stock_threshold"),
        ),
        STRICT,
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    sku: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text, default="")
    price_minor: Mapped[int] = mapped_column(Whole)
    category_id: Mapped[int] = mapped_column(Integer, ForeignKey("categories.id"))
    stock_quantity: Mapped[int] = mapped_column(Whole, default=0)
    image_url: Mapped[str] = mapped_column(Text, default="")
    images: Mapped[list[str]] = mapped_column(Json, default=list)
    specifications: Mapped[dict[str, str]] = mapped_column(Json, default=dict)
    tax_class: Mapped[str] = mapped_column(Text, default="standard")
    weight_grams: Mapped[int] = mapped_column(Whole, default=0)
    group_id: Mapped[str | None] = mapped_column(Text)
    options: Mapped[dict[str, str]] = mapped_column(Json, default=dict)
    is_active: Mapped[bool] = mapped_column(Flag, default=True)
    created_at: Mapped[int] = mapped_column(Whole)
    updated_at: Mapped[int] = mapped_column(Whole)
    """Rises with every change of the merchant's, so that it names a version; a sale does not change it."""
    description_html: Mapped[str | None] = mapped_column(Text)
    """The description as sanitized HTML, where the merchant wrote one; `description` is its plain text."""
    low_stock_threshold: Mapped[int] = mapped_column(Whole, server_default=text("5"))


SEARCH_INDEXES = frozenset({"product_search", "ix_product_words_words"})
"""What only one of the databases has: SQLite its FTS5 table over `product_words`, PostgreSQL a GIN index on it."""


class ListedRow(Base):
    """What lists look at of a product. Triggers keep it, so that whoever writes products keeps lists right.

    Apart from the products, so that a sale has none of these indexes to write. No foreign key: it could
    only ask what the triggers see to.
    """

    __tablename__ = "listed_products"
    __table_args__ = (
        # One for each sort, within a shelf, and within a category's shelf, with the id as the last key. What stands
        # behind it is looked at on the way, without a look at the row.
        Index("ix_listed_products_price", "shelf", "price_minor", "product_id", "group_id"),
        Index("ix_listed_products_name", "shelf", "name", "product_id", "price_minor", "group_id"),
        Index("ix_listed_products_created", "shelf", "created_at", "product_id", "price_minor", "group_id"),
        Index("ix_listed_products_category_price", "category_id", "shelf", "price_minor", "product_id", "group_id"),
        Index(
            "ix_listed_products_category_name",
            *("category_id", "shelf", "name", "product_id", "price_minor", "group_id"),
        ),
        Index(
            "ix_listed_products_category_created",
            *("category_id", "shelf", "created_at", "product_id", "price_minor", "group_id"),
        ),
        Index(
            "ix_listed_products_group",
            "group_id",
            "product_id",
            sqlite_where=text("group_id IS NOT NULL"),
            postgresql_where=text("group_id IS NOT NULL"),
        ),
        STRICT,
    )

    number: Mapped[int] = mapped_column(Whole, primary_key=True)
    product_id: Mapped[str] = mapped_column(Text, unique=True)
    category_id: Mapped[int] = mapped_column(Integer)
    price_minor: Mapped[int] = mapped_column(Whole)
    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[int] = mapped_column(Whole)
    group_id: Mapped[str | None] = mapped_column(Text)
    shelf: Mapped[int] = mapped_column(Integer)
    """1: in stock; 0: sold out; -1: not active."""


class WordsRow(Base):
    """The words by which a product is found (shop.search), under its number in the list. Triggers keep it."""

    __tablename__ = "product_words"
    __table_args__ = (STRICT,)

    number: Mapped[int] = mapped_column(Whole, primary_key=True, autoincrement=False)
    words: Mapped[str] = mapped_column(Text().with_variant(TSVECTOR(), "postgresql"))


class OrderRow(Base):
    """An accepted checkout's order; its id is the accepted id, so it cannot be written twice."""

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint("total_minor >= 0", name="total_not_negative"),
        CheckConstraint(
            "status IN ('pending', 'processing', 'requires_action', 'confirmed', 'failed', 'cancelled')",
            name="status_known",
        ),
        CheckConstraint(
            "payment_status IN ('none', 'pending', 'authorized', 'captured', 'voided', 'refunded', "
            "'partially_refunded', 'failed', 'unknown')",
            name="payment_status_known",
        ),
        CheckConstraint(
            "fulfillment_status IN ('unfulfilled', 'partially_shipped', 'shipped', 'delivered', 'returned')",
            name="fulfillment_status_known",
        ),
        # A cart, and a key, become one order at most. Failed ones took nothing and do not count.
        Index(
            "uq_orders_cart",
            "cart_id",
            unique=True,
            sqlite_where=text("status <> 'failed'"),
            postgresql_where=text("status <> 'failed'"),
        ),
        Index(
            "uq_orders_session_key",
            "session_id",
            "idempotency_key",
            unique=True,
            sqlite_where=text("idempotency_key IS NOT NULL AND status <> 'failed'"),
            postgresql_where=text("idempotency_key IS NOT NULL AND status <> 'failed'"),
        ),
        Index("ix_orders_session", "session_id", "created_at", "id"),
        # One for each filter and sort of the merchant's list, with the order of the list behind the filter.
        Index("ix_orders_created", "created_at", "id"),
        Index("ix_orders_total", "total_minor", "id"),
        Index("ix_orders_status", "status", "created_at", "id"),
        Index("ix_orders_payment_status", "payment_status", "created_at", "id"),
        Index("ix_orders_fulfillment_status", "fulfillment_status", "created_at", "id"),
        Index("ix_orders_email", "email_lower", "created_at", "id"),
        Index(
            "ix_orders_failure_code",
            "failure_code",
            "created_at",
            "id",
            sqlite_where=text("failure_code IS NOT NULL"),
            postgresql_where=text("failure_code IS NOT NULL"),
        ),
        STRICT,
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    number: Mapped[int | None] = mapped_column(Whole, unique=True)
    """For people; given on confirmation, so that failures leave no gaps."""
    session_id: Mapped[str] = mapped_column(Text)
    cart_id: Mapped[str] = mapped_column(Text)
    cart_version: Mapped[int] = mapped_column(Whole)
    idempotency_key: Mapped[str | None] = mapped_column(Text)
    fingerprint: Mapped[str] = mapped_column(Text)
    email: Mapped[str] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(Text)
    subtotal_minor: Mapped[int] = mapped_column(Whole)
    total_minor: Mapped[int] = mapped_column(Whole)
    tax_minor: Mapped[int] = mapped_column(Whole)
    shipping_minor: Mapped[int] = mapped_column(Whole)
    status: Mapped[str] = mapped_column(Text)
    payment_status: Mapped[str] = mapped_column(Text)
    fulfillment_status: Mapped[str] = mapped_column(Text)
    failure: Mapped[dict[str, Any] | None] = mapped_column(Json)
    shipping_address: Mapped[dict[str, Any] | None] = mapped_column(Json)
    billing_address: Mapped[dict[str, Any]] = mapped_column(Json)
    shipping_method: Mapped[str] = mapped_column(Text)
    payment_method: Mapped[str] = mapped_column(Text)
    quote: Mapped[dict[str, Any]] = mapped_column(Json)
    """shop.pricing.Quote: every line, tax line and rounding."""
    created_at: Mapped[int] = mapped_column(Whole)
    accepted_at: Mapped[int] = mapped_column(Whole)
    settled_at: Mapped[int | None] = mapped_column(Whole)
    updated_at: Mapped[int] = mapped_column(Whole)
    """Rises with every change, so that it names a version."""
    failure_code: Mapped[str | None] = mapped_column(Text)
    email_lower: Mapped[str] = mapped_column(Text, server_default=text("''"))
    """For finding an order by its e-mail address, whatever the case it was typed in."""


class OrderItemRow(Base):
    """A line of an order, with copies of what the product was called and cost."""

    __tablename__ = "order_items"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        CheckConstraint("shipped_quantity BETWEEN 0 AND quantity", name="shipped_quantity_possible"),
        CheckConstraint(
            "withdrawn_quantity BETWEEN 0 AND quantity - shipped_quantity", name="withdrawn_quantity_possible"
        ),
        Index("ix_order_items_product", "product_id", "order_id"),
        STRICT,
    )

    order_id: Mapped[str] = mapped_column(Text, ForeignKey("orders.id"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    product_id: Mapped[str] = mapped_column(Text)
    sku: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    quantity: Mapped[int] = mapped_column(Whole)
    price_at_time_minor: Mapped[int] = mapped_column(Whole)
    tax_minor: Mapped[int] = mapped_column(Whole)
    subtotal_minor: Mapped[int] = mapped_column(Whole)
    shipped_quantity: Mapped[int] = mapped_column(Whole, server_default=text("0"))
    withdrawn_quantity: Mapped[int] = mapped_column(Whole, server_default=text("0"))
    """What was given back before it was sent: it is not shipped any more."""


class ShipmentRow(Base):
    """A parcel of an order; numbered within it from 1."""

    __tablename__ = "shipments"
    __table_args__ = (STRICT,)

    order_id: Mapped[str] = mapped_column(Text, ForeignKey("orders.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    carrier: Mapped[str | None] = mapped_column(Text)
    tracking_number: Mapped[str | None] = mapped_column(Text)
    tracking_url: Mapped[str | None] = mapped_column(Text)
    shipped_at: Mapped[int] = mapped_column(Whole)
    delivered_at: Mapped[int | None] = mapped_column(Whole)


class ShipmentItemRow(Base):
    """Units of an order's line in a parcel."""

    __tablename__ = "shipment_items"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        ForeignKeyConstraint(
            ["order_id", "number"], ["shipments.order_id", "shipments.number"], name="fk_shipment_items_shipment"
        ),
        ForeignKeyConstraint(
            ["order_id", "position"], ["order_items.order_id", "order_items.position"], name="fk_shipment_items_line"
        ),
        STRICT,
    )

    order_id: Mapped[str] = mapped_column(Text, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    quantity: Mapped[int] = mapped_column(Whole)


class OrderEventRow(Base):
    """One entry of an order's timeline, never changed."""

    __tablename__ = "order_events"
    __table_args__ = (STRICT,)

    order_id: Mapped[str] = mapped_column(Text, ForeignKey("orders.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    stage: Mapped[str] = mapped_column(Text)
    at: Mapped[int] = mapped_column(Whole)
    attempt: Mapped[int] = mapped_column(Integer)
    outcome: Mapped[str] = mapped_column(Text)
    detail: Mapped[str | None] = mapped_column(Text)
    actor: Mapped[str | None] = mapped_column(Text)
    """Whose API key did it; None for the shop itself. Never shown to shoppers."""


class StockMovementRow(Base):
    """The ledger: `opening` and everything since, append-only; its sum is the stock (P4)."""

    __tablename__ = "stock_movements"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('opening', 'received', 'adjusted', 'sold', 'released', 'returned')", name="kind_known"
        ),
        UniqueConstraint("product_id", "kind", "order_id"),
        Index("ix_stock_movements_product", "product_id", "id"),
        Index(
            "uq_stock_movements_key",
            "product_id",
            "key",
            unique=True,
            sqlite_where=text("key IS NOT NULL"),
            postgresql_where=text("key IS NOT NULL"),
        ),
        STRICT,
    )

    id: Mapped[int] = mapped_column(Whole, primary_key=True)
    product_id: Mapped[str] = mapped_column(Text, ForeignKey("products.id"))
    kind: Mapped[str] = mapped_column(Text)
    quantity: Mapped[int] = mapped_column(Whole)
    order_id: Mapped[str | None] = mapped_column(Text, ForeignKey("orders.id"))
    reason: Mapped[str | None] = mapped_column(Text)
    """The merchant's note."""
    at: Mapped[int] = mapped_column(Whole)
    actor: Mapped[str | None] = mapped_column(Text)
    """Whose API key did it; None for the shop itself."""
    key: Mapped[str | None] = mapped_column(Text)
    """The Idempotency-Key of the request that made it."""


class PaymentRow(Base):
    """One thing a payment provider is to be told about an order, with its own key: shop.paying.Operation.

    The key is here before the first call, so that whatever dies, the next call has the same one.
    """

    __tablename__ = "payments"
    __table_args__ = (
        CheckConstraint("kind IN ('authorize', 'capture', 'void', 'refund')", name="kind_known"),
        CheckConstraint("amount_minor >= 0", name="amount_not_negative"),
        Index("ix_payments_order", "order_id"),
        Index("ix_payments_provider_id", "provider_id"),
        Index(
            "ix_payments_next",
            "next_at",
            sqlite_where=text("next_at IS NOT NULL"),
            postgresql_where=text("next_at IS NOT NULL"),
        ),
        # What stands for a person: nothing else is in it, so that it costs next to nothing.
        Index(
            "ix_payments_unresolved",
            "updated_at",
            "key",
            sqlite_where=text("status IN ('stuck', 'refused')"),
            postgresql_where=text("status IN ('stuck', 'refused')"),
        ),
        Index(
            "uq_payments_request",
            "order_id",
            "request_key",
            unique=True,
            sqlite_where=text("request_key IS NOT NULL"),
            postgresql_where=text("request_key IS NOT NULL"),
        ),
        STRICT,
    )

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    order_id: Mapped[str] = mapped_column(Text, ForeignKey("orders.id"))
    kind: Mapped[str] = mapped_column(Text)
    provider: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    amount_minor: Mapped[int] = mapped_column(Whole)
    currency: Mapped[str] = mapped_column(Text)
    token: Mapped[str | None] = mapped_column(Text)
    """Stands for the means of payment; never a card number."""
    captures: Mapped[bool] = mapped_column(Flag)
    """Whether an approval takes the money at once."""
    provider_id: Mapped[str | None] = mapped_column(Text)
    """The payment, as the provider calls it."""
    result_id: Mapped[str | None] = mapped_column(Text)
    """What became of this operation, as the provider calls it: a refund."""
    action_url: Mapped[str | None] = mapped_column(Text)
    action_until: Mapped[int | None] = mapped_column(Whole)
    created_at: Mapped[int] = mapped_column(Whole)
    asked_at: Mapped[int | None] = mapped_column(Whole)
    """When it was first asked; None while the provider certainly knows nothing of it."""
    next_at: Mapped[int | None] = mapped_column(Whole)
    """When to go on with it; None: it is done. While it is asked, when somebody else may."""
    tries: Mapped[int] = mapped_column(Whole)
    leased_by: Mapped[str | None] = mapped_column(Text)
    tells: Mapped[bool] = mapped_column(Flag)
    """Whether the end of the order is still to be told to the carts' store."""
    detail: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    actor: Mapped[str | None] = mapped_column(Text)
    updated_at: Mapped[int] = mapped_column(Whole)
    request_key: Mapped[str | None] = mapped_column(Text)
    """The Idempotency-Key of the request that made it."""
    request_print: Mapped[str | None] = mapped_column(Text)
    """A fingerprint of that request's body: the same key with another body is refused."""


class EndpointRow(Base):
    """Where the merchant wants to be told of orders: shop.webhooks."""

    __tablename__ = "webhook_endpoints"
    __table_args__ = (STRICT,)

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    events: Mapped[list[str] | None] = mapped_column(Json)
    """None: everything."""
    secret: Mapped[str] = mapped_column(Text)
    """As it is, for we sign with it: whoever can read this table can sign."""
    old_secret: Mapped[str | None] = mapped_column(Text)
    old_secret_until: Mapped[int | None] = mapped_column(Whole)
    is_active: Mapped[bool] = mapped_column(Flag)
    switched_off: Mapped[str | None] = mapped_column(Text)
    """Why the shop switched it off by itself; None: the merchant did, or it is on."""
    failing_since: Mapped[int | None] = mapped_column(Whole)
    """Since when it has taken nothing; None: it took the last, or was sent none yet."""
    created_at: Mapped[int] = mapped_column(Whole)
    updated_at: Mapped[int] = mapped_column(Whole)
    """Rises with every change, so that it names a version."""


class NoticeRow(Base):
    """The outbox: something that is to be told to somebody, written with what it tells of."""

    __tablename__ = "notices"
    __table_args__ = (
        CheckConstraint("status IN ('waiting', 'sent', 'failed', 'dropped')", name="status_known"),
        CheckConstraint("(status = 'waiting') = (next_at IS NOT NULL)", name="waiting_until"),
        Index("ix_notices_created", "created_at", "id"),
        Index("ix_notices_target", "target", "created_at", "id"),
        Index("ix_notices_order", "order_id"),
        # What waits, and what was given up: nothing else is in these, so that they cost next to nothing.
        Index(
            "ix_notices_next",
            "target",
            "next_at",
            "id",
            sqlite_where=text("next_at IS NOT NULL"),
            postgresql_where=text("next_at IS NOT NULL"),
        ),
        Index(
            "ix_notices_given_up",
            "status",
            "created_at",
            "id",
            sqlite_where=text("status IN ('failed', 'dropped')"),
            postgresql_where=text("status IN ('failed', 'dropped')"),
        ),
        STRICT,
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    """Says what it tells and whom (shop.notices.News.id_for): there cannot be two of the same."""
    order_id: Mapped[str | None] = mapped_column(Text, ForeignKey("orders.id"))
    """None: it is about no order, but a test."""
    event: Mapped[str] = mapped_column(Text)
    number: Mapped[int] = mapped_column(Integer)
    """Of the shipment or the refund that it tells of; else 0."""
    target: Mapped[str] = mapped_column(Text)
    """An endpoint's id, or shop.notices.MAIL. No foreign key: whoever settles never fails for an endpoint's sake."""
    status: Mapped[str] = mapped_column(Text)
    tries: Mapped[int] = mapped_column(Whole)
    """Since it was last begun: begun again by hand, it is tried as often as at first."""
    attempts: Mapped[int] = mapped_column(Whole)
    """All there ever were; the last one's number in the log."""
    next_at: Mapped[int | None] = mapped_column(Whole)
    """When to send it; None: it is done. While it is being sent, when somebody else may."""
    detail: Mapped[str | None] = mapped_column(Text)
    """What came of the last attempt."""
    created_at: Mapped[int] = mapped_column(Whole)
    updated_at: Mapped[int] = mapped_column(Whole)


class AttemptRow(Base):
    """The log of what was sent, an entry for each answer; never changed."""

    __tablename__ = "notice_attempts"
    __table_args__ = (CheckConstraint("outcome IN ('sent', 'failed')", name="outcome_known"), STRICT)

    notice_id: Mapped[str] = mapped_column(Text, ForeignKey("notices.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(Whole, primary_key=True)
    at: Mapped[int] = mapped_column(Whole)
    outcome: Mapped[str] = mapped_column(Text)
    code: Mapped[int | None] = mapped_column(Integer)
    """The status of HTTP, or of SMTP; None: nobody answered."""
    answer: Mapped[str] = mapped_column(Text)
    """The beginning of what was answered, or why nothing was."""
    ms: Mapped[int] = mapped_column(Whole)


class ApiKeyRow(Base):
    """A key to the admin API: only its hash, so that nobody can read a key here."""

    __tablename__ = "api_keys"
    __table_args__ = (STRICT,)

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    """The public part of the key."""
    name: Mapped[str] = mapped_column(Text, unique=True)
    hash: Mapped[str] = mapped_column(Text)
    """SHA-256 of the secret part, as hex. The secret is random: a slow hash would add nothing."""
    scopes: Mapped[list[str]] = mapped_column(Json)
    created_at: Mapped[int] = mapped_column(Whole)
    revoked_at: Mapped[int | None] = mapped_column(Whole)


class CounterRow(Base):
    """Numbers that must have no gaps, taken in the transaction that uses them."""

    __tablename__ = "counters"
    __table_args__ = (STRICT,)

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[int] = mapped_column(Whole)
