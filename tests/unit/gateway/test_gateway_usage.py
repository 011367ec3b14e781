"""The rows that the handler writes for every request with a valid key, after the answer."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from gateway import app
from tests.unit.gateway.fake_environment import (
    COMPLETION,
    FakeEnvironment,
    chat_event,
    context,
    event,
    refusal,
    streamed,
    virtual,
    whole,
)
from vibe_router.access.keys import Caller, Key, Limits, Team
from vibe_router.core.models import VirtualModel
from vibe_router.core.price import Price
from vibe_router.core.record import DECISION, Record
from vibe_router.core.usage import Usage
from vibe_router.store.usage import Settlement, UsageRecorder

Lines = Callable[[], list[dict[str, Any]]]

PRICE = Price(input=1, output=10, cache_read=0.1)
DETAILED = {
    **COMPLETION,
    "usage": {"prompt_tokens": 70, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 50}},
}
UNAVAILABLE = refusal(503, {"error": {"message": "busy", "type": "server_error"}})
LAPTOP = Caller(
    Key("hash-2", "key-1", alias="laptop", team_id="red", user_id="ann", tags=("blue",), models=("auto-chat",)),
    Team("red", tags=("team",)),
)


def priced(model: VirtualModel, price: Price | None) -> VirtualModel:
    return replace(model, steps=tuple(tuple(replace(each, price=price) for each in step) for step in model.steps))


@pytest.fixture
def decisions(lines: Lines) -> Lines:
    """The decision lines that were logged."""
    return lambda: [line for line in lines() if line["message"] == DECISION]


@pytest.fixture(autouse=True)
def prices(environment: FakeEnvironment) -> None:
    environment.models["auto-chat"] = priced(virtual("auto-chat", "one/gpt-5", "two/glm-4.7"), PRICE)
    environment.callers.callers["sk-laptop"] = LAPTOP


def send(proxy_event: Mapping[str, Any]) -> int:
    """Have an event answered, and done with what is left for after the answer; return the answer's status."""
    invocation = context()
    response = app.handler(proxy_event, invocation)
    b"".join(response.body)
    invocation.run_work()
    return response.status


def ask(headers: Mapping[str, str] | None = None, **more: object) -> int:
    asked = chat_event(**more)
    return send({**asked, "headers": {**asked["headers"], **(headers or {})}})


def of_laptop(**more: str) -> dict[str, str]:
    return {"Authorization": "Bearer sk-laptop", **more}


def booked(environment: FakeEnvironment) -> Record:
    [record] = environment.books.booked
    return record


def test_an_answer_is_booked_once_with_its_cost(environment: FakeEnvironment, decisions: Lines) -> None:
    environment.upstream.script["one"] = [whole(DETAILED)]
    assert ask() == 200
    record = booked(environment)
    assert (record.request_id, record.key, record.team) == ("request-1", "master", None)
    assert (record.model, record.resolved, record.deployment) == ("auto-chat", True, "one/gpt-5")
    assert (record.provider_model, record.format, record.provider_format) == ("gpt-5", "chat", "chat")
    assert record.usage == Usage(70, 3, cached_tokens=50)
    assert record.cost == 20 * 1_000 + 50 * 100 + 3 * 10_000
    assert record.started == environment.now
    [line] = decisions()
    assert line["cost"] == 55e-6
    assert Record.from_line(line) == record, "the row can be made from the line"


def test_a_stream_is_booked_with_its_final_usage(environment: FakeEnvironment) -> None:
    assert ask(stream=True) == 200
    record = booked(environment)
    assert (record.stream, record.usage, record.cost) == (True, Usage(7, 3), 37_000)


def test_a_key_is_logged_by_its_id_only(environment: FakeEnvironment, decisions: Lines) -> None:
    assert ask(of_laptop(**{"x-vibe-tags": " one, two,", "x-litellm-tags": "two,three"})) == 200
    record = booked(environment)
    assert (record.key, record.key_alias, record.team, record.user) == ("key-1", "laptop", "red", "ann")
    assert record.tags == ("blue", "team", "one", "two", "three")
    assert "sk-laptop" not in str(decisions())


def test_tags_of_body_and_headers_are_booked_and_not_forwarded(environment: FakeEnvironment) -> None:
    metadata = {"tags": ["two", " nightly ", "x" * 500], "user": "ann"}
    assert ask(of_laptop(**{"x-litellm-tags": "one,two"}), metadata=metadata, tags=["root"]) == 200
    assert booked(environment).tags == ("blue", "team", "one", "two", "root", "nightly", "x" * 100)
    [(_, sent)] = environment.upstream.calls
    assert (sent["metadata"], "tags" in sent) == ({"user": "ann"}, False)


def test_serving_from_a_later_deployment_is_a_failover(environment: FakeEnvironment) -> None:
    environment.upstream.script["one"] = [UNAVAILABLE]
    assert ask() == 200
    record = booked(environment)
    assert (record.deployment, record.failover, record.fallbacks) == ("two/glm-4.7", True, 1)
    assert [attempt["verdict"] for attempt in record.attempts] == ["transient", "ok"]


@pytest.mark.parametrize(
    ("price", "answer", "cost"),
    [
        pytest.param(None, COMPLETION, None, id="no price"),
        pytest.param(PRICE, {**COMPLETION, "usage": None}, None, id="no tokens"),
        pytest.param(Price(0, 0), COMPLETION, 0, id="free"),
    ],
)
def test_an_unknown_cost_is_none_and_not_zero(
    environment: FakeEnvironment, decisions: Lines, price: Price | None, answer: object, cost: int | None
) -> None:
    environment.models["auto-chat"] = priced(environment.models["auto-chat"], price)
    environment.upstream.script["one"] = [whole(answer)]
    assert ask() == 200
    assert booked(environment).cost == cost
    assert decisions()[0]["cost"] == cost


@pytest.mark.parametrize(
    ("headers", "body", "status", "error", "resolved"),
    [
        pytest.param({}, {"messages": []}, 400, "invalid_request_error", False, id="no request"),
        pytest.param({}, {"model": "none"}, 404, "model_not_found", False, id="no such model"),
        pytest.param(of_laptop(), {"model": "auto-x"}, 403, "key_model_access_denied", False, id="not its model"),
    ],
)
def test_a_rejected_request_is_booked(
    environment: FakeEnvironment,
    headers: Mapping[str, str],
    body: Mapping[str, object],
    status: int,
    error: str,
    resolved: bool,
) -> None:
    assert ask(headers, **body) == status
    record = booked(environment)
    assert (record.status, record.error, record.resolved) == (status, error, resolved)
    assert (record.deployment, record.cost) == (None, 0)


def test_a_request_over_a_limit_is_booked_at_no_cost(environment: FakeEnvironment) -> None:
    assert LAPTOP.key
    environment.callers.callers["sk-laptop"] = Caller(replace(LAPTOP.key, limits=Limits(rpm=1)), LAPTOP.team)
    assert [ask(of_laptop()), ask(of_laptop())] == [200, 429]
    first, second = environment.books.booked
    assert (first.status, second.status, second.error, second.cost) == (200, 429, "rate_limit_exceeded", 0)
    assert second.resolved


def test_an_exhausted_chain_is_booked(environment: FakeEnvironment) -> None:
    environment.upstream.script |= {"one": [UNAVAILABLE], "two": [UNAVAILABLE]}
    assert ask() == 502
    record = booked(environment)
    assert (record.error, record.deployment, record.cost) == ("all_deployments_failed", None, 0)


def test_a_broken_stream_is_an_error_and_charged_for_its_streamed_tokens(environment: FakeEnvironment) -> None:
    text = "word " * 800
    first = f'data: {{"model":"gpt-5","choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}\n\n'.encode()
    environment.upstream.script["one"] = [streamed(first)]
    assert ask(stream=True) == 200
    record = booked(environment)
    assert (record.status, record.error, record.failed) == (200, "stream_truncated", True)
    assert record.usage_flag == "estimated"
    prompt, completion = record.usage.prompt_tokens, record.usage.completion_tokens
    assert prompt
    assert completion
    assert 800 < completion < 1_100
    assert record.cost == prompt * 1_000 + completion * 10_000


def test_an_implausible_report_is_replaced_by_what_was_requested(environment: FakeEnvironment) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 10**9, "total_tokens": 10**9 + 7}
    environment.upstream.script["one"] = [whole({**COMPLETION, "usage": usage})]
    assert ask(max_tokens=100) == 200
    record = booked(environment)
    assert (record.usage.prompt_tokens, record.usage.completion_tokens, record.usage_flag) == (7, 100, "bounded")
    assert record.cost == 7 * 1_000 + 100 * 10_000


@pytest.mark.parametrize("key", ["", "Bearer sk-wrong"])
def test_a_request_without_a_valid_key_is_logged_and_not_booked(
    environment: FakeEnvironment, decisions: Lines, key: str
) -> None:
    assert ask({"Authorization": key}) == 401
    assert environment.books.booked == []
    [line] = decisions()
    assert line["key"] is None


def test_lists_and_health_are_not_booked(environment: FakeEnvironment) -> None:
    assert send(event("GET", "/v1/models")) == 200
    assert environment.books.booked == []


def test_a_failed_booking_still_logs_the_line_and_metrics(
    environment: FakeEnvironment, decisions: Lines, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        def book(self, record: Record, settlement: Settlement | None = None) -> None:
            raise RuntimeError("no books")

    environment.usage_recorder = cast("UsageRecorder", Broken())
    assert ask() == 200
    assert len(decisions()) == 1
    assert '"Cost":3.7e-05' in capsys.readouterr().out


def test_a_completed_request_is_reported_with_its_attempts_and_its_trace(environment: FakeEnvironment) -> None:
    environment.upstream.script["one"] = [UNAVAILABLE]
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert ask({"traceparent": trace}) == 200
    [request] = environment.reported
    assert request.record == booked(environment)
    assert [each.deployment for each in request.attempts] == ["one/gpt-5", "two/glm-4.7"]
    assert all(each.started >= request.started for each in request.attempts)
    assert request.traceparent == trace
