"""Brings a database to the tables of this version.

Alembic takes a third of a second to load, so it is loaded only when there is something to migrate:
an empty database gets the newest tables at once, one that is up to date gets nothing.
"""

import logging
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select
from sqlalchemy.exc import IntegrityError

from tokenmill.database.address import find_address
from tokenmill.database.connection import Database, explain
from tokenmill.database.errors import DatabaseForeign, DatabaseNewer, DatabaseUnavailable
from tokenmill.database.tables import metadata

HEAD = "0011"
"""The newest revision. Revisions are numbers of four digits, so that newer is greater."""

UPGRADE_LOCK = 0x746B6D6C
"""Key of PostgreSQL's advisory lock: two machines that start together upgrade one by one."""

logger = logging.getLogger("tokenmill.database")

# Alembic's own table, by its own definition; not among the tables that migrations compare.
_versions = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), primary_key=True),
)


def open_database(database_url: str, state: Path) -> Database:
    """The database of these settings, with the tables of this version.

    Raises: DatabaseAddressInvalid, DatabaseNewer, DatabaseForeign, DatabaseUnavailable.
    """
    database = Database(find_address(database_url, state))
    path = database.address.path
    if path is not None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseUnavailable(explain(error, database.address)) from error
    upgrade(database)
    return database


def upgrade(database: Database) -> None:
    """The database has the tables of this version afterwards; all or nothing.

    Raises: DatabaseNewer, DatabaseForeign, DatabaseUnavailable.
    """
    with database.read() as connection:
        if stored_revision(connection) == HEAD:
            return
    with database.write() as connection:
        if database.address.kind == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({UPGRADE_LOCK})")
        stored = stored_revision(connection)
        if stored is None:
            _make_tables(connection)
        elif stored < HEAD:
            _migrate(connection, stored)


def stored_revision(connection: Connection) -> str | None:
    """The revision of the database's tables; None if it has none of ours.

    Raises: DatabaseNewer, DatabaseForeign.
    """
    present = set(inspect(connection).get_table_names())
    if _versions.name in present:
        stored = connection.execute(select(_versions.c.version_num)).scalar()
        if stored is not None and (not stored.isdigit() or len(stored) != len(HEAD)):
            raise DatabaseForeign
        if stored is not None and stored > HEAD:
            raise DatabaseNewer(
                f"The database has revision {stored}; this tokenmill knows {HEAD} and older."
                " Install the tokenmill that wrote it, or restore a backup."
            )
        if stored is not None:
            return str(stored)
    foreign = sorted(present & set(metadata.tables))
    if foreign:
        raise DatabaseForeign(
            f"The database holds tables named {', '.join(foreign)} that tokenmill did not make."
            " Give it a database of its own."
        )
    return None


def _make_tables(connection: Connection) -> None:
    metadata.create_all(connection, checkfirst=False)
    _versions.create(connection, checkfirst=True)
    connection.execute(_versions.insert().values(version_num=HEAD))


def _migrate(connection: Connection, stored: str) -> None:
    from tokenmill.database.migrations import migrate

    logger.info("upgrading the database", extra={"from": stored, "to": HEAD})
    try:
        migrate(connection, HEAD)
    except IntegrityError as error:
        raise DatabaseForeign(f"The database cannot be upgraded: {error.orig}.") from error
