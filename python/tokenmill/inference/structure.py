"""What an answer must look like, turned into what the engines of its route enforce exactly.

A vLLM gets a grammar that was compiled here, so that what is not supported is refused by name and
nothing is dropped without a word. The embedded engine and engines of other makes get the schema.
"""

import re

import msgspec

from tokenmill.clock import monotonic_ns
from tokenmill.errors import InvalidRequest
from tokenmill.inference.exchange import Exchange
from tokenmill.inference.grammars import NoGrammar
from tokenmill.inference.serving import Serving
from tokenmill.models.fleet import Route
from tokenmill.protocol.chat import ChatRequest
from tokenmill.protocol.completions import CompletionRequest
from tokenmill.protocol.messages import (
    DeveloperMessage,
    Message,
    SystemMessage,
    TextPart,
    is_sent,
)
from tokenmill.protocol.structured import (
    JsonObjectFormat,
    JsonSchemaFormat,
    StructuredOutputs,
)

SCHEMA_HEADER = b"x-tokenmill-schema"
"""`enforced`: no other answer is possible. `instructed`: JSON is certain, the schema was told to
the model, and why follows. `engine`: it is up to an engine that takes schemas, not grammars."""

ANY_OBJECT = b'{"type":"object"}'
ANY_JSON = b"{}"
_SCHEMA_PATH = "response_format.json_schema.schema"
_INSTRUCTION = (
    "Answer with one JSON value that validates against this JSON Schema, and with nothing else:\n"
)
_UNPRINTABLE = re.compile(r"[^ -~]")
_REASON_CHARACTERS_MAX = 200

Request = ChatRequest | CompletionRequest


class _Root(msgspec.Struct):
    """What the root of a schema says about the kind of value, if anything."""

    type: str | list[str] | None = None
    properties: msgspec.Raw | None = None


class Structurer:
    """Gives one request its grammar."""

    def __init__(self, exchange: Exchange, serving: Serving, route: Route, account_id: int) -> None:
        self.settings = serving.settings.grammar
        self.takes_grammars = serving.fleet_index().kind(route) == "vllm"
        self._exchange = exchange
        self._grammars = serving.grammars
        self._account_id = account_id

    async def content(self, request: Request) -> None:
        """Replaces `response_format`, or the schema in `structured_outputs`, by a grammar.

        Raises: InvalidRequest with code `unsupported_schema`, RateLimited, ServiceUnavailable.
        """
        wanted = request.response_format if isinstance(request, ChatRequest) else None
        if isinstance(wanted, JsonSchemaFormat):
            await self._schema(request, wanted)
        elif isinstance(wanted, JsonObjectFormat):
            await self._enforce(request, ANY_OBJECT, "response_format")
        elif (extra := request.structured_outputs) is not None:
            if is_sent(extra.json):
                await self._enforce(request, bytes(extra.json), "structured_outputs.json")
            elif extra.json_object:
                await self._enforce(request, ANY_OBJECT, "structured_outputs.json_object")

    async def find(self, schema: bytes, *, closed: bool = False) -> str | NoGrammar:
        """The grammar of a schema, with the time it took on the exchange's clock."""
        began_ns = monotonic_ns()
        made = await self._grammars.find(schema, self._account_id, closed=closed)
        self._exchange.grammar_ns += monotonic_ns() - began_ns
        return made

    def tell(self, how: bytes | NoGrammar) -> None:
        """Says in the answer's header how a schema is kept to."""
        word = how if isinstance(how, bytes) else _why(how)
        self._exchange.extra_headers.append((SCHEMA_HEADER, word))

    async def _schema(self, request: Request, wanted: JsonSchemaFormat) -> None:
        schema = bytes(wanted.json_schema.schema)
        if not self.takes_grammars:
            self.tell(b"engine")
            return
        if wanted.json_schema.strict:
            closed = self.settings.strict_closes_objects
            await self._enforce(request, schema, _SCHEMA_PATH, closed=closed)
            return
        made = await self.find(schema)
        if isinstance(made, str):
            self.tell(b"enforced")
            set_grammar(request, made)
            return
        self.tell(made)
        any_value = await self.find(ANY_OBJECT if _is_object(schema) else ANY_JSON)
        if isinstance(any_value, str):
            set_grammar(request, any_value)
        if isinstance(request, ChatRequest):
            _instruct(request.messages, _INSTRUCTION + schema.decode())

    async def _enforce(
        self, request: Request, schema: bytes, path: str, *, closed: bool = False
    ) -> None:
        if not self.takes_grammars:
            return
        made = await self.find(schema, closed=closed)
        if isinstance(made, NoGrammar):
            raise unsupported(made, path)
        self.tell(b"enforced")
        set_grammar(request, made)


def unsupported(made: NoGrammar, path: str) -> InvalidRequest:
    """The refusal of a schema at `path`."""
    message = f"The schema in `{path}` cannot be enforced exactly, {made}"
    return InvalidRequest(message, param=path, code="unsupported_schema")


def set_grammar(request: Request, text: str) -> None:
    """Makes `text` what the engine enforces."""
    if isinstance(request, ChatRequest):
        request.response_format = None
    request.structured_outputs = StructuredOutputs(grammar=text)


def _why(made: NoGrammar) -> bytes:
    """The header of a schema that is only told to the model: printable ASCII, bounded."""
    reason = _UNPRINTABLE.sub("?", str(made))[:_REASON_CHARACTERS_MAX]
    return f"instructed; {reason}".encode()


def _is_object(schema: bytes) -> bool:
    """Whether the schema speaks of an object."""
    try:
        root = msgspec.json.decode(schema, type=_Root)
    except msgspec.DecodeError:
        return False
    return root.type == "object" or (root.type is None and root.properties is not None)


def _instruct(messages: list[Message], text: str) -> None:
    """Adds `text` to the system message, or one with it: many templates take one only, at first."""
    first = messages[0]
    if not isinstance(first, SystemMessage | DeveloperMessage):
        messages.insert(0, SystemMessage(content=text))
    elif isinstance(first.content, str):
        first.content = f"{first.content}\n\n{text}"
    else:
        first.content.append(TextPart(text))
