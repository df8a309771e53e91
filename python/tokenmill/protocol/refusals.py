"""Fields that are refused by name, and why: to ignore them would change what the client gets.

Each is declared in a request Struct with the type `None`, so that an explicit null is still as good
as absent, and so that it is refused even where unknown fields are ignored. Sources: OpenAI's API
reference for what is not offered; the published CVEs of inference engines for the rest.
"""

from msgspec import Struct

_USE_STRUCTURED = "Send `structured_outputs` or `response_format`."
_NOT_SAFE = "It can stall or crash a shared engine."
_INTERNAL = "It belongs to the operator of the engine."
_ONE_BILL = "Ask for more choices with `n`."

REASONS: dict[str, str] = {
    # OpenAI's own, not offered here
    "audio": "Audio output is not offered.",
    "web_search_options": "Web search is not offered.",
    "moderation": "Moderation is not offered.",
    "functions": "It was replaced by `tools`; send those.",
    "function_call": "It was replaced by `tool_choice` and `tool_calls`; send those.",
    "suffix": "Insertion is not offered: the engines complete at the end of a prompt only.",
    "echo": "An answer holds no part of its prompt.",
    # engine fields that are known to kill or stall engines, or that run code or load data
    "prompt_logprobs": _NOT_SAFE,
    "prompt_embeds": "Tensors from outside are not accepted.",
    "chat_template": "Templates from outside are not run.",
    "chat_template_kwargs": "They can stall an engine; `reasoning_effort` is offered.",
    "documents": "Put the documents into a message.",
    "logits_processors": "Code from outside is not run.",
    "vllm_xargs": _INTERNAL,
    "mm_processor_kwargs": _INTERNAL,
    "media_io_kwargs": _INTERNAL,
    "kv_transfer_params": _INTERNAL,
    "ec_transfer_params": _INTERNAL,
    "priority": "The order of requests is the gateway's business.",
    "request_id": "Send the header `x-request-id`.",
    "cache_salt": _INTERNAL,
    "use_beam_search": _ONE_BILL,
    "length_penalty": "Beam search is not offered.",
    "thinking_token_budget": "`reasoning_effort` is offered.",
    "truncate_prompt_tokens": "A prompt is never shortened; send a shorter one.",
    "add_generation_prompt": "The gateway always asks for the assistant's next message.",
    "continue_final_message": "The gateway always asks for the assistant's next message.",
    "add_special_tokens": "The engine's template decides.",
    "allowed_token_ids": "`logit_bias` and `structured_outputs` are offered.",
    # vLLM's names of old: it ignores them without a word
    "guided_json": _USE_STRUCTURED,
    "guided_regex": _USE_STRUCTURED,
    "guided_choice": _USE_STRUCTURED,
    "guided_grammar": _USE_STRUCTURED,
    "guided_decoding_backend": _USE_STRUCTURED,
    "guided_whitespace_pattern": _USE_STRUCTURED,
    "messages[].audio": "Audio is not offered.",
    "messages[].function_call": "It was replaced by `tool_calls`; send those.",
}
"""Why a field is refused, by its path without numbers."""

PART_REASONS: dict[str, str] = {
    "image_url": "Image parts are not offered by the models here.",
    "input_audio": "Audio parts are not offered by the models here.",
    "audio_url": "Audio parts are not offered by the models here.",
    "video_url": "Video parts are not offered by the models here.",
    "file": "File parts are not offered; put the text into a text part.",
}
"""Why a kind of content part is refused, by its `type`."""


class RefusedFields(Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Declares what both kinds of generation request refuse."""

    moderation: None = None
    prompt_logprobs: None = None
    prompt_embeds: None = None
    logits_processors: None = None
    vllm_xargs: None = None
    mm_processor_kwargs: None = None
    media_io_kwargs: None = None
    kv_transfer_params: None = None
    ec_transfer_params: None = None
    priority: None = None
    request_id: None = None
    cache_salt: None = None
    use_beam_search: None = None
    length_penalty: None = None
    thinking_token_budget: None = None
    truncate_prompt_tokens: None = None
    add_special_tokens: None = None
    allowed_token_ids: None = None
    guided_json: None = None
    guided_regex: None = None
    guided_choice: None = None
    guided_grammar: None = None
    guided_decoding_backend: None = None
    guided_whitespace_pattern: None = None
