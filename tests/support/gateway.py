"""A worker's app on a real server and real sockets, in the test's own event loop.

`async with running_gateway(folder, upstream.url) as gateway:` gives a gateway whose fleet has the
routes below, one pool for each URL's task, and one good key. Control's socket is wherever a test
puts one.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec

from tests.support.redis_server import TestPurses
from tokenmill._native import Forwarder, Segment
from tokenmill.asgi_server import AsgiServer, ServerBounds
from tokenmill.gateway.app import App, build_app
from tokenmill.gateway.worker import forward_limits
from tokenmill.keys.rules import ALL_SCOPES, Scope, digest, make_secret
from tokenmill.listening import listen_tcp
from tokenmill.models.fleet import Engine, Fleet, Route, fleet_path
from tokenmill.settings import SegmentSettings, Settings

OPENING_NANOS = 1_000_000_000_000_000
WORKER = 1
ACCOUNT = 7
OTHER_ACCOUNT = 8
SECRET = make_secret("a" * 36)
OTHER_SECRET = make_secret("b" * 36)
USAGE_SECRET = make_secret("c" * 36)
BEARER = {"authorization": f"Bearer {SECRET}"}
CHAT = "/v1/chat/completions"
HI = [{"role": "user", "content": "Hi"}]


def route(name: str, **fields: Any) -> Route:
    """A route of pool 0."""
    given = {"task": "generate", "pool": 0, "engine_model": name, "created": 5, "owned_by": "vllm"}
    return Route(**{"id": name, **given, **fields})


ROUTES = (
    route("engine-m"),
    route("org/vectors", task="embed"),
    route("private", kind="dedicated", account_id=OTHER_ACCOUNT),
)
ALIASES = {"your-model-id": "engine-m", "text-embedding-ada-002": "org/vectors"}


@dataclass
class Gateway:
    """A running gateway and a client of it."""

    url: str
    port: int
    app: App
    segment: Segment
    settings: Settings
    client: httpx.AsyncClient
    control: Path
    purses: TestPurses | None = None  # where it shares limits and wallets by Redis

    def put_account(
        self, account_id: int = ACCOUNT, *, nanos: int = OPENING_NANOS, **limits: int
    ) -> None:
        """An account at rest with this balance, without limits but those that are given."""
        put_account(self.segment, account_id, nanos=nanos, **limits)
        if self.purses is not None:
            self.purses.put(account_id, nanos)

    def available(self, account_id: int = ACCOUNT) -> int:
        """Nanos that are neither spent nor held."""
        if self.purses is not None:
            return int(self.purses.fields(account_id)["available"])
        view = self.segment.account(account_id)
        assert view is not None
        return view.available_nanos

    def publish(self, fleet: Fleet) -> None:
        """Makes `fleet` the one in force."""
        fleet_path(self.settings.state).write_bytes(msgspec.json.encode(fleet))
        self.segment.publish_fleet(self.segment.fleet_generation + 1)

    async def chat(self, **fields: Any) -> httpx.Response:
        """The answer to a chat completion of one word."""
        return await self.client.post(CHAT, json={"messages": HI, **fields}, headers=BEARER)

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A raw connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def exchange(self, request: bytes, *, timeout_s: float = 10) -> bytes:
        """What comes back for raw bytes, until the gateway closes the connection."""
        async with self.connect() as (reader, writer), asyncio.timeout(timeout_s):
            writer.write(request)
            return await reader.read()

    def raw_chat(self, **fields: Any) -> bytes:
        """The bytes of a chat completion request, for a raw connection."""
        body = json.dumps({"messages": HI, **fields}).encode()
        lines = [f"POST {CHAT} HTTP/1.1", "host: x", f"authorization: Bearer {SECRET}"]
        lines += ["content-type: application/json", f"content-length: {len(body)}", "", ""]
        return "\r\n".join(lines).encode() + body


def fleet_of(*urls: str, routes: tuple[Route, ...] = ROUTES) -> Fleet:
    """Engines in slots 0, 1, … that all serve all routes."""
    engines = tuple(
        Engine(slot=slot, name=f"e{slot}", url=url, kind="vllm", state="serving")
        for slot, url in enumerate(urls)
    )
    pools = (tuple(range(len(urls))),)
    return Fleet(engines=engines, pools=pools, routes=routes, aliases=ALIASES)


@contextlib.asynccontextmanager
async def running_gateway(
    folder: Path,
    *urls: str,
    is_ready: bool = True,
    purses: TestPurses | None = None,
    **changes: Any,
) -> AsyncIterator[Gateway]:
    """A gateway before engines at `urls`; `changes` are settings."""
    sizes = SegmentSettings(keys_max=64, workers_max=4, engines_max=16)
    if purses is not None:
        changes = {"redis_url": purses.server.url, "redis": purses.settings, **changes}
    settings = Settings(state=folder, segment=sizes, **changes)
    segment = Segment.create(
        str(folder / "hot.segment"), keys_max=64, workers_max=4, engines_max=16
    )
    _put_keys(segment)
    forwarder = Forwarder(segment, WORKER, forward_limits(settings))
    control = folder / "control.sock"
    app = build_app(settings, segment, forwarder, WORKER, str(control))
    listener = listen_tcp("127.0.0.1", 0)
    port = listener.getsockname()[1]
    bounds = ServerBounds(header_read_ms=settings.http.header_read_ms)
    server = AsgiServer(app, listener.detach(), bounds)
    running = asyncio.create_task(server.run())
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client:
        gateway = Gateway(url, port, app, segment, settings, client, control, purses)
        for account_id in (ACCOUNT, OTHER_ACCOUNT):
            gateway.put_account(account_id)
        if is_ready:
            gateway.publish(fleet_of(*urls))
            segment.set_accounts_ready()
            segment.set_keys_ready()
        try:
            yield gateway
        finally:
            forwarder.close()
            server.stop()
            await client.aclose()
            await running
            await app.close()
            asyncio.get_running_loop().remove_reader(forwarder.wake_fd())


def put_account(
    segment: Segment, account_id: int, *, nanos: int = OPENING_NANOS, **limits: int
) -> None:
    """An account without limits but those that are given."""
    terms = {"requests_per_min": 0, "tokens_per_min": 0, "concurrency_max": 0, "weight": 1}
    segment.put_account(account_id, **(terms | limits), opening_nanos=nanos)
    segment.reset_balance(account_id, nanos)


def _put_keys(segment: Segment) -> None:
    owners = [(SECRET, ACCOUNT, ALL_SCOPES), (OTHER_SECRET, OTHER_ACCOUNT, ALL_SCOPES)]
    owners.append((USAGE_SECRET, ACCOUNT, Scope.USAGE))
    for number, (secret, account, scopes) in enumerate(owners):
        segment.put_key(
            digest(secret),
            key_id=number + 1,
            account_id=account,
            tier=3,
            scopes=int(scopes),
            expires_at_s=0,
        )
