"""vLLM's calls for LoRA adapters: load, unload, and which are in use now. The embedded engine has
the same.

What came of a call is what the engine lists afterwards; an answer's words are for people.
"""

import asyncio
import re

from msgspec import Struct, json

from tokenmill.engines.address import Address
from tokenmill.engines.http_get import BrokenAnswer, connect
from tokenmill.engines.load_report import read_load
from tokenmill.engines.recognition import Answer

_WORDS_MAX = 200
_RUNNING = re.compile(
    rb"^vllm:lora_requests_info\{([^}\n]*)\} ([0-9.eE+-]+)\s*$",
    re.M,
)
_NAMES = re.compile(rb'(?:running|waiting)_lora_adapters="([^"\n]*)"')


class _Load(Struct):
    lora_name: str
    lora_path: str


class _Unload(Struct):
    lora_name: str


class NoAnswer(Exception):
    """The engine did not answer, or not in time."""


async def load_adapter(
    address: Address, name: str, path: str, *, api_key: str, timeout_ms: int
) -> str:
    """Why it says that it did not load it; empty where it says that it did. Raises: NoAnswer."""
    body = json.encode(_Load(name, path))
    return _words(await _post(address, "/v1/load_lora_adapter", body, api_key, timeout_ms))


async def unload_adapter(address: Address, name: str, *, api_key: str, timeout_ms: int) -> str:
    """As `load_adapter`."""
    body = json.encode(_Unload(name))
    return _words(await _post(address, "/v1/unload_lora_adapter", body, api_key, timeout_ms))


async def adapters_in_use(
    address: Address, *, api_key: str, timeout_ms: int
) -> frozenset[str] | None:
    """The adapters that requests of anybody run with or wait for; None where it does not say."""
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            answer = await (await connect(address)).get("/metrics", api_key)
    except (TimeoutError, BrokenAnswer, OSError):
        return None
    return read_use(answer.body) if answer.status == 200 else None


def read_use(metrics: bytes) -> frozenset[str] | None:
    """The same, in a Prometheus text. Each change of the names is a line there, whose number is its
    time, and the last one stays when nothing runs any more."""
    load = read_load(metrics)
    if load is None:
        return None
    if not load.running and not load.waiting:
        return frozenset()
    lines = [
        (number, labels) for labels, text in _RUNNING.findall(metrics) for number in _numbers(text)
    ]
    if not lines:
        return frozenset()
    _, labels = max(lines)
    names = b",".join(_NAMES.findall(labels)).decode("utf-8", "replace")
    return frozenset(name.strip() for name in names.split(",") if name.strip())


def _numbers(text: bytes) -> list[float]:
    try:
        return [float(text)]
    except ValueError:
        return []


async def _post(
    address: Address, target: str, body: bytes, api_key: str, timeout_ms: int
) -> Answer:
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            return await (await connect(address)).post(target, body, api_key)
    except TimeoutError as error:
        raise NoAnswer(f"no answer within {timeout_ms} ms") from error
    except BrokenAnswer as error:
        raise NoAnswer(str(error)) from error
    except OSError as error:
        raise NoAnswer(error.strerror or str(error)) from error


def _words(answer: Answer) -> str:
    if answer.status < 300:
        return ""
    text = " ".join(answer.body[: 4 * _WORDS_MAX].decode("utf-8", "replace").split())
    return f"{answer.status} {text}"[:_WORDS_MAX]
