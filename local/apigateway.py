"""A local API Gateway: an HTTP server in front of the functions, with the template's routes, limits and responses.

Limits: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
"""

import asyncio
import re
import secrets
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, cast

from aiohttp import web
from multidict import CIMultiDict

from .events import Request, proxy_event, split_stage
from .gateway_responses import GatewayError, forbidden, gateway_error, malformed_request
from .lambda_service import LambdaService
from .relay import IntegrationError, buffered_response, streamed_response
from .request_guard import RequestGuard
from .resources import Resources
from .runtime_api import MAX_BUFFERED_RESPONSE
from .template import Api

__all__ = ["ApiGateway", "Limits"]

_MAX_HEAD_LINE: Final = 32 * 1024  # bytes of the request line, and of one header

_QUOTED_BYTES = re.compile(r"\n|:? b['\"]")

_SHUTDOWN_SECONDS: Final = 0.05  # for each of aiohttp's shutdown steps; 0 would mean no timeout


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds. `idle`: longest silence of a streamed response; `receive`: of a request."""

    body: int = 10 * 1024 * 1024
    event: int = 6 * 1024 * 1024
    response: int = MAX_BUFFERED_RESPONSE
    idle: float = 300.0
    receive: float = 10.0


class ApiGateway:
    """One REST API. `functions` by logical id; `report` prints a line on the terminal."""

    def __init__(
        self,
        api: Api,
        functions: Mapping[str, LambdaService],
        report: Callable[[str], None],
        guard: RequestGuard | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._api = api
        self._functions = functions
        self._report = report
        self._guard = guard or RequestGuard()
        self._limits = limits or Limits()
        self._resources = Resources(api.routes)
        # The low-level server, because the routes come from the template.
        self._web = web.Server(self._handle)
        self._server: asyncio.Server | None = None

    async def serve(self, listening: socket.socket) -> None:
        """Serve on a listening socket."""
        self._server = await asyncio.get_running_loop().create_server(self._connect, sock=listening)

    async def stop(self) -> None:
        """Stop accepting requests and cut the ones in progress."""
        if self._server is not None:
            self._server.close()
        self._web.pre_shutdown()
        await self._web.shutdown(timeout=_SHUTDOWN_SECONDS)

    def _connect(self) -> "_Connection":
        return _Connection(self._web, asyncio.get_running_loop(), self._limits.receive, self._report)

    async def _handle(self, incoming: web.BaseRequest) -> web.StreamResponse:
        cast("_Connection", incoming.protocol).head_received()
        request_id = str(uuid.uuid4())
        if reason := self._guard.rejection(incoming.headers):
            self._report(f"{incoming.method} {incoming.path[:200]}: {reason}")
            return _plain(forbidden(reason), request_id)
        path, _, query = incoming.raw_path.partition("?")
        match = self._resources.find(incoming.method, split_stage(path, self._api.stage))
        if match is None:
            return self._error("MISSING_AUTHENTICATION_TOKEN", request_id)
        if (incoming.content_length or 0) > self._limits.body:
            return self._error("REQUEST_TOO_LARGE", request_id)
        if incoming.headers.get("Expect", "").lower() == "100-continue" and incoming.transport is not None:
            incoming.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            body = await self._body(incoming)
        except web.RequestPayloadError as error:
            return cast("_Connection", incoming.protocol).handle_error(incoming, 400, error)
        except TimeoutError:
            self._report(f"{incoming.method} {match.route.path}: the body stopped for {self._limits.receive:g} s")
            return self._error("REQUEST_TIMEOUT", request_id)
        if body is None:
            return self._error("REQUEST_TOO_LARGE", request_id)
        request = Request(
            method=incoming.method,
            path=path,
            query=query,
            headers=tuple(
                (name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in incoming.raw_headers
            ),
            body=body,
            source_ip=incoming.remote or "127.0.0.1",
            host=incoming.host,
            request_id=request_id,
            at=time.time(),
        )
        trace_id = f"Root=1-{int(request.at):08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=0"
        event = proxy_event(request, match, self._api.stage, self._api.binary_media_types, trace_id)
        if len(event) > self._limits.event:
            return self._error("REQUEST_TOO_LARGE", request_id)
        payload = self._functions[match.route.function].invoke(event, trace_id)
        route = f"{incoming.method} {match.route.path}"
        try:
            if not match.route.streamed:
                return await buffered_response(payload, match.route.timeout, self._limits.response, request_id)
            return await streamed_response(
                incoming,
                payload,
                match.route.timeout,
                self._limits.idle,
                request_id,
                lambda why: self._report(f"{route}: the response was cut: {why}"),
            )
        except IntegrationError as error:
            # The reason is printed on the terminal, as AWS writes it to the log; the client gets a generic error.
            self._report(f"{route}: {error}")
            return self._error(error.kind, request_id)

    async def _body(self, incoming: web.BaseRequest) -> bytes | None:
        """Read the body; None if it exceeds the limit. Raises TimeoutError when it stops."""
        limit = self._limits.body
        parts = []
        size = 0
        while True:
            async with asyncio.timeout(self._limits.receive):
                part = await incoming.content.readany()
            if not part:
                break
            size += len(part)
            if size > limit:
                return None
            parts.append(part)
        return b"".join(parts)

    def _error(self, kind: str, request_id: str) -> web.Response:
        return _plain(gateway_error(kind, self._api.responses, request_id), request_id)


class _Connection(web.RequestHandler):
    """A connection that is closed when the head of a request does not arrive, and that reports malformed HTTP."""

    __slots__ = ("_head_timer", "_receive_seconds", "_report")

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        receive_seconds: float,
        report: Callable[[str], None],
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # as aiohttp documents it
            auto_decompress=False,  # the function gets the body as sent
            lingering_time=receive_seconds,
            max_line_size=_MAX_HEAD_LINE,
            max_field_size=_MAX_HEAD_LINE,
        )
        self._receive_seconds = receive_seconds
        self._report = report
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop waiting."""
        self.head_received()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a head that has begun."""
        if self._head_timer is None and self._current_request is None:
            self._expect_head()
        super().data_received(data)

    def head_received(self) -> None:
        """Stop waiting: the head is complete."""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer malformed HTTP with a sentence; anything else is a bug, with its traceback."""
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        self.head_received()
        # Without the quoted bytes, which may have a key.
        reason = _QUOTED_BYTES.split(message or str(exc or ""), maxsplit=1)[0].strip().removesuffix(":")
        reason = reason or "invalid syntax"
        self._report(f"malformed HTTP: {reason}")
        response = _plain(malformed_request(reason, status), str(uuid.uuid4()))
        response.force_close()
        return response

    def _expect_head(self) -> None:
        self._head_timer = asyncio.get_running_loop().call_later(self._receive_seconds, self._close_half_open)

    def _close_half_open(self) -> None:
        self._head_timer = None
        if self.transport is not None:
            self.transport.abort()


def _plain(error: GatewayError, request_id: str) -> web.Response:
    headers = CIMultiDict(error.headers)
    headers["x-amzn-RequestId"] = request_id
    return web.Response(status=error.status, headers=headers, body=error.body)
