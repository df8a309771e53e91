"""A client's trace, as its headers tell it: checked, bounded, passed on. Pure.

What is not well-formed is not there: a trace is worth no refusal. Source: W3C, Trace Context,
level 1, sections 3.2 (traceparent) and 3.3 (tracestate).
"""

import re
from collections.abc import Iterable

from msgspec import Struct

STATE_BYTES_MAX = 512
"""What everybody has to pass on; longer ones are left out whole."""

STATE_MEMBERS_MAX = 32

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.{0,200})?")
_MEMBER = re.compile(rb"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{1,256}")
_SAMPLED = 1


class TraceContext(Struct, frozen=True):
    """The trace that a request is a part of: the span before it, and vendors' words."""

    trace_id: str
    span_id: str
    is_sampled: bool
    state: str = ""

    @property
    def parent(self) -> str:
        """The header, in the version that everybody reads."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.is_sampled):02x}"

    @property
    def outgoing(self) -> tuple[str, str | None]:
        """The two headers' values."""
        return self.parent, self.state or None


def read_context(parent: bytes, states: Iterable[bytes] = ()) -> TraceContext | None:
    """The context in the headers' values; None, where the first is not well-formed."""
    found = _PARENT.fullmatch(parent.strip())
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    is_known = version == b"00"
    if (
        version == b"ff"
        or (is_known and more)
        or not (trace_id.strip(b"0") and span_id.strip(b"0"))
    ):
        return None
    is_sampled = bool(int(flags, 16) & _SAMPLED)
    return TraceContext(trace_id.decode(), span_id.decode(), is_sampled, read_state(states))


def read_state(states: Iterable[bytes]) -> str:
    """The members of all tracestate headers; empty, where they are too many or not well-formed."""
    members = [part.strip() for state in states for part in state.split(b",") if part.strip()]
    text = b",".join(members)
    names = [member.partition(b"=")[0] for member in members]
    is_good = (
        len(text) <= STATE_BYTES_MAX
        and len(members) <= STATE_MEMBERS_MAX
        and len(set(names)) == len(names)
        and all(map(_MEMBER.fullmatch, members))
    )
    return text.decode() if is_good else ""
