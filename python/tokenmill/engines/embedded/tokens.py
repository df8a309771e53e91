"""POST /tokenize and /detokenize: what a text or a conversation is to the model."""

from functools import partial

from msgspec import Struct

from tokenmill.engines.embedded.answers import ENCODER
from tokenmill.engines.embedded.errors import BadRequest
from tokenmill.engines.embedded.requests import DetokenizeRequest, TokenizeRequest, decode
from tokenmill.engines.embedded.service import Answer, Service
from tokenmill.engines.embedded.tools import render_chat


class Tokenized(Struct):
    """The answer of /tokenize."""

    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: None = None


async def tokenize(service: Service, body: bytes, _: str) -> Answer:
    """The token ids of a prompt, or of a conversation as its template renders it."""
    request = decode(body, TokenizeRequest)
    if service.embeds(request.model):
        return await _tokenize_for_embedding(service, request)
    model, _name, _adapter = service.resolve(request.model)
    if (request.prompt is None) == (request.messages is None):
        raise BadRequest("give either `prompt` or `messages`", param="prompt")
    if request.prompt is not None:
        text = request.prompt
        with_special = request.add_special_tokens is not False
    else:
        rendered = render_chat(
            model.template,
            request.messages or [],
            request.tools or [],
            add_generation_prompt=request.add_generation_prompt is not False,
        )
        text, with_special = model.without_prefix(rendered), True
    ids = await service.on_thread(partial(model.tokenize, text, add_special_tokens=with_special))
    return Answer(ENCODER.encode(Tokenized(len(ids), model.card.context_tokens, ids)))


async def _tokenize_for_embedding(service: Service, request: TokenizeRequest) -> Answer:
    if request.prompt is None or service.embedder is None:
        raise BadRequest("`prompt` is missing", param="prompt")
    embedder = service.embedder
    ids = await embedder.tokenize(request.prompt)
    return Answer(ENCODER.encode(Tokenized(len(ids), embedder.context_tokens, ids)))


async def detokenize(service: Service, body: bytes, _: str) -> Answer:
    """The text of token ids."""
    request = decode(body, DetokenizeRequest)
    model, _name, _adapter = service.resolve(request.model)
    text = await service.on_thread(partial(model.detokenize, request.tokens))
    return Answer(ENCODER.encode({"prompt": text}))
