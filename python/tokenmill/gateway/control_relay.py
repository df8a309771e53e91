"""What is not inference goes to control, over its Unix socket.

The path is looked at in its decoded form, and whatever could be read in two ways is no address at
all: nothing that a client writes may reach `/control/*`, which is for this machine's own commands.
"""

from tokenmill._native import End, EndReason, Head
from tokenmill.clock import monotonic_ns
from tokenmill.errors import InvalidRequest, NotFound, ServiceUnavailable
from tokenmill.inference.body import read_body
from tokenmill.inference.client_watch import ClientWatch
from tokenmill.inference.exchange import ClientGone, Exchange
from tokenmill.inference.serving import Serving
from tokenmill.models.lookup import RETRY_MS

RELAYED = (b"x-tokenmill-relayed", b"1")
_OWN_PREFIX = b"x-tokenmill-"
_PRIVATE = "control"
_SET_HERE = frozenset((b"x-request-id", b"connection", b"transfer-encoding", b"keep-alive"))


async def relay_to_control(exchange: Exchange, serving: Serving) -> None:
    """Passes the request on and its answer back. Raises: ApiError, ClientGone."""
    target = checked_target(exchange.scope["path"], exchange.scope.get("raw_path") or b"")
    query = exchange.scope["query_string"]
    body = await read_body(exchange, serving.settings.bounds, serving.deadlines)
    exchange.body_ns = monotonic_ns()
    headers = [each for each in exchange.scope["headers"] if not each[0].startswith(_OWN_PREFIX)]
    headers = [each for each in headers if each[0] not in _SET_HERE]
    try:
        running = serving.forwarder.start_plain(
            serving.control_pool,
            exchange.scope["method"],
            f"{target}?{query.decode('latin-1')}" if query else target,
            [*headers, RELAYED, (b"x-request-id", exchange.request_id)],
            body,
        )
    except ValueError as error:
        raise InvalidRequest("The address or a header of the request is malformed.") from error
    with serving.watch(running, exchange.receive) as watch:
        event = await watch.next_event()
        exchange.woken_ns = monotonic_ns()
        if not isinstance(event, Head):
            raise ServiceUnavailable(
                "This part of the service is starting.", retry_after_ms=RETRY_MS
            )
        exchange.upstream_ns = event.first_byte_ns
        await _relay_answer(exchange, watch, event)


def checked_target(path: str, raw_path: bytes) -> str:
    """The address to ask control for. Raises: NotFound, if it is private or ambiguous."""
    segments = path.split("/")[1:]
    is_odd = any(each in (".", "..") for each in segments) or "" in segments[:-1]
    is_odd = is_odd or any(each.strip() != each for each in segments)
    is_odd = is_odd or any(each in path for each in "\\%;#?") or not path.isprintable()
    if is_odd or not path.startswith("/") or segments[0].strip().casefold() == _PRIVATE:
        raise NotFound
    target = raw_path.decode("latin-1") or path
    return target if target.isascii() and target.startswith("/") else path


async def _relay_answer(exchange: Exchange, watch: ClientWatch, head: Head) -> None:
    headers = [each for each in head.headers if each[0] not in _SET_HERE]
    exchange.is_cacheable = any(name == b"cache-control" for name, _ in headers)
    await exchange.start(head.status, headers)
    while True:
        event = await watch.next_event()
        if isinstance(event, bytes):
            message = {"type": "http.response.body", "body": event, "more_body": True}
            await watch.write(message, exchange.send)
        elif isinstance(event, End):
            if event.reason != EndReason.COMPLETE:
                raise ClientGone  # an answer cut short must not look whole
            await exchange.part(b"", more=False)
            return
