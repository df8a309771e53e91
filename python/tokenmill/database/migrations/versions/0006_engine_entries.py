"""Engines that operators add, and those that they told to take no new requests."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """A table for them."""
    op.create_table(
        "engine_entries",
        sa.Column("url", sa.String(500), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("api_key", sa.Text, nullable=False),
        sa.Column("is_added", sa.Boolean, nullable=False),
        sa.Column("is_draining", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("url", name="pk_engine_entries"),
    )
