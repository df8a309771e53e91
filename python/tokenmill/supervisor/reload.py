"""A reload: read the settings again, replace the children one role at a time, and say how it went.

The order that loses no request: new workers serve before old ones stop accepting; control and the
engine keep their sockets, so requests wait there while they change. What cannot change while a
house stands is named in the log and stays as it was.
"""

import logging
from collections.abc import Callable

from msgspec.structs import replace

from tokenmill.settings import Settings
from tokenmill.supervisor.house import House
from tokenmill.supervisor.rules import RELOAD_MS_MAX, Role
from tokenmill.supervisor.state_lock import Holder

FIXED = ("host", "port", "state", "segment")
"""Bound, made or locked when the house started."""

ENGINE = ("model", "embedded", "vllm")
"""What the engine of the house is started with; it is left alone if none of them changed."""

Describe = Callable[[Callable[[Holder], Holder]], None]

logger = logging.getLogger("tokenmill.supervisor")


class Reload:
    """At most one reload at a time; asked for again meanwhile, one more follows."""

    def __init__(self, house: House, reread: Callable[[], Settings], describe: Describe) -> None:
        self._house = house
        self._reread = reread
        self._describe = describe
        self._is_asked = False
        self._before: Settings | None = None
        self._deadline_ms = 0
        self._count = 0

    def ask(self) -> None:
        """A reload begins at the next step."""
        self._is_asked = True

    def step(self, now_ms: int) -> None:
        """Begins a reload that was asked for, or sees whether the running one is over."""
        if self._before is not None:
            self._watch(now_ms)
        elif self._is_asked:
            self._is_asked = False
            self._begin(now_ms)

    def _begin(self, now_ms: int) -> None:
        before = self._house.settings
        try:
            after = self._reread()
        except ValueError as error:
            logger.error("not reloaded: the settings are wrong", extra={"problems": str(error)})
            self._tell(f"the settings are wrong: {error}")
            return
        after = keep_fixed(before, after)
        self._before = before
        self._deadline_ms = now_ms + RELOAD_MS_MAX
        roles = roles_to_renew(before, after)
        logger.info("reloading", extra={"renewed": list(roles)})
        self._house.renew(after, roles)

    def _watch(self, now_ms: int) -> None:
        if self._house.is_renewed():
            logger.info("reloaded")
            self._before = None
            self._tell("")
        elif now_ms >= self._deadline_ms and self._before is not None:
            logger.error("not reloaded: new workers do not come up; the old settings stay")
            self._house.renew(self._before, roles_to_renew(self._house.settings, self._before))
            self._before = None
            self._tell("the new workers did not come up; the log says why")

    def _tell(self, error: str) -> None:
        self._count += 1
        count = self._count
        self._describe(lambda holder: replace(holder, reloads=count, reload_error=error))


def keep_fixed(before: Settings, after: Settings) -> Settings:
    """The new settings, with the old value of all that needs a new start. Says which these are."""
    changed = [name for name in FIXED if getattr(before, name) != getattr(after, name)]
    for name in changed:
        logger.warning(f"{name} changes with a new start, not with a reload")
    return replace(after, **{name: getattr(before, name) for name in changed})


def roles_to_renew(before: Settings, after: Settings) -> tuple[Role, ...]:
    """Who is replaced: always workers and control, the engine if its settings changed."""
    is_engine_changed = any(getattr(before, name) != getattr(after, name) for name in ENGINE)
    return ("engine", "control", "worker") if is_engine_changed else ("control", "worker")
