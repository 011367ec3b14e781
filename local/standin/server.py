"""The loopback server: one port, every provider under a path of its own.

A raw asyncio protocol and not a web framework, because faults need the socket: a reset, silence, half a chunk.
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

from local.standin import control, wire
from local.standin.bedrock import CONVERSE, converse_path
from local.standin.chat import CHAT
from local.standin.completions import COMPLETIONS
from local.standin.dialects import Facts, Rendered, dialect_of, find_case, plain_error
from local.standin.faults import play
from local.standin.formats import JSON, BadRequest, Format, Speaker
from local.standin.messages import COUNT_TOKENS, MESSAGES
from local.standin.multipart import read_form
from local.standin.others import OTHERS
from local.standin.replies import Exchange, whole
from local.standin.responses import RESPONSES
from local.standin.state import Recorded, State, redacted
from local.standin.steps import Close, Pause, Reset, Send, Step, Wait
from local.standin.wire import BadHttp, Head, RequestReader

__all__ = ["FORMATS", "FORMAT_NAMES", "MODELS", "Server", "Service"]

_SPOKEN: Sequence[Format] = (CHAT, RESPONSES, MESSAGES, COUNT_TOKENS, COMPLETIONS, *OTHERS)
FORMATS: Mapping[str, Format] = {path: each for each in _SPOKEN for path in each.paths}
FORMAT_NAMES: Sequence[str] = sorted({each.name for each in (*_SPOKEN, CONVERSE)})

# What each provider's list of models shows; the stand-ins answer for any other name as well.
MODELS: Mapping[str, Sequence[str]] = {
    "cliproxyapi": ("claude-sonnet-4-6", "claude-sonnet-4-5", "claude-haiku-4-5", "gemini-2.5-flash"),
    "new-api": ("gpt-5", "gpt-5-mini", "gpt-5.2-codex", "gpt-5.1-codex-mini"),
    "ark": ("glm-4.7", "ark-code-latest"),
}

_MAX_WAITING = 256 * 1024  # bytes of further requests read while one is being answered
_POLL = 0.002  # seconds between two looks at a test's event, which lives in another thread


@dataclass(frozen=True)
class Service:
    """What is answered: routes, keys, orders. Knows nothing of sockets.

    `pace` is how many seconds a whole answer takes; `key` the only key that is let in, None for any.
    """

    pace: float = 0.0
    key: str | None = None
    state: State = field(default_factory=State)

    def early(self, head: Head) -> tuple[Iterable[Step], Recorded] | None:
        """Return the answer to a request whose body is not read: only the `refuse` fault gives one."""
        provider, _, rest = head.path.lstrip("/").partition("/")
        if head.method != "POST" or _find(_below_base(rest)) is None:
            return None
        order = self.state.take(provider, None, only="refuse")
        if order is None:
            return None
        record = self._record(head, provider, None, None, 0)
        record.fault = order.name
        return [Reset()], record

    def answer(self, head: Head, body: bytes) -> tuple[Iterable[Step], Recorded | None]:
        """Return the steps that answer a request, and its record when it was one for a provider."""
        provider, _, rest = head.path.lstrip("/").partition("/")
        if provider == "_control":
            status, told = control.answer(self.state, head.method, f"/{rest}" if rest else "", head.query, body)
            return whole(Rendered(status, {"content-type": JSON}, json.dumps(told, indent=2).encode() + b"\n")), None
        if not provider:
            return whole(
                _json(404, {"error": "give a provider: /<provider>/v1/chat/completions, or see /_control"})
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
        refused = self._refused(provider, head, facts, wire_format)
        if refused is not None:
            return refused, record
        if wire_format is None or not self.state.speaks(provider, None, wire_format.name):
            return whole(_models(provider, head.method, path, facts)), record
        if head.method != "POST":
            return whole(_json(405, plain_error(provider, 405, "Method not allowed", facts), {"allow": "POST"})), record
        if not self.state.speaks(provider, model, wire_format.name):
            return whole(_unsupported(provider, path, facts, wire_format)), record
        order = self.state.take(provider, model)
        if order is not None:
            record.fault = order.name
            if order.steps is not None:
                return order.steps, record
        speaker = Speaker(provider, int(facts.now), f"{token_hex(8)}{self.state.next_id()}", head.key)
        try:
            stream = fields.get("stream") or False
            if not isinstance(parsed, dict):
                raise BadRequest("the body must be a JSON object")
            if not isinstance(stream, bool):
                raise BadRequest("'stream' must be true or false", "stream")
            for name in wire_format.required_headers:
                if name not in head.headers:
                    raise BadRequest(f"{name}: header is required")
            answer = wire_format.answer(parsed, speaker)
        except BadRequest as bad:
            error = plain_error(provider, 400, bad.message, facts, param=bad.param, code=bad.code)
            return whole(_json(400, wire_format.refusal(400, error))), record
        stream = stream and wire_format.streams
        exchange = Exchange(provider, model or "", stream, wire_format, answer, facts, self.pace, speaker)
        if order is not None and order.fault is not None:
            return play(order.fault, order.options, exchange), record
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

    def _refused(self, provider: str, head: Head, facts: Facts, wire_format: Format | None) -> list[Step] | None:
        if head.key and (self.key is None or compare_digest(head.key.encode(), self.key.encode())):
            return None
        case = find_case(provider, "bad_key" if head.key else "missing_key")
        if case is None:
            return whole(_json(401, {"error": "Unauthorized"}))
        return whole(case.render(facts, wire_format.refusal if wire_format else None))


_BASES = ("v1/", "openai/v1/", "v1beta/openai/")
"""How the paths of providers begin: the usual way, Azure's and Gemini's."""


def _below_base(path: str) -> str:
    """Return what follows a provider's base URL in a path."""
    return next((path.removeprefix(base) for base in _BASES if path.startswith(base)), path)


def _find(path: str) -> Format | None:
    """Return the format that is served at a path below a provider's base URL."""
    return CONVERSE if converse_path(path) else FORMATS.get(path)


def _parsed(content_type: str, body: bytes) -> Any:
    """Return the body's JSON or the fields of its form, or None when it is neither."""
    if content_type.lower().startswith("multipart/form-data"):
        return read_form(content_type, body)
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return None


def _unsupported(provider: str, path: str, facts: Facts, wire_format: Format) -> Rendered:
    """Return how a provider says that this model of its does not speak this format."""
    if dialect_of(provider) == "new-api":
        told = plain_error(
            provider, 500, f"codex channel: /v1/{path} endpoint not supported", facts, code="convert_request_failed"
        )
        return _json(500, wire_format.refusal(500, told))
    told = plain_error(provider, 404, f"The model {facts.model} does not support /v1/{path}.", facts)
    return _json(404, wire_format.refusal(404, told))


def _request_id() -> str:
    return time.strftime("%Y%m%d%H%M%S", time.gmtime()) + token_hex(9)


def _json(status: int, value: object, headers: Mapping[str, str] | None = None) -> Rendered:
    return Rendered(status, {"content-type": JSON, **(headers or {})}, json.dumps(value).encode())


def _models(provider: str, method: str, path: str, facts: Facts) -> Rendered:
    """Return the list of models, one of them, or the provider's word for a path that it does not have."""
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
            # New API tells of an unknown model with a 200.
            return Rendered(200 if provider == "new-api" else 404, rendered.headers, rendered.body)
    if dialect_of(provider) == "cliproxyapi":
        return Rendered(404, {"content-type": "text/plain"}, b"404 page not found")
    return _json(404, plain_error(provider, 404, f"Invalid URL ({method} /{path})", facts))


class Connection(asyncio.Protocol):
    """One connection: reads requests one after the other and plays the steps of their answers."""

    def __init__(self, service: Service, open_connections: "set[Connection]") -> None:
        self._service = service
        self._open = open_connections
        self._reader = RequestReader()
        self._head: Head | None = None  # of the request being read, once `early` has let it pass
        self._record: Recorded | None = None  # of the request being answered
        self._keep_alive = True
        self._busy = False
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._reading = True

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP transports are; says so to the type checker
        self._transport = transport
        transport.set_write_buffer_limits(high=0)  # so that `_writable` means that everything has left
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._open.discard(self)
        if self._task is not None:
            self._task.cancel()
        self._ended("left")
        self._writable.set()

    def data_received(self, data: bytes) -> None:
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

    # What it does with requests.

    def abort(self) -> None:
        """End the connection at once, in the middle of whatever it is doing."""
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()

    def _next_request(self) -> None:
        while not self._busy and not self._transport.is_closing():
            try:
                if not self._read_request():
                    return
            except BadHttp as bad:
                body = json.dumps({"error": {"message": str(bad), "type": "invalid_request_error"}}).encode()
                headers = {"content-type": JSON, "connection": "close"}
                self._transport.write(wire.plain(bad.status, headers, body))
                self._transport.close()

    def _read_request(self) -> bool:
        """Answer the request at the front of what was read, if it is whole."""
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
        """Play the steps: at once as long as they are bytes, in a task from the first that takes time."""
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
                    self._ended("cut")
                    _reset(self._transport)
                    return
                case Close():
                    self._ended("cut")
                    self._transport.close()
                    return
        self._task = None
        self._finish()
        self._next_request()

    def _finish(self) -> None:
        self._ended("answered")
        self._busy = False
        if not self._keep_alive:
            self._transport.close()
        elif not self._reading:
            self._reading = True
            self._transport.resume_reading()

    def _ended(self, outcome: str) -> None:
        if self._record is not None and self._record.outcome == "answering":
            self._record.outcome = outcome  # type: ignore[assignment] # one of the literals, given only above
        self._record = None


def _reset(transport: asyncio.Transport) -> None:
    """End a connection with RST: closing with a linger time of zero drops the usual goodbye."""
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Server:
    """A listening socket and its connections, in the running loop."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen, and return the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self.service, self._connections), host, port, backlog=1024
        )
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Stop listening and end every connection, whatever it is waiting for."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.abort()
        while self._connections:  # each leaves the set in its `connection_lost`, in the loop's next turn
            await asyncio.sleep(0)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None
