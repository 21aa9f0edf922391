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
    Index,
    Integer,
    MetaData,
    Text,
    UniqueConstraint,
    text,
)
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
        # One for each filter and sort of a shopper's list, with the id as the last key.
        Index("ix_products_active_price", "is_active", "price_minor", "id"),
        Index("ix_products_active_name", "is_active", "name", "id"),
        Index("ix_products_active_created", "is_active", "created_at", "id"),
        Index("ix_products_category_price", "category_id", "is_active", "price_minor", "id"),
        Index("ix_products_category_created", "category_id", "is_active", "created_at", "id"),
        Index("ix_products_group", "group_id", "id"),
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
            "fulfillment_status IN ('unfulfilled', 'shipped', 'delivered', 'returned')",
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


class OrderItemRow(Base):
    """A line of an order, with copies of what the product was called and cost."""

    __tablename__ = "order_items"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        Index("ix_order_items_product", "product_id"),
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


class StockMovementRow(Base):
    """The ledger: `opening` and everything since, append-only; its sum is the stock (P4)."""

    __tablename__ = "stock_movements"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('opening', 'received', 'adjusted', 'sold', 'released', 'returned')", name="kind_known"
        ),
        UniqueConstraint("product_id", "kind", "order_id"),
        STRICT,
    )

    id: Mapped[int] = mapped_column(Whole, primary_key=True)
    product_id: Mapped[str] = mapped_column(Text, ForeignKey("products.id"))
    kind: Mapped[str] = mapped_column(Text)
    quantity: Mapped[int] = mapped_column(Whole)
    order_id: Mapped[str | None] = mapped_column(Text, ForeignKey("orders.id"))
    reason: Mapped[str | None] = mapped_column(Text)
    at: Mapped[int] = mapped_column(Whole)


class CounterRow(Base):
    """Numbers that must have no gaps, taken in the transaction that uses them."""

    __tablename__ = "counters"
    __table_args__ = (STRICT,)

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[int] = mapped_column(Whole)
