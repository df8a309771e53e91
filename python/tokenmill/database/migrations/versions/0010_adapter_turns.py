"""Whose turn it is to change which adapters an engine holds."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """A table for them."""
    op.create_table(
        "adapter_turns",
        sa.Column("url", sa.String(500), nullable=False),
        sa.Column("house", sa.BigInteger, nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("url", name="pk_adapter_turns"),
    )
