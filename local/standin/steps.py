"""The steps that a stand-in plays on a connection, in order.

Every answer, healthy or faulty, is a sequence of steps. Unless the request says otherwise, a connection stays open when
its steps end without `Close` or `Reset`, so an answer without a length and without chunks must close it.
"""

import threading
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Close", "Pause", "Reset", "Send", "Step", "Wait"]


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes in one write."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Pause:
    """Write nothing for a number of seconds; `math.inf` lasts until the client or the server disconnects."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Write nothing until a test sets the event, or the client or the server disconnects."""

    event: threading.Event


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset the connection (RST) after all sent bytes have left."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection in order (FIN) after all sent bytes have left."""


Step: TypeAlias = Send | Pause | Wait | Reset | Close
