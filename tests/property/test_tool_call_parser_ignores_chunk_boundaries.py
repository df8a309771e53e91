"""However an answer is cut into pieces, the parser finds the same text and calls in it."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from tokenmill.engines.embedded.tool_parser import CLOSE, OPEN, Call, ToolCallParser

CALL = f'{OPEN}\n{{"name": "get_weather", "arguments": {{"location": "Paris"}}}}\n{CLOSE}'

fragments = st.sampled_from(
    [
        CALL,
        f'{OPEN}{{"name":"a","arguments":{{}}}}{CLOSE}',
        f'{OPEN}{{"name":"a","arguments":"{{}}"}}{CLOSE}',
        f'{OPEN}{{"name":"a","arguments":[1]}}{CLOSE}',
        f"{OPEN}not json{CLOSE}",
        OPEN,
        CLOSE,
        "<tool_",
        "<",
        "</tool_call",
        "\n",
        "  ",
        " text ",
        "Grüße 🦀",
    ]
)
answers = st.lists(st.one_of(fragments, st.text(max_size=8)), max_size=8).map("".join)


def parse(pieces: list[str]) -> list[str | Call]:
    """What the parser finds, neighbouring texts joined."""
    parser = ToolCallParser()
    found = [each for piece in pieces for each in parser.feed(piece)] + parser.finish()
    joined: list[str | Call] = []
    for each in found:
        last = joined[-1] if joined else None
        if isinstance(each, str) and isinstance(last, str):
            joined[-1] = last + each
        else:
            joined.append(each)
    return joined


@given(answer=answers, data=st.data())
@example(answer=f"{CALL}\n{CALL}", data=None)
@example(answer=f"{CALL} x  {CALL}", data=None)
@example(answer=f"{CALL}\n{OPEN}bad{CLOSE}\n", data=None)
def test_any_cut_gives_the_same_text_and_calls(answer: str, data: st.DataObject | None) -> None:
    whole = parse([answer])
    assert parse(list(answer)) == whole
    if data is not None:
        cuts = data.draw(st.lists(st.integers(0, len(answer)), max_size=6).map(sorted))
        bounds = [0, *cuts, len(answer)]
        pieces = [answer[a:b] for a, b in pairwise(bounds)]
        assert parse(pieces) == whole


@given(answer=answers)
def test_text_without_tags_passes_unchanged(answer: str) -> None:
    plain = answer.replace("<", "(")
    assert "".join(str(each) for each in parse(list(plain))) == plain
