"""Histograms of times in a few fixed buckets, from which percentiles are estimated. Pure.

Bounds are spaced about evenly on a logarithmic scale, six to a factor of ten, so an estimate is at most a factor of
5/3 from the true percentile, and mostly much closer. A histogram is stored as one counter for each bucket that is not
empty, and histograms are merged by adding these up.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

__all__ = ["BOUNDS_MS", "FIRST_TOKEN", "TOTAL_TIME", "Histogram", "percentile"]

BOUNDS_MS = (
    *(100, 150, 200, 300, 500, 700),
    *(1_000, 1_500, 2_000, 3_000, 5_000, 7_000),
    *(10_000, 15_000, 20_000, 30_000, 50_000, 70_000),
    *(100_000, 150_000, 200_000, 300_000, 500_000),
)
"""The upper bounds of the buckets, inclusive. A further bucket has what is longer; a request takes 840 s at most."""


class Histogram:
    """The names of the counters of one histogram: short ones, because every total has them."""

    def __init__(self, prefix: str) -> None:
        self.sum = f"{prefix}_sum"
        self.buckets = tuple(f"{prefix}{number}" for number in range(len(BOUNDS_MS) + 1))
        self.names = (self.sum, *self.buckets)

    def counters_of(self, ms: float) -> dict[str, int]:
        """Return what one time adds: to its bucket, and to the sum."""
        return {self.buckets[bisect_left(BOUNDS_MS, ms)]: 1, self.sum: max(round(ms), 0)}

    def counts(self, counters: Mapping[str, int]) -> list[int]:
        """Return the number of times in each bucket."""
        return [counters.get(name, 0) for name in self.buckets]


FIRST_TOKEN = Histogram("f")
TOTAL_TIME = Histogram("t")


def percentile(counts: Sequence[int], share: float) -> float | None:
    """Estimate the time in milliseconds that `share` of the times do not exceed; None without any.

    A time beyond the last bound counts as that bound.
    """
    rank = share * sum(counts)
    if not rank:
        return None
    bucket = bisect_left(list(accumulate(counts)), rank)
    if bucket == len(BOUNDS_MS):
        return float(BOUNDS_MS[-1])
    lower, upper = list(pairwise((0, *BOUNDS_MS)))[bucket]
    part = (rank - sum(counts[:bucket])) / counts[bucket]
    # Evenly distributed on the scale of the bounds, whose first bucket begins at zero.
    return float(lower * (upper / lower) ** part if lower else upper * part)
