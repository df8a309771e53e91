"""Hot segments of other sizes, left by a house before: what is in them comes to the ledger. One of
another version cannot be read: it stays, for a tokenmill of that version.

Its workers may still finish their streams, so it is looked at until every cell of it is in the
ledger; then the file goes. A worker is dead if its place can be locked, or if this house has given
the place to another one, which it does with that lock in hand.
"""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tokenmill import clock
from tokenmill._native import OtherLayout, Segment, WorkerState
from tokenmill.control.ledger_keeper import LedgerKeeper
from tokenmill.state_folder import previous_segments, try_lock, worker_lock_path

LOOK_S = 0.1

logger = logging.getLogger("tokenmill.control.ledger")


class PlacesOfNow(Protocol):
    """What is needed of the hot segment in use."""

    @property
    def workers_max(self) -> int: ...
    def worker_state(self, worker: int) -> WorkerState: ...


def settle_previous(
    now: PlacesOfNow, keeper_of: Callable[[Segment], LedgerKeeper], state: Path, wait_s: float
) -> int:
    """How many cells came to the ledger. Blocks until all have, at most `wait_s`: balances are read
    afterwards. What is left then stays in its file for the next start, and is logged.

    Raises: DatabaseUnavailable.
    """
    count = 0
    deadline_ms = clock.monotonic_ms() + int(wait_s * 1000)
    for path in previous_segments(state):
        try:
            segment = Segment.attach(str(path))
        except OtherLayout as error:
            extra = {"segment": path.name, "error": str(error)}
            logger.error(
                "the tokenmill that made a segment has to settle it: start it", extra=extra
            )
            continue
        except ValueError as error:  # of another boot, or none: nothing in it is true any more
            logger.error("a segment that was set aside is lost", extra={"error": str(error)})
            path.unlink()
            continue
        keeper = keeper_of(segment)
        while True:
            _rescue_dead(segment, now, state)
            count += keeper.flush_all()
            if not segment.open_cells():
                path.unlink()
                break
            if clock.monotonic_ms() >= deadline_ms:
                left = {"segment": path.name, "cells": segment.open_cells()}
                logger.error("cells of an earlier house are still open", extra=left)
                break
            time.sleep(LOOK_S)
    if count:
        logger.info("an earlier house's cells are in the ledger", extra={"count": count})
    return count


def _rescue_dead(segment: Segment, now: PlacesOfNow, state: Path) -> None:
    segment.rescue_control()  # this process is the only control there is
    worker_lock_path(state, 0).parent.mkdir(mode=0o700, exist_ok=True)
    for slot in range(segment.workers_max):
        if slot < now.workers_max and now.worker_state(slot) != WorkerState.FREE:
            segment.rescue(slot)
            continue
        descriptor = try_lock(worker_lock_path(state, slot))
        if descriptor is not None:
            segment.rescue(slot)
            os.close(descriptor)
