"""What an engine's answers say about it: pure, from answers to a Sighting.

An engine is recognised by what it answers, never by its port: vLLM is whoever gives a version at
/version and lists models in vLLM's way at /v1/models. A gateway has no /version of its own, so it
is never taken for an engine. `probe.py` brings the answers, `rules.py` makes a state out of them.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

EngineKind = Literal["vllm", "embedded", "openai"]
EngineState = Literal["serving", "loading", "gone"]
Task = Literal["generate", "embed"]

Outcome = Literal[
    "serving",  # answers, and lists its models
    "loading",  # there, and says that it is not ready
    "refused",  # nobody listens there
    "unreachable",  # the connection was not made in time
    "silent",  # connected, and no answer in time
    "broken",  # the answer broke off, or is not HTTP
    "locked",  # asks for an API key
    "foreign",  # answers, and is no engine
]

MODELS_MAX = 1_024
"""Of one engine; a vLLM lists one model and its adapters."""

_NOT_READY = "is there, and says that it is not ready"

Name = Annotated[str, Meta(min_length=1, max_length=512)]


class Answer(Struct, frozen=True):
    """One HTTP answer: status, headers by lower-case name, body."""

    status: int
    headers: dict[str, str]
    body: bytes


class ServedModel(Struct, frozen=True):
    """A model as its engine lists it."""

    id: Name
    task: Task = "generate"
    created: int = 0
    owned_by: str = ""
    parent: str = ""  # an adapter's base model
    context_tokens_max: int = 0  # 0: unknown
    root: str = ""  # an adapter's folder, if its engine says


class Sighting(Struct, frozen=True, kw_only=True):
    """What one look at an address found."""

    outcome: Outcome
    kind: EngineKind = "openai"
    version: str = ""
    models: tuple[ServedModel, ...] = ()
    detail: str = ""  # for people: what was wrong
    parses_tools: bool | None = True  # reads calls out of its answers itself; None: did not say


class _Version(Struct):
    version: Annotated[str, Meta(min_length=1, max_length=128)]


class _Card(Struct):
    id: Name
    created: int = 0
    owned_by: str = ""
    parent: str | None = None
    root: str | None = None
    max_model_len: int | None = None
    task: Task | None = None  # ours: vLLM does not say


class _ModelList(Struct):
    data: Annotated[list[_Card], Meta(max_length=MODELS_MAX)]
    object: Literal["list"] = "list"


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What JSON made by strangers can end in: not JSON or not ours, not UTF-8, nested without end."""

_versions = msgspec.json.Decoder(_Version)
_lists = msgspec.json.Decoder(_ModelList)


def read_version(answer: Answer) -> str:
    """The version an engine gives at /version; empty if this is not one's answer."""
    if answer.status != 200:
        return ""
    try:
        return _versions.decode(answer.body).version
    except _UNREADABLE:
        return ""


def recognise(version: str, models: Answer, health: Answer) -> Sighting:
    """The engine behind these answers to /v1/models and /health.

    Without a version it can only be some server of the OpenAI API, which counts for engines that
    the operator has named and never for a port that was merely tried.
    """
    if models.status in (401, 403):
        return Sighting(outcome="locked", version=version, detail="asks for an API key")
    if version and models.status == 503:
        return Sighting(outcome="loading", version=version, detail=_NOT_READY)
    if models.status != 200:
        return _foreign(f"GET /v1/models is {models.status}")
    try:
        cards = _lists.decode(models.body).data
    except _UNREADABLE as error:
        return _foreign(f"GET /v1/models is not a list of models: {error}")
    is_ready = not version or health.status != 503
    return Sighting(
        outcome="serving" if is_ready else "loading",
        kind=_kind(version, cards),
        version=version,
        models=tuple(_served(card) for card in cards),
        detail="" if is_ready else _NOT_READY,
    )


def with_tasks(sighting: Sighting, task: Task | None) -> Sighting:
    """The sighting with what a vLLM's models do; `task` None is neither of what is served here.

    Other engines say themselves what each of their models does, and stay as they are.
    """
    if sighting.kind != "vllm" or not sighting.models:
        return sighting
    if task is None:
        detail = "serves neither chat nor embeddings"
        return msgspec.structs.replace(sighting, models=(), detail=detail)
    models = tuple(msgspec.structs.replace(model, task=task) for model in sighting.models)
    return msgspec.structs.replace(sighting, models=models)


def refuses_tools(answer: Answer) -> bool:
    """Whether a vLLM's answer to a request with tools says that it was started without a parser."""
    return answer.status == 400 and b"--enable-auto-tool-choice" in answer.body


def _foreign(detail: str) -> Sighting:
    return Sighting(outcome="foreign", detail=detail)


def _kind(version: str, cards: list[_Card]) -> EngineKind:
    if version and any(card.owned_by == "tokenmill" for card in cards):
        return "embedded"
    if version and any(card.owned_by == "vllm" or card.max_model_len for card in cards):
        return "vllm"
    return "openai"


def _served(card: _Card) -> ServedModel:
    return ServedModel(
        id=card.id,
        task=card.task or "generate",
        created=max(card.created, 0),
        owned_by=card.owned_by,
        parent=card.parent or "",
        context_tokens_max=max(card.max_model_len or 0, 0),
        root=(card.root or "") if card.parent else "",
    )
