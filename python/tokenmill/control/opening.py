"""What control needs of the database before anything can be answered: money, keys, assignments.

In a module of its own because it imports SQLAlchemy, a quarter of a second that engines use to be
looked at.
"""

from collections.abc import Callable

from msgspec import Struct

from tokenmill._native import Segment
from tokenmill.adapters.rules import Adapter
from tokenmill.adapters.store import list_adapters
from tokenmill.child import ChildStart
from tokenmill.control.house_money import HouseMoney, open_money
from tokenmill.database.changes import newest_change
from tokenmill.database.connection import Database
from tokenmill.database.upgrade import open_database
from tokenmill.engines.store import (
    Entry,
    Lease,
    Owner,
    list_entries,
    list_leases,
    list_owners,
)
from tokenmill.keys.loading import start_keys
from tokenmill.models.fleet import Fleet


class OpenHouse(Struct, frozen=True):
    """The open database, what is said of engines there, and who works on money. What changed after
    `last_change` may not be in the segment."""

    database: Database
    owners: dict[str, Owner]
    entries: list[Entry]
    leases: list[Lease]
    adapters: list[Adapter]
    money: HouseMoney
    last_change: int


def open_house(start: ChildStart, segment: Segment, fleet: Callable[[], Fleet]) -> OpenHouse:
    """The workers may look keys up when this returns. Blocks.

    Raises: ApiError: the database cannot be used, is of another version, or holds too many keys.
    """
    settings = start.child.settings
    database = open_database(settings.database_url, settings.state)
    with database.read() as connection:
        last_change = newest_change(connection)
    money = open_money(database, segment, settings, fleet)
    start_keys(database, segment, settings.state)
    with database.read() as connection:
        owners, entries = list_owners(connection), list_entries(connection)
        leases, adapters = list_leases(connection), list_adapters(connection)
        return OpenHouse(
            database=database,
            owners=owners,
            entries=entries,
            leases=leases,
            adapters=adapters,
            money=money,
            last_change=last_change,
        )
