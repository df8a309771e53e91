"""What comes out of a sequence, step by step. Made by `runner.py`, read by the endpoints."""

from msgspec import Struct


class Likelihood(Struct, frozen=True):
    """A token's text and the logarithm of its probability."""

    text: str
    logprob: float


class TokenLikelihood(Struct, frozen=True):
    """A generated token and those that were likely in its place."""

    chosen: Likelihood
    top: tuple[Likelihood, ...]


class Piece(Struct, frozen=True, kw_only=True):
    """What came out of one step of a sequence. Pieces are not tokens: some hold more than one."""

    text: str
    finish: str | None = None
    stop_text: str | None = None  # the stop sequence that ended it
    likelihood: TokenLikelihood | None = None
    completion_tokens: int | None = None  # known on the last piece only
