"""How long somebody who keeps failing to sign in has to wait. Pure.

A few failures are a person's, and cost nothing; from then on each doubles the wait. Failures are counted by address,
and beside that over all addresses, where many more are let pass before a short wait: somebody with a thousand addresses
still tries passwords slowly, and somebody who only knows where the page is can't keep its owner out for long.
"""

from dataclasses import dataclass

__all__ = ["ADDRESS", "ALL_ADDRESSES", "Failures", "SignInThrottle", "add_failure", "wait_seconds"]


@dataclass(frozen=True, slots=True)
class Failures:
    """What is remembered: how many, when the last one was (epoch seconds), and until when to remember it."""

    count: int = 0
    last: float = 0
    forgotten_at: float = 0


@dataclass(frozen=True, slots=True)
class SignInThrottle:
    """After how many failures a wait begins; `longest` and `memory` are in seconds."""

    free: int
    longest: float
    memory: float


ADDRESS = SignInThrottle(free=5, longest=300, memory=900)
ALL_ADDRESSES = SignInThrottle(free=100, longest=5, memory=900)


def wait_seconds(failures: Failures, patience: SignInThrottle, now: float) -> float:
    """Return the seconds that the next try has to wait; 0 for none."""
    if now >= failures.forgotten_at or failures.count < patience.free:
        return 0
    pause = min(2.0 ** min(failures.count - patience.free, 30), patience.longest)
    return min(max(failures.last + pause - now, 0), patience.longest)  # a clock that was set back makes it no longer


def add_failure(failures: Failures, patience: SignInThrottle, now: float) -> Failures:
    """Return `failures` after one more."""
    count = 0 if now >= failures.forgotten_at else failures.count
    return Failures(count + 1, now, now + patience.memory)
