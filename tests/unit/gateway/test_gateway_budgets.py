"""Budget ladders, soft budgets and budgets of single models, through the handler and in every caller's format."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from gateway import app
from streaming_runtime import StreamingResponse
from tests.unit.gateway.fake_environment import FakeEnvironment, context, event, virtual, whole
from vibe_router.access.keys import Caller, Key, KeyOwner, Limits, ModelBudget, Team
from vibe_router.access.ledger import Ledger
from vibe_router.core.models import ComplexityRule, LadderStep
from vibe_router.core.price import NANO, Price
from vibe_router.core.record import Record
from vibe_router.pipeline.complexity import ComplexityRouter

Lines = Callable[[], list[dict[str, Any]]]

DEAR, CHEAP = Price(input=10, output=100), Price(input=1, output=1)  # an answer reserves 41 cents, or less than one
MESSAGES = [{"role": "user", "content": "Hi"}]
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
FORMATS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": MESSAGES}),
    "chat, streamed": ("/v1/chat/completions", {"messages": MESSAGES, "stream": True}),
    "completions": ("/v1/completions", {"prompt": "Hi"}),
    "messages": ("/v1/messages", {"messages": MESSAGES, "max_tokens": 100}),
    "responses": ("/v1/responses", {"input": "Hi", "store": False}),
    "gemini": ("/v1beta/models/auto-chat:generateContent", GEMINI),
    "embeddings": ("/v1/embeddings", {"input": "Hi"}),
}


def spent(dollars: float) -> Ledger:
    nano = round(dollars * NANO)
    return Ledger(committed=nano, spent=nano, total=nano)


@pytest.fixture(autouse=True)
def ladder(environment: FakeEnvironment) -> None:
    for name, price in (("auto-chat", DEAR), ("mini", CHEAP)):
        model = virtual(name, f"{'one' if price is DEAR else 'two'}/{name}")
        formats = ("chat", "embeddings")
        steps = tuple(tuple(replace(each, price=price, formats=formats) for each in step) for step in model.steps)
        environment.models[name] = replace(model, steps=steps)
    environment.models["auto-chat"] = replace(environment.models["auto-chat"], ladder=(LadderStep(0.8, "mini"),))
    environment.aliases["gpt-4"] = "auto-chat"
    caller(environment, Limits(max_budget=10 * NANO))


def caller(environment: FakeEnvironment, limits: Limits, team: Team | None = None, **more: Any) -> None:
    key = Key("hash", "k", limits=limits, team_id=team.id if team else None, **more)
    environment.callers.callers["sk-k"] = Caller(key, team)


def ask(path: str = "/v1/chat/completions", **body: Any) -> tuple[StreamingResponse, Any]:
    body = {"model": "auto-chat", **({"messages": MESSAGES} if path.endswith("/chat/completions") else {}), **body}
    asked = event("POST", path, body)
    invocation = context()
    response = app.handler({**asked, "headers": {**asked["headers"], "Authorization": "Bearer sk-k"}}, invocation)
    answer = b"".join(response.body)
    invocation.run_work()
    return response, answer if body.get("stream") else json.loads(answer)


def booked(environment: FakeEnvironment) -> Record:
    return environment.books.booked[-1]


@pytest.mark.parametrize("name", FORMATS)
def test_the_ladder_serves_every_format(environment: FakeEnvironment, lines: Lines, name: str) -> None:
    path, body = FORMATS[name]
    environment.fake_ledgers.table["key#k"] = spent(8.5)
    if name == "embeddings":
        environment.upstream.script["two"] = [whole({"object": "list", "data": [], "usage": {"prompt_tokens": 1}})]
    response, _ = ask(path, **body)
    assert response.status == 200
    assert response.headers["x-vibe-budget-ladder"] == "auto-chat; from=0.8; budget=key; used=0.85"
    assert response.headers["x-vibe-model"] == "mini"
    assert environment.upstream.called == ["two"]
    [line] = (each for each in lines() if each["message"] == "ROUTING DECISION")
    assert {name: line[name] for name in ("selected_model", "ladder_model", "ladder_from", "ladder_budget")} == {
        "selected_model": "mini",
        "ladder_model": "auto-chat",
        "ladder_from": 0.8,
        "ladder_budget": "key",
    }


def test_nothing_changes_below_the_first_step(environment: FakeEnvironment) -> None:
    environment.fake_ledgers.table["key#k"] = spent(7.9)
    response, _ = ask()
    assert environment.upstream.called == ["one"]
    assert "x-vibe-budget-ladder" not in response.headers
    assert booked(environment).ladder_model is None


def test_an_alias_leads_to_the_ladder_of_its_model(environment: FakeEnvironment) -> None:
    environment.fake_ledgers.table["key#k"] = spent(9)
    ask(model="gpt-4")
    record = booked(environment)
    assert (record.requested_model, record.ladder_model, record.model) == ("gpt-4", "auto-chat", "mini")


def test_the_budget_of_the_team_counts(environment: FakeEnvironment) -> None:
    caller(environment, Limits(), Team("red", limits=Limits(max_budget=NANO)))
    environment.fake_ledgers.table["team#red"] = spent(0.9)
    response, _ = ask()
    assert response.headers["x-vibe-budget-ladder"].endswith("budget=team; used=0.9")


def test_a_model_that_the_key_may_not_use_never_serves(environment: FakeEnvironment) -> None:
    caller(environment, Limits(max_budget=10 * NANO), models=("auto-chat",))
    environment.fake_ledgers.table["key#k"] = spent(9)
    response, _ = ask()
    assert environment.upstream.called == ["one"]
    assert "x-vibe-budget-ladder" not in response.headers


def test_a_model_that_cannot_serve_the_request_is_skipped(environment: FakeEnvironment) -> None:
    mini = environment.models["mini"]
    blind = tuple(tuple(replace(each, vision=False) for each in step) for step in mini.steps)
    environment.models["mini"] = replace(mini, steps=blind)
    environment.fake_ledgers.table["key#k"] = spent(9)
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    ask(messages=[{"role": "user", "content": [image]}])
    assert environment.upstream.called == ["one"]


def test_the_cheaper_model_serves_what_the_budget_has_no_more_room_for(environment: FakeEnvironment) -> None:
    caller(environment, Limits(max_budget=NANO))
    environment.fake_ledgers.table["key#k"] = spent(0.7)  # below the first step; auto-chat would reserve 0.41
    response, _ = ask()
    assert response.status == 200
    assert response.headers["x-vibe-budget-ladder"] == "auto-chat; from=0.8; budget=key; used=0.7"
    assert environment.upstream.called == ["two"]


def test_a_budget_without_room_for_any_model_is_exceeded(environment: FakeEnvironment) -> None:
    caller(environment, Limits(max_budget=NANO))
    environment.fake_ledgers.table["key#k"] = spent(1)
    response, body = ask()
    assert (response.status, body["error"]["code"]) == (402, "budget_exceeded")
    assert booked(environment).model == "auto-chat"
    assert not environment.upstream.called


def test_soft_budgets_warn_only(environment: FakeEnvironment, lines: Lines) -> None:
    caller(environment, Limits(soft_budget=NANO), Team("red", limits=Limits(soft_budget=2 * NANO)))
    environment.fake_ledgers.table |= {"key#k": spent(1.5), "team#red": spent(2)}
    response, _ = ask()
    assert response.status == 200
    header = "key; spent=1.5; budget=1, team; spent=2; budget=2"
    assert response.headers["x-vibe-soft-budget"] == header
    assert booked(environment).soft_budgets == ("key", "team")
    assert lines()[-1]["soft_budgets"] == ["key", "team"]
    environment.fake_ledgers.table |= {"key#k": spent(0.9), "team#red": spent(1)}
    response, _ = ask()
    assert "x-vibe-soft-budget" not in response.headers


def test_the_budget_of_a_model_is_charged_and_enforced(environment: FakeEnvironment) -> None:
    caller(environment, Limits(models=(ModelBudget("auto-c*", NANO, "1d"),)))
    response, _ = ask()
    assert response.status == 200
    [hold] = environment.fake_ledgers.table["key#k#auto-c*"].holds.values()
    assert hold.cost > 0.4 * NANO
    assert booked(environment).model_holds == ("key#auto-c*",)
    assert booked(environment).charge_later == ("key",)  # it has no limits of its own
    environment.fake_ledgers.table["key#k#auto-c*"] = spent(1)
    environment.models["auto-chat"] = replace(environment.models["auto-chat"], ladder=())
    response, body = ask()
    assert response.status == 402
    assert "The budget of this API key for auto-c* is $1;" in body["error"]["message"]
    assert ask(model="mini")[0].status == 200  # has no such budget


def test_the_ladder_follows_the_budget_of_a_model(environment: FakeEnvironment) -> None:
    caller(environment, Limits(max_budget=100 * NANO, models=(ModelBudget("auto-chat", NANO),)))
    environment.fake_ledgers.table["key#k#auto-chat"] = spent(1)
    response, _ = ask()
    assert response.status == 200
    assert environment.upstream.called == ["two"]


def test_the_limits_of_the_user_count_for_every_key(environment: FakeEnvironment) -> None:
    ann = KeyOwner("ann", models=("auto-chat", "mini"), limits=Limits(max_budget=10 * NANO, soft_budget=NANO))
    for name in ("k", "other"):
        key = Key(f"hash-{name}", name, user_id="ann", user_limited=True)
        environment.callers.callers[f"sk-{name}"] = Caller(key, None, ann)
    environment.fake_ledgers.table["user#ann"] = spent(8.5)
    response, _ = ask()
    assert response.headers["x-vibe-budget-ladder"].endswith("budget=user; used=0.85")
    assert response.headers["x-vibe-soft-budget"] == "user; spent=8.5; budget=1"
    assert booked(environment).charge_later == ("key",)
    environment.fake_ledgers.table["user#ann"] = spent(10)
    response, body = ask()
    assert response.status == 402
    assert "The budget of the user that this API key belongs to is $10" in body["error"]["message"]
    assert ask(model="auto codex/ü")[0].status == 403


def test_a_ladder_leads_out_of_routing_by_complexity(environment: FakeEnvironment) -> None:
    """Below the first step the model is routed; on the ladder, and where the budget has no room for it, it is not."""
    chat, mini = environment.models["auto-chat"], environment.models["mini"]
    rule = ComplexityRule(virtual("easy", "three/easy"), chat, mode="complexity", share=100, evidence=True)
    environment.models["auto-chat"] = replace(chat, routing=rule)
    environment.complexity = ComplexityRouter(dict)
    hard = [{"role": "user", "content": "Prove that 2 ** 127 - 1 is prime."}]
    response, _ = ask(messages=hard)
    assert response.headers["x-vibe-routing"].startswith("standard")
    assert booked(environment).routing_choice == "standard"
    for dollars, budget in ((9, 10), (0.7, 1)):
        caller(environment, Limits(max_budget=budget * NANO))
        environment.fake_ledgers.table["key#k"] = spent(dollars)
        response, _ = ask(messages=hard)
        assert "x-vibe-routing" not in response.headers
        assert (booked(environment).model, booked(environment).routing_choice) == (mini.name, None)
    assert environment.upstream.called == ["one", "two", "two"]
