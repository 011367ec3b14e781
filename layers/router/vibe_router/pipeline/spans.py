"""The trace of a completed request, as OTLP/JSON: a span for the request, and a child for each attempt.

Attributes follow OpenTelemetry's semantic conventions for generative AI; what these have no name for is under
`vibe_router.`. No prompt, answer or key is in a span. Pure.

Sources: OTLP 1.x, "JSON Protobuf Encoding"; semantic conventions 1.41, "Gen AI spans".
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vibe_router.core.price import as_dollars
from vibe_router.core.record import Record
from vibe_router.core.trace_context import TraceContext
from vibe_router.pipeline.observers import CompletedRequest
from vibe_router.routing.outcome import Attempt

__all__ = ["export_request"]

_SERVER, _CLIENT = 2, 3  # SpanKind
_ERROR = 2  # StatusCode
_SCOPE = {"name": "vibe-router"}
_OPERATIONS = {
    **dict.fromkeys(("chat", "messages", "responses"), "chat"),
    "completions": "text_completion",
    "gemini": "generate_content",
}
"""`gen_ai.operation.name` by the caller's format; of another format it is the format's name."""

_Value = str | bool | int | float | Sequence[str] | None


def export_request(request: CompletedRequest, context: TraceContext, resource: Mapping[str, str]) -> dict[str, Any]:
    """Return the ExportTraceServiceRequest with the spans of `request`, as part of the trace `context`.

    `resource` holds the attributes of the service, such as `service.name`.
    """
    scope = {"scope": _SCOPE, "spans": list(_spans(request, context))}
    return {"resourceSpans": [{"resource": {"attributes": _attributes(resource)}, "scopeSpans": [scope]}]}


def _spans(request: CompletedRequest, context: TraceContext) -> Iterator[dict[str, Any]]:
    record = request.record
    ended = record.started + record.total_ms / 1000
    operation = _OPERATIONS.get(record.format or "", record.format or "")
    yield {
        **_identity(context, "request", parent=context.parent_id),
        "name": f"{operation} {record.model or ''}".strip() or "request",
        "kind": _SERVER,
        **_times(record.started, ended),
        "attributes": _attributes({"gen_ai.operation.name": operation, **_request_attributes(record)}),
        **_status(record.error or (str(record.status) if record.failed else None)),
    }
    for number, attempt in enumerate(request.attempts):
        started = record.started + (attempt.started or request.started) - request.started
        answers = attempt.classification is None and not attempt.is_cancelled
        serves = answers or number == len(request.attempts) - 1
        own = {
            "gen_ai.operation.name": operation,
            **_attempt_attributes(attempt, record if serves and record.deployment == attempt.deployment else None),
            "vibe_router.attempt": number + 1,
        }
        # The attempt that served lasts until the end of the answer; `ms` counts to its first content.
        until = ended if answers else started + attempt.ms / 1000
        yield {
            **_identity(context, f"attempt {number}", parent=context.span_id("request")),
            "name": f"{operation} {attempt.deployment.partition('/')[2]}".strip(),
            "kind": _CLIENT,
            **_times(started, max(until, started)),
            "attributes": _attributes(own),
            **_status(attempt.verdict if attempt.classification else None),
        }


def _request_attributes(record: Record) -> dict[str, _Value]:
    return {
        "gen_ai.request.model": record.model,
        "gen_ai.response.model": record.provider_model,
        "gen_ai.provider.name": record.deployment.partition("/")[0] if record.deployment else None,
        **_usage(record),
        "http.response.status_code": record.status,
        "error.type": record.error,
        "user.id": record.user,
        "vibe_router.request_id": record.request_id,
        "vibe_router.key": record.key,
        "vibe_router.key_alias": record.key_alias,
        "vibe_router.team": record.team,
        "vibe_router.tags": record.tags,
        "vibe_router.stream": record.stream,
        "vibe_router.cache_hit": record.cache_hit or None,
        "vibe_router.format": record.format,
        "vibe_router.deployment": record.deployment,
        "vibe_router.attempts": len(record.attempts),
        "vibe_router.fallbacks": record.fallbacks,
        "vibe_router.cost_usd": as_dollars(record.cost),
        "vibe_router.ttft_ms": record.ttft_ms,
    }


def _attempt_attributes(attempt: Attempt, served: Record | None) -> dict[str, _Value]:
    provider, _, model = attempt.deployment.partition("/")
    return {
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
        "http.response.status_code": attempt.status,
        "error.type": attempt.verdict if attempt.classification else None,
        "vibe_router.verdict": attempt.verdict,
        "vibe_router.provider_format": served.provider_format if served else None,
        **(_usage(served) if served else {}),
    }


def _usage(record: Record) -> dict[str, _Value]:
    usage = record.usage
    return {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
    }


def _identity(context: TraceContext, name: str, *, parent: str) -> dict[str, str]:
    own = {"traceId": context.trace_id, "spanId": context.span_id(name)}
    return {**own, "parentSpanId": parent} if parent else own


def _times(started: float, ended: float) -> dict[str, str]:
    return {"startTimeUnixNano": _nanoseconds(started), "endTimeUnixNano": _nanoseconds(ended)}


def _nanoseconds(seconds: float) -> str:
    return str(round(seconds * 1_000_000) * 1000)


def _status(error: str | None) -> dict[str, Any]:
    return {"status": {"code": _ERROR, "message": error} if error else {}}


def _attributes(values: Mapping[str, _Value]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _any_value(value)} for name, value in values.items() if value not in (None, "", ())]


def _any_value(value: _Value) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}  # 64-bit numbers are text in Protobuf's JSON
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case None:
            return {}
        case _:
            return {"arrayValue": {"values": [{"stringValue": each} for each in value]}}
