"""Decide when a silent deployment is joined by the next one, and how many requests may be.

Pure: times are in seconds, chance and clocks stay outside.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["P95", "HedgeAllowance", "hedge_delay", "percentile"]

P95 = "p95"
_MIN_SAMPLES = 20  # fewer say nothing about the slowest in twenty
_MOST_CREDIT = 10.0  # hedged requests in a row, after a long time without one


def hedge_delay(hedge_after: float | str | None, first_tokens: Sequence[float]) -> float | None:
    """Return after how many seconds without a first token the next deployment is started; None for never.

    `first_tokens` are the deployment's recent times to first token, for `hedge_after: p95`.
    """
    if hedge_after == P95:
        return percentile(first_tokens, 0.95) if len(first_tokens) >= _MIN_SAMPLES else None
    return float(hedge_after) if hedge_after is not None else None


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of `values` that at least `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


@dataclass(frozen=True, slots=True)
class HedgeAllowance:
    """The number of requests that may be hedged now: each request adds a share of one, the very first a whole one."""

    credit: float = 1.0

    def earned(self, share: float) -> "HedgeAllowance":
        """Return the allowance after one more request, of which the `share` may be hedged."""
        return HedgeAllowance(min(self.credit + share, _MOST_CREDIT))

    @property
    def permits(self) -> bool:
        """Return whether a request may be hedged."""
        return self.credit >= 1 - 1e-9

    def spent(self) -> "HedgeAllowance":
        """Return the allowance after a hedged request."""
        return HedgeAllowance(self.credit - 1)
