"""Decide how long an address has to wait after failed attempts to sign in. Pure.

The first few failures have no wait, since people mistype; each further one doubles it. Failures are counted by address
only, so failures from other addresses never lock the administrator out. An IPv6 network of 64 bits counts as one
address, because one client has all of it.
"""

import ipaddress
from dataclasses import dataclass

__all__ = ["MEMORY", "Failures", "add_failure", "client_of", "wait_seconds"]

MEMORY = 900.0  # seconds after which failures are forgotten
_FREE = 5  # failures before the first wait
_MAX_WAIT = 300.0  # seconds


@dataclass(frozen=True, slots=True)
class Failures:
    """The failures of an address: their number, the last one and when they are forgotten (epoch seconds)."""

    count: int = 0
    last: float = 0
    forgotten_at: float = 0


def client_of(address: str) -> str:
    """Return the name under which failures of an IP address are counted."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address[:100]
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else str(ip)


def wait_seconds(failures: Failures, now: float) -> float:
    """Return the seconds until the next attempt is allowed; 0 for none."""
    if now >= failures.forgotten_at or failures.count < _FREE:
        return 0
    pause = min(2.0 ** min(failures.count - _FREE, 30), _MAX_WAIT)
    return min(max(failures.last + pause - now, 0), _MAX_WAIT)  # a clock that was set back does not prolong it


def add_failure(failures: Failures, now: float) -> Failures:
    """Return `failures` after one more."""
    count = 0 if now >= failures.forgotten_at else failures.count
    return Failures(count + 1, now, now + MEMORY)
