"""Units of an order that were given back before they were sent: they are not shipped any more."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    whole = "INTEGER" if op.get_bind().dialect.name == "sqlite" else "BIGINT"
    possible = "withdrawn_quantity BETWEEN 0 AND quantity - shipped_quantity"
    check = f"CONSTRAINT ck_order_items_withdrawn_quantity_possible CHECK ({possible})"
    # As text: Alembic leaves a column's named CHECK out.
    op.execute(f"ALTER TABLE order_items ADD COLUMN withdrawn_quantity {whole} NOT NULL DEFAULT 0 {check}")
