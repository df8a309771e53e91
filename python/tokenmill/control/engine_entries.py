"""What operators said of engines, as the database has it, told to the keeper: at the start, and
again whenever another house of the same database may have said something new."""

import logging
from typing import TYPE_CHECKING

from tokenmill.control.keeper import Keeper
from tokenmill.engines.targets import Target, added_target, is_same_place

if TYPE_CHECKING:  # imports SQLAlchemy
    from collections.abc import Sequence

    from tokenmill.engines.store import Entry

logger = logging.getLogger("tokenmill.control.engines")


def take_entries(keeper: Keeper, entries: "Sequence[Entry]") -> None:
    """The engines that operators added are these and no others, and these drain."""
    added = {entry.url: entry for entry in entries if entry.is_added}
    for target in [known.target for known in keeper.known]:
        if target.origin == "added" and not _is_of(target, added.get(target.address.url)):
            keeper.remove(target.name)
    known_urls = {one.target.address.url for one in keeper.known if one.target.origin == "added"}
    for url, entry in added.items():
        if url not in known_urls:
            _add(keeper, entry)
    keeper.drain(entry.url for entry in entries if entry.is_draining)


def _add(keeper: Keeper, entry: "Entry") -> None:
    target = added_target(entry.url, entry.name, entry.api_key, keeper.settings.places)
    for known in keeper.known:
        is_there = known.is_listed and is_same_place(target.address, known.target.address)
        if is_there or known.target.name == target.name:
            logger.debug("an added engine is there already", extra={"url": entry.url})
            return
    keeper.forget_tried(target.address)
    keeper.add(target)


def _is_of(target: Target, entry: "Entry | None") -> bool:
    return entry is not None and (target.name, target.api_key) == (entry.name, entry.api_key)
