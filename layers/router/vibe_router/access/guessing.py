"""Throttle addresses that guess keys.

An address that sends many different invalid keys within a minute is answered with 429 for the rest of it, without a
lookup. Keys that the environment has read before stay valid, so that callers behind the same address go on. The counts
are one environment's: across all environments, a WAF bounds the requests of an address.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError

__all__ = ["SOURCE_ADDRESS", "GuessThrottle"]

SOURCE_ADDRESS = ":source-address"  # among a request's headers; no client can send a name with a colon

_WINDOW = 60.0  # seconds
_MAX_INVALID = 30  # different invalid keys in a window; a client that is set up wrongly sends one
_MAX_ADDRESSES = 10_000


@dataclass(slots=True)
class _Window:
    began: float
    digests: set[str] = field(default_factory=set)


class GuessThrottle:
    """Counts different invalid keys by address."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    def record_invalid(self, address: str, key_hash: str) -> None:
        """Count an invalid key."""
        now = self._clock.monotonic()
        window = self._windows.get(address)
        if window is None or now - window.began >= _WINDOW:
            window = self._windows[address] = _Window(now)
            self._windows.move_to_end(address)
            if len(self._windows) > _MAX_ADDRESSES:
                self._windows.popitem(last=False)
        if len(window.digests) < _MAX_INVALID:
            window.digests.add(key_hash)

    def check(self, address: str) -> None:
        """Raise ApiError (429) if the address has sent too many invalid keys."""
        window = self._windows.get(address)
        if window is None or len(window.digests) < _MAX_INVALID:
            return
        left = window.began + _WINDOW - self._clock.monotonic()
        if left > 0:
            raise ApiError(
                429,
                "Too many invalid API keys from this address. Try again in a minute.",
                type="rate_limit_error",
                code="too_many_invalid_keys",
                headers={"retry-after": str(int(left) + 1)},
            )
