"""What a wire format gives the server: one `Format` per format, one module each.

A format reads a request and makes an `Answer`, which can be said whole or as a stream of labelled events. The labels
are what lets one table of faults serve every format: a fault asks "before the first content" and not for field names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

__all__ = ["Answer", "BadRequest", "Event", "Format", "Speaker"]


class BadRequest(Exception):  # noqa: N818 - named for what came in, and answered as such
    """The request cannot be served; the message and the parameter go into the provider's 400."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


@dataclass(frozen=True)
class Speaker:
    """Who answers: the provider played, when (epoch seconds), and an id that no other answer has."""

    provider: str
    created: int
    unique: str


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event, with its blank line.

    `opening` comes before any content (a role, `response.created`); `content` is text, reasoning or a tool call;
    `finish` tells why the content ended; `usage` and `done` close the stream.
    """

    kind: Literal["opening", "content", "finish", "usage", "done"]
    data: bytes


class Answer(Protocol):
    """A healthy answer. Both forms say the same."""

    def whole(self) -> bytes:
        """Return the body of the answer that is not streamed."""

    def events(self) -> Sequence[Event]:
        """Return the stream's events in order."""


class Format(Protocol):
    """A wire format that a stand-in speaks."""

    path: str
    """Where it is served, below the provider's base URL."""

    def answer(self, body: Mapping[str, Any], speaker: Speaker) -> Answer:
        """Return the answer to a request. Raises `BadRequest`."""

    def error_event(self, error: object) -> bytes:
        """Return the event that tells of an error inside a stream; `error` is the object or text it carries."""

    def reshaped(self, events: Sequence[Event], usage: Literal["none", "everywhere"]) -> list[Event]:
        """Return the same stream without any usage, or with usage on every chunk."""
