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
from vibe_router.pipeline.decision import Decision
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
def decision(watch: Watch) -> Decision:
    return Decision("request-1", watch.clock)


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], tuple[dict[str, Any], dict[str, Any]]]]:
    """The decision's line, and its metrics: all of them by name, those by dimension as `name:value`."""
    handler = cast("logging.StreamHandler[io.StringIO]", logger.registered_handler)
    log = io.StringIO()
    before = handler.setStream(log)

    def read() -> tuple[dict[str, Any], dict[str, Any]]:
        counted: dict[str, Any] = {}
        for blob in map(json.loads, capsys.readouterr().out.splitlines()):
            [told] = blob["_aws"]["CloudWatchMetrics"]
            extra = [blob[each] for each in told["Dimensions"][0] if each != "service"]
            for metric in told["Metrics"]:
                counted[":".join([metric["Name"], *extra])] = blob[metric["Name"]][0]
        [line] = (each for each in map(json.loads, log.getvalue().splitlines()) if each["message"] == DECISION)
        return line, counted

    yield read
    if before is not None:
        handler.setStream(before)


def failed(deployment: str, verdict: Verdict, until: float | None = None) -> Attempt:
    return Attempt(deployment, Classification(verdict, Scope.DEPLOYMENT), 500, 12.0, until)


def test_times_are_from_the_requests_start_in_milliseconds(decision: Decision, watch: Watch, written: Any) -> None:
    watch.seconds += 0.25
    decision.committed()
    watch.seconds += 1.5
    decision.before_settling.append(lambda: setattr(watch, "seconds", watch.seconds + 60))
    decision.settle()
    line, counted = written()
    assert (line["ttft_ms"], line["total_ms"]) == (250.0, 1750.0), "what comes after the answer is nobody's wait"
    assert (counted["TtftMs"], counted["TotalMs"]) == (250.0, 1750.0)


def test_a_request_that_never_came_to_anything_has_every_field(decision: Decision, written: Any) -> None:
    decision.failed(bad_request("'messages' is missing.", "messages"))
    decision.settle()
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


def test_what_became_of_every_deployment_is_told(decision: Decision, written: Any) -> None:
    trace = decision.trace
    trace.skipped.append(Skipped(ARK, Verdict.QUOTA, 1_800_000_060.0))
    trace.attempts += [failed("one/a", Verdict.AUTH, 1_800_000_005.25), failed("two/b", Verdict.CONTEXT_LENGTH), SERVED]
    trace.served_by = ARK
    decision.model, decision.usage = "auto-chat", Usage(7, 3)
    decision.settle()
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
    wanted = {"Requests": 1, "Errors": 0, "Failovers": 1, "AllDeploymentsFailed": 0, "Cooldowns": 1}
    wanted |= {"PromptTokens": 7, "CompletionTokens": 3}
    wanted |= {"AttemptFailures:auth": 1, "AttemptFailures:context_length": 1, "AuthFailures:one": 1}
    assert {name: counted.get(name) for name in wanted} == wanted


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
def test_what_counts_as_an_error(decision: Decision, written: Any, error: ApiError | None, counts: int) -> None:
    if error:
        decision.failed(error)
    decision.settle()
    _, counted = written()
    assert counted["Errors"] == counts
    assert counted["AllDeploymentsFailed"] == int(bool(error and error.code == "all_deployments_failed"))


def test_a_stream_that_broke_off_counts_as_an_error_although_its_status_was_200(
    decision: Decision, written: Any
) -> None:
    decision.before_settling.append(lambda: decision.broke_off("stream_truncated"))
    decision.settle()
    line, counted = written()
    assert (line["status"], line["error"], counted["Errors"]) == (200, "stream_truncated", 1)


def test_a_failure_while_settling_is_logged_and_the_rest_still_done(decision: Decision, written: Any) -> None:
    done: list[str] = []

    def fail() -> None:
        raise RuntimeError("the socket is gone")

    decision.before_settling += [fail, lambda: done.append("the next")]
    decision.settle()
    line, counted = written()
    assert done == ["the next"]
    assert line["status"] == 200
    assert counted["Requests"] == 1


@pytest.mark.parametrize(
    ("model", "logged", "header"),
    [
        pytest.param("auto-chat", "auto-chat", "auto-chat", id="a model's name"),
        pytest.param("ü", "ü", None, id="no header's characters"),
        pytest.param("a\r\nb", "a\r\nb", None, id="a line break"),
        pytest.param("\ud800", "?", None, id="half a surrogate pair"),
        pytest.param("x" * 5000, "x" * 200, None, id="a prompt in the wrong place"),
        pytest.param("", "", None, id="nothing"),
    ],
)
def test_a_callers_word_for_the_model(
    decision: Decision, written: Any, model: str, logged: str, header: str | None
) -> None:
    decision.model = model
    assert decision.headers().get("x-vibe-model") == header
    decision.settle()
    assert written()[0]["selected_model"] == logged


def test_headers_tell_what_is_known_so_far(decision: Decision) -> None:
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
