"""How many tokens an engine says a text has: asked before the request that is about it, and only
where bytes cannot decide.

Nobody pays for it, so it is bounded as what is paid for is: it waits its turn for a place at the
engine, as the account's, and is refused where there is none in time.
"""

import msgspec
from msgspec import Struct

from tokenmill._native import AnswerKind, End, KeyEntry, Refused, Whole
from tokenmill.inference.engine_errors import Blame, from_end
from tokenmill.inference.exchange import Exchange
from tokenmill.inference.refusing import error_of
from tokenmill.inference.serving import Serving
from tokenmill.models.fleet import Route

_TARGET = "/tokenize"


class Question(Struct, frozen=True):
    """What is asked of the engines of a route, and which fields of the request it is about."""

    route: Route
    body: bytes
    blame: Blame


class _Answer(Struct):
    count: int


async def count_tokens(
    exchange: Exchange, serving: Serving, key: KeyEntry, question: Question
) -> int | None:
    """The engine's count; None from an engine that does not count.

    Raises: ApiError, where no engine can be asked now; ClientGone.
    """
    running = serving.forwarder.start(
        serving.pool(question.route),
        _TARGET,
        question.body,
        kind=AnswerKind.WHOLE,
        request_id=exchange.engine_id,
        account_id=key.account_id,
    )
    if isinstance(running, Refused):
        serving.counters.refused(running.kind)
        raise error_of(running, serving.segment.account(key.account_id), is_factory=True)
    with serving.watch(running, exchange.receive) as watch:
        event = await watch.next_event()
    if isinstance(event, End):
        serving.counters.ended(event.reason)
        raise from_end(event, question.blame, is_status=True)
    if not isinstance(event, Whole) or event.status != 200:
        return None
    try:
        return msgspec.json.decode(event.body, type=_Answer).count
    except msgspec.DecodeError:
        return None
