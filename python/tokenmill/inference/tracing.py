"""A span a request, by OpenTelemetry's library: imported only where a collector is named.

The span goes on from the client's trace and is the parent of the engine's. Its attributes are those
of the conventions for HTTP servers and for generative AI; no key, prompt, answer, query or header
is among them. Ended spans leave in a thread of the library's, in batches; what does not fit its
queue is lost, and nobody waits for a collector.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from tokenmill._native import VERSION, Usage
from tokenmill.inference.trace_context import TraceContext
from tokenmill.settings import TracingSettings

QUEUE_MAX = 4_096
BATCH_MAX = 512
EXPORT_S = 5.0
OPERATIONS: Mapping[str, str] = {
    "chat_completions": "chat",
    "completions": "text_completion",
    "embeddings": "embeddings",
}
"""Routes that have a span, and the convention's words for what they do."""

FINISHES_MAX = 128
_FINISH = re.compile(rb'"finish_reason":\s*"(\w{1,32})"')
_CLIENT_GONE = 499


class RequestSpan:
    """The span of one request. `outgoing` is what its engine is told."""

    __slots__ = ("_error", "_finishes", "_operation", "_span", "outgoing")

    def __init__(self, span: Span, operation: str) -> None:
        self._span = span
        self._operation = operation
        self._finishes: list[str] = []
        self._error = ""
        context = span.get_span_context()
        self.outgoing = TraceContext(
            f"{context.trace_id:032x}",
            f"{context.span_id:016x}",
            context.trace_flags.sampled,
            context.trace_state.to_header(),
        ).outgoing

    def routed(self, model: str, asked: str | None, *, is_stream: bool) -> None:
        """Which model answers, and as what it was asked for."""
        self._span.update_name(f"{self._operation} {model}")
        self._span.set_attribute("gen_ai.request.model", asked or model)
        self._span.set_attribute("gen_ai.response.model", model)
        self._span.set_attribute("gen_ai.request.stream", is_stream)

    def saw(self, answer: bytes) -> None:
        """Bytes of the answer, for how it finished."""
        if self._span.is_recording() and len(self._finishes) < FINISHES_MAX:
            self._finishes += [word.decode() for word in _FINISH.findall(answer)]

    def used(self, usage: Usage, engine: str) -> None:
        """What the engine counted, and which one it was."""
        if engine:
            self._span.set_attribute("tokenmill.engine", engine)
        if usage.seen:
            self._span.set_attribute("gen_ai.usage.input_tokens", usage.prompt_tokens)
            self._span.set_attribute("gen_ai.usage.output_tokens", usage.completion_tokens)
            self._span.set_attribute("gen_ai.usage.cache_read.input_tokens", usage.cached_tokens)

    def failed(self, code: str) -> None:
        """The answer is an error, or ends with one."""
        self._error = code

    def end(self, status: int, first_byte_ns: int) -> None:
        """The request is over; `first_byte_ns` 0: nothing came of an engine."""
        span = self._span
        if first_byte_ns:
            span.set_attribute("tokenmill.first_byte_ms", first_byte_ns / 1e6)
        if self._finishes:
            span.set_attribute("gen_ai.response.finish_reasons", self._finishes[:FINISHES_MAX])
        if status:
            span.set_attribute("http.response.status_code", status)
        error = self._error or ("client_gone" if status == _CLIENT_GONE else "")
        if error:
            span.set_attribute("error.type", error)
        if status >= 500 or (status == 200 and error):
            span.set_status(Status(StatusCode.ERROR))
        span.end()


class Tracing:
    """Makes spans, and sends them to the collector that settings name."""

    def __init__(self, settings: TracingSettings) -> None:
        resource = {SERVICE_NAME: settings.service, SERVICE_VERSION: VERSION}
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.ratio)),
            resource=Resource.create(resource),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(
            traces_url(settings.endpoint), headers=settings.headers, timeout=EXPORT_S
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, QUEUE_MAX, max_export_batch_size=BATCH_MAX)
        )
        self._tracer = self._provider.get_tracer("tokenmill", VERSION)

    def begin(
        self, endpoint: str, path: str, request_id: str, parent: TraceContext | None
    ) -> RequestSpan:
        """The span of a request that has come."""
        operation = OPERATIONS[endpoint]
        span = self._tracer.start_span(
            operation,
            context=_context(parent),
            kind=SpanKind.SERVER,
            attributes={
                "gen_ai.operation.name": operation,
                "gen_ai.provider.name": "tokenmill",
                "http.request.method": "POST",
                "http.route": path,
                "tokenmill.request_id": request_id,
            },
        )
        return RequestSpan(span, operation)

    def close(self) -> None:
        """Sends what is left, for some seconds. Blocks."""
        self._provider.shutdown()


def traces_url(endpoint: str) -> str:
    """Where a collector takes traces: the path that the protocol says, unless another is named."""
    has_path = urlsplit(endpoint).path not in ("", "/")
    return endpoint if has_path else endpoint.rstrip("/") + "/v1/traces"


def _context(parent: TraceContext | None) -> Context:
    """The client's trace; without one the library begins one of its own."""
    if parent is None:
        return Context()
    before = SpanContext(
        trace_id=int(parent.trace_id, 16),
        span_id=int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(parent.is_sampled)),
        trace_state=TraceState.from_header([parent.state] if parent.state else []),
    )
    return set_span_in_context(NonRecordingSpan(before), Context())
