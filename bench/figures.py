"""Values of a report: percentiles, memory, tables and targets. Pure, except `Memory.of`."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

__all__ = ["Aim", "Cell", "Memory", "Report", "Table", "median", "milliseconds", "percentile", "spread"]

Cell = str | int | float | None
MEGABYTE = 1 << 20


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile by the nearest-rank method. Raises ValueError without values."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(math.ceil(len(values) * percent / 100), 1) - 1]


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def milliseconds(seconds: float) -> float:
    """Return milliseconds, to the microsecond."""
    return round(seconds * 1000, 3)


def spread(name: str, seconds: Sequence[float], percents: Sequence[int] = (50, 95, 99)) -> dict[str, Cell]:
    """Return the percentiles in milliseconds, as columns called `name`."""
    prefix = f"{name}_" if name else ""
    return {f"{prefix}p{percent}_ms": milliseconds(percentile(seconds, percent)) for percent in percents}


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory of a process in MB (2**20 bytes). `peak` is None where the system does not record it."""

    resident: float
    peak: float | None

    @classmethod
    def of(cls, process: psutil.Process) -> "Memory":
        """Return the memory of a process."""
        return cls(round(process.memory_info().rss / MEGABYTE, 1), _peak(process.pid))


def _peak(pid: int) -> float | None:
    """Return VmHWM of proc(5)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((round(int(line.split()[1]) / 1024, 1) for line in lines if line.startswith("VmHWM:")), None)


@dataclass(frozen=True, slots=True)
class Aim:
    """A figure and its limit."""

    name: str
    value: float
    limit: float
    unit: str

    @property
    def reached(self) -> bool:
        """Return whether the figure is within its limit."""
        return self.value <= self.limit


@dataclass(frozen=True, slots=True)
class Table:
    """The figures of one section: rows of columns; a suffix is the unit (`p50_ms`). `notes` explain them."""

    title: str
    rows: Sequence[Mapping[str, Cell]]
    notes: Sequence[str] = ()
    aims: Sequence[Aim] = ()

    @property
    def columns(self) -> list[str]:
        """The names of all columns, in the order of the rows."""
        return list(dict.fromkeys(column for row in self.rows for column in row))


@dataclass(slots=True)
class Report:
    """One run. `sections` by their `--only` name; `failures` lists everything that failed."""

    machine: Mapping[str, Cell]
    options: Mapping[str, object]
    sections: dict[str, Table] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def aims(self) -> list[Aim]:
        """All aims that were measured."""
        return [aim for table in self.sections.values() for aim in table.aims]
