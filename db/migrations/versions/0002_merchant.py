"""The merchant's side: API keys, shipments, thresholds, who did it, and indexes for the merchant's lists."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WAS = "fulfillment_status IN ('unfulfilled', 'shipped', 'delivered', 'returned')"
IS = "fulfillment_status IN ('unfulfilled', 'partially_shipped', 'shipped', 'delivered', 'returned')"
ORDER_INDEXES = {
    "ix_orders_created": ["created_at", "id"],
    "ix_orders_total": ["total_minor", "id"],
    "ix_orders_status": ["status", "created_at", "id"],
    "ix_orders_payment_status": ["payment_status", "created_at", "id"],
    "ix_orders_fulfillment_status": ["fulfillment_status", "created_at", "id"],
    "ix_orders_email": ["email_lower", "created_at", "id"],
}


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    whole = "INTEGER" if sqlite else "BIGINT"
    _add_column("products", "description_html TEXT")
    check = "CONSTRAINT ck_products_low_stock_threshold_not_negative CHECK (low_stock_threshold >= 0)"
    _add_column("products", f"low_stock_threshold {whole} NOT NULL DEFAULT 5 {check}")
    _add_column("orders", "failure_code TEXT")
    _add_column("orders", "email_lower TEXT NOT NULL DEFAULT ''")
    check = "CONSTRAINT ck_order_items_shipped_quantity_possible CHECK (shipped_quantity BETWEEN 0 AND quantity)"
    _add_column("order_items", f"shipped_quantity {whole} NOT NULL DEFAULT 0 {check}")
    _add_column("order_events", "actor TEXT")
    _add_column("stock_movements", "actor TEXT")
    _add_column("stock_movements", "key TEXT")
    op.execute("UPDATE orders SET email_lower = lower(email)")
    if sqlite:
        op.execute("UPDATE orders SET failure_code = json_extract(failure, '$.code') WHERE failure IS NOT NULL")
    else:
        op.execute("UPDATE orders SET failure_code = failure::json ->> 'code' WHERE failure IS NOT NULL")
    _widen_fulfillment(sqlite)

    op.create_table(
        "shipments",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("carrier", sa.Text(), nullable=True),
        sa.Column("tracking_number", sa.Text(), nullable=True),
        sa.Column("tracking_url", sa.Text(), nullable=True),
        sa.Column("shipped_at", Whole, nullable=False),
        sa.Column("delivered_at", Whole, nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_shipments_order_id"),
        sa.PrimaryKeyConstraint("order_id", "number", name="pk_shipments"),
        sqlite_strict=True,
    )
    op.create_table(
        "shipment_items",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("quantity", Whole, nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_shipment_items_quantity_positive")),
        sa.ForeignKeyConstraint(
            ["order_id", "number"], ["shipments.order_id", "shipments.number"], name="fk_shipment_items_shipment"
        ),
        sa.ForeignKeyConstraint(
            ["order_id", "position"], ["order_items.order_id", "order_items.position"], name="fk_shipment_items_line"
        ),
        sa.PrimaryKeyConstraint("order_id", "number", "position", name="pk_shipment_items"),
        sqlite_strict=True,
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", Whole, nullable=False),
        sa.Column("revoked_at", Whole, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("name", name="uq_api_keys_name"),
        sqlite_strict=True,
    )

    for name, columns in ORDER_INDEXES.items():
        op.create_index(name, "orders", columns)
    _partial_index("ix_orders_failure_code", "orders", ["failure_code", "created_at", "id"], "failure_code IS NOT NULL")
    low = "stock_quantity <= low_stock_threshold"
    _partial_index("ix_products_low_stock", "products", ["stock_quantity", "id"], low)
    op.create_index("ix_stock_movements_product", "stock_movements", ["product_id", "id"])
    _partial_index("uq_stock_movements_key", "stock_movements", ["product_id", "key"], "key IS NOT NULL", unique=True)
    op.drop_index("ix_order_items_product", "order_items")
    op.create_index("ix_order_items_product", "order_items", ["product_id", "order_id"])


def _add_column(table: str, column: str) -> None:
    """As text: Alembic leaves a column's named CHECK out."""
    op.execute(f"ALTER TABLE {table} ADD COLUMN {column}")


def _partial_index(name: str, table: str, columns: list[str], where: str, unique: bool = False) -> None:
    op.create_index(name, table, columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _widen_fulfillment(sqlite: bool) -> None:
    """Allow one more fulfillment_status.

    SQLite cannot change a CHECK, and to copy a large shop's orders for it would take minutes: the text of the
    table is changed, as https://www.sqlite.org/lang_altertable.html describes for constraints.
    """
    if not sqlite:
        op.execute("ALTER TABLE orders DROP CONSTRAINT ck_orders_fulfillment_status_known")
        op.execute(f"ALTER TABLE orders ADD CONSTRAINT ck_orders_fulfillment_status_known CHECK ({IS})")
        return
    connection = op.get_bind()
    connection.exec_driver_sql("PRAGMA writable_schema=ON")
    connection.exec_driver_sql(
        "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = 'orders'", (WAS, IS)
    )
    connection.exec_driver_sql("PRAGMA writable_schema=RESET")
