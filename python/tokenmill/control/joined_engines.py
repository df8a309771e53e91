"""Engines that register themselves: their leases in the database, and what the keeper is told.

A lease stands in the database, so that all houses of it know the engine and a restart of control
loses none. Each house looks there once a second; while the database is away, everything stays as it
is. Times are the wall clock's: houses have to agree on it to a fraction of a lease.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterable, Sequence

from tokenmill.clock import wall_ms
from tokenmill.control.keeper import Keeper
from tokenmill.control.known_engines import Known
from tokenmill.database.connection import Database
from tokenmill.database.errors import DatabaseUnavailable
from tokenmill.engines.address import Address
from tokenmill.engines.errors import NetworksInvalid
from tokenmill.engines.joining_rules import (
    check_addresses,
    joining_address,
    parse_networks,
    renew_ms,
)
from tokenmill.engines.probe import look
from tokenmill.engines.store import Lease, forget_leases, list_leases, put_lease
from tokenmill.engines.targets import Target, is_same_place, joined_target
from tokenmill.engines.views import Joined, JoinWish
from tokenmill.errors import Conflict, InvalidRequest, ServiceUnavailable
from tokenmill.settings import JoinSettings

LOOK_S = 1.0
RESOLVE_S_MAX = 2.0
FORGOTTEN_MS = 60_000
"""Rows of leases that have been over for so long are deleted."""

PROBES_MAX = 4
"""Looks at strangers at once: whoever has a token can make a house look at its network."""

_BY = "joined"

logger = logging.getLogger("tokenmill.control.joined")


class JoinedEngines:
    """Takes registrations, and follows those of other houses."""

    def __init__(
        self,
        keeper: Keeper,
        database: Database,
        settings: JoinSettings,
        in_flight: Callable[[str], int],
        *,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        """`in_flight`: requests of this house with the engine of that name.

        Raises: NetworksInvalid.
        """
        self._keeper = keeper
        self._database = database
        self._settings = settings
        try:
            self._networks = parse_networks(settings.networks)
        except ValueError as error:
            raise NetworksInvalid(f"join.networks: {error}") from error
        self._in_flight = in_flight
        self._now_ms = now_ms
        self._turn = asyncio.Lock()
        self._probes = asyncio.Semaphore(PROBES_MAX)

    async def join(self, wish: JoinWish, key_id: int) -> Joined:
        """The lease of an engine that registers or goes on.

        Raises: InvalidRequest, Conflict, ServiceUnavailable, DatabaseUnavailable.
        """
        address = _address(wish.url)
        before = await self._lease_of(address)
        if before is not None and before.key_id != key_id:
            raise Conflict("Another token has registered an engine at this address.")
        name = wish.name or address.authority
        if before is None and wish.is_leaving:
            return self._joined(name)  # it has no lease any more: there is nothing to take back
        if before is None:
            await self._check(address, wish)
        lease = Lease(
            url=address.url,
            name=name,
            api_key=wish.api_key,
            key_id=key_id,
            is_leaving=wish.is_leaving,
            expires_at_ms=self._now_ms() + self._settings.lease_ms,
        )
        async with self._turn:
            await asyncio.to_thread(self._put, lease)
            await self._look()
        if before is None:
            extra = {"engine": lease.name, "url": lease.url, "key": key_id}
            logger.info("an engine has registered itself", extra=extra)
        return self._joined(name)

    def _joined(self, name: str) -> Joined:
        lease_ms = self._settings.lease_ms
        return Joined(name, lease_ms, renew_ms(lease_ms), self._in_flight(name))

    def apply(self, leases: Iterable[Lease]) -> None:
        """The keeper looks at these engines, and at no others of this kind."""
        now_ms = self._now_ms()
        live = {lease.url: lease for lease in leases if lease.expires_at_ms > now_ms}
        for target in [known.target for known in self._keeper.known if _is_joined(known)]:
            if not _is_of(target, live.get(target.address.url)):
                logger.info("an engine's lease is over", extra={"engine": target.name})
                self._keeper.remove(target.name, is_lost=True)
        joined = {known.target.address.url for known in self._keeper.known if _is_joined(known)}
        for lease in live.values():
            if lease.url not in joined:
                self._add(lease)
        self._keeper.drain((one.url for one in live.values() if one.is_leaving), by=_BY)

    async def follow(self) -> None:
        """Looks at the leases for ever. Ends by being cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            with contextlib.suppress(DatabaseUnavailable):  # which the ledger's keeper tells of
                async with self._turn:
                    await self._look()

    async def _look(self) -> None:
        leases = await asyncio.to_thread(self._list)
        over_ms = self._now_ms() - FORGOTTEN_MS
        if any(lease.expires_at_ms < over_ms for lease in leases):
            await asyncio.to_thread(self._forget, over_ms)
        self.apply(leases)

    async def _lease_of(self, address: Address) -> Lease | None:
        leases = await asyncio.to_thread(self._list)
        now_ms = self._now_ms()
        live = [lease for lease in leases if lease.expires_at_ms > now_ms]
        found = next((lease for lease in live if lease.url == address.url), None)
        if found is None and len(live) >= self._settings.engines_max:
            raise ServiceUnavailable(
                f"{len(live)} engines have registered already: raise join.engines_max.",
                retry_after_ms=self._settings.lease_ms,
            )
        return found

    async def _check(self, address: Address, wish: JoinWish) -> None:
        """Raises: InvalidRequest, Conflict, for what is no new engine, or not there."""
        for known in self._keeper.known:
            if known.is_listed and is_same_place(known.target.address, address):
                raise Conflict(f"There is an engine at this address: {known.target.name}.")
            if wish.name and known.target.name == wish.name:
                raise Conflict(f"There is an engine called {wish.name}; take another name.")
        try:
            check_addresses(await _resolve(address), self._networks)
        except ValueError as error:
            raise InvalidRequest(
                f"This address may not be registered: {error}.", param="url"
            ) from error
        async with self._probes:
            timeout_ms = self._keeper.settings.look_ms
            found = await look(address, api_key=wish.api_key, timeout_ms=timeout_ms)
        if found.outcome not in ("serving", "loading") or found.kind == "openai":
            what = found.detail or found.outcome
            raise InvalidRequest(f"No engine was found at this address: {what}.", param="url")

    def _add(self, lease: Lease) -> None:
        places = self._keeper.settings.places
        target = joined_target(lease.url, lease.name, lease.api_key, places)
        for known in self._keeper.known:
            if known.is_listed and is_same_place(known.target.address, target.address):
                return  # it is in this house's settings, too
            if known.target.name == target.name:
                logger.warning("two engines have one name", extra={"engine": target.name})
                return
        self._keeper.forget_tried(target.address)
        self._keeper.add(target)

    def _list(self) -> list[Lease]:
        with self._database.read() as connection:
            return list_leases(connection)

    def _put(self, lease: Lease) -> None:
        with self._database.write() as connection:
            put_lease(connection, lease)

    def _forget(self, before_ms: int) -> None:
        with self._database.write() as connection:
            forget_leases(connection, before_ms)


def _address(url: str) -> Address:
    try:
        return joining_address(url)
    except ValueError as error:
        raise InvalidRequest(f"{error}.", param="url") from error


async def _resolve(address: Address) -> Sequence[str]:
    """Every address that the host stands for; none, if nobody knows in time."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_S_MAX):
            found = await loop.getaddrinfo(
                address.host, address.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
            )
    except (OSError, TimeoutError, UnicodeError):
        return ()
    return sorted({str(place[0]).partition("%")[0] for *_, place in found})


def _is_joined(known: Known) -> bool:
    return known.target.origin == "joined"


def _is_of(target: Target, lease: Lease | None) -> bool:
    return lease is not None and (target.name, target.api_key) == (lease.name, lease.api_key)
