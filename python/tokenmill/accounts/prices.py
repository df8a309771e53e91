"""Prices of accounts in the database. Functions work in the caller's transaction."""

from collections.abc import Mapping

from sqlalchemy import Connection, delete, select

from tokenmill.database.statements import upsert
from tokenmill.database.tables import account_prices


def list_prices(connection: Connection) -> dict[int, dict[str, str]]:
    """Price texts by account and model id, of the accounts that have any."""
    found: dict[int, dict[str, str]] = {}
    for row in connection.execute(select(account_prices).order_by(account_prices.c.model)):
        found.setdefault(row.account_id, {})[row.model] = row.price
    return found


def prices_of(connection: Connection, account_id: int) -> dict[str, str]:
    """The account's own, by model id."""
    statement = select(account_prices).where(account_prices.c.account_id == account_id)
    rows = connection.execute(statement.order_by(account_prices.c.model))
    return {row.model: row.price for row in rows}


def change_prices(
    connection: Connection, account_id: int, changes: Mapping[str, str | None]
) -> None:
    """Sets the prices of these models; None is what the settings say again."""
    for model, price in changes.items():
        if price is None:
            statement = delete(account_prices).where(
                account_prices.c.account_id == account_id, account_prices.c.model == model
            )
            connection.execute(statement)
            continue
        values = {"account_id": account_id, "model": model, "price": price}
        new = upsert(connection, account_prices).values(values)
        new = new.on_conflict_do_update(
            index_elements=["account_id", "model"], set_={"price": new.excluded.price}
        )
        connection.execute(new)
