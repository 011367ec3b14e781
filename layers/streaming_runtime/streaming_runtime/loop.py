"""The runtime loop: takes events from the Runtime API, calls the handler, and sends its responses."""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from .client import Invocation, ResponseStream, RuntimeApi
from .context import Context, Function
from .errors import ErrorReport, EventError, ResponseError, RuntimeApiError, RuntimeApiLostError
from .heartbeat import HeartbeatSender
from .logs import Log
from .response import Head, StreamingResponse, payload_of

__all__ = ["Handler", "Loop"]

_logger = logging.getLogger("streaming_runtime")

Handler = Callable[[Any, Context], object]


class Loop:
    """Runs `handler` for every event of `api`.

    With `buffered`, every response is sent whole as a proxy result, for hosts without streaming (SAM CLI).
    """

    def __init__(
        self,
        handler: Handler,
        api: RuntimeApi,
        log: Log,
        *,
        function: Function | None = None,
        buffered: bool = False,
        heartbeats: HeartbeatSender | None = None,
    ) -> None:
        self._handler = handler
        self._api = api
        self._log = log
        self._function = function or Function.from_environment()
        self._buffered = buffered
        self._heartbeats = heartbeats or HeartbeatSender()

    def run(self) -> NoReturn:
        """Serve until the Runtime API fails, which raises."""
        while True:
            self.serve_next()

    def serve_next(self) -> None:
        """Wait for one event, answer it, and run its callbacks for after the response."""
        invocation = self._api.next()
        self._log.set_invocation(invocation.request_id, invocation.tenant_id)
        if invocation.trace_id is None:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        else:
            os.environ["_X_AMZN_TRACE_ID"] = invocation.trace_id
        context = Context(
            invocation.request_id,
            invocation.deadline_ms,
            invocation.function_arn,
            function=self._function,
            client_context=invocation.client_context,
            cognito_identity=invocation.cognito_identity,
            tenant_id=invocation.tenant_id,
            write_log=self._log.write,
        )
        try:
            self._answer(invocation, context)
        except RuntimeApiLostError as error:
            _logger.warning("The response was cut: %s", error)
        context.run_work()
        # The environment may be frozen now: no line may stay half written.
        sys.stdout.flush()

    def _answer(self, invocation: Invocation, context: Context) -> None:
        try:
            result = self._handler(_event(invocation), context)
            if isinstance(result, StreamingResponse):
                self._relay(invocation, result)
            elif isinstance(result, dict) and "statusCode" in result:
                self._send_whole(invocation, Head.of_result(result), payload_of(result))
            else:
                self._api.respond(invocation, _json(result))
        except (RuntimeApiError, RuntimeApiLostError):
            raise
        except Exception as error:  # noqa: BLE001 - any exception of a handler is reported as its response
            self._fail(invocation, error)

    def _send_whole(self, invocation: Invocation, head: Head, payload: bytes) -> None:
        if self._buffered:
            self._api.respond(invocation, head.proxy_result(payload))
        else:
            self._api.stream(invocation, head.prelude()).end(payload)

    def _relay(self, invocation: Invocation, response: StreamingResponse) -> None:
        """Send a streamed response. An exception of the body is raised before the first byte, and reported after it."""
        body = response.body
        try:
            head = Head.of(response.status, response.headers)
            if self._buffered:
                self._send_whole(invocation, head, b"".join(body))
            else:
                self._stream(invocation, response, self._api.stream(invocation, head.prelude()))
        finally:
            _close(body)

    def _stream(self, invocation: Invocation, response: StreamingResponse, stream: ResponseStream) -> None:
        try:
            if response.heartbeat is None:
                for chunk in response.body:
                    stream.send(chunk)
            else:
                send = self._heartbeats.start(stream.send, response.heartbeat)
                try:
                    for chunk in response.body:
                        send(chunk)
                finally:
                    self._heartbeats.stop()
        except (RuntimeApiError, RuntimeApiLostError):
            raise
        except Exception as error:
            if not stream.started:
                raise
            report = ErrorReport.of(error, invocation.request_id)
            self._log.error(report)
            stream.fail(report)
        else:
            stream.end()

    def _fail(self, invocation: Invocation, error: Exception) -> None:
        report = ErrorReport.of(error, invocation.request_id)
        self._log.error(report)
        self._api.fail(invocation, report)


def _event(invocation: Invocation) -> object:
    try:
        return json.loads(invocation.event)
    except ValueError as error:
        raise EventError(f"the event is not JSON: {error}") from None


def _json(result: object) -> bytes:
    try:
        return json.dumps(result).encode()
    except (TypeError, ValueError) as error:
        raise ResponseError(f"the result cannot be written as JSON: {error}") from error


def _close(body: Iterable[bytes]) -> None:
    close = getattr(body, "close", None)
    if close is None:
        return
    try:
        close()
    except Exception:
        _logger.exception("Closing the body failed")
