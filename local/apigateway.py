"""A local API Gateway: an HTTP server in front of the functions, with the template's routes, limits and responses.

Limits: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
"""

import asyncio
import secrets
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from .events import Request, proxy_event, split_stage
from .gateway_responses import GatewayError, gateway_error
from .lambda_service import LambdaService
from .relay import IntegrationError, buffered_response, streamed_response
from .resources import Resources
from .runtime_api import MAX_BUFFERED_RESPONSE
from .template import Api

__all__ = ["ApiGateway", "Limits"]

_MAX_HEAD_LINE: Final = 32 * 1024  # bytes of the request line, and of one header

_SHUTDOWN_SECONDS: Final = 0.05  # for each of aiohttp's shutdown steps; 0 would mean no timeout


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds. `idle` is the longest silence of a streamed response."""

    body: int = 10 * 1024 * 1024
    event: int = 6 * 1024 * 1024
    response: int = MAX_BUFFERED_RESPONSE
    idle: float = 300.0


class ApiGateway:
    """One REST API. `functions` by logical id; `report` prints a line on the terminal."""

    def __init__(
        self,
        api: Api,
        functions: Mapping[str, LambdaService],
        report: Callable[[str], None],
        limits: Limits | None = None,
    ) -> None:
        self._api = api
        self._functions = functions
        self._report = report
        self._limits = limits or Limits()
        self._resources = Resources(api.routes)
        # The low-level server, because the routes come from the template.
        self._web = web.Server(
            self._handle,
            access_log=None,
            auto_decompress=False,  # the function gets the body as sent
            max_line_size=_MAX_HEAD_LINE,
            max_field_size=_MAX_HEAD_LINE,
        )
        self._server: asyncio.Server | None = None

    async def serve(self, listening: socket.socket) -> None:
        """Serve on a listening socket."""
        self._server = await asyncio.get_running_loop().create_server(self._web, sock=listening)

    async def stop(self) -> None:
        """Stop accepting requests and cut the ones in progress."""
        if self._server is not None:
            self._server.close()
        self._web.pre_shutdown()
        await self._web.shutdown(timeout=_SHUTDOWN_SECONDS)

    async def _handle(self, incoming: web.BaseRequest) -> web.StreamResponse:
        request_id = str(uuid.uuid4())
        path, _, query = incoming.raw_path.partition("?")
        match = self._resources.find(incoming.method, split_stage(path, self._api.stage))
        if incoming.method == "OPTIONS" and self._api.cors and (match is None or match.route.method == "ANY"):
            # With CORS switched on, SAM declares OPTIONS on every path and API Gateway answers it alone.
            return _plain(
                GatewayError(200, {"Content-Type": "application/json", **self._api.cors}, b"{}\n"), request_id
            )
        if match is None:
            return self._error("MISSING_AUTHENTICATION_TOKEN", request_id)
        if (incoming.content_length or 0) > self._limits.body:
            return self._error("REQUEST_TOO_LARGE", request_id)
        if incoming.headers.get("Expect", "").lower() == "100-continue" and incoming.transport is not None:
            incoming.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await self._body(incoming)
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
        """Read the body; None if it exceeds the limit."""
        limit = self._limits.body
        parts = []
        size = 0
        async for part in incoming.content.iter_any():
            size += len(part)
            if size > limit:
                return None
            parts.append(part)
        return b"".join(parts)

    def _error(self, kind: str, request_id: str) -> web.Response:
        return _plain(gateway_error(kind, self._api.responses, request_id), request_id)


def _plain(error: GatewayError, request_id: str) -> web.Response:
    headers = CIMultiDict(error.headers)
    headers["x-amzn-RequestId"] = request_id
    return web.Response(status=error.status, headers=headers, body=error.body)
