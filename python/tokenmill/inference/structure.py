"""What an answer must look like, turned into what the engines of its route enforce exactly.

A vLLM and the embedded engine get a grammar that was compiled here, so that what is not supported
is refused by name and nothing is dropped without a word. Engines of other makes get the schema.
"""

import re

import msgspec
from msgspec import Raw

from tokenmill._native import choice_text, lark_text
from tokenmill.clock import monotonic_ns
from tokenmill.errors import InvalidRequest
from tokenmill.grammar.views import Constraint
from tokenmill.inference.exchange import Exchange
from tokenmill.inference.extras import (
    REGEX_TEXT_BYTES_MAX,
    reason_of,
    refused_regex,
    regex_schema,
)
from tokenmill.inference.grammars import NoGrammar, Shape, canonical
from tokenmill.inference.lark import TEXT_BYTES_MAX
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
the model, and why follows. `engine`: it is up to an engine of another make."""

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
    properties: msgspec.Raw = msgspec.Raw()  # a union with null would take null alone


class Structurer:
    """Gives one request its grammar."""

    def __init__(self, exchange: Exchange, serving: Serving, route: Route, account_id: int) -> None:
        self.settings = serving.settings.grammar
        self.kind = serving.fleet_index().kind(route)
        self._exchange = exchange
        self._grammars = serving.grammars
        self._account_id = account_id
        self._is_new = False  # whether a schema was, of those that were found

    @property
    def takes_grammars(self) -> bool:
        """Whether the engines enforce grammars of ours."""
        return self.kind != "openai"

    def set_grammar(self, request: Request, text: str, path: str) -> None:
        """Makes `text`, which is EBNF, what the engine enforces. Raises: InvalidRequest."""
        if self.kind == "embedded":
            if len(text) > TEXT_BYTES_MAX:
                message = f"The grammar of `{path}` is too large for this engine."
                raise InvalidRequest(message, param=path, code="unsupported_schema")
            text = lark_text(text)
        if isinstance(request, ChatRequest):
            request.response_format = None
        request.structured_outputs = StructuredOutputs(grammar=text)

    async def enforce_content(self, request: Request) -> None:
        """Replaces what the answer must look like by a grammar. Raises: as `content`."""
        text = await self.content(request)
        if text is not None:
            is_extra = request.structured_outputs is not None
            path = "structured_outputs" if is_extra else "response_format"
            self.set_grammar(request, text, path)

    async def content(self, request: Request) -> str | None:
        """The grammar, in EBNF, of what `response_format` or `structured_outputs` ask for; None
        where the engine is to see to it.

        Raises: InvalidRequest with code `unsupported_schema`, RateLimited, ServiceUnavailable.
        """
        wanted = request.response_format if isinstance(request, ChatRequest) else None
        if not self.takes_grammars:
            if isinstance(wanted, JsonSchemaFormat):
                self.tell(b"engine")
            return None
        if isinstance(wanted, JsonSchemaFormat):
            return await self._schema(request, wanted)
        if isinstance(wanted, JsonObjectFormat):
            return await self._exact(ANY_OBJECT, "response_format")
        extra = request.structured_outputs
        return None if extra is None else await self._extra(extra)

    async def _extra(self, extra: StructuredOutputs) -> str | None:
        """The grammar of vLLM's way to ask."""
        if is_sent(extra.json):
            return await self._exact(bytes(extra.json), "structured_outputs.json")
        if extra.json_object:
            return await self._exact(ANY_OBJECT, "structured_outputs.json_object")
        if extra.choice is not None:
            return choice_text(extra.choice)
        if extra.grammar is not None:
            return extra.grammar  # written anew where the request was checked
        if extra.regex is not None:
            made = await self.find(regex_schema(extra.regex))
            if isinstance(made, NoGrammar):
                raise refused_regex(reason_of(extra.regex, made.reason))
            if len(made) > REGEX_TEXT_BYTES_MAX:
                raise refused_regex("it has too many states; shorten its repetitions.")
        return None

    async def find(self, schema: bytes, *, closed: bool = False) -> str | NoGrammar:
        """The grammar of a schema, with the time it took on the exchange's clock."""
        began_ns = monotonic_ns()
        shape = Shape(closed=closed, deterministic=self.kind == "embedded")
        schema = canonical(schema)
        self._is_new = self._is_new or not self._grammars.is_known(schema, shape)
        made = await self._grammars.find(schema, self._account_id, shape)
        self._exchange.grammar_ns += monotonic_ns() - began_ns
        return made

    def constraint(self, request: Request) -> Constraint | None:
        """What a vLLM compiles for the request, if that is new."""
        wanted = request.structured_outputs
        if wanted is None or not self._is_new or self.kind != "vllm":
            return None
        if wanted.grammar is not None:
            return Constraint("grammar", wanted.grammar)
        if wanted.structural_tag is not None:
            return Constraint("structural_tag", wanted.structural_tag)
        return None if wanted.regex is None else Constraint("regex", wanted.regex)

    def tell(self, how: bytes | NoGrammar) -> None:
        """Says in the answer's header how a schema is kept to."""
        word = how if isinstance(how, bytes) else _why(how)
        self._exchange.extra_headers.append((SCHEMA_HEADER, word))

    async def _schema(self, request: Request, wanted: JsonSchemaFormat) -> str:
        schema = bytes(wanted.json_schema.schema)
        if wanted.json_schema.strict:
            closed = self.settings.strict_closes_objects
            return await self._exact(schema, _SCHEMA_PATH, closed=closed)
        made = await self.find(schema)
        if isinstance(made, str):
            self.tell(b"enforced")
            return made
        self.tell(made)
        if isinstance(request, ChatRequest):
            _instruct(request.messages, _INSTRUCTION + schema.decode())
        return await self._some(ANY_OBJECT if _is_object(schema) else ANY_JSON, _SCHEMA_PATH)

    async def _exact(self, schema: bytes, path: str, *, closed: bool = False) -> str:
        text = await self._some(schema, path, closed=closed)
        self.tell(b"enforced")
        return text

    async def _some(self, schema: bytes, path: str, *, closed: bool = False) -> str:
        made = await self.find(schema, closed=closed)
        if isinstance(made, NoGrammar):
            raise unsupported(made, path)
        return made


def unsupported(made: NoGrammar, path: str) -> InvalidRequest:
    """The refusal of a schema at `path`."""
    message = f"The schema in `{path}` cannot be enforced exactly, {made}"
    return InvalidRequest(message, param=path, code="unsupported_schema")


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
    return root.type == "object" or (root.type is None and bytes(root.properties) != b"")


def _instruct(messages: list[Message], text: str) -> None:
    """Adds `text` to the system message, or one with it: many templates take one only, at first."""
    first = messages[0]
    if not isinstance(first, SystemMessage | DeveloperMessage):
        messages.insert(0, SystemMessage(content=text))
        return
    content: object = first.content
    if isinstance(content, Raw):  # a long text
        first.content = msgspec.json.decode(content, type=str)
    if isinstance(first.content, str):
        first.content = f"{first.content}\n\n{text}"
    else:
        first.content.append(TextPart(text))
