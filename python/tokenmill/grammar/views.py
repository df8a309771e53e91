"""What crosses between workers and control about grammars: the shape of the JSON."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

TEXT_BYTES_MAX = 256 * 1024
"""Of a grammar that is made ready elsewhere: a larger one is rare, and takes an engine seconds."""

ConstraintKind = Literal["grammar", "regex", "structural_tag"]
"""The fields of `structured_outputs` that engines compile."""


class Constraint(Struct, frozen=True):
    """What an engine compiles for a request."""

    kind: ConstraintKind
    text: Annotated[str, Meta(min_length=1, max_length=TEXT_BYTES_MAX)]


class WarmUpWish(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A worker has sent an engine of a route a grammar that is new: the others may get it ready.

    `account_id`: who brought it; `route_account_id`: as the route's; `engine`: the slot of the one
    that has it, -1 where that is not known.
    """

    model: Annotated[str, Meta(max_length=512)]
    route_account_id: Annotated[int, Meta(ge=0)] = 0
    account_id: Annotated[int, Meta(ge=0)]
    engine: Annotated[int, Meta(ge=-1)] = -1
    constraint: Constraint


class WarmUpTaken(Struct, frozen=True):
    """How many engines get it ready, as they find time."""

    engines: int
