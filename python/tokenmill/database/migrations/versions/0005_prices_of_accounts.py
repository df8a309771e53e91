"""Prices of an account's own."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """No account has any yet."""
    op.create_table(
        "account_prices",
        sa.Column("account_id", Id, nullable=False, autoincrement=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("price", sa.String(60), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "model", name="pk_account_prices"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_account_prices_account_id"
        ),
    )
