"""What a wire format gives the server: one `Format` per format, one module each.

A format reads a request and makes an `Answer`, which can be said whole or as a stream of labelled events. The labels
are what lets one table of faults serve every format: a fault asks "before the first content" and not for field names.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

__all__ = ["EVENT_STREAM", "JSON", "Answer", "BadRequest", "Event", "Format", "PassthroughFormat", "Plain", "Speaker"]

JSON = "application/json"
EVENT_STREAM = "text/event-stream"


class BadRequest(Exception):  # noqa: N818 - named for what came in, and answered as such
    """The request cannot be served; the message, the parameter and the code go into the provider's 400."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code


@dataclass(frozen=True)
class Speaker:
    """Who answers: the provider played, when (epoch seconds), an id that no other answer has, and the caller's key."""

    provider: str
    created: int
    unique: str
    key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event, with its blank line.

    `opening` comes before any content (a role, `response.created`); `frame` stands around content and has none itself
    (an item's beginning or end); `content` is text, reasoning or a tool call; `finish` tells why the content ended;
    `usage` and `done` close the stream.
    """

    kind: Literal["opening", "frame", "content", "finish", "usage", "done"]
    data: bytes


class Answer(Protocol):
    """A healthy answer. Both forms say the same."""

    @property
    def content_type(self) -> str:
        """The type of the answer that is not streamed."""

    def whole(self) -> bytes:
        """Return the body of the answer that is not streamed."""

    def events(self) -> Sequence[Event]:
        """Return the stream's events in order."""


class Format(Protocol):
    """A wire format that a stand-in speaks."""

    name: str
    """What a provider's list of formats calls it."""

    paths: Sequence[str]
    """Where it is served, below the provider's base URL."""

    required_headers: Sequence[str]
    """Names of the headers without which a request is refused, in lower case."""

    streams: bool
    """Whether an answer can be streamed."""

    stream_type: str
    """The content type of a stream."""

    def answer(self, body: Mapping[str, Any], speaker: Speaker) -> Answer:
        """Return the answer to a request. Raises `BadRequest`."""

    def refusal(self, status: int, content: object) -> object:
        """Return a provider's error body, given in OpenAI's shape or as a text, in this format's."""

    def error_event(self, error: object, sequence: int, *, failed: bool = False) -> bytes:
        """Return the event that tells of an error inside a stream; `error` is the object or text it carries.

        `sequence` is how many events came before it; `failed` asks for the answer's own failing and not for a bare
        error, where a format knows both.
        """

    def hollow(self, speaker: Speaker, model: str) -> tuple[bytes, Sequence[Event]]:
        """Return an answer with the right name and nothing in it, whole and as a stream."""

    def reshaped(self, events: Sequence[Event], usage: Literal["none", "everywhere"]) -> list[Event]:
        """Return the same stream without any usage, or with usage wherever it can be."""


@dataclass(frozen=True)
class Plain:
    """An answer that is never streamed."""

    body: bytes
    content_type: str = JSON

    @classmethod
    def json(cls, value: object) -> "Plain":
        """Return the answer that says this value."""
        return cls(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))

    def whole(self) -> bytes:
        """Return the body."""
        return self.body

    def events(self) -> list[Event]:
        """Return the body as the one event of a stream, for faults that answer in the wrong form."""
        return [Event("content", b"data: " + self.body + b"\n\n")]


class PassthroughFormat:
    """What formats have in common whose answers are never streamed and whose errors are OpenAI's."""

    required_headers: Sequence[str] = ()
    streams = False
    stream_type = EVENT_STREAM

    def refusal(self, status: int, content: object) -> object:  # noqa: ARG002 - the format's signature
        """Return the error as it is."""
        return content

    def error_event(self, error: object, sequence: int, *, failed: bool = False) -> bytes:  # noqa: ARG002 - as above
        """Return the error as an event; no client asks for one."""
        return b"data: " + json.dumps({"error": error}).encode() + b"\n\n"

    def hollow(self, speaker: Speaker, model: str) -> tuple[bytes, Sequence[Event]]:  # noqa: ARG002 - the format's
        """Return an empty object."""
        return b"{}", Plain(b"{}").events()

    def reshaped(
        self,
        events: Sequence[Event],
        usage: Literal["none", "everywhere"],  # noqa: ARG002 - the format's signature
    ) -> list[Event]:
        """Return the events as they are."""
        return list(events)
