"""A worker's own questions to control, over its socket."""

from msgspec import Struct

from tokenmill._native import End, EndReason, Forwarder, Head

_HEADERS = [(b"content-type", b"application/json")]
_ANSWER_BYTES_MAX = 64 * 1024


class Told(Struct, frozen=True):
    """Control's answer."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


async def ask_control(
    forwarder: Forwarder, control_pool: int, target: str, body: bytes
) -> Told | None:
    """What control answers to a POST of JSON; None where no whole answer came."""
    relay = forwarder.start_plain(control_pool, "POST", target, _HEADERS, body)
    status, headers, answer = 0, {}, b""
    try:
        while True:
            event = relay.take()
            if event is None:
                await relay
            elif isinstance(event, Head):
                status, headers = event.status, dict(event.headers)
            elif isinstance(event, bytes):
                answer = (answer + event)[:_ANSWER_BYTES_MAX]
            else:
                break
    finally:
        relay.close()
    if not status or not isinstance(event, End) or event.reason != EndReason.COMPLETE:
        return None
    return Told(status, headers, answer)
