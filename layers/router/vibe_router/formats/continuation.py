"""Continue a broken stream with the answer of another deployment, in the same stream of the caller.

`TrackingWriter` writes the caller's stream and tracks how far the answer is. When the provider's stream breaks, a
`ContinuationReader` reads the next deployment's stream, and writes what is new in it with the same writer: ids,
indices and sequence numbers go on. Only text is ever continued.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from vibe_router.core.errors import ApiError
from vibe_router.core.usage import Usage
from vibe_router.formats.common import sse
from vibe_router.formats.common.json_body import dump, load
from vibe_router.formats.interfaces import AnswerDecoder, Piece, StreamReader, StreamWriter
from vibe_router.formats.neutral.model import (
    AnnotationAdded,
    Event,
    Finish,
    ReasoningDelta,
    ReasoningProof,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallStart,
    UsageReport,
)
from vibe_router.formats.overlap import DivergedError, Joiner
from vibe_router.formats.reader_proxy import ReaderProxy

__all__ = ["ContinuationReader", "TrackingWriter"]


class TrackingWriter:
    """A `StreamWriter` that tracks the answer: its text, and whether it can be continued.

    `deployment` begins the answer. The last event of a continued one says which deployment wrote what.
    """

    def __init__(self, writer: StreamWriter, deployment: str) -> None:
        self._writer = writer
        self._starts = [(deployment, 0)]  # where the part of each deployment begins, in pieces of text
        self._shows_parts = False
        self._texts: list[str] = []
        self._last: type[object] | None = None
        self._is_finished = False
        self._is_text_only = True

    @property
    def text(self) -> str:
        """The text that the caller has."""
        return "".join(self._texts)

    @property
    def parts(self) -> list[dict[str, Any]]:
        """The deployments that wrote the answer, in order, each with the number of characters."""
        ends = [*(start for _, start in self._starts[1:]), len(self._texts)]
        return [
            {"deployment": deployment, "characters": sum(map(len, self._texts[start:end]))}
            for (deployment, start), end in zip(self._starts, ends, strict=True)
        ]

    @property
    def can_continue(self) -> bool:
        """Return whether the answer broke inside its text: no tool call, no refusal, no thinking after the text."""
        return self._is_text_only and not self._is_finished and self._last is TextDelta and bool(self._texts)

    @property
    def response(self) -> Mapping[str, Any] | None:
        """The latest state of the response, in formats whose writer keeps one (Responses)."""
        return getattr(self._writer, "response", None)

    def begin_part(self, deployment: str) -> None:
        """Count what follows as written by `deployment`."""
        self._starts.append((deployment, len(self._texts)))

    def write(self, event: Event) -> bytes:
        """Return the bytes for `event`."""
        kind = type(event)
        if kind is TextDelta:
            self._texts.append(event.text)  # type: ignore[union-attr]
            self._last = kind
        elif kind is ToolCallStart or kind is RefusalDelta:
            self._is_text_only = False
        elif kind is Finish:
            self._is_finished = True
        elif kind is ReasoningDelta or kind is ReasoningProof:
            self._last = kind
        raw = self._writer.write(event)
        return self._with_parts(raw) if kind is Finish and raw else raw

    def end(self) -> bytes:
        """Return the end of the stream."""
        return self._with_parts(self._writer.end())

    def fail(self, error: ApiError) -> bytes:
        """Return the in-band error that ends a failed stream."""
        return self._writer.fail(error)

    def _with_parts(self, ending: bytes) -> bytes:
        """Return the last bytes of a stream; a continued answer has `vibe.parts` in one event of JSON."""
        if len(self._starts) == 1 or self._shows_parts:
            return ending
        before, separator, last = (b"\n" + ending).rpartition(b"\ndata: {")
        if not separator:
            return ending
        line, newline, rest = (b"{" + last).partition(b"\n")
        value = load(line)
        if "candidates" in value:  # Google's SDK rejects fields that it does not know
            return ending
        self._shows_parts = True
        value["vibe"] = {"parts": self.parts}
        return (before + b"\ndata: ")[1:] + dump(value) + newline + rest


class ContinuationReader(ReaderProxy):
    """A `StreamReader` of the deployment that continues an answer.

    `deployment` names it. `before` is the usage of the deployments before it: the caller is reported the sum. Text
    goes through `joiner`; thinking is left out, as the answer is past it. A stream that does not continue the answer
    has `diverged`: it is done, and not complete.
    """

    seals = ()

    def __init__(
        self,
        reader: StreamReader,
        decoder: AnswerDecoder,
        writer: TrackingWriter,
        deployment: str,
        joiner: Joiner,
        before: Usage,
    ) -> None:
        super().__init__(reader)
        self.diverged = False
        self._decoder = decoder
        self._writer = writer
        self._deployment = deployment
        self._joiner = joiner
        self._before = before
        self._is_joined = False
        self._has_begun = False

    @property
    def done(self) -> bool:
        """Return whether the stream has ended."""
        return self.diverged or self._reader.done

    @property
    def complete(self) -> bool:
        """Return whether the answer is complete if the stream ends now."""
        return not self.diverged and self._reader.complete

    @property
    def response(self) -> Mapping[str, Any] | None:
        """The latest state of the response, in formats whose writer keeps one (Responses)."""
        return self._writer.response

    def read(self, event: sse.Event) -> Piece:
        """Interpret `event`, and return what is new in it."""
        piece = self._reader.read(event)
        if piece.chunk is None or piece.error is not None:
            return Piece(b"", piece.commits, piece.done, piece.malformed, piece.error, piece.chunk)
        try:
            raw = self._written(self._decoder.decode(piece.chunk))
        except DivergedError:
            self.diverged = True
            return Piece(b"", commits=True, done=True, chunk=piece.chunk)
        except ValueError as error:
            failure = {"message": f"The provider sent {error}.", "type": "server_error", "code": "server_error"}
            return Piece(b"", error=dump({"error": failure}), chunk=piece.chunk)
        return Piece(raw, piece.commits, piece.done, chunk=piece.chunk)

    def end(self) -> bytes:
        """Return the events that were held back, and the end of the caller's stream."""
        return self._written(self._decoder.end()) + self._writer.end()

    def fail(self, error: ApiError) -> bytes:
        """Return the in-band error that ends a failed stream."""
        return self._writer.fail(error)

    def _written(self, events: Iterable[Event]) -> bytes:
        return b"".join([self._write(event) for event in events])

    def _write(self, event: Event) -> bytes:
        match event:
            case TextDelta():
                return self._write_text(self._joiner.feed(event.text))
            case Started() | ReasoningDelta() | ReasoningProof() | AnnotationAdded():
                return b""
            case RefusalDelta():
                raise DivergedError
            case UsageReport():
                return self._writer.write(UsageReport(self._before + event.usage))
        return self._join() + self._writer.write(event)

    def _join(self) -> bytes:
        """Return the text that was held back, at the end of the text. Raises DivergedError."""
        if self._is_joined:
            return b""
        self._is_joined = True
        return self._write_text(self._joiner.end())

    def _write_text(self, new: str) -> bytes:
        if not new:
            return b""
        if not self._has_begun:
            self._has_begun = True
            self._writer.begin_part(self._deployment)
        return self._writer.write(TextDelta(new))
