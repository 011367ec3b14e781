import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError, bad_request, fault
from vibe_router.core.models import Deployment, Provider
from vibe_router.core.telemetry import DECISION, logger
from vibe_router.core.usage import Usage
from vibe_router.pipeline.decision import RoutingDecision
from vibe_router.routing.chain import Skipped
from vibe_router.routing.outcome import Attempt
from vibe_router.routing.verdict import Classification, Scope, Verdict

ARK = Deployment(Provider("ark", "https://ark.example/v3", "ARK_API_KEY"), "glm-4.7")
SERVED = Attempt("ark/glm-4.7", None, 200, 30.0)


class Watch:
    """A clock that a test turns on."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.clock = Clock(now=lambda: 1_800_000_000.0, monotonic=lambda: self.seconds)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def decision(watch: Watch) -> RoutingDecision:
    return RoutingDecision("request-1", None, watch.clock)


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], tuple[dict[str, Any], dict[str, Any]]]]:
    """The decision's line, and its metrics by name."""
    handler = cast("logging.StreamHandler[io.StringIO]", logger.registered_handler)
    log = io.StringIO()
    before = handler.setStream(log)

    def read() -> tuple[dict[str, Any], dict[str, Any]]:
        counted: dict[str, Any] = {}
        for blob in map(json.loads, capsys.readouterr().out.splitlines()):
            [described] = blob["_aws"]["CloudWatchMetrics"]
            assert described["Dimensions"] == [["service"]]
            counted |= {metric["Name"]: blob[metric["Name"]] for metric in described["Metrics"]}
        [line] = (each for each in map(json.loads, log.getvalue().splitlines()) if each["message"] == DECISION)
        return line, counted

    yield read
    if before is not None:
        handler.setStream(before)


def failed(deployment: str, verdict: Verdict, until: float | None = None) -> Attempt:
    return Attempt(deployment, Classification(verdict, Scope.DEPLOYMENT), 500, 12.0, until)


def write(decision: RoutingDecision, answered: float = 100.0) -> None:
    record = decision.record(answered)
    decision.log(record)
    decision.measure(record)


def test_times_are_milliseconds_since_the_start(decision: RoutingDecision, watch: Watch, written: Any) -> None:
    watch.seconds += 0.25
    decision.commit()
    watch.seconds += 60  # after the answer
    write(decision, answered=101.75)
    line, counted = written()
    assert (line["ttft_ms"], line["total_ms"]) == (250.0, 1750.0)
    assert (counted["TtftMs"], counted["TotalMs"]) == (250.0, 1750.0)


def test_a_rejected_request_has_every_field(decision: RoutingDecision, written: Any) -> None:
    decision.fail(bad_request("'messages' is missing.", "messages"))
    write(decision)
    line, counted = written()
    expected: dict[str, object] = {
        "request_id": "request-1",
        "selected_model": None,
        "routing_mode": "manual_selection",
        "attempts": [],
        "deployment": None,
        "status": 400,
        "error": "invalid_request_error",
        "stream": False,
        "prompt_tokens": None,
        "completion_tokens": None,
        "cost": 0.0,
        "ttft_ms": None,
        "total_ms": 0.0,
    }
    assert {name: line[name] for name in expected} == expected
    assert "TtftMs" not in counted


def test_every_deployment_of_the_chain_is_logged(decision: RoutingDecision, written: Any) -> None:
    trace = decision.trace
    trace.skipped.append(Skipped(ARK, Verdict.QUOTA, 1_800_000_060.0))
    trace.attempts += [failed("one/a", Verdict.AUTH, 1_800_000_005.25), failed("two/b", Verdict.CONTEXT_LENGTH), SERVED]
    trace.served_by = ARK
    decision.read("auto-chat", stream=False)
    decision.count(Usage(7, 3))
    write(decision)
    line, counted = written()
    assert line["attempts"][0] == {
        "deployment": "one/a",
        "verdict": "auth",
        "status": 500,
        "ms": 12.0,
        "cooldown_until": "2027-01-15T08:00:05.250+00:00",
    }
    assert [attempt["verdict"] for attempt in line["attempts"]] == ["auth", "context_length", "ok"]
    assert (line["cooling"], line["fallbacks"]) == (["ark/glm-4.7"], 2)
    assert (line["deployment"], line["prompt_tokens"], line["completion_tokens"]) == ("ark/glm-4.7", 7, 3)
    wanted = {"Requests": 1, "Failovers": 1, "Cooldowns": 1, "AuthFailures": 1}
    assert {name: value for name, value in counted.items() if not name.endswith(("Ms", "Cost"))} == wanted


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        pytest.param(None, 0, id="a served request is none"),
        pytest.param(bad_request("m"), 0, id="a caller's mistake is none"),
        pytest.param(fault(), 1, id="a fault of the router's own"),
        pytest.param(ApiError(502, "m", code="all_deployments_failed"), 1, id="a chain that failed"),
        pytest.param(ApiError(429, "m", code="all_deployments_failed"), 1, id="a chain that is used up"),
    ],
)
def test_errors_are_counted(decision: RoutingDecision, written: Any, error: ApiError | None, counts: int) -> None:
    if error:
        decision.fail(error)
    write(decision)
    _, counted = written()
    assert counted.get("Errors", 0) == counts
    assert counted.get("AllDeploymentsFailed", 0) == int(bool(error and error.code == "all_deployments_failed"))


def test_a_broken_stream_counts_as_an_error_with_status_200(decision: RoutingDecision, written: Any) -> None:
    decision.break_off("stream_truncated")
    write(decision)
    line, counted = written()
    assert (line["status"], line["error"], counted["Errors"]) == (200, "stream_truncated", 1)


@pytest.mark.parametrize(
    ("model", "logged", "header"),
    [
        pytest.param("auto-chat", "auto-chat", "auto-chat", id="a model's name"),
        pytest.param("ü", "ü", None, id="not ASCII"),
        pytest.param("a\r\nb", "a\r\nb", None, id="a line break"),
        pytest.param("\ud800", "?", None, id="a lone surrogate"),
        pytest.param("x" * 5000, "x" * 200, None, id="5,000 characters"),
        pytest.param("", "", None, id="nothing"),
    ],
)
def test_any_text_may_be_sent_as_the_model(
    decision: RoutingDecision, written: Any, model: str, logged: str, header: str | None
) -> None:
    decision.read(model, stream=False)
    assert decision.headers().get("x-vibe-model") == header
    write(decision)
    assert written()[0]["selected_model"] == logged


def test_headers_grow_with_the_request(decision: RoutingDecision) -> None:
    assert decision.headers() == {
        "x-vibe-request-id": "request-1",
        "x-vibe-attempts": "0",
        "x-vibe-fallbacks": "0",
    }
    decision.trace.attempts += [failed("one/a", Verdict.TRANSIENT), failed("one/a", Verdict.TRANSIENT), SERVED]
    decision.trace.served_by = ARK
    assert decision.headers() == {
        "x-vibe-request-id": "request-1",
        "x-vibe-attempts": "3",
        "x-vibe-fallbacks": "1",
        "x-vibe-deployment": "ark/glm-4.7",
    }
