"""The spans of a completed request, and what the exporter does with a collector that fails."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.gateway.fake_environment import ScriptedReply, ScriptedUpstream
from vibe_router.core.clock import Clock
from vibe_router.core.record import Record
from vibe_router.core.trace_context import trace_context
from vibe_router.core.usage import Usage
from vibe_router.pipeline.observers import CompletedRequest
from vibe_router.pipeline.span_exporter import SpanExporter, headers_of
from vibe_router.pipeline.spans import export_request
from vibe_router.routing.outcome import Attempt
from vibe_router.routing.verdict import Classification, Failure, FailureKind, Scope, Verdict

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
RECORD = Record(
    "request-1",
    1_800_000_000.25,
    key="key-1",
    tags=("blue", "green"),
    model="auto-chat",
    deployment="ark/glm-4.7",
    provider_model="glm-4.7",
    format="messages",
    provider_format="chat",
    stream=True,
    usage=Usage(10, 5, 3),
    cost=1_500_000,
    fallbacks=1,
    ttft_ms=12.5,
    total_ms=100.0,
)
FAILED = Attempt("relay/gpt-5", Classification(Verdict.QUOTA, Scope.DEPLOYMENT), 429, 10.0, started=5.0)
SERVED = Attempt("ark/glm-4.7", None, 200, 20.0, started=5.02)
COMPLETED = CompletedRequest(RECORD, (FAILED, SERVED), 5.0, PARENT)


def spans_of(request: CompletedRequest) -> list[dict[str, Any]]:
    context = trace_context(request.traceparent, request.record.request_id)
    exported = export_request(request, context, {"service.name": "router"})
    return [
        {**span, "attributes": {each["key"]: next(iter(each["value"].values())) for each in span["attributes"]}}
        for span in exported["resourceSpans"][0]["scopeSpans"][0]["spans"]
    ]


def test_a_request_is_a_server_span_with_a_client_span_for_each_attempt() -> None:
    request, failed, served = spans_of(COMPLETED)
    assert request["parentSpanId"] == "00f067aa0ba902b7"
    assert [each["parentSpanId"] for each in (failed, served)] == [request["spanId"]] * 2
    assert {each["traceId"] for each in (request, failed, served)} == {"4bf92f3577b34da6a3ce929d0e0e4736"}
    assert [each["kind"] for each in (request, failed, served)] == [2, 3, 3]
    assert [each["name"] for each in (request, failed, served)] == ["chat auto-chat", "chat gpt-5", "chat glm-4.7"]


def test_attempts_lie_within_the_request() -> None:
    request, failed, served = spans_of(COMPLETED)
    assert (request["startTimeUnixNano"], request["endTimeUnixNano"]) == ("1800000000250000000", "1800000000350000000")
    assert (failed["startTimeUnixNano"], failed["endTimeUnixNano"]) == ("1800000000250000000", "1800000000260000000")
    assert (served["startTimeUnixNano"], served["endTimeUnixNano"]) == ("1800000000270000000", "1800000000350000000")


def test_attributes_follow_the_conventions_for_generative_ai() -> None:
    request, failed, served = spans_of(COMPLETED)
    tokens = {
        "gen_ai.usage.input_tokens": "10",
        "gen_ai.usage.output_tokens": "5",
        "gen_ai.usage.cache_read.input_tokens": "3",
    }
    assert request["attributes"].items() >= {"gen_ai.request.model": "auto-chat", **tokens}.items()
    assert request["attributes"]["vibe_router.cost_usd"] == 0.0015
    assert request["attributes"]["vibe_router.stream"] is True
    assert served["attributes"].items() >= {"gen_ai.provider.name": "ark", **tokens}.items()
    assert failed["attributes"]["error.type"] == "quota"
    assert "gen_ai.usage.input_tokens" not in failed["attributes"]
    assert [each["status"].get("code") for each in (request, failed, served)] == [None, 2, None]


def test_a_request_without_an_attempt_is_one_span_with_its_error() -> None:
    record = Record("request-1", 1_800_000_000.0, model="auto", status=401, error="invalid_api_key", format="chat")
    (span,) = spans_of(CompletedRequest(record, (), 5.0, None))
    assert "parentSpanId" not in span
    assert span["status"] == {"code": 2, "message": "invalid_api_key"}


def test_headers_are_read_as_opentelemetry_writes_them() -> None:
    text = "Authorization=Basic%20cGs6c2s%3D, x-scope = team ,broken,=none"
    assert headers_of(text) == {"authorization": "Basic cGs6c2s=", "x-scope": "team"}
    assert headers_of(None) == {}


class Collector:
    """An exporter with a scripted collector, and a clock that the test holds."""

    def __init__(self, **settings: str) -> None:
        self.now = 100.0
        self.upstream = ScriptedUpstream()
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example/", **settings}
        clock = Clock(monotonic=lambda: self.now)
        self.exporter = SpanExporter(settings.get, self.upstream, clock)


def test_spans_are_posted_with_the_headers_of_the_secret() -> None:
    collector = Collector(OTEL_EXPORTER_OTLP_HEADERS="x-key=abc", OTEL_RESOURCE_ATTRIBUTES="service.name=prod")
    collector.exporter.observe(COMPLETED)
    ((url, headers),) = collector.upstream.sent
    assert (url, headers["x-key"]) == ("https://collector.example/v1/traces", "abc")
    resource = collector.upstream.calls[0][1]["resourceSpans"][0]["resource"]["attributes"]
    assert resource == [{"key": "service.name", "value": {"stringValue": "prod"}}]


def test_an_unsampled_trace_is_not_exported() -> None:
    collector = Collector()
    collector.exporter.observe(replace(COMPLETED, traceparent=PARENT[:-2] + "00"))
    assert collector.upstream.calls == []


@pytest.mark.parametrize(
    "failure", [Failure(FailureKind.TIMEOUT, detail="no answer began"), ScriptedReply(503, "text/plain", [])]
)
def test_a_collector_that_fails_is_left_alone_for_half_a_minute(failure: Failure | ScriptedReply) -> None:
    collector = Collector()
    collector.upstream.script["collector"] = [failure]
    for _ in range(3):
        collector.exporter.observe(COMPLETED)
    assert len(collector.upstream.calls) == 1
    collector.now += 30
    collector.exporter.observe(COMPLETED)
    assert len(collector.upstream.calls) == 2
