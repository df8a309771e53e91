"""Keys in the database. Each function is one statement in the caller's transaction, and a line for
other houses where it changes what a key opens."""

from collections.abc import Generator, Mapping
from contextlib import closing
from struct import Struct as Packing

from msgspec import Struct
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)

from tokenmill.accounts.rules import TIERS
from tokenmill.database.changes import note_change
from tokenmill.database.tables import accounts, keys
from tokenmill.keys.rules import DASHBOARD, parse_models

PACKED = Packing("<32sQQQHB5x")
"""digest, key id, account id, expiry, scopes, tier: as `Segment.put_keys` takes them."""

ROWS_AT_ONCE = 5_000

_TIER_INDEX = {tier: index for index, tier in enumerate(TIERS)}


class NewKey(Struct, frozen=True, kw_only=True):
    """What is stored of a key that is being made."""

    account_id: int
    name: str
    shown: str
    digest: bytes
    scopes: int
    is_local: bool
    created_at_s: int
    expires_at_s: int
    models: str = ""  # as of rules.models_text


class StoredKey(NewKey, frozen=True, kw_only=True):
    """A key as the database has it."""

    id: int
    account: str
    tier: str
    revoked_at_s: int
    last_used_at_s: int


def insert_key(connection: Connection, new: NewKey) -> int:
    """The number of the new key. Raises: sqlalchemy.exc.IntegrityError, if its digest is there."""
    values = {name: getattr(new, name) for name in NewKey.__struct_fields__}
    values |= {"revoked_at_s": 0, "last_used_at_s": 0}
    statement = insert(keys).values(values).returning(keys.c.id)
    key_id: int = connection.execute(statement).scalar_one()
    note_change(connection, "key", key_id)
    return key_id


def find_key(connection: Connection, key_id: int) -> StoredKey | None:
    """The key with this number, revoked ones too."""
    row = connection.execute(_select().where(keys.c.id == key_id)).one_or_none()
    return None if row is None else _stored(row)


def find_digest(connection: Connection, digest: bytes) -> StoredKey | None:
    """The key with this digest, revoked ones too."""
    row = connection.execute(_select().where(keys.c.digest == digest)).one_or_none()
    return None if row is None else _stored(row)


def list_keys(
    connection: Connection, *, is_live_only: bool, now_s: int, account_id: int | None = None
) -> list[StoredKey]:
    """Keys of an account or of all, oldest first."""
    statement = _select().order_by(keys.c.id)
    if account_id is not None:
        statement = statement.where(keys.c.account_id == account_id)
    if is_live_only:
        statement = statement.where(
            keys.c.revoked_at_s == 0, or_(keys.c.expires_at_s == 0, keys.c.expires_at_s > now_s)
        )
    return [_stored(row) for row in connection.execute(statement)]


def find_local_keys(connection: Connection) -> list[StoredKey]:
    """The keys that were made for a state folder and are not revoked."""
    statement = _select().where(keys.c.is_local.is_(True), keys.c.revoked_at_s == 0)
    return [_stored(row) for row in connection.execute(statement)]


def mark_revoked(connection: Connection, key_id: int, now_s: int) -> None:
    """The key opens nothing from `now_s`; one that was revoked before keeps its time."""
    is_it = and_(keys.c.id == key_id, keys.c.revoked_at_s == 0)
    connection.execute(update(keys).where(is_it).values(revoked_at_s=now_s))
    note_change(connection, "key", key_id)


def set_expiry(connection: Connection, key_id: int, expires_at_s: int) -> None:
    """The key opens nothing from `expires_at_s`."""
    connection.execute(update(keys).where(keys.c.id == key_id).values(expires_at_s=expires_at_s))
    note_change(connection, "key", key_id)


def mark_used(connection: Connection, uses: Mapping[int, int]) -> None:
    """When the keys were used last, in seconds; a use before the known one changes nothing."""
    if uses:
        statement = (
            update(keys)
            .where(keys.c.id == bindparam("used_id"), keys.c.last_used_at_s < bindparam("used_s"))
            .values(last_used_at_s=bindparam("used_s"))
        )
        values = [{"used_id": key_id, "used_s": used_s} for key_id, used_s in sorted(uses.items())]
        connection.execute(statement, values)


def model_lists(connection: Connection) -> dict[int, tuple[str, ...]]:
    """The models that keys may use, by key, where there is a list."""
    statement = select(keys.c.id, keys.c.models).where(keys.c.models != "")
    return {key_id: parse_models(text) for key_id, text in connection.execute(statement)}


def count_loadable(connection: Connection, expired_after_s: int) -> int:
    """How many keys `pack_loadable` gives."""
    statement = select(func.count()).select_from(keys).where(_is_loadable(expired_after_s))
    count: int = connection.execute(statement).scalar_one()
    return count


def pack_loadable(connection: Connection, expired_after_s: int) -> Generator[bytes, None, None]:
    """The keys that are not revoked and did not expire before `expired_after_s`, packed for the
    hot segment, some thousands a piece. Close it if you stop early. Cost: memory for one piece."""
    statement = (
        select(
            keys.c.digest,
            keys.c.id,
            keys.c.account_id,
            keys.c.expires_at_s,
            keys.c.scopes,
            accounts.c.tier,
        )
        .join(accounts, accounts.c.id == keys.c.account_id)
        .where(_is_loadable(expired_after_s))
    )
    pack, tiers = PACKED.pack, _TIER_INDEX
    streaming = connection.execution_options(yield_per=ROWS_AT_ONCE)
    with closing(streaming.execute(statement)) as streamed:
        for rows in streamed.partitions():
            yield b"".join(
                [
                    pack(digest, key_id, account_id, expires_at_s, scopes, tiers[tier])
                    for digest, key_id, account_id, expires_at_s, scopes, tier in rows
                ]
            )


def _is_loadable(expired_after_s: int) -> ColumnElement[bool]:
    return and_(
        keys.c.revoked_at_s == 0,
        keys.c.scopes < DASHBOARD,  # the highest bits there are: tokens are not looked up there
        or_(keys.c.expires_at_s == 0, keys.c.expires_at_s > expired_after_s),
    )


def _select() -> Select[tuple[object, ...]]:
    names = [name for name in StoredKey.__struct_fields__ if name not in ("account", "tier")]
    columns = [keys.c[name] for name in names]
    return select(*columns, accounts.c.name.label("account"), accounts.c.tier).join(
        accounts, accounts.c.id == keys.c.account_id
    )


def _stored(row: Row[tuple[object, ...]]) -> StoredKey:
    return StoredKey(**row._mapping)
