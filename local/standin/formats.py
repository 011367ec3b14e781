"""The interface of a wire format: one `Format` per format, one module each.

A format parses a request into an `Answer`, which is rendered whole or as a stream of labelled events. The labels let
one table of faults serve every format: a fault is placed "before the first content", without field names.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

__all__ = [
    "EVENT_STREAM",
    "JSON",
    "Answer",
    "AnswerContext",
    "BadRequest",
    "Event",
    "Format",
    "PassthroughFormat",
    "PlainAnswer",
]

JSON = "application/json"
EVENT_STREAM = "text/event-stream"


class BadRequest(Exception):  # noqa: N818 - named after the status
    """The request is invalid; message, parameter and code go into the provider's 400."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code


@dataclass(frozen=True)
class AnswerContext:
    """The provider that answers, the time (epoch seconds), a unique id of the answer, and the caller's key."""

    provider: str
    created: int
    unique: str
    key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event, with its blank line.

    `opening` comes before any content (a role, `response.created`); `frame` surrounds content (the start or end of an
    item); `content` is text, reasoning or a tool call; `finish` has the finish reason; `usage` and `done` close the
    stream.
    """

    kind: Literal["opening", "frame", "content", "finish", "usage", "done"]
    data: bytes


class Answer(Protocol):
    """A healthy answer, with the same content in both forms."""

    @property
    def content_type(self) -> str:
        """The content type of the whole answer."""

    def whole(self) -> bytes:
        """Return the body of the whole answer."""

    def events(self) -> Sequence[Event]:
        """Return the stream's events in order."""


class Format(Protocol):
    """A wire format that a stand-in speaks."""

    name: str
    """Its name in a provider's `formats`."""

    paths: Sequence[str]
    """The paths below the provider's base URL that serve it."""

    required_headers: Sequence[str]
    """Required request headers, in lower case."""

    streams: bool
    """Whether the format supports streaming."""

    stream_type: str
    """The content type of a stream."""

    def answer(self, body: Mapping[str, Any], context: AnswerContext) -> Answer:
        """Return the answer to a request. Raises `BadRequest`."""

    def error_body(self, status: int, content: object) -> object:
        """Return a provider's error body (OpenAI's shape, or text) in this format's shape."""

    def error_event(self, error: object, sequence: int, *, failed: bool = False) -> bytes:
        """Return an error event inside a stream; `error` is the error object or text.

        `sequence` is the number of events before it. With `failed`, a format that distinguishes them sends a failed
        answer instead of a bare error.
        """

    def empty_answer(self, context: AnswerContext, model: str) -> tuple[bytes, Sequence[Event]]:
        """Return an answer without content, whole and as a stream."""

    def with_usage(self, events: Sequence[Event], usage: Literal["none", "everywhere"]) -> list[Event]:
        """Return the same stream without any usage, or with usage in every event that can carry it."""


@dataclass(frozen=True)
class PlainAnswer:
    """An answer that is never streamed."""

    body: bytes
    content_type: str = JSON

    @classmethod
    def json(cls, value: object) -> "PlainAnswer":
        """Return an answer with this JSON value."""
        return cls(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))

    def whole(self) -> bytes:
        """Return the body."""
        return self.body

    def events(self) -> list[Event]:
        """Return the body as the only event of a stream, for faults that answer in the wrong form."""
        return [Event("content", b"data: " + self.body + b"\n\n")]


class PassthroughFormat:
    """The base of formats whose answers are never streamed and whose errors have OpenAI's shape."""

    required_headers: Sequence[str] = ()
    streams = False
    stream_type = EVENT_STREAM

    def error_body(self, status: int, content: object) -> object:  # noqa: ARG002 - the format's signature
        """Return the error unchanged."""
        return content

    def error_event(self, error: object, sequence: int, *, failed: bool = False) -> bytes:  # noqa: ARG002 - as above
        """Return the error as an event, for completeness: no client requests a stream."""
        return b"data: " + json.dumps({"error": error}).encode() + b"\n\n"

    def empty_answer(self, context: AnswerContext, model: str) -> tuple[bytes, Sequence[Event]]:  # noqa: ARG002 - the format's
        """Return an empty object."""
        return b"{}", PlainAnswer(b"{}").events()

    def with_usage(
        self,
        events: Sequence[Event],
        usage: Literal["none", "everywhere"],  # noqa: ARG002 - the format's signature
    ) -> list[Event]:
        """Return the events unchanged."""
        return list(events)
