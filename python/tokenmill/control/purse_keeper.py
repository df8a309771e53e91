"""Control's side of the purses in Redis: it tells them what is in the ledger, finds what was left
behind, and makes them anew where Redis lost them. In a thread of its own.

The ledger is the truth. A purse follows it by the number of its last line, so that no order of
messages and no repetition matters. Requests that are not in the ledger yet stand in the purse by
their ids; the cells of the hot segment say which of this house's are still under way.
"""

import logging
import secrets
import threading
from collections.abc import Iterable, Iterator
from struct import Struct as Packing
from typing import Any, Protocol

from redis.exceptions import RedisError

from tokenmill._native import CELL_FORMAT, AccountView
from tokenmill.accounts.store import list_accounts
from tokenmill.billing import store
from tokenmill.clock import monotonic_ms
from tokenmill.control.ledger_keeper import LedgerKeeper
from tokenmill.control.own_thread import OwnThread
from tokenmill.control.settled_cells import DEBIT
from tokenmill.database.connection import Database
from tokenmill.database.errors import DatabaseUnavailable
from tokenmill.purses.script import SCRIPT, SHA, Names
from tokenmill.purses.values import Held, Purse, read_purse
from tokenmill.settings import RedisSettings
from tokenmill.usage.rules import IS_ESTIMATED, UsageRow

LOOK_S = 0.5
LOOKS_BETWEEN_SWEEPS = 12
"""Sweeps are further apart than a worker waits for Redis, and many signs of life of a house."""

GRACE_S = 10
"""A request that is younger than this may be on its way from Redis to its cell."""

IDLE_S = 600
"""An account without requests for so long is off the list of those that are at work."""

AT_ONCE = 1_000

UNTOLD_MAX = 100_000
"""Requests that are kept until they can be told; the others are found by sweeps."""

_PACKING = Packing(CELL_FORMAT)

logger = logging.getLogger("tokenmill.control.purses")


class OpenCells(Protocol):
    """What is needed of the hot segment."""

    @property
    def incarnation(self) -> int: ...
    @property
    def cells_max(self) -> int: ...
    def held_cells(self, count_max: int, /) -> bytes: ...
    def settled_cells(self, count_max: int, /) -> bytes: ...
    def account(self, account_id: int, /) -> AccountView | None: ...


class PurseKeeper:
    """Keeps the purses right, from any thread."""

    def __init__(
        self,
        redis: Any,
        settings: RedisSettings,
        database: Database,
        segment: OpenCells,
        ledger: LedgerKeeper,
    ) -> None:
        self._redis = redis
        self._settings = settings
        self._names = Names(settings.prefix)
        self._database = database
        self._segment = segment
        self._ledger = ledger
        self._agreed = b""  # under which this house has said what it holds
        self._unmade: set[int] = set()  # accounts without a purse yet
        self._untold: list[tuple[int, str, int, int]] = []  # account, and as in the deed `post`
        self._telling = threading.Lock()
        self._suspects: set[str] = set()  # requests that the last sweep found left behind
        self._is_away = False
        self._away_since_ms = 0
        self._looks = 0
        self._thread = OwnThread("purses", self._run)

    def start(self) -> None:
        """Looks from now on until `stop`."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Ends the thread and closes the connections."""
        self._thread.stop(timeout_s)
        self._redis.close()

    # What others tell.

    def posted(self, rows: list[UsageRow]) -> None:
        """These requests are in the ledger. What cannot be told now is told by the next look,
        before anything else: a purse that learns of the ledger's line first has them twice."""
        told = [
            (
                row.account_id,
                row.request_id.hex(),
                row.prompt_tokens + row.completion_tokens,
                int(row.flags & IS_ESTIMATED > 0),
            )
            for row in rows
        ]
        with self._telling:
            self._untold.extend(told[: UNTOLD_MAX - len(self._untold)])
        if self._is_away:
            return
        try:
            self._tell()
        except (RedisError, OSError, DatabaseUnavailable) as error:
            logger.info(
                "purses are told later of what is in the ledger", extra={"error": str(error)}
            )

    def refresh(self, account_id: int) -> None:
        """The purse has what the ledger says; it is made if the account is new."""
        try:
            if self._redis.get(self._names.server) == self._agreed != b"":
                self._open([account_id])
                return
        except (RedisError, OSError, DatabaseUnavailable) as error:
            logger.info("a purse waits for Redis", extra={"error": str(error)})
        self._unmade.add(account_id)

    @property
    def away_s(self) -> float:
        """For how long Redis has not answered; 0: it does."""
        return (monotonic_ms() - self._away_since_ms) / 1000 if self._is_away else 0.0

    def find(self, account_id: int) -> Purse | None:
        """The purse as it is. Raises: RedisError, OSError."""
        return read_purse(self._redis.hgetall(self._names.purse(account_id)))

    # Looking.

    def look(self) -> None:
        """One look. Raises: RedisError, OSError, DatabaseUnavailable."""
        names, lost_s = self._names, self._settings.house_lost_s
        self._redis.set(names.house(self._segment.incarnation), 1, ex=lost_s)
        server = self._redis.info("server")["run_id"]
        self._tell()
        agreed = self._redis.get(names.server)
        if agreed is None or agreed.decode().split()[0] != server:
            agreed = self._agree_on(server)
        if agreed != self._agreed:
            # No flush between the two: what a cell says is either in the ledger or declared.
            with self._ledger.paused():
                self._open(self._all_accounts(), closed_if_made=True)
                self._declare()
            self._agreed = agreed
            logger.info("this house's requests stand in the purses", extra={"server": server})
        unmade = sorted(self._unmade)
        self._open(unmade)
        self._unmade.difference_update(unmade)
        self._looks += 1
        if self._looks % LOOKS_BETWEEN_SWEEPS == 0:
            self.sweep()

    def sweep(self) -> int:
        """Takes what was left behind out of the purses, if the sweep before says so too: Redis's
        clock, by which houses and requests are old, may have jumped. How many requests. Raises: as
        `look`."""
        now_s, _ = self._redis.time()
        busy = [int(one) for one in self._redis.zrange(self._names.busy, 0, -1)]
        purses = {one: purse for one in busy if (purse := self.find(one)) and purse.held}
        if purses:
            self._redis.zadd(self._names.busy, {str(one): now_s for one in purses})
        self._redis.zremrangebyscore(self._names.busy, "-inf", now_s - IDLE_S)
        # After the purses were read: a request that is in no cell now was over, or never ran.
        running = {request_id for _, request_id, *_ in self._cells()}
        alive = self._alive(one.house for purse in purses.values() for one in purse.held)
        left = {
            account_id: [
                one.request_id
                for one in purse.held
                if self._is_left_behind(one, running, alive, now_s)
            ]
            for account_id, purse in purses.items()
        }
        before, self._suspects = self._suspects, {id_ for ids in left.values() for id_ in ids}
        left = {one: [id_ for id_ in ids if id_ in before] for one, ids in left.items()}
        left = {account_id: requests for account_id, requests in left.items() if requests}
        self._post({one: [part for id_ in left[one] for part in (id_, 0, 0)] for one in left})
        count = sum(map(len, left.values()))
        if count:
            extra = {"accounts": sorted(left)[:20], "requests": count}
            logger.info("requests that are not under way were taken out of purses", extra=extra)
        return count

    def _alive(self, houses: Iterable[int]) -> set[int]:
        return {one for one in set(houses) if self._redis.exists(self._names.house(one))}

    def _is_left_behind(self, one: Held, running: set[str], alive: set[int], now_s: int) -> bool:
        if one.house != self._segment.incarnation:
            return one.house not in alive
        return one.request_id not in running and abs(now_s - one.made_at_s) > GRACE_S

    def _agree_on(self, server: str) -> bytes:
        """Nobody has looked at this server's data, or it is gone: purses are made from the ledger,
        closed until every house has said what it holds."""
        logger.warning("Redis is new or lost data: purses are closed", extra={"server": server})
        self._open(self._all_accounts(), closed_if_made=True, closed=True)
        agreed = f"{server} {secrets.token_hex(8)}".encode()
        self._redis.set(self._names.server, agreed)
        return agreed

    def _declare(self) -> None:
        """Says what requests of this house hold or have cost that are not in the ledger."""
        wishes: dict[int, list[str | int]] = {}
        for account_id, request_id, state, nanos, tokens in self._cells():
            wish = (request_id, state, nanos, tokens)
            wishes.setdefault(account_id, []).extend(wish)
        house = self._segment.incarnation
        self._run_all(
            (account_id, ("declare", house, *wish)) for account_id, wish in wishes.items()
        )
        if wishes:
            now_s, _ = self._redis.time()
            self._redis.zadd(self._names.busy, {str(one): now_s for one in wishes})

    def _cells(self) -> Iterator[tuple[int, str, str, int, int]]:
        """Account, request, state, nanos and tokens taken of each request that is in a cell."""
        count_max = self._segment.cells_max
        # In this order: one that ends meanwhile is met twice, not missed.
        for cell in _PACKING.iter_unpack(self._segment.held_cells(count_max)):
            yield cell[2], cell[24].hex(), "H", cell[6], cell[14]
        for cell in _PACKING.iter_unpack(self._segment.settled_cells(count_max)):
            if cell[20] == DEBIT:
                yield cell[2], cell[24].hex(), "S", -cell[5], 0

    # Telling Redis.

    def _all_accounts(self) -> list[int]:
        with self._database.read() as connection:
            return [account.id for account in list_accounts(connection)]

    def _open(
        self, account_ids: list[int], *, closed_if_made: bool = False, closed: bool = False
    ) -> None:
        closed_us = self._settings.closed_ms * 1_000
        times = (closed_us * closed_if_made, closed_us * closed)
        for start in range(0, len(account_ids), AT_ONCE):
            some = account_ids[start : start + AT_ONCE]
            with self._database.read() as connection:
                lines = store.latest_lines(connection, some)
            self._run_all((one, ("open", *_ledger_of(lines, one), *times)) for one in some)

    def _tell(self) -> None:
        """Tells what is in the ledger. A request that is told twice is told once."""
        with self._telling:
            ended: dict[int, list[str | int]] = {}
            for account_id, request_id, used, is_abandoned in self._untold:
                ended.setdefault(account_id, []).extend((request_id, used, is_abandoned))
            self._post(ended)
            self._untold.clear()

    def _post(self, ended: dict[int, list[str | int]]) -> None:
        if not ended:
            return
        with self._database.read() as connection:
            lines = store.latest_lines(connection, list(ended))
        self._run_all(
            (one, ("post", *_ledger_of(lines, one), self._tokens_limit(one), *requests))
            for one, requests in ended.items()
        )

    def _tokens_limit(self, account_id: int) -> int:
        view = self._segment.account(account_id)
        return view.tokens_per_min if view else 0

    def _run_all(self, deeds: Iterable[tuple[int, tuple[str | int, ...]]]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for account_id, arguments in deeds:
            pipeline.evalsha(SHA, 1, self._names.purse(account_id), *arguments)
        if len(pipeline):
            self._redis.script_load(SCRIPT)
            pipeline.execute()

    # The thread.

    def _run(self) -> None:
        while not self._thread.ending.is_set():
            try:
                self.look()
                self._note_back()
            except (RedisError, OSError) as error:
                self._redis.connection_pool.disconnect(inuse_connections=False)
                if not self._is_away:
                    logger.error("Redis is away and requests are refused: %s", error)
                    self._away_since_ms = monotonic_ms()
                self._is_away = True
            except DatabaseUnavailable as error:  # which the ledger's keeper tells of
                self._note_back()
                logger.debug("purses wait for the database: %s", error.message)
            except Exception:  # a worker loop: purses stay as they are while this is looked at
                logger.exception("a look at the purses failed")
            self._thread.ending.wait(LOOK_S)

    def _note_back(self) -> None:
        if self._is_away:
            logger.warning("Redis is back")
        self._is_away = False


def _ledger_of(lines: dict[int, tuple[int, int]], account_id: int) -> tuple[int, int]:
    line, balance_nanos = lines.get(account_id, (0, 0))
    return balance_nanos, line
