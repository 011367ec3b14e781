"""The loopback server: one port, one path prefix per provider.

A plain asyncio protocol instead of a web framework, because faults need the socket: a reset, silence, half a chunk.
"""

import asyncio
import itertools
import json
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hmac import compare_digest
from secrets import token_hex
from typing import Any

from local.request_guard import is_local_host
from local.standin import control, wire
from local.standin.bedrock import CONVERSE, converse_path
from local.standin.chat import CHAT
from local.standin.completions import COMPLETIONS
from local.standin.dialects import Facts, Rendered, dialect_of, find_case, plain_error
from local.standin.exchange import Exchange, whole
from local.standin.faults import describe_briefly, play
from local.standin.formats import JSON, AnswerContext, BadRequest, Format
from local.standin.forms import read_form
from local.standin.messages import COUNT_TOKENS, MESSAGES
from local.standin.other_formats import OTHERS
from local.standin.responses import RESPONSES
from local.standin.state import Recorded, State, redacted
from local.standin.steps import Close, Pause, Reset, Send, Step, Wait
from local.standin.wire import BadHttp, Head, RequestReader

__all__ = ["FORMATS", "FORMAT_NAMES", "MODELS", "Server", "Service"]

_FORMATS: Sequence[Format] = (CHAT, RESPONSES, MESSAGES, COUNT_TOKENS, COMPLETIONS, *OTHERS)
FORMATS: Mapping[str, Format] = {path: each for each in _FORMATS for path in each.paths}
FORMAT_NAMES: Sequence[str] = sorted({each.name for each in (*_FORMATS, CONVERSE)})

# The models that each provider lists; the stand-ins answer for any other name too.
MODELS: Mapping[str, Sequence[str]] = {
    "cliproxyapi": ("claude-sonnet-4-6", "claude-sonnet-4-5", "claude-haiku-4-5", "gemini-2.5-flash"),
    "new-api": ("gpt-5", "gpt-5-mini", "gpt-5.2-codex", "gpt-5.1-codex-mini"),
    "ark": ("glm-4.7", "ark-code-latest"),
}

_MAX_WAITING = 256 * 1024  # bytes of further requests read while one is being answered
_RECEIVE_SECONDS = 10.0  # without a byte of a request that has not arrived whole
_POLL = 0.002  # seconds between two checks of a test's event, which another thread sets


@dataclass(frozen=True)
class Service:
    """Routes requests to formats, checks keys and applies faults. Independent of sockets.

    `pace` is the duration of an answer in seconds; `key` is the only accepted key, None for any.
    """

    pace: float = 0.0
    key: str | None = None
    state: State = field(default_factory=State)

    def early(self, head: Head) -> tuple[Iterable[Step], Recorded] | None:
        """Return the answer to a request before its body is read: only the `refuse` fault gives one."""
        provider, _, rest = head.path.lstrip("/").partition("/")
        if head.method != "POST" or _find(_below_base(rest)) is None:
            return None
        fault = self.state.next_fault(provider, None, only="refuse")
        if fault is None:
            return None
        record = self._record(head, provider, None, None, 0)
        record.fault = fault.name
        return [Reset()], record

    def answer(self, head: Head, body: bytes) -> tuple[Iterable[Step], Recorded | None]:
        """Return the steps that answer a request, and its record if it was for a provider."""
        provider, _, rest = head.path.lstrip("/").partition("/")
        if provider == "_control":
            if "origin" in head.headers or not is_local_host(head.headers.get("host", "localhost")):
                return whole(_json(403, {"error": "web pages may not use the control API"})), None
            if (head.method, rest) == ("GET", "faults") and JSON not in head.headers.get("accept", ""):
                text = describe_briefly(head.query.get("provider")).encode()
                return whole(Rendered(200, {"content-type": "text/plain; charset=utf-8"}, text)), None
            status, content = control.answer(self.state, head.method, f"/{rest}" if rest else "", head.query, body)
            return whole(Rendered(status, {"content-type": JSON}, json.dumps(content, indent=2).encode() + b"\n")), None
        if not provider:
            return whole(
                _json(
                    404,
                    {"error": "start the path with a provider (/<provider>/v1/…); faults are under /_control"},
                )
            ), None
        path = _below_base(rest)
        parsed = _parsed(head.headers.get("content-type", ""), body)
        if isinstance(parsed, dict):
            parsed |= converse_path(path) or {}
        fields = parsed if isinstance(parsed, dict) else {}
        model = fields.get("model") if isinstance(fields.get("model"), str) else None
        record = self._record(head, provider, model, parsed, len(body))
        facts = Facts(model or "", time.time(), request_id=_request_id())
        wire_format = _find(path)
        rejection = self._key_error(provider, head, facts, wire_format)
        if rejection is not None:
            return rejection, record
        if wire_format is None or not self.state.supports(provider, None, wire_format.name):
            return whole(_models(provider, head.method, path, facts)), record
        if head.method != "POST":
            return whole(_json(405, plain_error(provider, 405, "Method not allowed", facts), {"allow": "POST"})), record
        if not self.state.supports(provider, model, wire_format.name):
            return whole(_unsupported(provider, path, facts, wire_format)), record
        if _is_codex_channel(provider, model) and wire_format.streams and fields.get("stream") is not True:
            case = find_case(provider, "stream_required")
            return whole(case.render(facts, wire_format.error_body) if case else _json(400, {})), record
        fault = self.state.next_fault(provider, model)
        if fault is not None:
            record.fault = fault.name
            if fault.steps is not None:
                return fault.steps, record
        context = AnswerContext(provider, int(facts.now), f"{token_hex(8)}{self.state.next_id()}", head.key)
        try:
            stream = fields.get("stream") or False
            if not isinstance(parsed, dict):
                raise BadRequest("the body must be a JSON object")
            if not isinstance(stream, bool):
                raise BadRequest("'stream' must be true or false", "stream")
            for name in wire_format.required_headers:
                if name not in head.headers:
                    raise BadRequest(f"{name}: header is required")
            answer = wire_format.answer(parsed, context)
        except BadRequest as bad:
            error = plain_error(provider, 400, bad.message, facts, param=bad.param, code=bad.code)
            return whole(_json(400, wire_format.error_body(400, error))), record
        stream = stream and wire_format.streams
        exchange = Exchange(provider, model or "", stream, wire_format, answer, facts, self.pace, context)
        if fault is not None and fault.fault is not None:
            return play(fault.fault, fault.options, exchange), record
        return exchange.healthy(), record

    def _record(self, head: Head, provider: str, model: str | None, parsed: Any, size: int) -> Recorded:
        record = Recorded(
            provider=provider,
            model=model,
            method=head.method,
            path=head.path,
            headers=redacted(head.headers),
            key=head.key,
            body=parsed,
            size=size,
            at=time.monotonic(),
        )
        self.state.record(record)
        return record

    def _key_error(self, provider: str, head: Head, facts: Facts, wire_format: Format | None) -> list[Step] | None:
        if head.key and (self.key is None or compare_digest(head.key.encode(), self.key.encode())):
            return None
        case = find_case(provider, "bad_key" if head.key else "missing_key")
        if case is None:
            return whole(_json(401, {"error": "Unauthorized"}))
        return whole(case.render(facts, wire_format.error_body if wire_format else None))


_BASES = ("v1/", "openai/v1/", "v1beta/openai/")
"""The path prefixes of providers: the usual one, Azure's and Gemini's."""


def _below_base(path: str) -> str:
    """Return the part of a path below a provider's base URL."""
    return next((path.removeprefix(base) for base in _BASES if path.startswith(base)), path)


def _find(path: str) -> Format | None:
    """Return the format of a path below a provider's base URL."""
    return CONVERSE if converse_path(path) else FORMATS.get(path)


def _parsed(content_type: str, body: bytes) -> Any:
    """Return the body's JSON or its form fields, None if it is neither."""
    if content_type.lower().startswith("multipart/form-data"):
        return read_form(content_type, body)
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return None


def _unsupported(provider: str, path: str, facts: Facts, wire_format: Format) -> Rendered:
    """Return the provider's error for a format that the model does not support."""
    if dialect_of(provider) == "new-api":
        body = plain_error(
            provider, 500, f"codex channel: /v1/{path} endpoint not supported", facts, code="convert_request_failed"
        )
        return _json(500, wire_format.error_body(500, body))
    body = plain_error(provider, 404, f"The model {facts.model} does not support /v1/{path}.", facts)
    return _json(404, wire_format.error_body(404, body))


def _is_codex_channel(provider: str, model: str | None) -> bool:
    """Return whether the model is behind a codex channel of New API, which only streams."""
    return dialect_of(provider) == "new-api" and "codex" in (model or "")


def _request_id() -> str:
    return time.strftime("%Y%m%d%H%M%S", time.gmtime()) + token_hex(9)


def _json(status: int, value: object, headers: Mapping[str, str] | None = None) -> Rendered:
    return Rendered(status, {"content-type": JSON, **(headers or {})}, json.dumps(value).encode())


def _models(provider: str, method: str, path: str, facts: Facts) -> Rendered:
    """Return the list of models, one model, or the provider's error for an unknown path."""
    names = MODELS.get(provider, ("stand-in",))
    objects = {name: {"id": name, "object": "model", "created": 1_785_542_400, "owned_by": provider} for name in names}
    if method == "GET" and path == "models":
        return _json(200, {"object": "list", "data": list(objects.values())})
    if method == "GET" and path.startswith("models/"):
        name = path.removeprefix("models/")
        if name in objects:
            return _json(200, objects[name])
        unknown = find_case("common", "unknown_model")
        if unknown is not None:
            rendered = unknown.render(Facts(name))
            # New API answers 200 for an unknown model.
            return Rendered(200 if provider == "new-api" else 404, rendered.headers, rendered.body)
    if dialect_of(provider) == "cliproxyapi":
        return Rendered(404, {"content-type": "text/plain"}, b"404 page not found")
    return _json(404, plain_error(provider, 404, f"Invalid URL ({method} /{path})", facts))


class Connection(asyncio.Protocol):
    """One connection: it reads requests one after the other and plays the steps of their answers."""

    def __init__(self, service: Service, open_connections: "set[Connection]", receive_seconds: float) -> None:
        self._service = service
        self._receive_seconds = receive_seconds
        self._timer: asyncio.TimerHandle | None = None  # while a request is awaited
        self._open = open_connections
        self._reader = RequestReader()
        self._head: Head | None = None  # of the request being read, after `early` returned None
        self._record: Recorded | None = None  # of the request being answered
        self._keep_alive = True
        self._busy = False
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._reading = True

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        transport.set_write_buffer_limits(high=0)  # so that `_writable` means that all bytes have left
        self._open.add(self)
        self._expect_bytes()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._open.discard(self)
        self._stop_timer()
        if self._task is not None:
            self._task.cancel()
        self._record_outcome("left")
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._stop_timer()
        self._reader.feed(data)
        if not self._busy:
            self._next_request()
        elif self._reading and self._reader.buffered > _MAX_WAITING:
            self._reading = False
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # --- requests and answers ---

    def abort(self) -> None:
        """End the connection at once."""
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()

    def _next_request(self) -> None:
        while not self._busy and not self._transport.is_closing():
            try:
                if not self._read_request():
                    if self._head or self._reader.buffered:  # otherwise it is kept alive for the next request
                        self._expect_bytes()
                    return
            except BadHttp as bad:
                body = json.dumps({"error": {"message": str(bad), "type": "invalid_request_error"}}).encode()
                headers = {"content-type": JSON, "connection": "close"}
                self._transport.write(wire.plain(bad.status, headers, body))
                self._transport.close()

    def _expect_bytes(self) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(self._receive_seconds, self._transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _read_request(self) -> bool:
        """Answer the first request in the buffer if it is complete."""
        if self._head is None:
            head = self._reader.head()
            if head is None:
                return False
            early = self._service.early(head)
            if early is not None:
                self._answer(*early, keep_alive=False)
                return True
            if head.headers.get("expect", "").lower() == "100-continue":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._head = head
        body = self._reader.body()
        if body is None:
            return False
        head, self._head = self._head, None
        steps, record = self._service.answer(head, body)
        self._answer(steps, record, keep_alive=head.keep_alive)
        return True

    def _answer(self, steps: Iterable[Step], record: Recorded | None, *, keep_alive: bool) -> None:
        """Play the steps: at once while they are bytes, in a task from the first one that takes time."""
        self._busy, self._record, self._keep_alive = True, record, keep_alive
        remaining = iter(steps)
        for step in remaining:
            if not isinstance(step, Send):
                self._task = asyncio.get_running_loop().create_task(self._play(step, remaining))
                return
            self._transport.write(step.data)
        self._finish()

    async def _play(self, first: Step, rest: Iterator[Step]) -> None:
        for step in itertools.chain([first], rest):
            match step:
                case Send(data):
                    self._transport.write(data)
                    await self._writable.wait()
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                case Wait(event):
                    while not event.is_set():
                        await asyncio.sleep(_POLL)
                case Reset():
                    await self._writable.wait()
                    self._record_outcome("cut")
                    _reset(self._transport)
                    return
                case Close():
                    self._record_outcome("cut")
                    self._transport.close()
                    return
        self._task = None
        self._finish()
        self._next_request()

    def _finish(self) -> None:
        self._record_outcome("answered")
        self._busy = False
        if not self._keep_alive:
            self._transport.close()
        elif not self._reading:
            self._reading = True
            self._transport.resume_reading()

    def _record_outcome(self, outcome: str) -> None:
        if self._record is not None and self._record.outcome == "answering":
            self._record.outcome = outcome  # type: ignore[assignment] # one of the literals, given only above
        self._record = None


def _reset(transport: asyncio.Transport) -> None:
    """End a connection with RST: a linger time of zero skips the FIN."""
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Server:
    """A listening socket and its connections, in the running loop.

    A request that stops arriving for `receive_seconds` ends its connection.
    """

    def __init__(self, service: Service, receive_seconds: float = _RECEIVE_SECONDS) -> None:
        self.service = service
        self._receive_seconds = receive_seconds
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen, and return the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self.service, self._connections, self._receive_seconds), host, port, backlog=1024
        )
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.abort()
        while self._connections:  # each leaves the set in `connection_lost`, in the loop's next iteration
            await asyncio.sleep(0)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None
