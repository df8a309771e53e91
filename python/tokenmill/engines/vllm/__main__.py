"""The child that holds a supervised vLLM: `python -m tokenmill.engines.vllm`.

The inherited socket is bound to the engine's port and does not listen: it only keeps the port for
this engine, over restarts too, and until vLLM listens a connection to it is refused. vLLM runs in a
process group of its own, which ends when this process does, whatever ends it.
"""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import sys
from asyncio.subprocess import Process

from tokenmill.child import ChildStart, read_start, run_child
from tokenmill.engines.address import local_address
from tokenmill.engines.probe import look
from tokenmill.engines.vllm.command import serve_command, serve_environment
from tokenmill.engines.vllm.leftover import end_leftover, forget_group, mark, remember_group
from tokenmill.engines.vllm.port import held_port
from tokenmill.engines.vllm.presence import find_vllm
from tokenmill.engines.vllm.words import relay_words

_LOOK_EVERY_S = 0.5
_LOOK_MS = 2_000
_END_S_MAX = 10.0
"""vLLM needs 2 to 3 seconds from SIGTERM to its end once its streams have ended."""

_PR_SET_PDEATHSIG = 1

logger = logging.getLogger("tokenmill.engines.vllm")


def main() -> bool:
    start = read_start(sys.argv[1:], "vllm")
    return asyncio.run(hold(start))


async def hold(start: ChildStart) -> bool:
    """Runs vLLM until it ends or this process is told to; whether it was told to.

    Raises: SystemExit(1), if vLLM ended by itself or was not up in time.
    """
    settings = start.child.settings
    port = held_port(start.listen_fd)
    record = settings.state / "vllm.json"
    end_leftover(record, port)
    command = serve_command(settings, find_vllm(), port)
    logger.info("starting vLLM", extra={"command": " ".join(command)})
    # A pipe of our own: with asyncio's, the wait for the process lasts until the last process of
    # its group has closed it, and vLLM's engine process outlives a killed server.
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *command,
        env=serve_environment(os.environ) | mark(port),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=writing,
        stderr=writing,
        process_group=0,
        preexec_fn=_end_with_parent,
    )
    os.close(writing)
    remember_group(record, process.pid, port)
    speaking = asyncio.create_task(relay_words(reading, logger))
    try:
        return await _watch(process, start, port)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        forget_group(record)
        speaking.cancel()


async def _watch(process: Process, start: ChildStart, port: int) -> bool:
    settings = start.child.settings
    ended = asyncio.create_task(process.wait())
    told = asyncio.create_task(_told_to_stop(start.life_fd).wait())
    up = asyncio.create_task(_is_up(port, settings.vllm.start_s))
    waiting = {ended, told, up}
    while True:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if told in done:
            await _end(process, ended, settings.drain_seconds + _END_S_MAX)
            return True
        if ended in done:
            logger.error("vLLM ended by itself", extra={"status": process.returncode})
            raise SystemExit(1)
        if not up.result():
            logger.error("vLLM was not up in time", extra={"start_s": settings.vllm.start_s})
            await _end(process, ended, _END_S_MAX)
            raise SystemExit(1)
        logger.info("vLLM is up", extra={"port": port})


async def _is_up(port: int, start_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(start_s):
            while True:
                found = await look(local_address(port), timeout_ms=_LOOK_MS)
                if found.outcome == "serving":
                    return True
                await asyncio.sleep(_LOOK_EVERY_S)
    return False


async def _end(process: Process, ended: asyncio.Task[int], timeout_s: float) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    await asyncio.wait({ended}, timeout=timeout_s)


def _told_to_stop(life_fd: int) -> asyncio.Event:
    """Set by SIGTERM, SIGINT, or the end of the life pipe."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)

    def note_end() -> None:
        loop.remove_reader(life_fd)
        told.set()

    loop.add_reader(life_fd, note_end)
    return told


def _end_with_parent() -> None:
    """In the child before exec: SIGTERM when this process dies, even by SIGKILL (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    run_child(main)
