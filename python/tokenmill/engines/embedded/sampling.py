"""From a request's sampling fields to what mistral.rs takes. Pure.

mistral.rs takes many wrong values without a word, so ranges are checked before (`requests.py`).
Where a request is silent, the model's own generation_config.json speaks, then vLLM's defaults.
"""

from typing import Any

from tokenmill.engines.embedded.errors import BadRequest, PromptTooLong, unsupported
from tokenmill.engines.embedded.requests import SamplingRequest

DEFAULT_TEMPERATURE = 1.0


def sampling_fields(
    request: SamplingRequest, defaults: dict[str, float], vocabulary_size: int
) -> dict[str, Any]:
    """Keyword arguments for mistral.rs, without max_tokens. Raises: BadRequest."""
    fields: dict[str, Any] = {"temperature": DEFAULT_TEMPERATURE} | defaults
    for name in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty"):
        given = getattr(request, name)
        if given is not None:
            fields[name] = given
    if fields.get("top_k", 1) <= 0:  # vLLM's way to say: all of them
        del fields["top_k"]
    for name in ("presence_penalty", "frequency_penalty"):
        if given := getattr(request, name):
            fields[name] = given
    if request.stop:
        fields["stop_seqs"] = [request.stop] if isinstance(request.stop, str) else request.stop
    if request.logit_bias:
        fields["logit_bias"] = _biases(request.logit_bias, vocabulary_size)
    if request.ignore_eos:
        fields["ignore_eos"] = True
    return fields


def check_combinations(request: SamplingRequest) -> None:
    """Raises: BadRequest for fields that do not go together or that mistral.rs cannot honour."""
    if request.stream_options is not None and not request.stream:
        raise BadRequest(
            "Stream options can only be defined when `stream=True`.", param="stream_options"
        )
    if request.min_tokens and not request.ignore_eos:
        raise unsupported("min_tokens", "it takes no minimum unless `ignore_eos` is true.")


def completion_tokens_max(
    asked: int | None, prompt_tokens: int, context_tokens: int, min_tokens: int | None
) -> int:
    """How many tokens may be generated: what was asked for, as far as the context reaches.

    Raises: PromptTooLong, when the prompt leaves no room for a single token.
    """
    room = context_tokens - prompt_tokens
    if room < 1:
        raise PromptTooLong(prompt_tokens, context_tokens)
    allowed = room if asked is None else min(asked, room)
    if min_tokens is not None and min_tokens > allowed:
        raise BadRequest(
            f"`min_tokens` is above the {allowed} tokens that may be generated", param="min_tokens"
        )
    return allowed


def is_repeatable(fields: dict[str, Any]) -> bool:
    """Whether the same request gives the same answer: mistral.rs takes no seed per request."""
    return fields.get("temperature") == 0 or fields.get("top_k") == 1


def _biases(biases: dict[str, float], vocabulary_size: int) -> dict[int, float]:
    converted = {}
    for key, bias in biases.items():
        if not key.isascii() or not key.isdecimal():
            raise BadRequest(f"`{key}` is not a token id", param="logit_bias")
        token = int(key)
        if vocabulary_size and token >= vocabulary_size:
            raise BadRequest(
                f"token id {token} is not in the vocabulary of {vocabulary_size}",
                param="logit_bias",
            )
        converted[token] = bias
    return converted
