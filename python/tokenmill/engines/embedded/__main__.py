"""`python -m tokenmill.engines.embedded`: serves the embedded engine until it is told to stop.

As a child of the supervisor: `--listen-fd N --life-fd N --settings-fd N`. Alone: `--port P
[--model ID_OR_PATH]`. It listens at once and loads the model meanwhile: /health is 503 until then.
Where another process serves its socket (see handover.py) it loads first, and then sends that one
away. A model that cannot be loaded ends the process with status 78 and one line that says why.
"""

import argparse
import asyncio
import logging
import os
import sys
import threading
from typing import TYPE_CHECKING

from msgspec import Struct

from tokenmill.child import read_start, run_child
from tokenmill.handover import Handover, dismiss
from tokenmill.logs import configure_logging
from tokenmill.settings import EmbeddedSettings
from tokenmill.state_folder import handover_socket
from tokenmill.stop_signal import StopSignal

if TYPE_CHECKING:
    from tokenmill.engines.embedded.service import Service

logger = logging.getLogger("tokenmill.engines.embedded")

EXIT_CONFIGURATION = 78  # sysexits.h: starting again changes nothing
EMBEDDER_DELAY_S = 2.0  # after chat is up: its imports take half a second of one core


class Start(Struct, frozen=True, kw_only=True):
    """How this process was asked to serve."""

    listen_fd: int
    life_fd: int | None
    model: str
    embedded: EmbeddedSettings
    end_s: float = 30.0
    handover: Handover | None = None
    predecessor_fd: int = -1


def main(arguments: list[str]) -> bool:
    """Serves; whether every answer ended by itself."""
    start = child_start(arguments) if "--settings-fd" in arguments else lone_start(arguments)
    from tokenmill.engines.embedded.loading import prepare_environment

    prepare_environment(start.embedded.threads)
    from tokenmill.asgi_server import run_loop

    return run_loop(serve_engine(start))


def child_start(arguments: list[str]) -> Start:
    """What the supervisor hands over."""
    start = read_start(arguments, "embedded")
    settings = start.child.settings
    return Start(
        listen_fd=start.listen_fd,
        life_fd=start.life_fd,
        model=settings.model,
        embedded=settings.embedded,
        end_s=settings.drain_seconds,
        handover=Handover(handover_socket(settings.state, "engine"), "engine", start.listen_fd),
        predecessor_fd=start.predecessor_fd,
    )


def lone_start(arguments: list[str]) -> Start:
    """What the command line says, with a socket of our own."""
    from tokenmill.listening import listen_tcp

    defaults = EmbeddedSettings()
    parser = argparse.ArgumentParser(prog="python -m tokenmill.engines.embedded")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--model", default="", help="folder, GGUF file or Hugging Face id")
    parser.add_argument("--sequences-max", type=int, default=defaults.sequences_max)
    parser.add_argument("--waiting-max", type=int, default=defaults.waiting_max)
    parser.add_argument("--threads", type=int, default=defaults.threads)
    given = parser.parse_args(arguments)
    configure_logging("auto", "info", "embedded")
    try:
        listener = listen_tcp(given.host, given.port)
    except OSError as error:
        raise SystemExit(f"cannot listen on {given.host}:{given.port}: {error.strerror}") from None
    host, port = listener.getsockname()[:2]
    logger.info("listening", extra={"url": f"http://{host}:{port}"})
    return Start(
        listen_fd=listener.detach(),
        life_fd=None,
        model=given.model,
        embedded=EmbeddedSettings(
            sequences_max=given.sequences_max,
            waiting_max=given.waiting_max,
            threads=given.threads,
        ),
    )


async def serve_engine(start: Start) -> bool:
    """Listens, loads, serves."""
    from tokenmill.asgi_server import ServerBounds, serve
    from tokenmill.engines.embedded.embedder import Embedder
    from tokenmill.engines.embedded.sequence_workers import Sequences
    from tokenmill.engines.embedded.server import EngineApp
    from tokenmill.engines.embedded.service import Service

    stop = StopSignal(start.life_fd, start.handover)
    embedded = start.embedded
    embedder = Embedder(embedded.threads)
    service = Service(Sequences(embedded.sequences_max, embedded.waiting_max), embedder)
    loop = asyncio.get_running_loop()
    is_loaded = asyncio.Event()

    def load() -> None:
        load_into(service, start)
        loop.call_soon_threadsafe(loop.call_later, EMBEDDER_DELAY_S, embedder.load_in_background)
        loop.call_soon_threadsafe(is_loaded.set)

    threading.Thread(target=load, name="load", daemon=True).start()
    if start.predecessor_fd >= 0:
        told = asyncio.create_task(stop.wanted.wait())
        loaded = asyncio.create_task(is_loaded.wait())
        await asyncio.wait({told, loaded}, return_when=asyncio.FIRST_COMPLETED)
        dismiss(start.predecessor_fd)
    bounds = ServerBounds(end_s=start.end_s)
    return await serve(EngineApp(service), listen_fd=start.listen_fd, stop=stop, bounds=bounds)


def load_into(service: "Service", start: Start) -> None:
    """Puts the model into the service, or ends the process: there is nothing else to serve."""
    from tokenmill.engines.embedded.loading import load_model
    from tokenmill.engines.embedded.model_source import ModelNotUsable, find_model
    from tokenmill.logs import flush_logs

    try:
        source = find_model(start.model)
        service.model = load_model(source, start.embedded.sequences_max)
    except ModelNotUsable as error:
        logger.critical(str(error))
        flush_logs()
        os._exit(EXIT_CONFIGURATION)
    logger.info("serving", extra={"model": source.id})


if __name__ == "__main__":
    run_child(lambda: main(sys.argv[1:]))
