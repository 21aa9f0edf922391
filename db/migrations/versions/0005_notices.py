"""Notices to shoppers and to the merchant's endpoints."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

Whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Flag = sa.Boolean().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("events", sa.Text(), nullable=True),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("old_secret", sa.Text(), nullable=True),
        sa.Column("old_secret_until", Whole, nullable=True),
        sa.Column("is_active", Flag, nullable=False),
        sa.Column("switched_off", sa.Text(), nullable=True),
        sa.Column("failing_since", Whole, nullable=True),
        sa.Column("created_at", Whole, nullable=False),
        sa.Column("updated_at", Whole, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_endpoints"),
        sqlite_strict=True,
    )
    op.create_table(
        "notices",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("tries", Whole, nullable=False),
        sa.Column("attempts", Whole, nullable=False),
        sa.Column("next_at", Whole, nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("created_at", Whole, nullable=False),
        sa.Column("updated_at", Whole, nullable=False),
        sa.CheckConstraint("status IN ('waiting', 'sent', 'failed', 'dropped')", name=op.f("ck_notices_status_known")),
        sa.CheckConstraint("(status = 'waiting') = (next_at IS NOT NULL)", name=op.f("ck_notices_waiting_until")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_notices_order_id"),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
        sqlite_strict=True,
    )
    op.create_index("ix_notices_created", "notices", ["created_at", "id"])
    op.create_index("ix_notices_target", "notices", ["target", "created_at", "id"])
    op.create_index("ix_notices_order", "notices", ["order_id"])
    where = sa.text("next_at IS NOT NULL")
    op.create_index(
        "ix_notices_next", "notices", ["target", "next_at", "id"], sqlite_where=where, postgresql_where=where
    )
    where = sa.text("status IN ('failed', 'dropped')")
    op.create_index(
        "ix_notices_given_up", "notices", ["status", "created_at", "id"], sqlite_where=where, postgresql_where=where
    )
    op.create_table(
        "notice_attempts",
        sa.Column("notice_id", sa.Text(), nullable=False),
        sa.Column("attempt", Whole, nullable=False),
        sa.Column("at", Whole, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("ms", Whole, nullable=False),
        sa.CheckConstraint("outcome IN ('sent', 'failed')", name=op.f("ck_notice_attempts_outcome_known")),
        sa.ForeignKeyConstraint(["notice_id"], ["notices.id"], name="fk_notice_attempts_notice_id"),
        sa.PrimaryKeyConstraint("notice_id", "attempt", name="pk_notice_attempts"),
        sqlite_strict=True,
    )
