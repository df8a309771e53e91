"""Limits of an account's own, what a key may use, the ledger, and usage."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Accounts and keys get columns; money and usage get tables."""
    for name in ("requests_per_min", "tokens_per_min", "concurrency_max"):
        op.add_column("accounts", sa.Column(name, sa.BigInteger))
    op.add_column("keys", sa.Column("models", sa.Text, nullable=False, server_default=""))
    op.add_column(
        "keys", sa.Column("last_used_at_s", sa.BigInteger, nullable=False, server_default="0")
    )
    _make_ledger()
    _make_usage()


def _make_ledger() -> None:
    op.create_table(
        "books",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("account_id", Id),
        sa.Column("balance_nanos", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_books"),
        sa.UniqueConstraint("name", name="uq_books_name"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_books_account_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_books_account_id", "books", ["account_id"])
    op.create_table(
        "transfers",
        sa.Column("id", Id, nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("from_book_id", Id, nullable=False),
        sa.Column("to_book_id", Id, nullable=False),
        sa.Column("account_id", Id, nullable=False),
        sa.Column("service_class", sa.String(20), nullable=False),
        sa.Column("amount_nanos", sa.BigInteger, nullable=False),
        sa.Column("balance_nanos", sa.BigInteger, nullable=False),
        sa.Column("requests", sa.Integer, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_transfers"),
        sa.CheckConstraint("amount_nanos >= 0", name="ck_transfers_amount"),
        sa.ForeignKeyConstraint(["from_book_id"], ["books.id"], name="fk_transfers_from_book_id"),
        sa.ForeignKeyConstraint(["to_book_id"], ["books.id"], name="fk_transfers_to_book_id"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_transfers_account_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_transfers_account_id_id", "transfers", ["account_id", "id"])
    op.create_table(
        "credits",
        sa.Column("id", Id, nullable=False),
        sa.Column("account_id", Id, nullable=False),
        sa.Column("reference", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("amount_nanos", sa.BigInteger, nullable=False),
        sa.Column("note", sa.String(200), nullable=False),
        sa.Column("created_at_s", sa.BigInteger, nullable=False),
        sa.Column("transfer_id", Id),
        sa.PrimaryKeyConstraint("id", name="pk_credits"),
        sa.CheckConstraint("amount_nanos > 0", name="ck_credits_amount"),
        sa.UniqueConstraint("account_id", "reference", name="uq_credits_account_id"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_credits_account_id"),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfers.id"], name="fk_credits_transfer_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_credits_transfer_id", "credits", ["transfer_id"])


def _make_usage() -> None:
    op.create_table(
        "usage_names",
        sa.Column("number", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_usage_names"),
    )
    whole, small = sa.BigInteger, sa.SmallInteger
    row_key = {"incarnation": whole, "ticket": whole}
    op.create_table(
        "usage_rows",
        *_columns({**row_key, "transfer_id account_id key_id model engine": whole}),
        *_columns({"service_class endpoint status flags": small}),
        *_columns({"began_at_ms ended_at_ms first_byte_ms duration_ms": whole}),
        *_columns({"prompt_tokens completion_tokens cached_tokens": whole}),
        *_columns({"prompt_price_nanos completion_price_nanos cached_price_nanos": whole}),
        *_columns({"reserved_nanos amount_nanos": whole, "request_id": sa.LargeBinary(12)}),
        sa.PrimaryKeyConstraint(*row_key, name="pk_usage_rows"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_usage_rows_transfer_id", "usage_rows", ["transfer_id"])
    op.create_index("ix_usage_rows_request_id", "usage_rows", ["request_id"])
    op.create_index(
        "ix_usage_rows_account_id_ended_at_ms", "usage_rows", ["account_id", "ended_at_ms"]
    )
    hour_key = ("account_id", "hour_s", "key_id", "model", "service_class", "endpoint")
    op.create_table(
        "usage_hours",
        *_columns({"account_id hour_s key_id model": whole, "service_class endpoint": small}),
        *_columns({"requests failed_requests": whole}),
        *_columns({"prompt_tokens completion_tokens cached_tokens amount_nanos": whole}),
        sa.PrimaryKeyConstraint(*hour_key, name="pk_usage_hours"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "marks",
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_marks"),
    )


def _columns(types: dict[str, Any]) -> list[sa.Column[Any]]:
    """Columns by names with blanks between them; none may be null."""
    return [
        sa.Column(name, kind, nullable=False, autoincrement=False)
        for names, kind in types.items()
        for name in names.split()
    ]
