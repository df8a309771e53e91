"""A client's trace is read by the rules of W3C's Trace Context; rubbish is not there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenmill.inference.trace_context import STATE_BYTES_MAX, read_context, read_state

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"

READ = [
    (GOOD, GOOD),
    (f" {GOOD}\t", GOOD),
    (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
    (f"00-{TRACE}-{SPAN}-03", GOOD),  # of the flags we know one
    (f"cc-{TRACE}-{SPAN}-01", GOOD),  # a version to come
    (f"cc-{TRACE}-{SPAN}-01-what-is-new", GOOD),
]
RUBBISH = [
    "",
    "00",
    f"ff-{TRACE}-{SPAN}-01",  # no version
    f"00-{TRACE}-{SPAN}-01-more",  # not of this version
    f"cc-{TRACE}-{SPAN}-01x",
    f"00-{'0' * 32}-{SPAN}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    GOOD.upper(),
    f"00-{TRACE[:-1]}-{SPAN}-01",
    f"00-{TRACE}-{SPAN}-1",
    f"00_{TRACE}_{SPAN}_01",
    f"{GOOD},{GOOD}",
    f"{GOOD}\n",
    "x" * 10_000,
    f"cc-{TRACE}-{SPAN}-01-{'x' * 300}",
]


@pytest.mark.parametrize(("given_", "parent"), READ)
def test_what_is_well_formed_goes_on(given_: str, parent: str) -> None:
    context = read_context(given_.encode())
    assert context is not None
    assert context.outgoing == (parent, None)


@pytest.mark.parametrize("given_", [each for each in RUBBISH if not each.endswith("\n")])
def test_rubbish_is_not_there(given_: str) -> None:
    assert read_context(given_.encode()) is None


STATES = [
    ([b"rojo=00f067aa0ba902b7"], "rojo=00f067aa0ba902b7"),
    ([b"rojo=1, congo=t61rcWkgMzE"], "rojo=1,congo=t61rcWkgMzE"),
    ([b"a=1", b"b=2"], "a=1,b=2"),  # two headers are one list
    ([b"a=1,,b=2,"], "a=1,b=2"),
    ([b"fw529a3039@dt=FfQx=2"], ""),
    ([b"t@v=x"], "t@v=x"),
    ([], ""),
    ([b"a=1,a=2"], ""),
    ([b"A=1"], ""),
    ([b"a"], ""),
    ([b"a="], ""),
    ([b"a=\xc3\xa9"], ""),
    ([b"a=1\r\nx-evil: 1"], ""),
    ([b",".join(b"a%d=1" % n for n in range(33))], ""),
    ([b"a=" + b"x" * 257], ""),
    ([b"a=" + b"x" * 256 + b",b=" + b"x" * 254], ""),
]


@pytest.mark.parametrize(("states", "read"), STATES)
def test_a_state_is_passed_on_whole_or_not_at_all(states: list[bytes], read: str) -> None:
    assert read_state(states) == read
    context = read_context(GOOD.encode(), states)
    assert context is not None
    assert context.outgoing == (GOOD, read or None)


@given(st.binary(max_size=80), st.lists(st.binary(max_size=600), max_size=4))
def test_whatever_comes_can_stand_in_a_header(parent: bytes, states: list[bytes]) -> None:
    context = read_context(parent, states) or read_context(GOOD.encode(), states)
    assert context is not None
    for text in context.outgoing:
        assert text is None or (text.isascii() and text.isprintable())
        assert text is None or len(text) <= STATE_BYTES_MAX
