"""POST /v1/completions: texts continued as they stand, without the chat template."""

from collections.abc import AsyncGenerator
from functools import partial

from msgspec import UNSET, Struct, UnsetType

from tokenmill.engines.embedded.answers import (
    DONE,
    ENCODER,
    CompletionAnswer,
    CompletionChoice,
    CompletionLogprobs,
    Usage,
    event,
    usage_of,
)
from tokenmill.engines.embedded.errors import BadRequest, EngineError, encode_error, unsupported
from tokenmill.engines.embedded.grammar import requested_grammar
from tokenmill.engines.embedded.pieces import Piece
from tokenmill.engines.embedded.requests import (
    CHOICES_MAX,
    PROMPTS_MAX,
    CompletionRequest,
    as_texts_or_tokens,
    decode,
)
from tokenmill.engines.embedded.runner import ModelRunner
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

MAX_TOKENS = 16  # when a request is silent: OpenAI's and vLLM's default


class _Plan(Struct, frozen=True, kw_only=True):
    """A completion that can start, and how its answer is told."""

    wanted: Wanted
    identity: Identity
    echoes: bool
    top_logprobs: int | None
    has_usage_chunk: bool
    has_running_usage: bool
    offsets: list[int]  # where the next piece of each choice stands in its text

    def prompt_of(self, index: int) -> str:
        return self.wanted.prompts[index // self.wanted.choices].text


async def create_completion(service: Service, body: bytes, request_id: str) -> Answer | EventStream:
    """The answer. Raises: EngineError for everything that is refused."""
    request = decode(body, CompletionRequest)
    _check(request)
    plan = await _plan(service, request, request_id)
    if request.max_tokens == 0:
        return _echo_only(plan)
    run = service.start(plan.wanted)
    first = await run.take()
    if request.stream:
        return EventStream(_events(plan, run, first))
    pieces = list(first)
    with run:
        while not run.is_finished:
            pieces += await run.take()
    return Answer(ENCODER.encode(_whole(plan, run, pieces)))


def _check(request: CompletionRequest) -> None:
    check_combinations(request)
    if request.suffix:
        raise unsupported("suffix")
    if request.best_of not in (None, request.choices):
        raise unsupported("best_of", "leave it out, and send `n`.")
    if request.echo and request.logprobs is not None:
        raise unsupported("echo", "with `logprobs` it would need those of the prompt.")
    if request.max_tokens == 0 and (not request.echo or request.stream):
        raise BadRequest("`max_tokens` must be at least 1", param="max_tokens")


async def _plan(service: Service, request: CompletionRequest, request_id: str) -> _Plan:
    model, name, adapter = service.resolve(request.model)
    texts = await service.on_thread(partial(_prompt_texts, model, request))
    grammar = requested_grammar(request)
    fields = sampling_fields(request, model.card.defaults, model.card.vocabulary_size)
    fields |= grammar.fields() if grammar else {}
    if request.logprobs is not None:
        fields |= {"logprobs": True, "top_logprobs": request.logprobs or None}
    if adapter:
        fields["adapter"] = adapter
    wanted = Wanted(
        model=model,
        prompts=await service.measure(model, texts),
        choices=request.choices,
        fields=fields,
        max_tokens=MAX_TOKENS if request.max_tokens is None else request.max_tokens,
        min_tokens=request.min_tokens,
        keeps_blank=True,
    )
    options = request.stream_options
    fingerprint = wanted.repeatable_fingerprint
    return _Plan(
        wanted=wanted,
        identity=identify("cmpl", name, request_id, repeatable_fingerprint=fingerprint),
        echoes=bool(request.echo),
        top_logprobs=request.logprobs,
        has_usage_chunk=bool(options and options.include_usage),
        has_running_usage=bool(options and options.continuous_usage_stats),
        offsets=[0] * (len(texts) * request.choices),
    )


def _prompt_texts(model: ModelRunner, request: CompletionRequest) -> list[str]:
    """The prompts as texts, which is all that mistral.rs takes.

    Raises: BadRequest for token ids that do not survive the way through their text.
    """
    texts: list[str] = []
    for prompt in as_texts_or_tokens(request.prompt, "prompt"):
        if isinstance(prompt, str):
            texts.append(prompt)
            continue
        text = model.without_prefix(model.detokenize(prompt))
        if prompt not in (
            model.tokenize(text),
            model.tokenize(text, add_special_tokens=False),
        ):
            raise unsupported(
                "prompt", "these token ids are not what their text is tokenized to; send the text."
            )
        texts.append(text)
    if len(texts) > PROMPTS_MAX or len(texts) * request.choices > PROMPTS_MAX + CHOICES_MAX:
        raise BadRequest(f"at most {PROMPTS_MAX} prompts in one request", param="prompt")
    return texts


def _echo_only(plan: _Plan) -> Answer:
    """The prompts back: what `echo` with `max_tokens: 0` asks for."""
    wanted = plan.wanted
    choices = [
        CompletionChoice(index, plan.prompt_of(index), finish_reason="length")
        for index in range(len(plan.offsets))
    ]
    usage = usage_of(sum(prompt.tokens for prompt in wanted.prompts), 0)
    return Answer(ENCODER.encode(_envelope(plan, choices, usage)))


def _whole(plan: _Plan, run: Run, pieces: list[tuple[int, Piece]]) -> CompletionAnswer:
    by_choice: list[list[CompletionChoice]] = [[] for _ in plan.offsets]
    for index, piece in pieces:
        by_choice[index].append(_choice(plan, index, piece))
    choices = [_joined(plan, index, parts) for index, parts in enumerate(by_choice)]
    return _envelope(plan, choices, usage_of(sum(run.prompt_tokens), sum(run.tokens)))


def _joined(plan: _Plan, index: int, parts: list[CompletionChoice]) -> CompletionChoice:
    text = "".join(part.text for part in parts)
    last = parts[-1]
    return CompletionChoice(
        index=index,
        text=plan.prompt_of(index) + text if plan.echoes else text,
        logprobs=None if plan.top_logprobs is None else _concatenated(parts),
        finish_reason=last.finish_reason,
        stop_reason=last.stop_reason,
    )


def _concatenated(parts: list[CompletionChoice]) -> CompletionLogprobs:
    whole = CompletionLogprobs([], [], [], [])
    for part in parts:
        if part.logprobs is not None:
            for name in CompletionLogprobs.__struct_fields__:
                getattr(whole, name).extend(getattr(part.logprobs, name))
    return whole


def _choice(plan: _Plan, index: int, piece: Piece) -> CompletionChoice:
    offset = plan.offsets[index]
    plan.offsets[index] = offset + len(piece.text)
    return CompletionChoice(
        index=index,
        text=piece.text,
        logprobs=_logprobs(piece, offset, plan.top_logprobs),
        finish_reason=piece.finish,
        stop_reason=piece.stop_text,
    )


def _logprobs(piece: Piece, offset: int, top: int | None) -> CompletionLogprobs | None:
    if top is None or piece.likelihood is None:
        return None
    chosen = piece.likelihood.chosen
    most_likely = {each.text: each.logprob for each in piece.likelihood.top[:top]}
    return CompletionLogprobs([offset], [chosen.logprob], [chosen.text], [most_likely])


async def _events(
    plan: _Plan, run: Run, pieces: list[tuple[int, Piece]]
) -> AsyncGenerator[bytes, None]:
    """The events of a stream; all that is ready leaves as one part."""
    with run:
        part = _opening(plan, run) if plan.echoes else []
        try:
            while True:
                part += [event(_chunk(plan, run, index, piece)) for index, piece in pieces]
                if run.is_finished:
                    break
                yield b"".join(part)
                part = []
                pieces = await run.take()
        except EngineError as error:
            yield b"data: " + encode_error(error) + b"\n\n"
            return
        if plan.has_usage_chunk:
            usage = usage_of(sum(run.prompt_tokens), sum(run.tokens))
            part.append(event(_envelope(plan, [], usage)))
        yield b"".join([*part, DONE])


def _opening(plan: _Plan, run: Run) -> list[bytes]:
    """The prompts, as the first event of each choice."""
    opening = []
    for index in range(len(plan.offsets)):
        usage = usage_of(run.prompt_tokens_of(index), 0) if plan.has_running_usage else UNSET
        choice = CompletionChoice(index, plan.prompt_of(index))
        opening.append(event(_envelope(plan, [choice], usage)))
    return opening


def _chunk(plan: _Plan, run: Run, index: int, piece: Piece) -> CompletionAnswer:
    usage: Usage | UnsetType = UNSET
    if plan.has_running_usage:
        usage = usage_of(run.prompt_tokens_of(index), run.tokens[index])
    return _envelope(plan, [_choice(plan, index, piece)], usage)


def _envelope(
    plan: _Plan, choices: list[CompletionChoice], usage: Usage | UnsetType
) -> CompletionAnswer:
    return CompletionAnswer(
        id=plan.identity.id,
        created=plan.identity.created,
        model=plan.identity.model,
        choices=choices,
        system_fingerprint=plan.identity.system_fingerprint,
        usage=usage,
    )
