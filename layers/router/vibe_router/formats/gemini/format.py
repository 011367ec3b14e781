"""Gemini: the format of Google's Generative Language API, for callers.

Shapes: Google's API reference, "Generating content". The model and the kind of the answer are in the path:
`models/{model}:generateContent` and `:streamGenerateContent`, whose stream is server-sent events with `alt=sse` and a
JSON array without. `GeminiCall` is one such path. No provider is called in this format.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from vibe_router.core.errors import ApiError
from vibe_router.formats.gemini.errors import error_body
from vibe_router.formats.gemini.request import GeminiRequest, parse
from vibe_router.formats.interfaces import ClientRequest, StreamWriter

if TYPE_CHECKING:
    from vibe_router.formats.neutral.model import Event

__all__ = ["GEMINI", "GeminiCall"]

# Google's Python client takes a comment for broken JSON. A blank line means nothing, neither among events nor in JSON.
_HEARTBEAT = b"\n"


class _Gemini:
    """Gemini for callers (`interfaces.ClientConversation`)."""

    name = "gemini"
    streams = False  # no provider is asked in it
    heartbeat = _HEARTBEAT
    error_body = staticmethod(error_body)

    def parse(self, raw: bytes, headers: Mapping[str, str]) -> GeminiRequest:  # noqa: ARG002 - none matters
        """Parse a request whose body names the `model`, as no client sends it. Raises ApiError (400)."""
        return parse(raw)

    def writer(self, request: ClientRequest, created: int) -> StreamWriter:  # noqa: ARG002 - answers have no date
        from vibe_router.formats.gemini import neutral_answer

        return neutral_answer.GeminiWriter(request)

    def whole(self, request: ClientRequest, events: "Iterable[Event]", created: int) -> bytes:  # noqa: ARG002
        from vibe_router.formats.gemini import neutral_answer

        return neutral_answer.whole(request, events)


class GeminiCall(_Gemini):
    """Gemini at one path: the model is named there, and whether the answer is a stream of events or of an array."""

    def __init__(self, model: str, *, stream: bool = False, events: bool = False) -> None:
        self.model = model
        self.stream = stream
        self.events = events

    @property
    def content_type(self) -> str:
        """The media type of a stream."""
        return "text/event-stream; charset=utf-8" if self.events else "application/json; charset=utf-8"

    def parse(self, raw: bytes, headers: Mapping[str, str]) -> GeminiRequest:  # noqa: ARG002 - none matters
        """Parse the request in `raw`. Raises ApiError (400)."""
        return parse(raw, self.model, stream=self.stream, events=self.events)

    def error_body(self, error: ApiError) -> bytes:
        """Return `error` as a body: in an array where the answer is one."""
        body = error_body(error)
        return b"[%b]" % body if self.stream and not self.events else body


GEMINI = _Gemini()
