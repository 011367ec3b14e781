"""Renew the holds of requests in flight, so that they can be short.

A hold that is not renewed expires within LEASE_SECONDS, and the next request removes it: the slot of an environment
that died is free again after a minute and a half, however long its request might have taken.

    reserve ── until +90 ──┬─ +30: until +90 ──┬─ +60: until +90 … settle: the hold is removed
                           └─ environment dies: expired at +90
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vibe_router.core.clock import Clock

__all__ = ["LEASE_SECONDS", "LeaseRenewer"]

LEASE_SECONDS = 90.0
_RENEW_AFTER = 30.0  # seconds: a renewal may fail twice
_TICK = 5.0  # seconds

Renew = Callable[[str, tuple[str, ...], float], None]
"""Moves the end of a hold (its id, its ledgers, epoch seconds)."""


@dataclass(slots=True)
class _Lease:
    ledgers: tuple[str, ...]
    ends: float  # when the request must have ended, in epoch seconds
    renewed_at: float


class LeaseRenewer:
    """Renews leases in one background thread, which starts with the first lease. `renew` must not raise."""

    def __init__(self, renew: Renew, clock: Clock) -> None:
        self._renew = renew
        self._clock = clock
        self._leases: dict[str, _Lease] = {}
        self._started = False
        self._wake = threading.Event()

    def add(self, hold_id: str, ledgers: Mapping[str, object], ends: float) -> None:
        """Renew a hold until `ends` (epoch seconds), or until it is removed."""
        self._leases[hold_id] = _Lease(tuple(ledgers), ends, self._clock.now())
        if not self._started:
            self._started = True
            threading.Thread(target=self._run, daemon=True, name="lease-renewer").start()
        self._wake.set()

    def remove(self, hold_id: str) -> None:
        """Stop renewing a hold: its request has ended."""
        self._leases.pop(hold_id, None)

    def renew_due(self) -> None:
        """Renew every hold whose last renewal is 30 s old; forget those whose request must have ended."""
        now = self._clock.now()
        for hold_id, lease in list(self._leases.items()):
            if now >= lease.ends:
                self.remove(hold_id)
            elif now - lease.renewed_at >= _RENEW_AFTER:
                lease.renewed_at = now
                self._renew(hold_id, lease.ledgers, round(min(now + LEASE_SECONDS, lease.ends), 3))

    def _run(self) -> None:
        while True:
            self._wake.wait()
            while self._leases:
                threading.Event().wait(_TICK)
                self.renew_due()
            self._wake.clear()
            if self._leases:  # added between the check and `clear`
                self._wake.set()
