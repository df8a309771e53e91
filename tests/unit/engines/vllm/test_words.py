"""What vLLM prints, in the house's log."""

import asyncio
import logging

import pytest

from tokenmill.engines.vllm.words import LINE_CHARACTERS_MAX, log_lines

LOGGER = logging.getLogger("test.words")

LINES = [
    # printed, level and text in the log
    ("(APIServer pid=1) INFO 11-22 [x.py:1] up", logging.INFO, "(APIServer pid=1) INFO 11-22"),
    ("(EngineCore pid=2) ERROR 11-22 [x.py:1] no", logging.ERROR, "(EngineCore pid=2) ERROR"),
    ("WARNING 11-22 slow", logging.WARNING, "WARNING 11-22 slow"),
    ("\x1b[32mINFO\x1b[0m: Started", logging.INFO, "INFO: Started"),
    ("Loading:  10%\rLoading: 100%", logging.INFO, "Loading: 100%"),
    ("a model called ERROR", logging.INFO, "a model called ERROR"),
]


async def relayed(printed: bytes, caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    stream = asyncio.StreamReader()
    stream.feed_data(printed)
    stream.feed_eof()
    with caplog.at_level(logging.DEBUG):
        await log_lines(stream, LOGGER)
    return caplog.records


@pytest.mark.parametrize(("printed", "level", "text"), LINES)
async def test_a_line_keeps_its_level(
    printed: str, level: int, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (record,) = await relayed(printed.encode() + b"\n", caplog)
    assert record.levelno == level
    assert record.getMessage().startswith(f"vLLM: {text}")


async def test_a_line_without_an_end_is_logged_in_pieces(caplog: pytest.LogCaptureFixture) -> None:
    records = await relayed(b"x" * 300_000, caplog)
    assert len(records) > 1
    assert all(len(record.getMessage()) <= LINE_CHARACTERS_MAX + 10 for record in records)


async def test_blank_lines_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    assert await relayed(b"\n\n  \n\xff\n", caplog) != []
    assert len(caplog.records) == 1
