"""Turn answers and events into steps on a connection, framed as HTTP and paced."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from local.standin import wire
from local.standin.dialects import Case, Facts, Rendered
from local.standin.formats import EVENT_STREAM, JSON, Answer, AnswerContext, Event, Format
from local.standin.steps import Pause, Send, Step

__all__ = ["EVENT_STREAM", "FOREVER", "JSON", "Exchange", "paced", "streamed", "whole"]

FOREVER = Pause(math.inf)

_THINKING = 0.25  # share of the pace before the first word
_WRITE = 16 * 1024  # bytes: one TLS record
_TICK = 0.02  # seconds; shorter pauses are invisible and cost a wake-up each


@dataclass(frozen=True)
class Exchange:
    """A request and its healthy answer, which a fault may change. `pace` is the answer's duration in seconds."""

    provider: str
    model: str
    stream: bool
    format: Format
    answer: Answer
    facts: Facts
    pace: float
    context: AnswerContext

    def events(self) -> Sequence[Event]:
        """Return the healthy stream."""
        return self.answer.events()

    def healthy(self, *, stream: bool | None = None) -> Iterable[Step]:
        """Return the healthy answer in the requested form; `stream` overrides it."""
        if self.stream if stream is None else stream:
            return self.streamed(paced(self.events(), self.pace))
        return self.healthy_whole()

    def healthy_whole(self) -> list[Step]:
        """Return the healthy answer that is not streamed."""
        steps: list[Step] = [Pause(self.pace)] if self.pace else []
        return [*steps, *whole(Rendered(200, {"content-type": self.answer.content_type}, self.answer.whole()))]

    def open_stream(self, headers: Mapping[str, str] | None = None) -> Send:
        """Return the head of a streamed answer with a chunked body."""
        fields = {"content-type": self.format.stream_type, "cache-control": "no-cache", **(headers or {})}
        return Send(wire.head(200, [*fields.items(), ("transfer-encoding", "chunked")]))

    def streamed(self, items: Iterable[Event | Pause], headers: Mapping[str, str] | None = None) -> Iterator[Step]:
        """Return a streamed answer with its head."""
        return streamed(items, self.open_stream(headers))

    def error_body(self, case: Case, reset_in: int | None = None) -> Iterable[Step]:
        """Return a dialect's error as the answer."""
        facts = self.facts if reset_in is None else Facts(self.model, self.facts.now, reset_in, self.facts.request_id)
        return whole(case.render(facts, self.format.error_body))


def whole(rendered: Rendered) -> list[Step]:
    """Return an answer framed by its length."""
    return [Send(wire.plain(rendered.status, rendered.headers, rendered.body))]


def paced(events: Sequence[Event], pace: float) -> Iterator[Event | Pause]:
    """Return the events with pauses between them, so that all of them take about `pace` seconds."""
    if pace <= 0:
        yield from events
        return
    words = max(1, sum(1 for event in events if event.kind == "content"))
    gap = pace * (1 - _THINKING) / words
    owed = pace * _THINKING
    for event in events:
        if event.kind == "content":
            if owed >= _TICK:
                yield Pause(owed)
                owed = 0.0
            owed += gap
        yield event


def streamed(items: Iterable[Event | Pause], head: Send) -> Iterator[Step]:
    """Return a streamed answer: its head, one chunk per event, and the end of the body.

    Events without a pause between them share writes of `_WRITE` bytes, as with a provider faster than its network.
    """
    pending = head.data
    for item in items:
        if not isinstance(item, Event):
            yield from [Send(pending)] if pending else []
            pending = b""
            yield item
            continue
        pending += wire.chunk(item.data)
        if len(pending) >= _WRITE:
            yield Send(pending)
            pending = b""
    yield Send(pending + wire.LAST_CHUNK)
