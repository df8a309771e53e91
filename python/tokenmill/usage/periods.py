"""Spans of time as people ask for them: dates and times in UTC. Pure."""

import datetime as dt

from tokenmill.errors import InvalidRequest
from tokenmill.usage.rules import DAY_S, HOUR_S
from tokenmill.usage.views import Period, UsageQuery

DEFAULT_DAYS = 30
YEAR_MAX = 2200

_UTC = dt.UTC


def span_of(query: UsageQuery, now_s: int) -> tuple[int, int]:
    """The first second and the one after the last, at whole hours. Raises: InvalidRequest."""
    end_s = _parse(query.to, "to") if query.to else (now_s // HOUR_S + 1) * HOUR_S
    default_s = (end_s - 1) // DAY_S * DAY_S - (DEFAULT_DAYS - 1) * DAY_S
    begin_s = _parse(query.from_, "from") if query.from_ else default_s
    if begin_s >= end_s:
        raise InvalidRequest("`from` must be before `to`.", param="from")
    return begin_s // HOUR_S * HOUR_S, -(-end_s // HOUR_S) * HOUR_S


def period_start(hour_s: int, by: Period) -> int:
    """The beginning of the day, month or hour that an hour is in."""
    if by == "day":
        return hour_s // DAY_S * DAY_S
    if by == "month":
        day = dt.datetime.fromtimestamp(hour_s, _UTC)
        return int(dt.datetime(day.year, day.month, 1, tzinfo=_UTC).timestamp())
    return hour_s


def shown_time(time_s: int, by: Period) -> str:
    """A period's beginning as text: `2026-11-28`, `2026-11`, `2026-11-28T14:00:00Z`."""
    moment = dt.datetime.fromtimestamp(time_s, _UTC)
    if by == "month":
        return moment.strftime("%Y-%m")
    return moment.strftime("%Y-%m-%d" if by == "day" else "%Y-%m-%dT%H:%M:%SZ")


def _parse(text: str, name: str) -> int:
    """Seconds since the epoch of a date or a time; without an offset it is UTC."""
    try:
        if text.isdigit() and len(text) > 8:
            moment = dt.datetime.fromtimestamp(int(text), _UTC)
        else:
            moment = dt.datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=_UTC)
        if not 1970 <= moment.year < YEAR_MAX:
            raise ValueError
        return int(moment.timestamp())
    except (ValueError, OverflowError, OSError) as error:
        message = f"`{name}` is no time. Write 2026-11-28, 2026-11-28T14:00:00Z or epoch seconds."
        raise InvalidRequest(message, param=name) from error
