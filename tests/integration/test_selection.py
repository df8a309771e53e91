"""Which engine a start chooses, by a real look at this machine's ports and programs."""

import asyncio
from pathlib import Path

import pytest

from tests.support.strangers import Manners, answer, canned, stranger, vllm_answers
from tokenmill.engines.rules import Choice
from tokenmill.engines.selection import select_engine
from tokenmill.engines.vllm.presence import find_vllm
from tokenmill.settings import DiscoverySettings, EmbeddedSettings, EngineSettings, Settings


async def choose(manners: Manners, **fields: object) -> Choice:
    """The choice where this stranger answers on the only discovery port."""
    async with stranger(manners) as port:
        settings = Settings(
            discovery=DiscoverySettings(ports=(port,), probe_ms=10_000),
            embedded=EmbeddedSettings(enabled=False),
            **fields,  # type: ignore[arg-type]
        )
        return await asyncio.to_thread(select_engine, settings)


async def test_a_vllm_that_answers_is_used() -> None:
    choice = await choose(canned(vllm_answers()))
    assert choice == Choice(None, "using the vLLM that answers on this machine")


async def test_a_web_server_is_not() -> None:
    choice = await choose(canned({}, answer(b"<h1>It works!</h1>")))
    assert "waiting for a vLLM" in choice.reason


async def test_nobody_is_looked_for_where_an_engine_is_named() -> None:
    heads: list[bytes] = []
    async with stranger(canned(vllm_answers()), heads=heads) as port:
        settings = Settings(
            engines=(EngineSettings(url="http://127.0.0.1:1"),),
            discovery=DiscoverySettings(ports=(port,)),
        )
        choice = await asyncio.to_thread(select_engine, settings)
    assert "settings name" in choice.reason
    assert heads == []


def test_vllm_is_found_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_vllm() == ""
    program = tmp_path / "vllm"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert find_vllm() == str(program)
