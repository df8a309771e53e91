"""`tokenmill join`: runs beside an engine and registers it with gateways, for as long as it runs.

It renews the engine's lease and takes it back when it is told to end: then gateways send nothing
new, and it waits until the engine has finished what it has.
"""

import asyncio
import contextlib
import logging
import random
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tokenmill.clock import monotonic_ms
from tokenmill.engines.address import Address, parse_address
from tokenmill.engines.http_get import BrokenAnswer, connect
from tokenmill.engines.joining_rules import joining_address
from tokenmill.engines.probe import look_at_load
from tokenmill.engines.views import Joined, JoinWish
from tokenmill.logs import configure_logging

PATH = "/api/dashboard/engines/join"
ANSWER_S = 15.0
RETRY_S = (1.0, 5.0)
"""Between tries where no gateway takes the engine, by lot."""

DRAIN_LOOK_S = 0.25
LEARNED_S = 2.0
"""After so long every house knows that the engine is leaving."""

logger = logging.getLogger("tokenmill.join")


class _Refusal(Struct):
    message: str = ""


class _Envelope(Struct):
    error: _Refusal


class TokenRefused(Exception):
    """The token opens nothing: nothing to wait for."""


class Joiner:
    """One engine and the gateways that it registers with: the first that answers will do, for they
    share a database."""

    def __init__(self, gateways: Sequence[Address], engine: Address, wish: JoinWish, token: str):
        self._gateways = list(gateways)
        self._engine = engine
        self._wish = wish
        self._token = token
        self._said = ""

    async def stay(self, is_over: asyncio.Event) -> None:
        """Renews the lease until the end is wanted. Raises: TokenRefused."""
        while not is_over.is_set():
            joined = await self._ask(self._wish)
            pause_s = joined.renew_ms / 1000 if joined else random.uniform(*RETRY_S)
            if joined is not None:
                self._say(f"registered as {joined.engine}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(is_over.wait(), pause_s)

    async def leave(self, drain_s: float) -> bool:
        """Takes the engine back; whether it has finished what it had in that time."""
        began_ms = monotonic_ms()
        leaving = replace(self._wish, is_leaving=True)
        while (passed_s := (monotonic_ms() - began_ms) / 1000) < drain_s:
            joined = await self._ask(leaving)
            load = await look_at_load(
                self._engine, api_key=self._wish.api_key, timeout_ms=int(ANSWER_S * 1000)
            )
            is_idle = load is None or load.running + load.waiting == 0
            if joined is not None and joined.in_flight == 0 and is_idle and passed_s > LEARNED_S:
                return True
            await asyncio.sleep(DRAIN_LOOK_S)
        return False

    async def _ask(self, wish: JoinWish) -> Joined | None:
        """What a gateway answers; None: none takes the engine now. Raises: TokenRefused."""
        body = msgspec.json.encode(wish)
        for gateway in tuple(self._gateways):
            try:
                async with asyncio.timeout(ANSWER_S):
                    answer = await (await connect(gateway)).post(PATH, body, self._token)
            except (OSError, TimeoutError, BrokenAnswer) as error:
                self._say(f"{gateway.url} does not answer: {error}")
                self._gateways.append(self._gateways.pop(0))  # the next one first, next time
                continue
            if answer.status == 200:
                with contextlib.suppress(msgspec.MsgspecError):
                    return msgspec.json.decode(answer.body, type=Joined)
            self._say(f"{gateway.url} refuses: {_words(answer.status, answer.body)}")
            if answer.status in (401, 403):
                raise TokenRefused(self._said)
        return None

    def _say(self, words: str) -> None:
        """Once, not with every try."""
        if words != self._said:
            self._said = words
            logger.info(words, extra={"engine": self._engine.url, "at": self._wish.url})


def _words(status: int, body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Envelope).error.message
    except msgspec.MsgspecError:
        return f"status {status}"


def own_address(engine: Address, gateway: Address) -> str:
    """Where gateways reach the engine, if it listens on all interfaces: this machine's address on
    the way to them. Raises: OSError, where there is no way; ValueError, for a Unix socket."""
    if not engine.is_local:
        return engine.url
    if engine.path:
        raise ValueError("gateways reach no Unix socket: give --engine http://127.0.0.1:PORT")
    try:
        found = socket.getaddrinfo(gateway.host, gateway.port, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise OSError(f"{gateway.url}: {error.strerror}") from error
    family, kind, _, _, place = found[0]
    with socket.socket(family, kind) as way:
        way.connect(place)  # sends nothing
        host = str(way.getsockname()[0])
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if engine.is_encrypted else 'http'}://{shown}:{engine.port}"


@click.command()
@click.option(
    "--gateway", "gateways", multiple=True, required=True, metavar="URL", help="Repeatable."
)
@click.option("--engine", default="http://127.0.0.1:8000", show_default=True, metavar="URL")
@click.option("--advertise", default="", metavar="URL", help="Where gateways reach the engine.")
@click.option("--name", default="", help="What it is called; else its host and port.")
@click.option("--api-key", default="", envvar="TOKENMILL_ENGINE_API_KEY", help="It asks for it.")
@click.option("--token", envvar="TOKENMILL_ENGINE_TOKEN", default="", help="Of kind `engine`.")
@click.option("--token-file", type=click.Path(path_type=Path), help="A file with the token.")
@click.option("--drain-seconds", default=60.0, show_default=True, help="To finish, at the end.")
def join(
    *,
    gateways: tuple[str, ...],
    engine: str,
    advertise: str,
    name: str,
    api_key: str,
    token: str,
    token_file: Path | None,
    drain_seconds: float,
) -> None:
    """Register the engine beside this command with gateways, until Ctrl-C or SIGTERM.

    An operator makes the token: `tokenmill keys create --kind engine`.

    \b
    Example:
      export TOKENMILL_ENGINE_TOKEN=dt_live_...
      tokenmill join --gateway https://gateway:8080 --engine http://127.0.0.1:8000
    """
    configure_logging("auto", "info", process="join")
    try:
        token = token_file.read_text().strip() if token_file else token
        there = [parse_address(url) for url in gateways]
        here = parse_address(engine)
        url = joining_address(advertise or own_address(here, there[0])).url
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if not token:
        raise click.UsageError("give --token, --token-file or TOKENMILL_ENGINE_TOKEN")
    joiner = Joiner(there, here, JoinWish(url, name, api_key), token)
    if not asyncio.run(_run(joiner, drain_seconds)):
        raise SystemExit(1)


async def _run(joiner: Joiner, drain_s: float) -> bool:
    """Stays until told to leave; whether it left with nothing under way."""
    is_over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, is_over.set)
    try:
        await joiner.stay(is_over)
        logger.info("leaving")
        return await joiner.leave(drain_s)
    except TokenRefused as error:
        logger.error("%s", error)
        return False
