"""The worker's own counters in the hot segment, by what happened instead of by number.

Counted at the end of each request: a handful of atomic additions. What the segment counts and what
its samples are called is the native side's list (`COUNTERS`, `HISTOGRAMS`); tokens, frames and the
bytes of answers it counts itself.
"""

import re
from collections.abc import Mapping

from tokenmill._native import COUNTERS, HISTOGRAMS, EndReason, RefusalKind, Segment

_LABELLED = re.compile(r"^tokenmill_(?P<name>\w+)\{(?P<labels>.*)\}$")
_VALUE = re.compile(r'"([^"]*)"')
_ENGINE_FAULTS = {
    int(EndReason.NO_ENGINE): "no_engine",
    int(EndReason.REFUSED): "refused",
    int(EndReason.CONNECT_TIMEOUT): "connect_timeout",
    int(EndReason.FIRST_BYTE_TIMEOUT): "first_byte_timeout",
    int(EndReason.STALLED): "stalled",
    int(EndReason.CLOSED): "closed",
    int(EndReason.ABORTED): "aborted",
    int(EndReason.ERROR_EVENT): "error_event",
    int(EndReason.MALFORMED): "malformed",
    int(EndReason.TOO_LARGE): "too_large",
}
_OWN_ENDS = {
    int(EndReason.READER_STALLED): "tokenmill_client_stalls_total",
    int(EndReason.DRAINED): "tokenmill_drained_total",
}


class Counters:
    """Counts into one worker's row."""

    def __init__(self, segment: Segment, worker: int) -> None:
        self._segment = segment
        self._worker = worker
        self._duration = HISTOGRAMS.index("duration_ms")
        labelled = labelled_counters()
        self._requests = {
            (values[0], int(values[1][0])): index
            for (name, *values), index in labelled.items()
            if name == "requests_total"
        }
        self._refusals = _by_label("key_refusals_total", labelled)
        names = list(_by_label("refusals_total", labelled).values())
        shadows = list(_by_label("shadow_refusals_total", labelled).values())
        self._admissions = (names, shadows)
        faults = _by_label("engine_errors_total", labelled)
        self._error_status = faults["error_status"]
        self._ends = {reason: faults[name] for reason, name in _ENGINE_FAULTS.items()}
        self._ends |= {reason: COUNTERS.index(name) for reason, name in _OWN_ENDS.items()}
        self._ends[int(EndReason.OVERLOADED)] = names[int(RefusalKind.OVERLOADED)]
        self._request_bytes = COUNTERS.index("tokenmill_request_bytes_total")
        self._disconnects = COUNTERS.index("tokenmill_client_disconnects_total")

    def answered(self, endpoint: str, status: int, duration_ms: int) -> None:
        """A request of an endpoint was answered with `status`."""
        self._segment.count(self._worker, self._requests[endpoint, min(status // 100, 5)])
        self._segment.observe(self._worker, self._duration, duration_ms)

    def received(self, body_bytes: int) -> None:
        """A request body came in."""
        self._segment.count(self._worker, self._request_bytes, body_bytes)

    def key_refused(self, reason: str) -> None:
        """A request was refused for its key."""
        self._segment.count(self._worker, self._refusals[reason])

    def refused(self, kind: RefusalKind, *, in_shadow: bool = False) -> None:
        """A request was not admitted; in shadow: it would not have been."""
        self._segment.count(self._worker, self._admissions[in_shadow][int(kind)])

    def client_went(self) -> None:
        """A client closed its connection before its answer ended."""
        self._segment.count(self._worker, self._disconnects)

    def engine_failed(self) -> None:
        """An engine answered with a status of 500 or above."""
        self._segment.count(self._worker, self._error_status)

    def ended(self, reason: EndReason) -> None:
        """A relay ended; a complete one is not counted here."""
        index = self._ends.get(int(reason))
        if index is not None:
            self._segment.count(self._worker, index)


def labelled_counters() -> Mapping[tuple[str, ...], int]:
    """Indexes of COUNTERS by name, without prefix, and the values of its labels in order."""
    found: dict[tuple[str, ...], int] = {}
    for index, sample in enumerate(COUNTERS):
        if match := _LABELLED.match(sample):
            found[match["name"], *_VALUE.findall(match["labels"])] = index
    return found


def _by_label(name: str, labelled: Mapping[tuple[str, ...], int]) -> dict[str, int]:
    return {key[1]: index for key, index in labelled.items() if key[0] == name}
