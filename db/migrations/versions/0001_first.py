"""The catalogue, stock and its ledger, orders and their timeline."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Flag = sa.Boolean().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "categories",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_categories"),
        sa.UniqueConstraint("name", name="uq_categories_name"),
        sqlite_strict=True,
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", Whole, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counters"),
        sqlite_strict=True,
    )
    op.create_table(
        "orders",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("number", Whole, nullable=True),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("cart_id", sa.Text(), nullable=False),
        sa.Column("cart_version", Whole, nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("subtotal_minor", Whole, nullable=False),
        sa.Column("total_minor", Whole, nullable=False),
        sa.Column("tax_minor", Whole, nullable=False),
        sa.Column("shipping_minor", Whole, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("payment_status", sa.Text(), nullable=False),
        sa.Column("fulfillment_status", sa.Text(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("shipping_address", sa.Text(), nullable=True),
        sa.Column("billing_address", sa.Text(), nullable=False),
        sa.Column("shipping_method", sa.Text(), nullable=False),
        sa.Column("payment_method", sa.Text(), nullable=False),
        sa.Column("quote", sa.Text(), nullable=False),
        sa.Column("created_at", Whole, nullable=False),
        sa.Column("accepted_at", Whole, nullable=False),
        sa.Column("settled_at", Whole, nullable=True),
        sa.Column("updated_at", Whole, nullable=False),
        sa.CheckConstraint(
            "fulfillment_status IN ('unfulfilled', 'shipped', 'delivered', 'returned')",
            name=op.f("ck_orders_fulfillment_status_known"),
        ),
        sa.CheckConstraint(
            "payment_status IN ('none', 'pending', 'authorized', 'captured', 'voided', 'refunded', 'partially_refunded', 'failed', 'unknown')",
            name=op.f("ck_orders_payment_status_known"),
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'processing', 'requires_action', 'confirmed', 'failed', 'cancelled')",
            name=op.f("ck_orders_status_known"),
        ),
        sa.CheckConstraint("total_minor >= 0", name=op.f("ck_orders_total_not_negative")),
        sa.PrimaryKeyConstraint("id", name="pk_orders"),
        sa.UniqueConstraint("number", name="uq_orders_number"),
        sqlite_strict=True,
    )
    op.create_index("ix_orders_session", "orders", ["session_id", "created_at", "id"], unique=False)
    op.create_index(
        "uq_orders_cart",
        "orders",
        ["cart_id"],
        unique=True,
        sqlite_where=sa.text("status <> 'failed'"),
        postgresql_where=sa.text("status <> 'failed'"),
    )
    op.create_index(
        "uq_orders_session_key",
        "orders",
        ["session_id", "idempotency_key"],
        unique=True,
        sqlite_where=sa.text("idempotency_key IS NOT NULL AND status <> 'failed'"),
        postgresql_where=sa.text("idempotency_key IS NOT NULL AND status <> 'failed'"),
    )
    op.create_table(
        "order_events",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("at", Whole, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_order_events_order_id"),
        sa.PrimaryKeyConstraint("order_id", "seq", name="pk_order_events"),
        sqlite_strict=True,
    )
    op.create_table(
        "order_items",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("quantity", Whole, nullable=False),
        sa.Column("price_at_time_minor", Whole, nullable=False),
        sa.Column("tax_minor", Whole, nullable=False),
        sa.Column("subtotal_minor", Whole, nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_order_items_quantity_positive")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_order_items_order_id"),
        sa.PrimaryKeyConstraint("order_id", "position", name="pk_order_items"),
        sqlite_strict=True,
    )
    op.create_index("ix_order_items_product", "order_items", ["product_id"], unique=False)
    op.create_table(
        "products",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("price_minor", Whole, nullable=False),
        sa.Column("category_id", sa.Integer(), nullable=False),
        sa.Column("stock_quantity", Whole, nullable=False),
        sa.Column("image_url", sa.Text(), nullable=False),
        sa.Column("images", sa.Text(), nullable=False),
        sa.Column("specifications", sa.Text(), nullable=False),
        sa.Column("tax_class", sa.Text(), nullable=False),
        sa.Column("weight_grams", Whole, nullable=False),
        sa.Column("group_id", sa.Text(), nullable=True),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("is_active", Flag, nullable=False),
        sa.Column("created_at", Whole, nullable=False),
        sa.Column("updated_at", Whole, nullable=False),
        sa.CheckConstraint("price_minor >= 0", name=op.f("ck_products_price_not_negative")),
        sa.CheckConstraint("stock_quantity >= 0", name=op.f("ck_products_stock_not_negative")),
        sa.CheckConstraint("weight_grams >= 0", name=op.f("ck_products_weight_not_negative")),
        sa.ForeignKeyConstraint(["category_id"], ["categories.id"], name="fk_products_category_id"),
        sa.PrimaryKeyConstraint("id", name="pk_products"),
        sa.UniqueConstraint("sku", name="uq_products_sku"),
        sqlite_strict=True,
    )
    op.create_index("ix_products_active_created", "products", ["is_active", "created_at", "id"], unique=False)
    op.create_index("ix_products_active_name", "products", ["is_active", "name", "id"], unique=False)
    op.create_index("ix_products_active_price", "products", ["is_active", "price_minor", "id"], unique=False)
    op.create_index(
        "ix_products_category_created", "products", ["category_id", "is_active", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_products_category_price", "products", ["category_id", "is_active", "price_minor", "id"], unique=False
    )
    op.create_index("ix_products_group", "products", ["group_id", "id"], unique=False)
    op.create_table(
        "stock_movements",
        sa.Column("id", Whole, nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("quantity", Whole, nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("at", Whole, nullable=False),
        sa.CheckConstraint(
            "kind IN ('opening', 'received', 'adjusted', 'sold', 'released', 'returned')",
            name=op.f("ck_stock_movements_kind_known"),
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_stock_movements_order_id"),
        sa.ForeignKeyConstraint(["product_id"], ["products.id"], name="fk_stock_movements_product_id"),
        sa.PrimaryKeyConstraint("id", name="pk_stock_movements"),
        sa.UniqueConstraint("product_id", "kind", "order_id", name="uq_stock_movements_product_id_kind_order_id"),
        sqlite_strict=True,
    )

    counters = sa.table("counters", sa.column("name"), sa.column("value"))
    # The number before the first: a shop that opens with order 1001 looks less empty.
    op.bulk_insert(counters, [{"name": "order_number", "value": 1000}])


def downgrade() -> None:
    for table in ("stock_movements", "order_items", "order_events", "orders", "products", "categories", "counters"):
        op.drop_table(table)
