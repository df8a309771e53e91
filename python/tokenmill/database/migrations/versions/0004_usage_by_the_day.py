"""Usage summed by the day, from what is summed by the hour."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_PLACE = ("account_id", "day_s", "key_id", "model", "service_class", "endpoint")
_SUMS = (
    "requests",
    "failed_requests",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "amount_nanos",
)


def upgrade() -> None:
    """The new table is full when this returns. Cost: reads every sum by the hour once."""
    small = ("service_class", "endpoint")
    op.create_table(
        "usage_days",
        *(
            sa.Column(
                name,
                sa.SmallInteger if name in small else sa.BigInteger,
                nullable=False,
                autoincrement=False,
            )
            for name in (*_PLACE, *_SUMS)
        ),
        sa.PrimaryKeyConstraint(*_PLACE, name="pk_usage_days"),
        sqlite_with_rowid=False,
    )
    columns = ", ".join((*_PLACE, *_SUMS))
    places = ", ".join(_PLACE).replace("day_s", "hour_s - hour_s % 86400")
    sums = ", ".join(f"sum({name})" for name in _SUMS)
    op.execute(
        f"INSERT INTO usage_days ({columns}) SELECT {places}, {sums} FROM usage_hours"
        " GROUP BY 1, 2, 3, 4, 5, 6"
    )
