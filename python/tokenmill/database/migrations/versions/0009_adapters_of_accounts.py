"""Adapters that one account alone sees, and when houses used an adapter last."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """All that there are belong to everyone."""
    with op.batch_alter_table("adapters") as table:
        table.add_column(sa.Column("account_id", Id, nullable=True))
        table.add_column(
            sa.Column("last_used_at_s", sa.BigInteger, nullable=False, server_default="0")
        )
        table.create_foreign_key("fk_adapters_account_id", "accounts", ["account_id"], ["id"])
