"""From the pieces of a sequence to the steps of an answer."""

from tokenmill.engines.embedded.chat_choice import ChoiceReader, Step
from tokenmill.engines.embedded.pieces import Likelihood, Piece, TokenLikelihood

CALL = '<tool_call>{"name": "a", "arguments": {}}</tool_call>'


def reader(
    *, reads_calls: bool = True, calls_max: int | None = None, tells_calls: bool = True
) -> ChoiceReader:
    return ChoiceReader(
        reads_calls=reads_calls, calls_max=calls_max, tells_calls=tells_calls, top_logprobs=None
    )


def read(choice: ChoiceReader, *pieces: Piece) -> list[Step]:
    return [step for piece in pieces for step in choice.read(piece)]


def end(reason: str = "stop") -> Piece:
    return Piece(text="", finish=reason)


def test_the_finish_reason_is_a_step_of_its_own() -> None:
    steps = read(reader(), Piece(text="hi", finish="length"))
    assert [(step.text, step.finish) for step in steps] == [("hi", None), ("", "length")]


def test_tags_mean_nothing_without_tools() -> None:
    steps = read(reader(reads_calls=False), Piece(text=CALL), end())
    assert steps[0].text == CALL
    assert steps[-1].finish == "stop"


def test_calls_are_numbered_and_change_the_finish_reason() -> None:
    steps = read(reader(), Piece(text=CALL + CALL), end())
    calls = [call for step in steps for call in step.calls]
    assert [call.index for call in calls] == [0, 1]
    assert calls[0].id != calls[1].id
    assert steps[-1].finish == "tool_calls"


def test_a_named_call_ends_with_stop_and_a_cut_one_with_length() -> None:
    assert read(reader(tells_calls=False), Piece(text=CALL), end())[-1].finish == "stop"
    assert read(reader(), Piece(text=CALL), end("length"))[-1].finish == "length"


def test_calls_beyond_the_wanted_are_dropped() -> None:
    steps = read(reader(calls_max=1), Piece(text=CALL + CALL), end())
    assert len([call for step in steps for call in step.calls]) == 1


def test_held_back_text_is_told_at_the_end() -> None:
    steps = read(reader(), Piece(text="a <tool"), end())
    assert "".join(step.text for step in steps) == "a <tool"


def test_likelihoods_of_held_back_text_wait_for_it() -> None:
    choice = ChoiceReader(reads_calls=True, calls_max=None, tells_calls=True, top_logprobs=1)

    def token(text: str) -> Piece:
        rivals = (Likelihood(text, -0.5), Likelihood("x", -2))
        return Piece(text=text, likelihood=TokenLikelihood(Likelihood(text, -0.5), rivals))

    assert choice.read(token("<")) == []
    (step,) = choice.read(token("b"))
    assert step.tokens is not None
    assert [each.token for each in step.tokens] == ["<", "b"]
    assert [len(each.top_logprobs) for each in step.tokens] == [1, 1]
