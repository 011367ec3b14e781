"""Metrics as Prometheus reads them: the text format, version 0.0.4. Pure.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

__all__ = ["CONTENT_TYPE", "Family", "HistogramSample", "exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HistogramSample:
    """A histogram: `counts` in each bucket, of which the last has no bound, and the sum of what was counted."""

    labels: Labels
    bounds: Sequence[float]
    counts: Sequence[int]
    sum: float


@dataclass(slots=True)
class Family:
    """The samples of one metric. `samples` are values with their labels; those of a histogram are `histograms`."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    about: str
    samples: list[tuple[Labels, float]] = field(default_factory=list)
    histograms: list[HistogramSample] = field(default_factory=list)


def exposition(families: Iterable[Family]) -> str:
    """Return the text; families without samples are left out."""
    return "".join(f"{line}\n" for family in families for line in _lines(family))


def _lines(family: Family) -> list[str]:
    lines = [f"{family.name}{_braces(labels)} {_number(value)}" for labels, value in family.samples]
    for each in family.histograms:
        bounds = [*map(_number, each.bounds), "+Inf"]
        for bound, count in zip(bounds, accumulate(each.counts), strict=True):
            lines.append(f"{family.name}_bucket{_braces({**each.labels, 'le': bound})} {count}")
        lines.append(f"{family.name}_sum{_braces(each.labels)} {_number(each.sum)}")
        lines.append(f"{family.name}_count{_braces(each.labels)} {sum(each.counts)}")
    if not lines:
        return []
    about = family.about.replace("\\", r"\\").replace("\n", r"\n")
    return [f"# HELP {family.name} {about}", f"# TYPE {family.name} {family.kind}", *lines]


def _braces(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}" if labels else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else repr(int(value)) if value.is_integer() else repr(value)
