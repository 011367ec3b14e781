"""Sends the trace of each completed request to a collector, over OTLP/HTTP with JSON.

A collector that fails costs callers nothing: spans are sent after the answer, within two seconds, and after a failure
none is sent for half a minute. The settings have OpenTelemetry's names, and are in the secret because one is a key.
"""

import json
import logging
from collections.abc import Callable
from urllib.parse import unquote

from vibe_router.core.clock import Clock
from vibe_router.core.secret_names import OTEL_RESOURCE, OTLP_ENDPOINT, OTLP_HEADERS
from vibe_router.core.trace_context import trace_context
from vibe_router.pipeline.observers import CompletedRequest
from vibe_router.pipeline.spans import export_request
from vibe_router.upstream.client import AttemptFailedError, Upstream

__all__ = ["SpanExporter", "headers_of"]

_CONNECT_SECONDS = 1.0
_SECONDS = 2.0
_PAUSE_SECONDS = 30.0  # without exports after a failed one
_log = logging.getLogger(__name__)


class SpanExporter:
    """Exports the requests that it observes. `setting` returns OTEL_EXPORTER_OTLP_ENDPOINT and the other settings."""

    def __init__(self, setting: Callable[[str], str | None], upstream: Upstream, clock: Clock) -> None:
        self._setting = setting
        self._upstream = upstream
        self._clock = clock
        self._paused_until = float("-inf")

    def observe(self, request: CompletedRequest) -> None:
        """Export the spans of `request`, unless its trace is not sampled or the collector has just failed."""
        endpoint = self._setting(OTLP_ENDPOINT)
        context = trace_context(request.traceparent, request.record.request_id)
        if not endpoint or not context.sampled or self._clock.monotonic() < self._paused_until:
            return
        resource = {"service.name": "vibe-router", **headers_of(self._setting(OTEL_RESOURCE))}
        body = json.dumps(export_request(request, context, resource)).encode()
        if failure := self._send(endpoint.rstrip("/") + "/v1/traces", body):
            self._paused_until = self._clock.monotonic() + _PAUSE_SECONDS
            _log.warning("TRACE EXPORT FAILED", extra={"reason": failure, "paused_seconds": _PAUSE_SECONDS})

    def _send(self, url: str, body: bytes) -> str | None:
        """Send `body`, and return why that failed."""
        headers = {"content-type": "application/json", **headers_of(self._setting(OTLP_HEADERS))}
        until = self._clock.monotonic() + _SECONDS
        try:
            with self._upstream.post(url, headers, body, connect=_CONNECT_SECONDS, until=until) as reply:
                status = reply.status
                reply.drain(until)
        except AttemptFailedError as error:
            return error.failure.detail or str(error.failure.kind)
        return None if status < 300 else f"the collector answered {status}"


def headers_of(text: str | None) -> dict[str, str]:
    """Return the pairs in `text`, written as OTEL_EXPORTER_OTLP_HEADERS is: name=value,name=value, URL-encoded."""
    pairs = (each.partition("=") for each in (text or "").split(",") if "=" in each)
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs if name.strip()}
