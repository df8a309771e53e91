"""The ASGI face of the engine: routes, bodies, statuses, and clients that go away.

Raw ASGI: one process serves one gateway on the loopback interface, and start-up time counts. When
the client goes, the task that answers it is cancelled, and that closes its sequences.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from tokenmill.asgi_server import Message, Receive, Send
from tokenmill.engines.embedded.adapters import load_adapter, unload_adapter
from tokenmill.engines.embedded.chat import create_chat
from tokenmill.engines.embedded.completions import create_completion
from tokenmill.engines.embedded.errors import (
    BodyTooLarge,
    EngineError,
    encode_error,
)
from tokenmill.engines.embedded.service import Answer, EventStream, Service
from tokenmill.engines.embedded.status import health, list_models, metrics, version
from tokenmill.engines.embedded.tokens import detokenize, tokenize
from tokenmill.engines.embedded.vectors import create_embeddings

logger = logging.getLogger(__name__)

BODY_BYTES_MAX = 32 * 1024 * 1024  # above what the gateway lets through
REQUEST_ID_MAX = 128
JSON = b"application/json"
EVENTS = b"text/event-stream; charset=utf-8"

Getter = Callable[[Service], Answer]
Poster = Callable[[Service, bytes, str], Awaitable[Answer | EventStream]]

GETTERS: dict[str, Getter] = {
    "/health": health,
    "/version": version,
    "/metrics": metrics,
    "/v1/models": list_models,
}
POSTERS: dict[str, Poster] = {
    "/v1/chat/completions": create_chat,
    "/v1/completions": create_completion,
    "/v1/embeddings": create_embeddings,
    "/v1/load_lora_adapter": load_adapter,
    "/v1/unload_lora_adapter": unload_adapter,
    "/tokenize": tokenize,
    "/detokenize": detokenize,
}


class ClientGone(Exception):
    """The client left before its body was complete."""


class EngineApp:
    """The ASGI application over one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            body = await read_body(receive)
        except ClientGone:
            return
        except EngineError as error:
            await send_answer(send, refusal(error))
            return
        answering = asyncio.create_task(self._answer(scope, body, send))
        leaving = asyncio.create_task(wait_for_disconnect(receive))
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        for task in (answering, leaving):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await answering

    async def _answer(self, scope: Message, body: bytes, send: Send) -> None:
        try:
            answer = await self._dispatch(scope, body)
        except EngineError as error:
            answer = refusal(error)
        except Exception:
            logger.exception("a request failed", extra={"path": scope["path"]})
            answer = refusal(EngineError("The engine failed; its log says why."))
        if isinstance(answer, EventStream):
            await send_events(send, answer)
        else:
            await send_answer(send, answer)

    async def _dispatch(self, scope: Message, body: bytes) -> Answer | EventStream:
        path, method = scope["path"], scope["method"]
        if path in GETTERS and method in ("GET", "HEAD"):
            return GETTERS[path](self._service)
        if path in POSTERS and method == "POST":
            await self._service.wait_loaded()
            return await POSTERS[path](self._service, body, request_id(scope))
        if path in GETTERS or path in POSTERS:
            return Answer(b'{"detail":"Method Not Allowed"}', status=405)
        return Answer(b'{"detail":"Not Found"}', status=404)


async def read_body(receive: Receive) -> bytes:
    """The whole body. Raises: BodyTooLarge, ClientGone."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise BodyTooLarge(f"the body is larger than {BODY_BYTES_MAX} bytes")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def wait_for_disconnect(receive: Receive) -> None:
    """Returns when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def request_id(scope: Message) -> str:
    """The caller's X-Request-Id, if it is sane; it becomes part of the answer's id."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and len(value) <= REQUEST_ID_MAX and value.isascii():
            text: str = value.decode()
            return text if text.isprintable() else ""
    return ""


def refusal(error: EngineError) -> Answer:
    """The answer that tells `error`."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if error.retry_after_s is not None:
        headers = ((b"retry-after", str(error.retry_after_s).encode()),)
    return Answer(encode_error(error), status=error.status, headers=headers)


async def send_answer(send: Send, answer: Answer) -> None:
    """Sends a whole answer."""
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", str(len(answer.body)).encode()),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


async def send_events(send: Send, stream: EventStream) -> None:
    """Sends events as they come, and stops what makes them however this ends."""
    headers = [(b"content-type", EVENTS), (b"cache-control", b"no-cache")]
    async with contextlib.aclosing(stream.events) as events:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for part in events:
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
