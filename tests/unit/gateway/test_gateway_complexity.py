"""Routing by complexity through the handler: the serving chain, its headers and log line, and the stored row."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway import app
from streaming_runtime import StreamingResponse
from tests.unit.gateway.fake_environment import FakeEnvironment, context, event, refusal, virtual
from vibe_router.access.keys import Caller, Key
from vibe_router.core.models import ComplexityRule
from vibe_router.pipeline import complexity
from vibe_router.pipeline.complexity import ComplexityRouter

Lines = Callable[[], list[dict[str, Any]]]
CANARY = "canary-5b1f"
EASY, HARD = f"hello {CANARY}", f"Prove that {CANARY} is prime."
SHOWN = "sk-virtual"


@pytest.fixture
def items(environment: FakeEnvironment) -> dict[str, dict[str, Any]]:
    """The stored rollouts; the model `auto` is routed to one/mini and two/standard."""
    mini, standard = virtual("mini", "one/mini"), virtual("standard", "two/standard")
    rule = ComplexityRule(mini, standard, mode="complexity", share=100, evidence=True)
    environment.models |= {"mini": mini, "standard": standard}
    environment.models["auto"] = replace(virtual("auto", "two/standard"), routing=rule)
    stored: dict[str, dict[str, Any]] = {}
    environment.complexity = ComplexityRouter(lambda: stored)
    return stored


def send(text: str, **headers: str) -> StreamingResponse:
    sent = event("POST", "/v1/chat/completions", {"model": "auto", "messages": [{"role": "user", "content": text}]})
    sent["headers"] |= headers
    invocation = context()
    response = app.handler(sent, invocation)
    list(response.body)
    invocation.run_work()
    return response


@pytest.mark.usefixtures("items")
def test_easy_requests_go_to_mini_and_others_to_standard(environment: FakeEnvironment, lines: Lines) -> None:
    response = send(EASY)
    assert response.headers["x-vibe-routing"].startswith("mini; score=0.0")
    send(HARD)
    assert environment.upstream.called == ["one", "two"]
    first, second = [line for line in lines() if line["message"] == "ROUTING DECISION"]
    assert (first["routing_mode"], first["routing_choice"], first["routing_arm"]) == ("complexity", "mini", "mini")
    assert (second["routing_choice"], second["routing_would"]) == ("standard", "standard")
    record = environment.books.booked[0]
    assert record.routing_features
    assert record.from_row(record.as_row(1)) == record
    assert CANARY not in json.dumps([*lines(), *(each.as_row(1) for each in environment.books.booked)])


@pytest.mark.usefixtures("items")
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses", "/v1/completions"])
def test_every_format_is_routed(environment: FakeEnvironment, path: str) -> None:
    for text in (EASY, HARD):
        content = {"messages": [{"role": "user", "content": text}], "max_tokens": 9, "input": text, "prompt": text}
        names = {
            "/v1/messages": ("messages", "max_tokens"),
            "/v1/responses": ("input",),
            "/v1/completions": ("prompt",),
        }
        body = {"model": "auto", **{name: content[name] for name in names[path]}}
        list(app.handler(event("POST", path, body), context()).body)
    assert environment.upstream.called == ["one", "two"]


@pytest.mark.usefixtures("items")
def test_standard_serves_if_mini_fails_before_the_commit(environment: FakeEnvironment) -> None:
    environment.upstream.script["one"] = [refusal(503, {})]
    response = send(EASY)
    assert response.status == 200
    assert environment.upstream.called == ["one", "two"]
    assert environment.books.booked[0].routing_arm == "mini"


def test_shadow_changes_no_byte_for_the_provider(
    environment: FakeEnvironment, items: dict[str, dict[str, Any]]
) -> None:
    items["auto"] = {"mode": "shadow", "share": 0, "strata": ["en"], "number": 1}
    send(EASY)
    with_shadow = environment.upstream.calls + environment.upstream.sent
    environment.upstream.calls, environment.upstream.sent = [], []
    environment.models["auto"] = replace(environment.models["auto"], routing=None)
    send(EASY)
    assert environment.upstream.calls + environment.upstream.sent == with_shadow
    shadow, without = environment.books.booked
    assert (shadow.routing_mode, shadow.routing_would, shadow.routing_choice) == ("shadow", "mini", "standard")
    assert without.routing_mode is None
    assert not [name for name in without.as_row(1) if name.startswith("routing")]


def test_without_routing_nothing_of_it_is_used(environment: FakeEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> object:
        raise AssertionError("read for a model without routing")

    for service in ("complexity", "evidence", "dual_runs"):
        monkeypatch.setattr(FakeEnvironment, service, property(fail))
    environment.models["auto"] = virtual("auto", "two/standard")
    for headers in ({}, {"x-vibe-routing": "mini"}, {"x-vibe-routing": "nonsense"}):
        response = send(EASY, **headers)
        assert response.status == 200
        assert "x-vibe-routing" not in response.headers
    assert environment.upstream.called == ["two"] * 3


@pytest.mark.usefixtures("items")
def test_callers_may_choose(environment: FakeEnvironment) -> None:
    for preference in ("mini", "standard", "manual", "complexity"):
        send(HARD, **{"x-vibe-routing": preference})
    assert environment.upstream.called == ["one", "two", "two", "two"]
    assert environment.books.booked[0].routing_mode == "manual_selection"
    rejected = send(EASY, **{"x-vibe-routing": "best"})
    assert rejected.status == 400


@pytest.mark.usefixtures("items")
@pytest.mark.parametrize(
    ("models", "status", "called"),
    [
        (("auto", "standard"), 200, ["two"]),
        (("auto", "mini"), 200, ["one"]),
        (("auto*",), 403, []),
        (("mini",), 403, []),
    ],
)
def test_a_key_is_never_served_by_a_model_that_it_may_not_use(
    environment: FakeEnvironment, models: tuple[str, ...], status: int, called: list[str]
) -> None:
    environment.callers.callers[SHOWN] = Caller(Key("h", "h", models=models))
    for preference in ({}, {"x-vibe-routing": "mini"}):
        environment.upstream.calls.clear()
        assert send(EASY, Authorization=f"Bearer {SHOWN}", **preference).status == status
        assert environment.upstream.called == called


@pytest.mark.usefixtures("items")
def test_a_fault_of_the_scorer_costs_no_answer(
    environment: FakeEnvironment, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    monkeypatch.setattr(complexity, "read_conversation", lambda _: 1 / 0)
    assert send(EASY).status == 200
    assert environment.upstream.called == ["two"]
    assert any("ZeroDivisionError" in json.dumps(line) for line in lines())


def test_trees_that_cannot_be_read_are_replaced_by_the_shipped_ones(
    environment: FakeEnvironment, items: dict[str, dict[str, Any]]
) -> None:
    items["auto"] = {"mode": "complexity", "share": 100, "strata": ["en"], "number": 1, "trees": "{}"}
    send(EASY)
    assert environment.upstream.called == ["one"]
