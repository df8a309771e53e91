"""The tables, as SQLAlchemy Core knows them. Times are whole seconds since the epoch.

A change here needs a new file in `migrations/versions` and a new `HEAD` in `upgrade.py`; a test
compares what the migrations make with what stands here, on both dialects.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite counts rows up by itself only where the type is INTEGER, which has 64 bits there anyway.
Id = BigInteger().with_variant(Integer(), "sqlite")

accounts = Table(
    "accounts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("tier", String(20), nullable=False),
    Column("created_at_s", BigInteger, nullable=False),
    # What this account may do instead of what its tier says; null: as the tier.
    Column("requests_per_min", BigInteger),
    Column("tokens_per_min", BigInteger),
    Column("concurrency_max", BigInteger),
    # An id is never given twice: the ids of deleted rows may stand in logs and ledgers.
    sqlite_autoincrement=True,
)

account_prices = Table(
    "account_prices",
    metadata,
    # What the tokens of a model cost this account, instead of what the settings say.
    Column("account_id", Id, ForeignKey("accounts.id"), primary_key=True, autoincrement=False),
    Column("model", String(200), primary_key=True),  # *: every model that has no line of its own
    Column("price", String(60), nullable=False),  # prompt/completion or prompt/cached/completion
)

keys = Table(
    "keys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account_id", Id, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("name", String(100), nullable=False),
    Column("shown", String(40), nullable=False),  # enough of the secret to recognise it by
    Column("digest", LargeBinary(32), nullable=False, unique=True),  # SHA-256 of the secret
    Column("scopes", SmallInteger, nullable=False),  # bits of keys.rules.Scope
    Column("is_local", Boolean, nullable=False),  # its secret lies in the state folder
    Column("created_at_s", BigInteger, nullable=False),
    Column("expires_at_s", BigInteger, nullable=False),  # 0: never
    Column("revoked_at_s", BigInteger, nullable=False),  # 0: it was not
    Column("models", Text, nullable=False, server_default=""),  # allowed ids, a line each; all
    Column("last_used_at_s", BigInteger, nullable=False, server_default="0"),  # to the minute
    sqlite_autoincrement=True,
)

engine_assignments = Table(
    "engine_assignments",
    metadata,
    Column("engine", String(200), primary_key=True),
    Column("account_id", Id, ForeignKey("accounts.id"), nullable=False),
)

engine_entries = Table(
    "engine_entries",
    metadata,
    # An engine that an operator added, or told to take no new requests.
    Column("url", String(500), primary_key=True),  # in the one spelling of `engines/address.py`
    Column("name", String(200), nullable=False),
    Column("api_key", Text, nullable=False),  # what the engine asks for
    Column("is_added", Boolean, nullable=False),  # else it is named by settings, or found
    Column("is_draining", Boolean, nullable=False),
)

engine_leases = Table(
    "engine_leases",
    metadata,
    # An engine that registered itself with some house, for all houses of this database.
    Column("url", String(500), primary_key=True),  # in the one spelling of `engines/address.py`
    Column("name", String(200), nullable=False),
    Column("api_key", Text, nullable=False),  # what the engine asks for
    Column("key_id", BigInteger, nullable=False),  # the token that it came with
    Column("is_leaving", Boolean, nullable=False),  # finishes what it has
    Column("expires_at_ms", BigInteger, nullable=False),
)

books = Table(
    "books",
    metadata,
    # A place where money is: a customer's wallet, the revenue of a class, grants, refunds, funds.
    Column("id", Id, primary_key=True),
    Column("name", String(60), nullable=False, unique=True),
    Column("account_id", Id, ForeignKey("accounts.id"), index=True),  # null: the house's own
    # The sum of its transfers so far, kept with each of them: no start has to add them up.
    Column("balance_nanos", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

transfers = Table(
    "transfers",
    metadata,
    # Money that went from one book to another. Rows are added and never changed.
    Column("id", Id, primary_key=True),
    Column("kind", String(10), nullable=False),  # usage, top_up, grant, refund
    Column("from_book_id", Id, ForeignKey("books.id"), nullable=False),
    Column("to_book_id", Id, ForeignKey("books.id"), nullable=False),
    Column("account_id", Id, ForeignKey("accounts.id"), nullable=False),
    Column("service_class", String(20), nullable=False),  # of usage; empty for others
    Column("amount_nanos", BigInteger, nullable=False),
    Column("balance_nanos", BigInteger, nullable=False),  # of the account, after it
    Column("requests", Integer, nullable=False),  # usage rows that point here
    Column("created_at_ms", BigInteger, nullable=False),
    CheckConstraint("amount_nanos >= 0", name="amount"),
    Index("ix_transfers_account_id_id", "account_id", "id"),
    sqlite_autoincrement=True,
)

wallet_credits = Table(
    "credits",
    metadata,
    # Money that somebody gave an account, by the giver's own reference: given once.
    Column("id", Id, primary_key=True),
    Column("account_id", Id, ForeignKey("accounts.id"), nullable=False),
    Column("reference", String(200), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("amount_nanos", BigInteger, nullable=False),
    Column("note", String(200), nullable=False),
    Column("created_at_s", BigInteger, nullable=False),
    Column("transfer_id", Id, ForeignKey("transfers.id"), index=True),  # null: on its way
    CheckConstraint("amount_nanos > 0", name="amount"),
    UniqueConstraint("account_id", "reference"),
    sqlite_autoincrement=True,
)

usage_names = Table(
    "usage_names",
    metadata,
    # Models and engines by number, since usage has many rows: eight bytes of the name's SHA-256.
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
)

usage_rows = Table(
    "usage_rows",
    metadata,
    # A request that was settled, by its ticket in the hot segment of that incarnation. No foreign
    # keys: the keeper writes thousands a second, and `ledger verify` checks what it wrote.
    Column("incarnation", BigInteger, primary_key=True, autoincrement=False),
    Column("ticket", BigInteger, primary_key=True, autoincrement=False),
    Column("transfer_id", BigInteger, nullable=False, index=True),
    Column("account_id", BigInteger, nullable=False),
    Column("key_id", BigInteger, nullable=False),
    Column("model", BigInteger, nullable=False),
    Column("engine", BigInteger, nullable=False),
    Column("service_class", SmallInteger, nullable=False),
    Column("endpoint", SmallInteger, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("flags", SmallInteger, nullable=False),
    Column("began_at_ms", BigInteger, nullable=False),
    Column("ended_at_ms", BigInteger, nullable=False),
    Column("first_byte_ms", BigInteger, nullable=False),  # after the start; -1: none came
    Column("duration_ms", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("prompt_price_nanos", BigInteger, nullable=False),
    Column("completion_price_nanos", BigInteger, nullable=False),
    Column("cached_price_nanos", BigInteger, nullable=False),
    Column("reserved_nanos", BigInteger, nullable=False),
    Column("amount_nanos", BigInteger, nullable=False),
    Column("request_id", LargeBinary(12), nullable=False, index=True),
    Index("ix_usage_rows_account_id_ended_at_ms", "account_id", "ended_at_ms"),
    sqlite_with_rowid=False,
)


def _sums(name: str, period: str) -> Table:
    """Sums of usage rows by the hour or the day in which they ended; kept for ever."""
    places = ("account_id", period, "key_id", "model")
    sums = ("requests", "failed_requests", "prompt_tokens", "completion_tokens", "cached_tokens")
    return Table(
        name,
        metadata,
        *(Column(each, BigInteger, primary_key=True, autoincrement=False) for each in places),
        Column("service_class", SmallInteger, primary_key=True, autoincrement=False),
        Column("endpoint", SmallInteger, primary_key=True, autoincrement=False),
        *(Column(each, BigInteger, nullable=False) for each in (*sums, "amount_nanos")),
        sqlite_with_rowid=False,
    )


usage_hours = _sums("usage_hours", "hour_s")
# A month of one account may be ten thousands of hours' sums: what is asked by the day is read here.
usage_days = _sums("usage_days", "day_s")
# The same of days that are over, each account's side by side: `usage/past.py` says why. A sum may
# be in both tables; it is then what both say together.
usage_past_hours = _sums("usage_past_hours", "hour_s")
usage_past_days = _sums("usage_past_days", "day_s")

marks = Table(
    "marks",
    metadata,
    # How far something that goes on in steps has come.
    Column("name", String(60), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

adapters = Table(
    "adapters",
    metadata,
    # LoRA adapters that operators named. The folder is as engines see it.
    Column("name", String(200), primary_key=True),
    Column("base", String(200), nullable=False),
    Column("path", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("account_id", Id, ForeignKey("accounts.id")),  # the only one that sees it; null: all do
    Column("last_used_at_s", BigInteger, nullable=False, server_default="0"),  # in some house
)

adapter_turns = Table(
    "adapter_turns",
    metadata,
    # The house that may change which adapters an engine holds, until then.
    Column("url", String(500), primary_key=True),  # in the one spelling of `engines/address.py`
    Column("house", BigInteger, nullable=False),  # the incarnation of its hot segment
    Column("expires_at_ms", BigInteger, nullable=False),
)

changes = Table(
    "changes",
    metadata,
    # What other houses on this database have to look at again: keys and accounts, by number.
    Column("id", Id, primary_key=True),
    Column("kind", String(10), nullable=False),
    Column("subject_id", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

# What a start reads: the keys that open something.
Index("ix_keys_revoked_at_s", keys.c.revoked_at_s)
