"""The recent times to first token of each deployment, as one environment has measured them."""

from collections import deque
from collections.abc import Sequence

__all__ = ["FirstTokenTimes"]

_KEPT = 100  # of each deployment


class FirstTokenTimes:
    """Times in seconds by deployment, the latest hundred of each."""

    def __init__(self) -> None:
        self._times: dict[str, deque[float]] = {}

    def note(self, deployment: str, seconds: float) -> None:
        """Add a time."""
        self._times.setdefault(deployment, deque(maxlen=_KEPT)).append(seconds)

    def of(self, deployment: str) -> Sequence[float]:
        """Return the times of a deployment, the oldest first."""
        return self._times.get(deployment, ())
