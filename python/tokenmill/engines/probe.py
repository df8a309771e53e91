"""One look at an address: what answers there, in bounded time and space.

Used by the supervisor, which chooses an engine at the start, and by control, which goes on looking.
It asks and reports; `recognition.py` says what the answers mean.
"""

import asyncio
from collections.abc import Iterable

from msgspec import Struct, field, json
from msgspec.structs import replace

from tokenmill.engines.address import Address
from tokenmill.engines.http_get import BrokenAnswer, connect
from tokenmill.engines.load_report import LoadReport, read_load
from tokenmill.engines.recognition import (
    Answer,
    Outcome,
    Sighting,
    Task,
    read_version,
    recognise,
    refuses_tools,
    with_tasks,
)

_NOT_ASKED = Answer(0, {}, b"")


class _ProbeTool(Struct):
    type: str = "function"
    function: dict[str, str] = field(default_factory=lambda: {"name": "probe"})


class _ToolQuestion(Struct):
    """A chat that no engine answers, for it has no messages; whether it could parse tools is
    looked at before that."""

    model: str
    messages: list[str] = []
    tools: list[_ProbeTool] = field(default_factory=lambda: [_ProbeTool()])
    tool_choice: str = "auto"
    max_tokens: int = 1


async def look(
    address: Address, *, api_key: str = "", timeout_ms: int, known: Sighting | None = None
) -> Sighting:
    """What answers at the address. Never raises for what is out there; takes at most `timeout_ms`.

    `known` is the last look that found an engine serving there: its version and its models' task
    are not asked for again.
    """
    is_connected = False
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            first = await connect(address)
            is_connected = True
            if known is not None and known.version:
                models = await first.get("/v1/models", api_key)
                version = known.version
            else:
                version = read_version(await first.get("/version"))
                models = await _ask(address, "/v1/models", api_key)
            health = await _ask(address, "/health") if version else _NOT_ASKED
            sighting = recognise(version, models, health)
            sighting = with_tasks(sighting, await _find_task(address, sighting, known))
            parses = await _find_parser(address, sighting, known, api_key, timeout_ms // 2)
            return replace(sighting, parses_tools=parses)
    except TimeoutError:
        outcome: Outcome = "silent" if is_connected else "unreachable"
        return Sighting(outcome=outcome, detail=f"no answer within {timeout_ms} ms")
    except BrokenAnswer as error:
        return Sighting(outcome="broken", detail=str(error))
    except OSError as error:
        outcome = "broken" if is_connected else "refused"
        return Sighting(outcome=outcome, detail=error.strerror or str(error))


async def look_at_load(
    address: Address, *, api_key: str = "", timeout_ms: int
) -> LoadReport | None:
    """How busy a vLLM says it is; None where it does not say. Never raises for what is there."""
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            answer = await _ask(address, "/metrics", api_key)
    except (TimeoutError, BrokenAnswer, OSError):
        return None
    return read_load(answer.body) if answer.status == 200 else None


async def look_at_all(addresses: Iterable[Address], *, timeout_ms: int) -> list[Sighting]:
    """A look at each address, all at once."""
    looks = (look(address, timeout_ms=timeout_ms) for address in addresses)
    return list(await asyncio.gather(*looks))


async def _ask(address: Address, target: str, api_key: str = "") -> Answer:
    return await (await connect(address)).get(target, api_key)


async def _find_task(address: Address, sighting: Sighting, known: Sighting | None) -> Task | None:
    """What a vLLM's models do; it does not say, but has only the routes that its model can serve: a
    GET there is refused by method (405), elsewhere not found (404). None: other than we serve."""
    if sighting.kind != "vllm" or not sighting.models:
        return None
    if known is not None and known.models:
        return known.models[0].task
    if (await _ask(address, "/v1/chat/completions")).status != 404:
        return "generate"
    return "embed" if (await _ask(address, "/v1/embeddings")).status != 404 else None


async def _find_parser(
    address: Address, sighting: Sighting, known: Sighting | None, api_key: str, timeout_ms: int
) -> bool | None:
    """Whether an engine parses tool calls; asked of a vLLM, which has to be told how. One that is
    busy with prompts may be slow to say: None then, for it serves, and it is asked again."""
    if sighting.kind != "vllm" or not sighting.models or sighting.outcome != "serving":
        return True
    if known is not None and known.models and known.parses_tools is not None:
        return known.parses_tools
    if sighting.models[0].task != "generate":
        return True
    question = json.encode(_ToolQuestion(sighting.models[0].id))
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            engine = await connect(address)
            answer = await engine.post("/v1/chat/completions", question, api_key)
    except (TimeoutError, BrokenAnswer, OSError):
        return None
    return not refuses_tools(answer)
