"""Every fault that a stand-in can play.

A fault is a function of the exchange that returns the steps to play instead of the healthy answer. Its name is the
function's name, its meaning the first line of the docstring, its options the keyword parameters with their defaults;
`GET /_control/faults` is generated from these. Every HTTP status is a fault too (`503`), and so is every case of
`dialects.py` (`rate_limit`, `no_channel`, `ark:set_limit`).

A streaming fault on a request that is not streamed does the nearest equivalent for a whole answer.
"""

import functools
import inspect
import json
import math
import re
import textwrap
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args, get_origin

from local.standin import wire
from local.standin.dialects import ALIASES, CASES, Case, Rendered, dialect_of, find_case, plain_error
from local.standin.exchange import EVENT_STREAM, FOREVER, JSON, Exchange, paced, whole
from local.standin.formats import Event
from local.standin.steps import Close, Pause, Reset, Send, Step

__all__ = ["FAULTS", "BadFault", "Fault", "describe", "describe_briefly", "find_fault", "play"]


class BadFault(ValueError):  # noqa: N818 - the fault is bad, not a failure
    """The fault or one of its options does not exist; the message lists the alternatives."""


@dataclass(frozen=True)
class Fault:
    """One kind of failure: `make(exchange, **options)` returns its steps.

    `options` has the defaults, `choices` the allowed values of options that have a fixed set.
    """

    name: str
    meaning: str
    options: Mapping[str, Any]
    choices: Mapping[str, tuple[str, ...]]
    make: Callable[..., Iterable[Step]]


FAULTS: dict[str, Fault] = {}

By: TypeAlias = Literal["fin", "rst"]
ByEnd: TypeAlias = Literal["end", "fin", "rst"]
Shape: TypeAlias = Literal["data", "event", "string", "bare", "failed", "line"]


def _fault(make: Callable[..., Iterable[Step]]) -> Callable[..., Iterable[Step]]:
    """Register a function in `FAULTS`."""
    FAULTS[make.__name__] = _described(make.__name__, make)
    return make


def _described(
    name: str, make: Callable[..., Iterable[Step]], meaning: str = "", fixed: Mapping[str, object] | None = None
) -> Fault:
    """Return the fault of a function; `fixed` options cannot be set any more."""
    fixed = fixed or {}
    parameters = [p for p in list(inspect.signature(make).parameters.values())[1:] if p.name not in fixed]
    return Fault(
        name,
        meaning or (make.__doc__ or "").splitlines()[0].rstrip("."),
        {p.name: p.default for p in parameters},
        {p.name: get_args(p.annotation) for p in parameters if get_origin(p.annotation) is Literal},
        functools.partial(make, **fixed),
    )


def _end(by: str) -> Step:
    return Reset() if by == "rst" else Close()


def _upto(exchange: Exchange, contents: int) -> list[Event]:
    """Return the start of the healthy stream, up to and including `contents` content events."""
    taken: list[Event] = []
    for event in exchange.events():
        if (event.kind == "content" and contents <= 0) or event.kind not in ("opening", "frame", "content"):
            break
        contents -= event.kind == "content"
        taken.append(event)
    return taken


def _begin(exchange: Exchange, contents: int) -> Iterator[Step]:
    """Send the head of a stream and its first `contents` content events, without an end."""
    yield exchange.open_stream()
    for item in paced(_upto(exchange, contents), exchange.pace):
        yield Send(wire.chunk(item.data)) if isinstance(item, Event) else item


def _half_body(exchange: Exchange) -> Send:
    """Return the head and the first half of the whole answer."""
    body = exchange.answer.whole()
    head = wire.head(200, [("content-type", JSON), ("content-length", str(len(body)))])
    return Send(head + body[: len(body) // 2])


def _bare_head(exchange: Exchange) -> Send:
    """Return only the head, of a stream or of a whole answer."""
    if exchange.stream:
        return exchange.open_stream()
    return Send(wire.head(200, [("content-type", JSON), ("content-length", "512")]))


# --- before any byte --------------------------------------------------------------------------------------------------


@_fault
def refuse(_: Exchange) -> Iterable[Step]:
    """Reset the connection as soon as the request's head is read (a shared port cannot refuse to connect)."""
    yield Reset()


@_fault
def reset(_: Exchange) -> Iterable[Step]:
    """Reset the connection before any byte of an answer."""
    yield Reset()


@_fault
def disconnect(_: Exchange) -> Iterable[Step]:
    """Close the connection in order before any byte of an answer, as when a kept-alive one has gone stale."""
    yield Close()


@_fault
def silence(_: Exchange) -> Iterable[Step]:
    """Accept the request and never send a byte."""
    yield FOREVER


@_fault
def slow(exchange: Exchange, *, seconds: float = 2.0) -> Iterable[Step]:
    """Send a healthy answer late, after a number of seconds."""
    yield Pause(seconds)
    yield from exchange.healthy()


@_fault
def garbage(_: Exchange) -> Iterable[Step]:
    """Send bytes that are not HTTP."""
    yield Send(b"\x16\x03\x01\x02\x00\x01 this is no HTTP\r\n\r\n")
    yield Close()


# --- the head ---------------------------------------------------------------------------------------------------------


@_fault
def silent_headers(exchange: Exchange) -> Iterable[Step]:
    """Send the headers of a 200, and then nothing."""
    yield _bare_head(exchange)
    yield FOREVER


@_fault
def header_drip(exchange: Exchange, *, interval: float = 0.05) -> Iterable[Step]:
    """Send the headers one byte at a time, `interval` seconds apart, and then a healthy answer."""
    steps = iter(exchange.healthy())
    for step in steps:
        if isinstance(step, Send):
            head, separator, rest = step.data.partition(b"\r\n\r\n")
            for byte in head + separator:
                yield Send(bytes([byte]))
                yield Pause(interval)
            if rest:
                yield Send(rest)
            break
        yield step
    yield from steps


@_fault
def cut_headers(exchange: Exchange, *, by: By = "fin") -> Iterable[Step]:
    """End the connection in the middle of the headers, `by` fin or rst."""
    yield Send(_bare_head(exchange).data[:40])
    yield _end(by)


@_fault
def redirect(_: Exchange, *, status: int = 307, to: str = "http://127.0.0.1:9/elsewhere") -> Iterable[Step]:
    """Redirect to somewhere else."""
    yield from whole(Rendered(status, {"location": to, "content-type": "text/html"}, b"<a href>Moved</a>"))


@_fault
def wrong_type(exchange: Exchange, *, content_type: str = "text/plain") -> Iterable[Step]:
    """Send a healthy answer under a wrong content type."""
    if exchange.stream:
        return exchange.streamed(paced(exchange.events(), exchange.pace), {"content-type": content_type})
    return whole(Rendered(200, {"content-type": content_type}, exchange.answer.whole()))


@_fault
def gzip(exchange: Exchange) -> Iterable[Step]:
    """Send a healthy answer, compressed without having been asked to."""
    packer = zlib.compressobj(wbits=31)
    if not exchange.stream:
        body = packer.compress(exchange.answer.whole()) + packer.flush()
        yield from whole(Rendered(200, {"content-type": JSON, "content-encoding": "gzip"}, body))
        return
    yield exchange.open_stream({"content-encoding": "gzip"})
    for item in paced(exchange.events(), exchange.pace):
        if isinstance(item, Event):
            yield Send(wire.chunk(packer.compress(item.data) + packer.flush(zlib.Z_SYNC_FLUSH)))
        else:
            yield item
    yield Send(wire.chunk(packer.flush()) + wire.LAST_CHUNK)


# --- a 200 without an answer -----------------------------------------------------------------------------------------


@_fault
def empty(_: Exchange, *, status: int = 429) -> Iterable[Step]:
    """Send a status with an empty body."""
    return whole(Rendered(status, {}, b""))


@_fault
def error_in_200(exchange: Exchange, *, case: str = "server_error") -> Iterable[Step]:
    """Send a 200 with an error object as the whole body."""
    error = _case(exchange, case).error(exchange.facts)
    content = exchange.format.error_body(200, {"error": error})
    return whole(Rendered(200, {"content-type": JSON}, json.dumps(content).encode()))


@_fault
def html(_: Exchange) -> Iterable[Step]:
    """Send a 200 with an HTML page."""
    page = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Sign in</h1></body></html>"
    return whole(Rendered(200, {"content-type": "text/html; charset=utf-8"}, page))


@_fault
def empty_body(exchange: Exchange) -> Iterable[Step]:
    """Send a 200 with an empty body."""
    return exchange.streamed([]) if exchange.stream else whole(Rendered(200, {"content-type": JSON}, b""))


@_fault
def only_done(exchange: Exchange) -> Iterable[Step]:
    """Send a 200 with a stream of nothing but `[DONE]`."""
    return exchange.streamed([Event("done", b"data: [DONE]\n\n")])


@_fault
def no_choices(exchange: Exchange) -> Iterable[Step]:
    """Send a 200 with an answer object without content."""
    body, events = exchange.format.empty_answer(exchange.context, exchange.model)
    return exchange.streamed(events) if exchange.stream else whole(Rendered(200, {"content-type": JSON}, body))


@_fault
def whole_for_stream(exchange: Exchange) -> Iterable[Step]:
    """Answer a streamed request with one JSON body."""
    return exchange.healthy(stream=False)


@_fault
def stream_for_whole(exchange: Exchange) -> Iterable[Step]:
    """Answer a request that is not streamed with a stream."""
    return exchange.healthy(stream=True)


# --- a stream that fails before content -------------------------------------------------------------------------------


@_fault
def silent_role(exchange: Exchange) -> Iterable[Step]:
    """Send the chunk with the role, and then nothing."""
    if not exchange.stream:
        yield from silent_headers(exchange)
        return
    yield from _begin(exchange, 0)
    yield FOREVER


@_fault
def cut_after_headers(exchange: Exchange, *, by: By = "fin") -> Iterable[Step]:
    """End the connection after the headers, `by` fin or rst."""
    yield _bare_head(exchange)
    yield _end(by)


@_fault
def cut_after_role(exchange: Exchange, *, by: By = "fin") -> Iterable[Step]:
    """End the connection after the chunk with the role, `by` fin or rst."""
    if exchange.stream:
        yield from _begin(exchange, 0)
    else:
        yield _bare_head(exchange)
    yield _end(by)


@_fault
def stream_error(
    exchange: Exchange, *, case: str = "server_error", after: int = 0, shape: Shape = "data", opening: bool = True
) -> Iterable[Step]:
    """Send an error event inside a 200 stream after `after` content events; not streamed: the error's own status.

    `case` is a case of the provider's dialect or the common one. `shape` is `data` (`data: {"error": {…}}`), `event`
    (preceded by an `event: error` line), `string` (the error is a string), `bare` (the error object without an
    envelope), `failed` (`response.failed`, in the format that has it) or `line` (the JSON without `data:`). With
    `opening`, the chunk with the role comes first.
    """
    found = _case(exchange, case)
    if not exchange.stream:
        yield from exchange.error_body(found)
        return
    error = found.error(exchange.facts)
    before = _upto(exchange, after) if opening or after else []
    data = exchange.format.error_event(error, len(before))
    match shape:
        case "string":
            data = exchange.format.error_event(error.get("message", found.meaning), len(before))
        case "failed":
            data = exchange.format.error_event(error, len(before), failed=True)
        case "bare":
            data = b"data: " + json.dumps(error).encode() + b"\n\n"
        case "line":
            data = json.dumps({"error": error}).encode() + b"\n\n"
        case "event" if not data.startswith(b"event:"):
            data = b"event: error\n" + data
    yield from _begin(exchange, after) if before else [exchange.open_stream()]
    yield Send(wire.chunk(data))
    yield Send(wire.LAST_CHUNK)


@_fault
def stream_overloaded(exchange: Exchange) -> Iterable[Step]:
    """Send `server_is_overloaded` inside a 200 stream, before any content."""
    return stream_error(exchange, case="common:overloaded")


@_fault
def stream_rate_limit(exchange: Exchange) -> Iterable[Step]:
    """Send a rate limit inside a 200 stream, before any content."""
    return stream_error(exchange, case="rate_limit")


@_fault
def stream_context_length(exchange: Exchange) -> Iterable[Step]:
    """Send `context_length_exceeded` inside a 200 stream, before any content."""
    return stream_error(exchange, case="context_length")


@_fault
def stream_error_late(exchange: Exchange, *, after: int = 3) -> Iterable[Step]:
    """Send an error event inside a 200 stream, after some content."""
    return stream_error(exchange, case="server_error", after=after)


# --- a stream that fails after content --------------------------------------------------------------------------------


@_fault
def cut(exchange: Exchange, *, after: int = 3, by: By = "fin") -> Iterable[Step]:
    """End the connection in the middle of the content, `by` fin or rst."""
    if exchange.stream:
        yield from _begin(exchange, after)
    else:
        yield _half_body(exchange)
    yield _end(by)


@_fault
def cut_in_chunk(exchange: Exchange, *, after: int = 3, by: By = "fin") -> Iterable[Step]:
    """End the connection inside an HTTP chunk."""
    if exchange.stream:
        *before, last = _upto(exchange, after + 1)
        yield exchange.open_stream()
        for event in before:
            yield Send(wire.chunk(event.data))
        yield Send(wire.chunk(last.data)[: -len(last.data) // 2])
    else:
        yield _half_body(exchange)
    yield _end(by)


@_fault
def cut_in_event(exchange: Exchange, *, after: int = 3, by: ByEnd = "end") -> Iterable[Step]:
    """End the stream in the middle of an event: `by` a proper end of the body, by fin or by rst."""
    if exchange.stream:
        *before, last = _upto(exchange, after + 1)
        yield exchange.open_stream()
        for event in before:
            yield Send(wire.chunk(event.data))
        yield Send(wire.chunk(last.data[: len(last.data) // 2]))
        yield Send(wire.LAST_CHUNK) if by == "end" else _end(by)
        return
    body = exchange.answer.whole()
    yield from whole(Rendered(200, {"content-type": JSON}, body[: len(body) // 2]))


@_fault
def short_body(exchange: Exchange) -> Iterable[Step]:
    """Send a body shorter than its Content-Length, streamed or not."""
    kind = EVENT_STREAM if exchange.stream else JSON
    body = b"".join(event.data for event in exchange.events()) if exchange.stream else exchange.answer.whole()
    head = wire.head(200, [("content-type", kind), ("content-length", str(len(body)))])
    yield Send(head + body[: len(body) * 2 // 3])
    yield Close()


@_fault
def stall(exchange: Exchange, *, after: int = 3, comments: float = 0.0) -> Iterable[Step]:
    """Fall silent in the middle of the content; `comments` is the interval of comment lines in seconds, 0 for none."""
    if exchange.stream:
        yield from _begin(exchange, after)
    else:
        yield _half_body(exchange)
    while exchange.stream and comments > 0:
        yield Pause(comments)
        yield Send(wire.chunk(b": PING\n\n"))
    yield FOREVER


@_fault
def no_done(exchange: Exchange) -> Iterable[Step]:
    """Stream with a finish reason and without `[DONE]`."""
    return _filtered(exchange, "done")


@_fault
def no_finish(exchange: Exchange) -> Iterable[Step]:
    """Stream with `[DONE]` and without a finish reason."""
    return _filtered(exchange, "finish")


@_fault
def truncated(exchange: Exchange, *, after: int = 3) -> Iterable[Step]:
    """End the stream in order after some content, with neither a finish reason nor `[DONE]`."""
    if not exchange.stream:
        yield from cut_in_event(exchange)
        return
    yield from _begin(exchange, after)
    yield Send(wire.LAST_CHUNK)


@_fault
def finish(exchange: Exchange, *, reason: str = "error", after: int = 0) -> Iterable[Step]:
    """End with another finish reason (error, network_error, abort, sensitive …), `after` content events (0: all)."""
    if not exchange.stream:
        return whole(Rendered(200, {"content-type": JSON}, _with_reason(exchange.answer.whole(), reason)))
    cut = len(_upto(exchange, after)) if after else 0
    events = [
        Event(event.kind, _with_reason(event.data, reason)) if event.kind == "finish" else event
        for place, event in enumerate(exchange.events())
        if not cut or place < cut or event.kind in ("finish", "usage", "done")
    ]
    return exchange.streamed(paced(events, exchange.pace))


def _with_reason(data: bytes, reason: str) -> bytes:
    """Replace the finish reason in a JSON body or event; a response becomes incomplete for that reason."""
    quoted = json.dumps(reason).encode()
    data = re.sub(rb'("(?:finish_reason|stop_reason)": ?)"[a-z_]+"', lambda found: found[1] + quoted, data)
    return re.sub(
        rb'"status":"completed"(.*?)"incomplete_details":null',
        lambda found: b'"status":"incomplete"' + found[1] + b'"incomplete_details":{"reason":' + quoted + b"}",
        data.replace(b"response.completed", b"response.incomplete"),
        count=1,
        flags=re.DOTALL,
    )


@_fault
def choice_error(exchange: Exchange, *, case: str = "overloaded") -> Iterable[Step]:
    """Send a 200 with an error inside the choice, whole or in the first chunk, as OpenRouter does (chat only)."""
    error = _case(exchange, case).error(exchange.facts)
    choice = {"index": 0, "finish_reason": "error", "error": {**error, "code": 502}}
    kind = "chat.completion.chunk" if exchange.stream else "chat.completion"
    part = {"delta" if exchange.stream else "message": {"role": "assistant", "content": ""}}
    body = {"id": "gen-1", "object": kind, "created": 1, "model": exchange.model, "choices": [{**choice, **part}]}
    data = json.dumps(body).encode()
    if exchange.stream:
        return exchange.streamed([Event("finish", b"data: " + data + b"\n\n"), Event("done", b"data: [DONE]\n\n")])
    return whole(Rendered(200, {"content-type": JSON}, data))


@_fault
def completed_early(exchange: Exchange, *, after: int = 3) -> Iterable[Step]:
    """Complete without usage after some content, as relays end a broken stream; not streamed: without any output."""
    if not exchange.stream:
        body, _ = exchange.format.empty_answer(exchange.context, exchange.model)
        empty = {name: value for name, value in json.loads(body).items() if name != "usage"}
        return whole(Rendered(200, {"content-type": JSON}, json.dumps(empty).encode()))
    cut = len(_upto(exchange, after))
    events = [
        Event(event.kind, _without_output(event.data)) if event.kind == "finish" else event
        for place, event in enumerate(exchange.format.with_usage(exchange.events(), "none"))
        if place < cut or event.kind in ("finish", "done")
    ]
    return exchange.streamed(paced(events, exchange.pace))


def _without_output(data: bytes) -> bytes:
    """Return the last event of a response without its output, and any other event unchanged."""
    head, separator, text = data.partition(b"data: ")
    if b'"response":' not in text:
        return data
    fields = json.loads(text)
    fields["response"]["output"] = []
    return head + separator + json.dumps(fields, separators=(",", ":")).encode() + b"\n\n"


@_fault
def stream_only(exchange: Exchange) -> Iterable[Step]:
    """Reject requests that are not streamed (Stream must be set to true), and answer streamed ones."""
    return exchange.healthy() if exchange.stream else exchange.error_body(_case(exchange, "new-api:stream_required"))


@_fault
def malformed(exchange: Exchange, *, after: int = 3) -> Iterable[Step]:
    """Send an event with broken JSON in the middle of the content; not streamed: a body with broken JSON."""
    if not exchange.stream:
        body = exchange.answer.whole()
        return whole(Rendered(200, {"content-type": JSON}, body[:-2] + b",,"))
    events = list(exchange.events())
    at = min(len(_upto(exchange, after)), len(events))
    broken = next((event for event in events if event.kind == "content"), events[0]).data.rstrip()
    events.insert(at, Event("content", broken[: -len(broken) // 4] + b"\n\n"))
    return exchange.streamed(paced(events, exchange.pace))


# --- unusual but complete streams -------------------------------------------------------------------------------------


def _filtered(exchange: Exchange, kind: str) -> Iterable[Step]:
    if not exchange.stream:
        return exchange.healthy()
    return exchange.streamed(paced([event for event in exchange.events() if event.kind != kind], exchange.pace))


def _rewritten(exchange: Exchange, rewrite: Callable[[bytes], bytes]) -> Iterable[Step]:
    if not exchange.stream:
        return exchange.healthy()
    events = [Event(event.kind, rewrite(event.data)) for event in exchange.events()]
    return exchange.streamed(paced(events, exchange.pace))


@_fault
def comments(exchange: Exchange, *, text: str = ": PING") -> Iterable[Step]:
    """Send a comment line before every event."""
    line = text.encode() + b"\n\n"
    return _rewritten(exchange, lambda data: line + data)


@_fault
def crlf(exchange: Exchange) -> Iterable[Step]:
    """End lines in CR LF."""
    return _rewritten(exchange, lambda data: data.replace(b"\n", b"\r\n"))


@_fault
def no_space(exchange: Exchange) -> Iterable[Step]:
    """Leave no space after `data:`."""
    return _rewritten(exchange, lambda data: data.replace(b"data: ", b"data:", 1))


@_fault
def named_events(exchange: Exchange) -> Iterable[Step]:
    """Send `event:`, `id:` and `retry:` lines with every event."""
    return _rewritten(exchange, lambda data: b"event: message\nid: 7\nretry: 3000\n" + data)


@_fault
def split(exchange: Exchange, *, size: int = 1) -> Iterable[Step]:
    """Split events into chunks of `size` bytes, each in its own write."""
    size = max(1, size)
    if not exchange.stream:
        yield from drip(exchange, size=size, interval=0.0)
        return
    body = b"".join(event.data for event in exchange.events())
    yield exchange.open_stream()
    for start in range(0, len(body), size):
        yield Send(wire.chunk(body[start : start + size]))
    yield Send(wire.LAST_CHUNK)


@_fault
def drip(exchange: Exchange, *, size: int = 16, interval: float = 0.01) -> Iterable[Step]:
    """Send the answer including its head, `size` bytes at a time, `interval` seconds apart."""
    size = max(1, size)
    sent = b"".join(step.data for step in exchange.healthy() if isinstance(step, Send))
    for start in range(0, len(sent), size):
        yield Send(sent[start : start + size])
        if interval > 0:
            yield Pause(interval)


@_fault
def together(exchange: Exchange, *, events: int = 0) -> Iterable[Step]:
    """Send several events in one write (all of them when `events` is 0)."""
    if not exchange.stream:
        yield from exchange.healthy()
        return
    data = [event.data for event in exchange.events()]
    size = events if events > 0 else len(data)
    yield exchange.open_stream()
    for start in range(0, len(data), size):
        yield Send(wire.chunk(b"".join(data[start : start + size])))
    yield Send(wire.LAST_CHUNK)


@_fault
def slow_stream(exchange: Exchange, *, seconds: float = 0.2) -> Iterable[Step]:
    """Stream with a pause of a number of seconds between events."""
    if not exchange.stream:
        yield from slow(exchange, seconds=seconds)
        return
    yield exchange.open_stream()
    for event in exchange.events():
        yield Send(wire.chunk(event.data))
        yield Pause(seconds)
    yield Send(wire.LAST_CHUNK)


@_fault
def no_usage(exchange: Exchange) -> Iterable[Step]:
    """Send a healthy answer without the token counts."""
    if not exchange.stream:
        body = json.loads(exchange.answer.whole())
        body.pop("usage", None)
        return whole(Rendered(200, {"content-type": JSON}, json.dumps(body).encode()))
    return exchange.streamed(paced(exchange.format.with_usage(exchange.events(), "none"), exchange.pace))


@_fault
def usage_everywhere(exchange: Exchange) -> Iterable[Step]:
    """Stream with the running token counts on every chunk."""
    if not exchange.stream:
        return exchange.healthy()
    return exchange.streamed(paced(exchange.format.with_usage(exchange.events(), "everywhere"), exchange.pace))


@_fault
def huge_event(exchange: Exchange, *, size: int = 1_000_000) -> Iterable[Step]:
    """Stream with one event of `size` bytes, in an unknown field."""
    if not exchange.stream:
        yield from exchange.healthy()
        return
    padding = b'"padding":"' + b"x" * size + b'",'
    events = list(exchange.events())
    at = next((index for index, event in enumerate(events) if event.kind == "content"), 0)
    events[at] = Event(events[at].kind, events[at].data.replace(b"{", b"{" + padding, 1))
    yield from exchange.streamed(paced(events, exchange.pace))


# --- statuses and dialects --------------------------------------------------------------------------------------------

# The case that a provider sends with a status by default; for other statuses its plain error shape.
_OF_STATUS = {401: "bad_key", 403: "forbidden", 404: "unknown_model", 408: "timeout", 429: "rate_limit"}


def _status(
    exchange: Exchange,
    *,
    code: int = 503,
    body: object = None,
    headers: Mapping[str, object] | None = None,
    content_type: str = "",
) -> Iterable[Step]:
    """Answer with any HTTP status; `body` (text or JSON) replaces the provider's own error."""
    added = {str(name).lower(): str(value) for name, value in (headers or {}).items()}
    case = find_case(exchange.provider, _OF_STATUS.get(code, ""))
    if body is None and case is not None and case.status == code:
        rendered = case.render(exchange.facts, exchange.format.error_body)
        return whole(Rendered(code, {**rendered.headers, **added}, rendered.body))
    if body is None:
        error = plain_error(exchange.provider, code, f"The stand-in is set to answer {code}.", exchange.facts)
        body = exchange.format.error_body(code, error)
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    kind = content_type or ("text/plain" if isinstance(body, str) else JSON)
    return whole(Rendered(code, {"content-type": kind, **added}, data))


def _dialect_case(exchange: Exchange, *, case: str = "", reset_in: int = 60) -> Iterable[Step]:
    """Answer with a case of a dialect; `reset_in` is the number of seconds until the reset that it reports."""
    return exchange.error_body(_case(exchange, case), reset_in)


def _case(exchange: Exchange, name: str) -> Case:
    return _case_of(exchange.provider, name)


def _case_of(provider: str, name: str) -> Case:
    case = find_case(provider, name)
    if case is None:
        raise BadFault(f"unknown case {name!r}; the cases are: {', '.join(_case_names(provider))}")
    return case


def _case_names(provider: str) -> list[str]:
    dialect = dialect_of(provider)
    return sorted({*CASES[dialect], *ALIASES[dialect], *CASES["common"], *ALIASES["common"]})


def find_fault(provider: str, name: str, options: Mapping[str, Any]) -> Fault:
    """Return the fault of this name for this provider, after checking its options. Raises `BadFault`."""
    options = dict(options)
    if name.isascii() and name.isdigit():
        if len(name) != 3 or not 200 <= int(name) <= 599:
            raise BadFault(f"{name} is not an HTTP status from 200 to 599")
        fault = _described(name, _status, fixed={"code": int(name)})
    elif name in FAULTS:
        fault = FAULTS[name]
    elif (case := find_case(provider, name)) is not None:
        fault = _described(name, _dialect_case, case.meaning, {"case": name})
    else:
        names = ", ".join([*FAULTS, *_case_names(provider)])
        raise BadFault(f"unknown fault {name!r}; the faults are any HTTP status, and: {names}")
    for option, value in options.items():
        if option not in fault.options:
            takes = ", ".join(fault.options) or "none"
            raise BadFault(f"fault {name!r} has no option {option!r}; its options are: {takes}")
        choices = fault.choices.get(option)
        if choices and value not in choices:
            raise BadFault(f"option {option!r} of fault {name!r} must be one of {', '.join(choices)}, not {value!r}")
        if not _fits(value, fault.options[option]):
            raise BadFault(
                f"option {option!r} of fault {name!r} must have the type of {fault.options[option]!r}, not {value!r}"
            )
    if not isinstance(options.get("headers", {}), Mapping):
        raise BadFault("'headers' must be an object")
    if "case" in fault.options:
        _case_of(provider, str(options.get("case", fault.options["case"])))
    return fault


def _fits(value: object, default: object) -> bool:
    if default is None:
        return True  # an option of any type
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, int | float) and not math.isnan(value)
    return isinstance(value, type(default))


def play(fault: Fault, options: Mapping[str, Any], exchange: Exchange) -> Iterable[Step]:
    """Return the steps of a fault for one exchange."""
    return fault.make(exchange, **options)


def describe(provider: str | None = None) -> dict[str, dict[str, object]]:
    """Return every fault's meaning and options by name, with the cases of one provider's dialect or of all."""
    faults: dict[str, dict[str, object]] = {
        "<status>": {
            "meaning": "any HTTP status from 200 to 599, in the provider's own error shape",
            "options": dict(_described("<status>", _status, fixed={"code": 0}).options),
        }
    }
    for fault in FAULTS.values():
        faults[fault.name] = {"meaning": fault.meaning, "options": dict(fault.options)}
        if fault.choices:
            faults[fault.name]["choices"] = fault.choices
    for dialect, cases in CASES.items():
        if provider is not None and dialect not in (dialect_of(provider), "common"):
            continue
        aliases: dict[str, list[str]] = {}
        for alias, name in ALIASES[dialect].items():
            aliases.setdefault(name, []).append(alias)
        for name, case in cases.items():
            entry: dict[str, object] = {"meaning": f"{case.status}: {case.meaning}", "options": {"reset_in": 60}}
            if name in aliases:
                entry["aliases"] = aliases[name]
            faults[f"{dialect}:{name}"] = entry
    return faults


def describe_briefly(provider: str | None = None) -> str:
    """Return a line per fault, and the names of the error cases; with a provider, a line per case of it."""
    lines = ["Faults: POST /_control/<provider>/<fault>?<option>=<value>&times=<requests>&model=<model>", ""]
    entries = describe(provider)
    lines += [_brief(name, entry) for name, entry in entries.items() if ":" not in name]
    if provider is not None:
        lines += ["", f"Errors of {provider} (option reset_in: seconds until the reset that it reports)", ""]
        return "\n".join([*lines, *(_brief(name, entry) for name, entry in entries.items() if ":" in name), ""])
    lines += ["", "Errors (?provider=<dialect> describes them)", ""]
    for dialect, cases in CASES.items():
        lines += textwrap.wrap(", ".join(cases), 116, initial_indent=f"  {dialect}: ", subsequent_indent="    ")
    return "\n".join([*lines, "", "As JSON: -H 'Accept: application/json'", ""])


def _brief(name: str, entry: Mapping[str, Any]) -> str:
    options = " ".join(f"{option}={_brief_value(value)}" for option, value in entry["options"].items())
    text = f"  {name:<22} {entry['meaning']}" + (f" [{options}]" if options and ":" not in name else "")
    return text if len(text) <= 120 else f"{text[:119]}…"


def _brief_value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
