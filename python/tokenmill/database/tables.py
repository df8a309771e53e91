"""The tables, as SQLAlchemy Core knows them. Times are whole seconds since the epoch.

A change here needs a new file in `migrations/versions` and a new `HEAD` in `upgrade.py`; a test
compares what the migrations make with what stands here, on both dialects.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
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
    # An id is never given twice: the ids of deleted rows may stand in logs and ledgers.
    sqlite_autoincrement=True,
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
    sqlite_autoincrement=True,
)

engine_assignments = Table(
    "engine_assignments",
    metadata,
    Column("engine", String(200), primary_key=True),
    Column("account_id", Id, ForeignKey("accounts.id"), nullable=False),
)

# What a start reads: the keys that open something.
Index("ix_keys_revoked_at_s", keys.c.revoked_at_s)
