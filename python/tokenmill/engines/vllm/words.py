"""What vLLM prints, line by line into the house's log, at the level that the line itself names."""

import asyncio
import logging
import os
import re
from asyncio import StreamReader, StreamReaderProtocol

LINE_CHARACTERS_MAX = 2_000
_BLOCK_BYTES = 64 * 1024
_LEVEL = re.compile(r"(?:^|\) )(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")
_MARKS = re.compile(r"\x1b\[[0-9;]*m")
_LEVELS = logging.getLevelNamesMapping()


async def relay_words(pipe: int, logger: logging.Logger) -> None:
    """Logs the lines that come out of the pipe's reading end, which it closes in the end."""
    stream = StreamReader()
    loop = asyncio.get_running_loop()
    file = os.fdopen(pipe, "rb", buffering=0)
    transport, _ = await loop.connect_read_pipe(lambda: StreamReaderProtocol(stream), file)
    try:
        await log_lines(stream, logger)
    finally:
        transport.close()


async def log_lines(stream: StreamReader, logger: logging.Logger) -> None:
    """Logs lines until the stream ends; a line without end is logged in pieces."""
    rest = b""
    while block := await stream.read(_BLOCK_BYTES):
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > LINE_CHARACTERS_MAX:
            lines, rest = [*lines, rest], b""
        for line in lines:
            log_line(line.decode(errors="replace"), logger)
    log_line(rest.decode(errors="replace"), logger)


def log_line(line: str, logger: logging.Logger) -> None:
    """One line, without colours and progress bars' returns; empty ones are left out."""
    text = _MARKS.sub("", line).rpartition("\r")[2].strip() or line.strip("\r ")
    if text:
        found = _LEVEL.search(text)
        level = _LEVELS[found[1]] if found else logging.INFO
        logger.log(level, "vLLM: %s", text[:LINE_CHARACTERS_MAX])
