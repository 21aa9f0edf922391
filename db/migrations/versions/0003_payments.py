"""What payment providers are to be told about orders."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Flag = sa.Boolean().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "payments",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("amount_minor", Whole, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("captures", Flag, nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("result_id", sa.Text(), nullable=True),
        sa.Column("action_url", sa.Text(), nullable=True),
        sa.Column("action_until", Whole, nullable=True),
        sa.Column("created_at", Whole, nullable=False),
        sa.Column("asked_at", Whole, nullable=True),
        sa.Column("next_at", Whole, nullable=True),
        sa.Column("tries", Whole, nullable=False),
        sa.Column("leased_by", sa.Text(), nullable=True),
        sa.Column("tells", Flag, nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("updated_at", Whole, nullable=False),
        sa.Column("request_key", sa.Text(), nullable=True),
        sa.Column("request_print", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('authorize', 'capture', 'void', 'refund')", name=op.f("ck_payments_kind_known")),
        sa.CheckConstraint("amount_minor >= 0", name=op.f("ck_payments_amount_not_negative")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_payments_order_id"),
        sa.PrimaryKeyConstraint("key", name="pk_payments"),
        sqlite_strict=True,
    )
    op.create_index("ix_payments_order", "payments", ["order_id"])
    op.create_index("ix_payments_provider_id", "payments", ["provider_id"])
    where = sa.text("next_at IS NOT NULL")
    op.create_index("ix_payments_next", "payments", ["next_at"], sqlite_where=where, postgresql_where=where)
    where = sa.text("status IN ('stuck', 'refused')")
    op.create_index(
        "ix_payments_unresolved", "payments", ["updated_at", "key"], sqlite_where=where, postgresql_where=where
    )
    where = sa.text("request_key IS NOT NULL")
    op.create_index(
        "uq_payments_request",
        "payments",
        ["order_id", "request_key"],
        unique=True,
        sqlite_where=where,
        postgresql_where=where,
    )
