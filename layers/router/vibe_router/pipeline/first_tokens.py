"""The recent times to first token of each deployment, as measured by this environment and by all."""

from collections import deque
from collections.abc import Iterable, Sequence

__all__ = ["FirstTokenTimes"]

_KEPT = 100  # of each deployment
_MOST_NEW = 50  # of each deployment, until they are taken


class FirstTokenTimes:
    """Times in seconds by deployment, the latest hundred of each."""

    def __init__(self) -> None:
        self._times: dict[str, deque[float]] = {}
        self._new: dict[str, deque[tuple[float, float]]] = {}

    def record(self, deployment: str, seconds: float, now: float) -> None:
        """Add a time that was measured at `now` (epoch seconds)."""
        self._times.setdefault(deployment, deque(maxlen=_KEPT)).append(seconds)
        self._new.setdefault(deployment, deque(maxlen=_MOST_NEW)).append((round(now, 3), round(seconds, 3)))

    def add_shared(self, deployment: str, measured: Iterable[tuple[float, float]]) -> None:
        """Use the times of all environments (epoch seconds, seconds) until there are as many of this one's own."""
        shared = [seconds for _, seconds in measured]
        if len(shared) > len(self._times.get(deployment, ())):
            self._times[deployment] = deque(shared, maxlen=_KEPT)

    def of(self, deployment: str) -> Sequence[float]:
        """Return the times of a deployment, the oldest first."""
        return tuple(self._times.get(deployment, ()))

    def take_new(self) -> dict[str, Sequence[tuple[float, float]]]:
        """Return what was added since the last call."""
        taken, self._new = self._new, {}
        return {deployment: tuple(times) for deployment, times in taken.items()}
