"""One choice of a chat: pieces in, steps of the answer out. Pure but for the ids of calls."""

from msgspec import Struct

from tokenmill.engines.embedded.answers import (
    ChosenToken,
    FunctionText,
    LikelyToken,
    ToolCall,
)
from tokenmill.engines.embedded.pieces import Likelihood, Piece, TokenLikelihood
from tokenmill.engines.embedded.tool_parser import Call, ToolCallParser
from tokenmill.ids import base62


class Step(Struct, kw_only=True):
    """What one chunk tells. `tokens` is None when nobody asked for likelihoods."""

    text: str = ""
    calls: list[ToolCall] = []
    tokens: list[ChosenToken] | None = None
    finish: str | None = None
    stop_text: str | None = None


class ChoiceReader:
    """Reads the pieces of one sequence.

    `reads_calls`: whether `<tool_call>` means something. `calls_max`: calls beyond it are dropped.
    `tells_calls`: whether an answer with calls ends with "tool_calls".
    """

    def __init__(
        self,
        *,
        reads_calls: bool,
        calls_max: int | None,
        tells_calls: bool,
        top_logprobs: int | None,
    ) -> None:
        self._parser = ToolCallParser() if reads_calls else None
        self._calls_max = calls_max
        self._tells_calls = tells_calls
        self._top_logprobs = top_logprobs
        self._call_count = 0
        self._tokens: list[ChosenToken] = []  # those of held-back text wait for it

    def read(self, piece: Piece) -> list[Step]:
        """The steps that `piece` completes; its finish reason is a step of its own, the last."""
        if self._top_logprobs is not None and piece.likelihood is not None:
            self._tokens.append(chosen_token(piece.likelihood, self._top_logprobs))
        if self._parser is None:
            found: list[str | Call] = [piece.text] if piece.text else []
        else:
            found = self._parser.feed(piece.text)
            found += self._parser.finish() if piece.finish else []
        steps = [step for step in map(self._step, found) if step is not None]
        if steps:
            steps[0].tokens = self._take_tokens()
        if piece.finish:
            steps.append(
                Step(
                    tokens=self._take_tokens() if self._tokens else None,
                    finish=self._finish(piece.finish),
                    stop_text=piece.stop_text,
                )
            )
        return steps

    def _step(self, found: str | Call) -> Step | None:
        if isinstance(found, str):
            return Step(text=found)
        if self._call_count == self._calls_max:
            return None
        call = ToolCall(
            id=f"call_{base62(24)}",
            function=FunctionText(found.name, found.arguments),
            index=self._call_count,
        )
        self._call_count += 1
        return Step(calls=[call])

    def _take_tokens(self) -> list[ChosenToken] | None:
        if self._top_logprobs is None:
            return None
        tokens, self._tokens = self._tokens, []
        return tokens

    def _finish(self, finish: str) -> str:
        has_called = self._call_count > 0 and self._tells_calls
        return "tool_calls" if has_called and finish == "stop" else finish


def chosen_token(likelihood: TokenLikelihood, top: int) -> ChosenToken:
    """A token with the `top` most likely ones in its place, as chats tell it."""
    chosen = _likely_token(likelihood.chosen)
    return ChosenToken(
        token=chosen.token,
        logprob=chosen.logprob,
        bytes=chosen.bytes,
        top_logprobs=[_likely_token(each) for each in likelihood.top[:top]],
    )


def _likely_token(likelihood: Likelihood) -> LikelyToken:
    return LikelyToken(likelihood.text, likelihood.logprob, list(likelihood.text.encode()))
