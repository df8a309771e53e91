"""The ledger in the database: books, transfers, credits. All in the caller's transaction.

Rows are added and never changed, but for two things that follow from them: a book's balance, kept
with each transfer, and which transfer a credit became.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Row, and_, bindparam, func, or_, select, update

from tokenmill.billing import rules
from tokenmill.billing.rules import Book, CreditKind, Posting, TransferKind
from tokenmill.database.statements import add_many, in_pieces, insert_counted, upsert
from tokenmill.database.tables import books, transfers, wallet_credits

_TRANSFER_COLUMNS = (
    "kind",
    "from_book_id",
    "to_book_id",
    "account_id",
    "service_class",
    "amount_nanos",
    "balance_nanos",
    "requests",
    "created_at_ms",
)


class Transfer(Struct, frozen=True, kw_only=True):
    """A line of the ledger. `balance_nanos` is the account's after it."""

    id: int
    kind: TransferKind
    account_id: int
    service_class: str
    amount_nanos: int
    balance_nanos: int
    requests: int
    created_at_ms: int
    reference: str = ""
    note: str = ""


class NewCredit(Struct, frozen=True, kw_only=True):
    """Money that an account is to be given, by the giver's own reference."""

    account_id: int
    reference: str
    kind: CreditKind
    amount_nanos: int
    note: str
    created_at_s: int


class Credit(NewCredit, frozen=True, kw_only=True):
    """A credit as the database has it; without a transfer it is on its way."""

    id: int
    transfer_id: int | None


def post(connection: Connection, postings: Sequence[Posting], now_ms: int) -> list[int]:
    """Makes the transfers; their numbers, in the order of the postings. Raises: IntegrityError, if
    an account does not exist."""
    if not postings:
        return []
    rows = _change_books(connection, rules.book_changes(postings))
    ends = {row.account_id: row.balance_nanos for row in rows if row.account_id is not None}
    ids = {row.name: row.id for row in rows}
    after = rules.running_balances(list(postings), ends)
    values = [
        (
            one.kind,
            ids[one.source.name],
            ids[one.target.name],
            one.account_id,
            one.service_class,
            one.amount_nanos,
            balance_nanos,
            one.requests,
            now_ms,
        )
        for one, balance_nanos in zip(postings, after, strict=True)
    ]
    return insert_counted(connection, transfers, _TRANSFER_COLUMNS, values)


def _change_books(connection: Connection, changes: dict[Book, int]) -> list[Row[Any]]:
    """Adds to the books, which are made where they are missing; the rows after it."""
    # In the order of their names: two machines that write at once wait, and never for each other.
    ordered = sorted(changes.items(), key=lambda item: item[0].name)
    values = [(book.name, book.account_id, change) for book, change in ordered]
    add_many(connection, books, ("name", "account_id", "balance_nanos"), values, ("name",))
    found: list[Row[Any]] = []
    for names in in_pieces([name for name, _, _ in values]):
        found += connection.execute(select(books).where(books.c.name.in_(names)))
    return found


def balance_nanos(connection: Connection, account_id: int) -> int:
    """What the account owns; 0 before its first transfer."""
    found = connection.execute(
        select(books.c.balance_nanos).where(books.c.account_id == account_id)
    ).scalar_one_or_none()
    return int(found or 0)


def latest_lines(
    connection: Connection, account_ids: Sequence[int] | None = None
) -> dict[int, tuple[int, int]]:
    """The last transfer of each of these accounts, or of all that have one: its number, and the
    balance after it. One moment for all of them, where they are no more than some hundreds."""
    found = {}
    pieces = [None] if account_ids is None else in_pieces(account_ids)
    for some in pieces:
        last = select(func.max(transfers.c.id)).group_by(transfers.c.account_id)
        if some is not None:
            last = last.where(transfers.c.account_id.in_(some))
        wanted = select(transfers.c.account_id, transfers.c.id, transfers.c.balance_nanos)
        for account_id, number, balance in connection.execute(
            wanted.where(transfers.c.id.in_(last))
        ):
            found[account_id] = (int(number), int(balance))
    return found


def balance_at(connection: Connection, account_id: int, line: int) -> int | None:
    """The account's balance after this transfer; 0 before the first, None if it is not its."""
    if line == 0:
        return 0
    statement = select(transfers.c.balance_nanos).where(
        transfers.c.id == line, transfers.c.account_id == account_id
    )
    return connection.execute(statement).scalar_one_or_none()


def list_balances(connection: Connection) -> dict[str, int]:
    """What is in each book, by its name."""
    rows = connection.execute(select(books.c.name, books.c.balance_nanos))
    return {name: int(balance) for name, balance in rows}


def balances_of(connection: Connection, account_ids: Sequence[int]) -> dict[int, int]:
    """What each of the accounts owns; those without a transfer are left out."""
    found: dict[int, int] = {}
    for some in in_pieces(account_ids):
        statement = select(books.c.account_id, books.c.balance_nanos)
        rows = connection.execute(statement.where(books.c.account_id.in_(some)))
        found.update((row.account_id, int(row.balance_nanos)) for row in rows)
    return found


def insert_credit(connection: Connection, new: NewCredit) -> int | None:
    """Its number; None if the account has a credit of that reference already."""
    values = {name: getattr(new, name) for name in NewCredit.__struct_fields__}
    statement = upsert(connection, wallet_credits).values(values)
    statement = statement.on_conflict_do_nothing(index_elements=["account_id", "reference"])
    number: int | None = connection.execute(
        statement.returning(wallet_credits.c.id)
    ).scalar_one_or_none()
    return number


def find_credit(connection: Connection, account_id: int, reference: str) -> Credit | None:
    """The account's credit of that reference."""
    statement = select(wallet_credits).where(
        wallet_credits.c.account_id == account_id, wallet_credits.c.reference == reference
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else Credit(**row._mapping)


def credits_on_their_way(connection: Connection) -> list[Credit]:
    """Credits that no transfer has made true yet, oldest first."""
    statement = (
        select(wallet_credits)
        .where(wallet_credits.c.transfer_id.is_(None))
        .order_by(wallet_credits.c.id)
    )
    return [Credit(**row._mapping) for row in connection.execute(statement)]


def find_credits(connection: Connection, numbers: Iterable[int]) -> dict[int, Credit]:
    """The credits of these numbers. Nobody else posts one before the transaction is over."""
    found = {}
    for some in in_pieces(sorted(numbers)):
        wanted = select(wallet_credits).where(wallet_credits.c.id.in_(some))
        for row in connection.execute(wanted.order_by(wallet_credits.c.id).with_for_update()):
            found[row.id] = Credit(**row._mapping)
    return found


def link_credits(connection: Connection, made: Sequence[tuple[int, int]]) -> None:
    """These credits (number, transfer) are part of the ledger now."""
    if made:
        statement = (
            update(wallet_credits)
            .where(wallet_credits.c.id == bindparam("credit_id"))
            .values(transfer_id=bindparam("made_id"))
        )
        values = [{"credit_id": number, "made_id": transfer} for number, transfer in made]
        connection.execute(statement, values)


def link_waiting(connection: Connection, number: int, transfer_id: int) -> bool:
    """The credit is part of the ledger now; false if it was already: then nothing may be kept."""
    is_it = and_(wallet_credits.c.id == number, wallet_credits.c.transfer_id.is_(None))
    result = connection.execute(update(wallet_credits).where(is_it).values(transfer_id=transfer_id))
    return bool(result.rowcount)


def credited_nanos(connection: Connection, account_id: int, kind: CreditKind) -> int:
    """All that the account was given in this way, whether it is on its way or there."""
    statement = select(func.sum(wallet_credits.c.amount_nanos)).where(
        wallet_credits.c.account_id == account_id, wallet_credits.c.kind == kind
    )
    return int(connection.execute(statement).scalar_one() or 0)


def waiting_nanos(connection: Connection, account_id: int) -> int:
    """What the account was given that is not in the ledger yet."""
    statement = select(func.sum(wallet_credits.c.amount_nanos)).where(
        wallet_credits.c.account_id == account_id, wallet_credits.c.transfer_id.is_(None)
    )
    return int(connection.execute(statement).scalar_one() or 0)


def list_transfers(
    connection: Connection, account_id: int, *, before_id: int | None, count_max: int
) -> list[Transfer]:
    """Lines of the account's ledger, newest first, older than `before_id`."""
    statement = (
        select(
            transfers.c.id,
            transfers.c.kind,
            transfers.c.account_id,
            transfers.c.service_class,
            transfers.c.amount_nanos,
            transfers.c.balance_nanos,
            transfers.c.requests,
            transfers.c.created_at_ms,
            func.coalesce(wallet_credits.c.reference, "").label("reference"),
            func.coalesce(wallet_credits.c.note, "").label("note"),
        )
        .outerjoin(wallet_credits, wallet_credits.c.transfer_id == transfers.c.id)
        .where(transfers.c.account_id == account_id)
        .order_by(transfers.c.id.desc())
        .limit(count_max)
    )
    if before_id is not None:
        statement = statement.where(transfers.c.id < before_id)
    return [Transfer(**row._mapping) for row in connection.execute(statement)]


def summed_books(connection: Connection) -> dict[str, int]:
    """What the transfers make of each book. Cost: reads all of them."""
    inward, outward = (
        dict(
            connection.execute(
                select(column, func.sum(transfers.c.amount_nanos)).group_by(column)
            ).all()
        )
        for column in (transfers.c.to_book_id, transfers.c.from_book_id)
    )
    names = connection.execute(select(books.c.id, books.c.name)).all()
    return {
        name: int(inward.get(number, 0)) - int(outward.get(number, 0)) for number, name in names
    }


def billed_by_class(connection: Connection) -> dict[tuple[int, str], tuple[int, int]]:
    """Requests and nanos of usage by account and class. Cost: reads all transfers."""
    place = (transfers.c.account_id, transfers.c.service_class)
    statement = (
        select(*place, func.sum(transfers.c.requests), func.sum(transfers.c.amount_nanos))
        .where(transfers.c.kind == "usage")
        .group_by(*place)
    )
    rows = connection.execute(statement)
    return {(account, name): (int(count), int(nanos)) for account, name, count, nanos in rows}


def wrong_credits(connection: Connection, count_max: int) -> tuple[int, list[int]]:
    """How many credits are in the ledger, and some whose transfer is missing or another one."""
    posted = wallet_credits.c.transfer_id.is_not(None)
    count = connection.execute(select(func.count()).where(posted)).scalar_one()
    statement = (
        select(wallet_credits.c.id)
        .outerjoin(transfers, transfers.c.id == wallet_credits.c.transfer_id)
        .where(
            posted,
            or_(
                transfers.c.id.is_(None),
                transfers.c.account_id != wallet_credits.c.account_id,
                transfers.c.amount_nanos != wallet_credits.c.amount_nanos,
                transfers.c.kind != wallet_credits.c.kind,
            ),
        )
        .limit(count_max)
    )
    return int(count), list(connection.execute(statement).scalars())


def first_transfer_since(connection: Connection, begin_id: int, begin_ms: int) -> int | None:
    """The first transfer from `begin_id` on that was made at `begin_ms` or later."""
    statement = (
        select(transfers.c.id)
        .where(transfers.c.id >= begin_id, transfers.c.created_at_ms >= begin_ms)
        .order_by(transfers.c.id)
        .limit(1)
    )
    return connection.execute(statement).scalar_one_or_none()
