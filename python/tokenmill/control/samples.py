"""The segment's counters as Prometheus samples: family, type, labels and unit by their names.

The segment counts whole milliseconds; Prometheus wants seconds, and is told them.
"""

import re
from typing import NamedTuple

from tokenmill._native import COUNTERS, ENGINE_COUNTERS

PREFIX = "tokenmill"

_LABEL = re.compile(r'(\w+)="([^"]*)"')
_HISTOGRAMS = {
    name.partition("_bucket{")[0] for name in (*COUNTERS, *ENGINE_COUNTERS) if "_bucket{" in name
}


class Sample(NamedTuple):
    """One counter of the segment as Prometheus names it: `family` is what its samples share, `unit`
    what its count is divided by."""

    family: str
    type: str
    name: str
    labels: dict[str, str]
    unit: int = 1


def parse_sample(name: str) -> Sample:
    """The parts of a name such as `tokenmill_tokens_total{kind="prompt"}`."""
    plain, _, labels = name.partition("{")
    found = dict(_LABEL.findall(labels))
    histogram = re.sub("_(bucket|sum|count)$", "", plain)
    if histogram not in _HISTOGRAMS:
        return Sample(plain.removesuffix("_total"), "counter", plain, found)
    if found.get("le", "+Inf") != "+Inf":
        found["le"] = f"{int(found['le']) / 1000:g}"
    family, shown = (one.replace("_milliseconds", "_seconds") for one in (histogram, plain))
    return Sample(family, "histogram", shown, found, 1000 if plain.endswith("_sum") else 1)
