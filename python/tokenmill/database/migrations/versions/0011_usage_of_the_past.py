"""Tables for sums of days that are over, where an account's lie side by side; empty at first."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """What is summed already moves there while the house serves, some at a time."""
    for name, period in (("usage_past_hours", "hour_s"), ("usage_past_days", "day_s")):
        places = ("account_id", period, "key_id", "model")
        small = ("service_class", "endpoint")
        tokens = ("prompt_tokens", "completion_tokens", "cached_tokens")
        sums = ("requests", "failed_requests", *tokens, "amount_nanos")
        op.create_table(
            name,
            *(_column(each, sa.BigInteger) for each in places),
            *(_column(each, sa.SmallInteger) for each in small),
            *(_column(each, sa.BigInteger) for each in sums),
            sa.PrimaryKeyConstraint(*places, *small, name=f"pk_{name}"),
            sqlite_with_rowid=False,
        )


def _column(name: str, kind: type[sa.types.TypeEngine[int]]) -> sa.Column[int]:
    return sa.Column(name, kind, nullable=False, autoincrement=False)
