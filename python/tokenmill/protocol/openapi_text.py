"""The prose of the OpenAPI document: what fields mean, and examples. A table of data.

Types, ranges and required fields are not here: `openapi.py` reads those off the Structs.
"""

from typing import Any

TITLE = "tokenmill"
SUMMARY = "OpenAI-compatible inference: chat and text completions, embeddings, models."
DESCRIPTION = """\
The routes that OpenAI's clients call, under `/v1` and `/api/v1` alike. Send a key as
`Authorization: Bearer pk_live_…`, or, where nothing else works, as `?api_key=`.

An explicit `null` is as good as leaving a field out. Unknown fields are refused by name. Every
answer carries `x-request-id` (yours, if you send a sane one) and `server-timing`. Every error has
the same four keys; after the first byte of a stream it is a `data: {"error": …}` event, and no
`[DONE]` follows it.

Shared (factory) models take `max_tokens` from 1 to 4096, 1024 if left out, and have a default
temperature of 0.7. On a dedicated model the defaults are the model's maximum and 1.0."""

FIELDS: dict[str, str] = {
    "model": 'The id of a model, or "auto". Left out, it means "auto": the model that runs.',
    "messages": "The conversation so far, oldest first.",
    "prompt": "A text, a list of texts, token ids, or a list of lists of token ids.",
    "input": "A text, a list of texts, token ids, or a list of lists of token ids; "
    "at most 8192 tokens each.",
    "temperature": "Randomness: 0 is nearly deterministic. Default 0.7, on dedicated models 1.0.",
    "top_p": "Nucleus sampling: only the likeliest tokens that make up this share. Default 1.",
    "n": "How many answers to make.",
    "max_tokens": "The most tokens an answer may have. Default 1024, at most 4096; on dedicated "
    "models the model's maximum.",
    "max_completion_tokens": "The newer name of `max_tokens`.",
    "stop": "Up to four texts that end the answer where they would appear.",
    "stream": "Send the answer as Server-Sent Events while it is made.",
    "stream_options": "Allowed only with `stream`.",
    "include_usage": "End the stream with a chunk that has `usage` and no choices; "
    "all other chunks have `usage: null`.",
    "continuous_usage_stats": "With `include_usage`: every chunk has the usage so far.",
    "presence_penalty": "Above 0: makes topics that were mentioned less likely. Default 0.",
    "frequency_penalty": "Above 0: makes tokens less likely the more often they came. Default 0.",
    "logit_bias": "Added to the logits of tokens, by token id.",
    "logprobs": "Return log probabilities of the answer's tokens.",
    "top_logprobs": "How many of the likeliest tokens to return at each place. Needs `logprobs`.",
    "seed": "Makes sampling repeatable as far as the engine can.",
    "user": "Accepted and not used.",
    "metadata": "Accepted and not kept.",
    "store": "Answers are not kept: false or nothing.",
    "service_tier": "There is one tier.",
    "prediction": "Accepted; it would only change the speed.",
    "modalities": "Text is the only one.",
    "response_format": "The form of the answer: text, any JSON object, or JSON by a schema.",
    "structured_outputs": "One of `json`, `regex`, `choice`, `grammar` (EBNF), `json_object`.",
    "tools": "Functions that the model may call.",
    "tool_choice": "Whether the model may, must or must not call tools, or which one it must call.",
    "parallel_tool_calls": "Whether several tools may be called in one answer.",
    "reasoning_effort": "How much a reasoning model is to think.",
    "stop_token_ids": "Token ids that end the answer.",
    "top_k": "Sample among this many tokens; -1 or 0 for all.",
    "min_p": "Leave out tokens less likely than this share of the likeliest.",
    "repetition_penalty": "Above 1: makes tokens that came before less likely.",
    "min_tokens": "The answer does not end before it has this many tokens.",
    "ignore_eos": "Go on to `max_tokens` even where the model would end; for benchmarks.",
    "bad_words": "Texts that the answer must not hold.",
    "skip_special_tokens": "Leave special tokens out of the text. Default true.",
    "include_stop_str_in_output": "Keep the stop text at the end of the answer.",
    "echo": "Begin the text with the prompt.",
    "best_of": "Must equal `n`.",
    "encoding_format": "`float`, or `base64` of little-endian float32. Default `float`.",
    "dimensions": "Length of the vectors, where the model can shorten them.",
    "tool_call_id": "The `id` of the tool call that this answers.",
    "finish_reason": "`stop`: it ended by itself; `length`: `max_tokens` or the context ended it.",
    "schema": "A JSON schema.",
    "parameters": "The JSON schema of the function's arguments.",
    "max_model_len": "The most tokens of prompt and answer together.",
}

_MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is machine learning?"},
]

EXAMPLES: dict[str, Any] = {
    "ChatRequest": {"model": "auto", "messages": _MESSAGES, "max_tokens": 500},
    "CompletionRequest": {"model": "auto", "prompt": "Once upon a time", "max_tokens": 64},
    "EmbeddingRequest": {
        "model": "text-embedding-ada-002",
        "input": "The quick brown fox jumps over the lazy dog.",
    },
}

ERRORS: dict[int, tuple[str, str, str, str]] = {
    400: (
        "The request is malformed or a value is not allowed; `param` is the field's path.",
        "invalid_request",
        "invalid_request",
        "`temperature` is out of range. It must be a number between 0 and 2.",
    ),
    401: (
        "The key is missing or invalid.",
        "authentication_error",
        "invalid_api_key",
        "Invalid API key provided",
    ),
    403: (
        "The key may not do this.",
        "permission_error",
        "permission_denied",
        "This key may not be used for inference.",
    ),
    404: (
        "There is no such model or address.",
        "not_found",
        "model_not_found",
        "The model 'nope' does not exist, or you have no access to it.",
    ),
    408: (
        "The body did not arrive in time.",
        "invalid_request",
        "request_timeout",
        "The request body did not arrive in time.",
    ),
    409: (
        "It conflicts with what is there already.",
        "invalid_request",
        "conflict",
        "The key is revoked. Make a new one with `tokenmill keys create`.",
    ),
    413: (
        "The body is too large.",
        "invalid_request",
        "request_too_large",
        "The request body may hold at most 10485760 bytes.",
    ),
    415: (
        "The body is not `application/json`.",
        "invalid_request",
        "unsupported_media_type",
        "Send the body as `Content-Type: application/json`.",
    ),
    422: (
        "It is well-formed and cannot be done.",
        "invalid_request",
        "refund_too_large",
        "More than was billed and not refunded before cannot be refunded.",
    ),
    500: (
        "Our fault; `x-request-id` finds it in the logs.",
        "server_error",
        "internal_error",
        "tokenmill failed: this is our bug. The request id finds it in the logs.",
    ),
    502: (
        "The engine failed.",
        "server_error",
        "engine_error",
        "The engine failed to answer the request.",
    ),
    503: (
        "No engine, a loading model, or too much to do; `retry-after` says when to come back.",
        "service_unavailable",
        "no_engine",
        "No running inference endpoint found.",
    ),
    504: (
        "The engine did not answer in time.",
        "server_error",
        "engine_timeout",
        "The engine did not answer in time.",
    ),
}
"""Status -> what it means, and type, code and message of an example."""
