"""What a stand-in puts on a connection: steps, played in order.

Every answer, healthy or faulty, is a sequence of these. A connection is kept alive when its steps end without `Close`
or `Reset` (and the request did not ask otherwise), so steps that are not framed by a length or by chunks must close.
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
    """Write nothing for so many seconds; `math.inf` is until the client or the server goes."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Write nothing until a test sets the event, or until the client or the server goes."""

    event: threading.Event


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset the connection (RST) once what was sent has left."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection in order (FIN) once what was sent has left."""


Step: TypeAlias = Send | Pause | Wait | Reset | Close
