"""Databases as they are found: empty, up to date, newer, foreign, locked, broken."""

import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import BigInteger, cast, create_engine, func, inspect, literal, select, text

from tests.support.postgresql import PostgresqlServer
from tokenmill.accounts.store import insert_account, list_accounts
from tokenmill.database import connection as connection_module
from tokenmill.database.address import find_address
from tokenmill.database.connection import Database
from tokenmill.database.errors import DatabaseForeign, DatabaseNewer, DatabaseUnavailable
from tokenmill.database.migrations import migrate, newest_revision
from tokenmill.database.statements import fetch_numbers, insert_many
from tokenmill.database.tables import metadata, usage_hours, usage_names
from tokenmill.database.upgrade import HEAD, open_database, stored_revision, upgrade


@pytest.fixture
def empty(database_url: str, tmp_path: Path) -> Database:
    """A database of each kind that nobody has made tables in."""
    return Database(find_address(database_url, tmp_path))


def differences(database: Database) -> list[object]:
    """What separates the database's tables from those of this version."""
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))


def test_the_head_is_the_newest_migration() -> None:
    assert newest_revision() == HEAD


def test_a_first_start_makes_the_newest_tables(empty: Database) -> None:
    upgrade(empty)
    assert differences(empty) == []
    with empty.read() as connection:
        assert stored_revision(connection) == HEAD
    empty.close()


def test_migrations_make_what_a_first_start_makes(empty: Database) -> None:
    with empty.write() as connection:
        migrate(connection, HEAD)
    assert differences(empty) == []
    upgrade(empty)  # finds nothing to do
    empty.close()


def test_a_migration_that_fails_leaves_nothing(empty: Database) -> None:
    with pytest.raises(ZeroDivisionError), empty.write() as connection:
        migrate(connection, HEAD)
        raise ZeroDivisionError
    with empty.read() as connection:
        assert inspect(connection).get_table_names() == []
    empty.close()


def test_a_second_start_keeps_what_is_there(database_url: str, tmp_path: Path) -> None:
    first = open_database(database_url, tmp_path)
    with first.write() as connection:
        account = insert_account(connection, "acme", "pro", 1)
    first.close()
    second = open_database(database_url, tmp_path)
    with second.read() as connection:
        assert list_accounts(connection) == [account]
    second.close()


def test_a_newer_database_is_refused_by_its_revision(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseNewer, match=f"9999; this tokenmill knows {HEAD}"):
        upgrade(database)


def test_tables_of_somebody_else_are_left_alone(empty: Database) -> None:
    with empty.write() as connection:
        connection.execute(text("CREATE TABLE keys (door INTEGER)"))
    with pytest.raises(DatabaseForeign, match="tables named keys"):
        upgrade(empty)
    with empty.read() as connection:
        assert inspect(connection).get_table_names() == ["keys"]
    empty.close()


def test_two_machines_that_start_together_upgrade_one_by_one(
    postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    failures: list[Exception] = []

    def start(url: str) -> None:
        try:
            open_database(url, tmp_path).close()
        except DatabaseUnavailable as error:
            failures.append(error)

    with postgresql.empty_database() as url:
        threads = [threading.Thread(target=start, args=(url,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        database = open_database(url, tmp_path)
        assert differences(database) == []
        database.close()


VISITOR = "import sqlite3, sys; seen = sqlite3.connect(sys.argv[1]); " + (
    "print(seen.execute('SELECT count(*) FROM accounts').fetchone()[0]); seen.close()"
)


def visit(tmp_path: Path) -> int:
    """How many accounts another process sees, which opens the file and closes it again."""
    command = [sys.executable, "-c", VISITOR, str(tmp_path / "tokenmill.db")]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_what_is_committed_after_a_visitor_left_is_there(tmp_path: Path) -> None:
    """Closing any descriptor of the file drops a process's locks on it. The last connection that
    closes deletes the journal, and a visitor that finds no lock takes itself for the last."""
    database = open_database("", tmp_path)
    with database.read(), database.read():  # at least two connections
        pass
    before = visit(tmp_path)
    with database.write() as connection:
        insert_account(connection, "acme", "internal", 1)
    assert visit(tmp_path) == before + 1
    database.close()


def test_sqlite_is_private_and_survives_a_power_cut(tmp_path: Path) -> None:
    database = open_database("", tmp_path)
    with database.read() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {f"tokenmill.db{end}": 0o600 for end in ("", "-wal", "-shm")}
    database.close()


def test_a_locked_database_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tokenmill.db"
    monkeypatch.setattr(connection_module, "_PRAGMAS", ("PRAGMA busy_timeout = 10",))
    database = open_database("", tmp_path)
    other = create_engine(f"sqlite:///{path}")
    with other.connect() as holder:
        holder.exec_driver_sql("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseUnavailable, match=r"database is locked.*Another program"):
            open_database("", tmp_path)
    other.dispose()
    database.close()


def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    database = open_database("", tmp_path)
    with database.write() as writing, database.read() as reading:
        insert_account(writing, "acme", "pro", 1)
        assert list_accounts(reading) == []
    with database.read() as reading:
        assert len(list_accounts(reading)) == 1
    database.close()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(b"Dear database, " * 1_000)
    with pytest.raises(DatabaseUnavailable, match=r"letter\.txt.*not a database"):
        open_database(f"sqlite:///{path}", tmp_path)


def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path) -> None:
    database = open_database("", tmp_path)
    with database.write() as connection:
        kept = insert_account(connection, "kept", "pro", 1)
    with pytest.raises(DatabaseUnavailable, match=r"full.*Make room"):
        fill_up(database)
    with database.read() as connection:
        assert list_accounts(connection) == [kept]
    database.close()


def fill_up(database: Database) -> None:
    """Inserts accounts until SQLite's own bound of pages says that the disk is full."""
    with database.write() as connection:
        connection.execute(text("PRAGMA max_page_count = 20"))
        for number in range(100_000):
            insert_account(connection, f"{number:100}", "pro", 1)


def test_a_server_that_is_away_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match=r"PostgreSQL x at 127\.0\.0\.1:1") as caught:
        open_database("postgresql://mill:hunter2@127.0.0.1:1/x", tmp_path)
    assert "hunter2" not in caught.value.message


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseUnavailable, match=r"file/tokenmill\.db\): .*File exists"):
        open_database("", tmp_path / "file")


def test_numbers_come_as_they_are_in_the_order_asked_for(database: Database) -> None:
    rows = [(number, -(2**62) + number, 7 - number) for number in range(5)]
    named = [(number, f"m{number}") for number in (-(2**63), -5, 0, 2**63 - 1)]
    with database.write() as connection:
        insert_many(connection, usage_names, ("number", "name"), named)
        insert_many(
            connection,
            usage_hours,
            [column.name for column in usage_hours.c],
            [(1, hour, 0, model, 0, 0, 1, 0, tokens, 0, 0, 0) for hour, model, tokens in rows],
        )
    numbers = usage_names.c.number
    sums = usage_hours.c
    total = cast(func.sum(sums.prompt_tokens), BigInteger)
    with database.read() as connection:
        falling = fetch_numbers(connection, select(numbers).order_by(numbers.desc()).limit(3))
        assert [tuple(row) for row in falling] == [(2**63 - 1,), (0,), (-5,)]
        ordered = select(sums.hour_s, sums.model, sums.prompt_tokens, sums.service_class)
        found = fetch_numbers(connection, ordered.order_by(sums.prompt_tokens))
        assert [tuple(row) for row in found] == [(*row, 0) for row in reversed(rows)]
        nothing = select(literal(0), total).where(sums.account_id == 2)
        assert [tuple(row) for row in fetch_numbers(connection, nothing)] == [(0, None)]
        assert list(fetch_numbers(connection, select(numbers).where(numbers == 1))) == []
