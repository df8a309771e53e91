"""POST /v1/chat/completions: one request, n sequences, one answer or one stream."""

import itertools
from collections.abc import AsyncGenerator

from msgspec import UNSET, Struct, UnsetType

from tokenmill.engines.embedded.answers import (
    DONE,
    ENCODER,
    ChatAnswer,
    ChatChoice,
    ChatChunk,
    ChatLogprobs,
    ChunkChoice,
    Delta,
    Message,
    Usage,
    event,
    usage_of,
)
from tokenmill.engines.embedded.chat_choice import ChoiceReader, Step
from tokenmill.engines.embedded.errors import BadRequest, EngineError, encode_error
from tokenmill.engines.embedded.grammar import requested_grammar
from tokenmill.engines.embedded.pieces import Piece
from tokenmill.engines.embedded.requests import ChatRequest, NamedChoice, decode
from tokenmill.engines.embedded.runs import Run
from tokenmill.engines.embedded.sampling import check_combinations, sampling_fields
from tokenmill.engines.embedded.service import (
    Answer,
    EventStream,
    Identity,
    Service,
    Wanted,
    identify,
)
from tokenmill.engines.embedded.tools import answer_grammar, offered_tools, render_chat


class _Plan(Struct, frozen=True, kw_only=True):
    """A chat that can start, and how its answer is told."""

    wanted: Wanted
    identity: Identity
    readers: list[ChoiceReader]
    has_usage_chunk: bool
    has_running_usage: bool


async def create_chat(service: Service, body: bytes, request_id: str) -> Answer | EventStream:
    """The answer. Raises: EngineError for everything that is refused."""
    request = decode(body, ChatRequest)
    plan = await _plan(service, request, request_id)
    run = service.start(plan.wanted)
    first = await run.take()
    if request.stream:
        return EventStream(_events(plan, run, first))
    with run:
        steps = _read(plan, first)
        while not run.is_finished:
            steps += _read(plan, await run.take())
    return Answer(ENCODER.encode(_whole(plan, run, steps)))


async def _plan(service: Service, request: ChatRequest, request_id: str) -> _Plan:
    check_combinations(request)
    if request.top_logprobs and not request.logprobs:
        raise BadRequest("`top_logprobs` needs `logprobs: true`", param="top_logprobs")
    model, name, adapter = service.resolve(request.model)
    tools = offered_tools(request)
    grammar = answer_grammar(request, tools, requested_grammar(request))
    fields = sampling_fields(request, model.card.defaults, model.card.vocabulary_size)
    fields |= grammar.fields() if grammar else {}
    if request.logprobs:
        fields |= {"logprobs": True, "top_logprobs": request.top_logprobs or None}
    if adapter:
        fields["adapter"] = adapter
    text = model.without_prefix(render_chat(model.template, request.messages, tools))
    prompts = await service.measure(model, [text])
    max_tokens = request.max_completion_tokens or request.max_tokens
    options = request.stream_options
    wanted = Wanted(
        model=model,
        prompts=prompts,
        choices=request.choices,
        fields=fields,
        max_tokens=max_tokens,
        min_tokens=request.min_tokens,
        keeps_blank=grammar is not None,
    )
    reads_calls = bool(tools) and request.tool_choice != "none"
    fingerprint = wanted.repeatable_fingerprint
    return _Plan(
        wanted=wanted,
        identity=identify("chatcmpl", name, request_id, repeatable_fingerprint=fingerprint),
        readers=[_reader(request, reads_calls=reads_calls) for _ in range(request.choices)],
        has_usage_chunk=bool(options and options.include_usage),
        has_running_usage=bool(options and options.continuous_usage_stats),
    )


def _reader(request: ChatRequest, *, reads_calls: bool) -> ChoiceReader:
    return ChoiceReader(
        reads_calls=reads_calls,
        calls_max=1 if request.parallel_tool_calls is False else None,
        # A named call is not the model's choice: OpenAI and vLLM end it with "stop".
        tells_calls=not isinstance(request.tool_choice, NamedChoice),
        top_logprobs=(request.top_logprobs or 0) if request.logprobs else None,
    )


def _read(plan: _Plan, pieces: list[tuple[int, Piece]]) -> list[tuple[int, Step]]:
    return [(index, step) for index, piece in pieces for step in plan.readers[index].read(piece)]


def _whole(plan: _Plan, run: Run, steps: list[tuple[int, Step]]) -> ChatAnswer:
    by_choice: list[list[Step]] = [[] for _ in plan.readers]
    for index, step in steps:
        by_choice[index].append(step)
    choices = [_choice(index, steps) for index, steps in enumerate(by_choice)]
    return ChatAnswer(
        id=plan.identity.id,
        created=plan.identity.created,
        model=plan.identity.model,
        choices=choices,
        system_fingerprint=plan.identity.system_fingerprint,
        usage=usage_of(sum(run.prompt_tokens), sum(run.tokens)),
    )


def _choice(index: int, steps: list[Step]) -> ChatChoice:
    text = "".join(step.text for step in steps)
    calls = [call for step in steps for call in step.calls]
    for call in calls:
        call.index = UNSET
    last = steps[-1]
    tokens = list(itertools.chain.from_iterable(step.tokens or () for step in steps))
    has_logprobs = any(step.tokens is not None for step in steps)
    return ChatChoice(
        index=index,
        message=Message(
            "assistant", text if text or not calls else None, tool_calls=calls or UNSET
        ),
        logprobs=ChatLogprobs(tokens) if has_logprobs else None,
        finish_reason=last.finish or "",
        stop_reason=last.stop_text,
    )


async def _events(
    plan: _Plan, run: Run, pieces: list[tuple[int, Piece]]
) -> AsyncGenerator[bytes, None]:
    """The events of a stream; all that is ready leaves as one part."""
    with run:
        yield b"".join(_opening(plan, run))
        try:
            while True:
                steps = _read(plan, pieces)
                part = [event(_chunk(plan, run, index, step)) for index, step in steps]
                if run.is_finished:
                    break
                if part:
                    yield b"".join(part)
                pieces = await run.take()
        except EngineError as error:
            yield b"data: " + encode_error(error) + b"\n\n"
            return
        if plan.has_usage_chunk:
            usage = usage_of(sum(run.prompt_tokens), sum(run.tokens))
            part.append(event(_envelope(plan, [], usage)))
        yield b"".join([*part, DONE])


def _opening(plan: _Plan, run: Run) -> list[bytes]:
    """The first event of each choice: its role."""
    delta = Delta(role="assistant", content="")
    usage = usage_of(run.prompt_tokens_of(0), 0) if plan.has_running_usage else UNSET
    return [
        event(_envelope(plan, [ChunkChoice(index, delta)], usage))
        for index in range(len(plan.readers))
    ]


def _chunk(plan: _Plan, run: Run, index: int, step: Step) -> ChatChunk:
    delta = Delta(content=step.text or UNSET, tool_calls=step.calls or UNSET)
    choice = ChunkChoice(
        index=index,
        delta=delta,
        logprobs=None if step.tokens is None else ChatLogprobs(step.tokens),
        finish_reason=step.finish,
        stop_reason=step.stop_text if step.finish else UNSET,
    )
    usage: Usage | UnsetType = UNSET
    if plan.has_running_usage:
        usage = usage_of(run.prompt_tokens_of(index), run.tokens[index])
    return _envelope(plan, [choice], usage)


def _envelope(plan: _Plan, choices: list[ChunkChoice], usage: Usage | UnsetType) -> ChatChunk:
    return ChatChunk(
        id=plan.identity.id,
        created=plan.identity.created,
        model=plan.identity.model,
        choices=choices,
        system_fingerprint=plan.identity.system_fingerprint,
        usage=usage,
    )
