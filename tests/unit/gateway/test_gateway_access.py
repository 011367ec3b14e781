"""Virtual keys through the handler: who comes in, for which models, and how much of them."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway import app
from streaming_runtime import StreamingResponse
from tests.unit.gateway.fake_environment import (
    COMPLETION,
    FakeEnvironment,
    chat_event,
    context,
    event,
    refusal,
    virtual,
    whole,
)
from vibe_router.access.keys import Caller, Key, Limits, Team
from vibe_router.access.ledger import Ledger
from vibe_router.core.models import VirtualModel
from vibe_router.core.price import Price

SHOWN = "sk-virtual"
KEY = Key("h", "h", "sk-...tual", alias="laptop")
MEMBER = replace(KEY, team_id="blue")
DOWN = refusal(503, {"error": {"message": "busy"}})


def send(sent: dict[str, Any]) -> tuple[StreamingResponse, Any, Callable[[], None]]:
    """Send an event with the virtual key; return the answer, its JSON, and what is left for after it."""
    sent["headers"] = {"x-api-key": SHOWN}
    invocation = context()
    response = app.handler(sent, invocation)
    return response, json.loads(b"".join(response.body)), invocation.run_work


def ask(**more: object) -> tuple[StreamingResponse, Any, Callable[[], None]]:
    return send(chat_event(**more))


def listed(environment: FakeEnvironment, key: Key, team: Team | None = None) -> list[str]:
    environment.callers.callers[SHOWN] = Caller(key, team)
    _, body, _ = send(event("GET", "/v1/models"))
    return [each["id"] for each in body["data"]]


def priced(model: VirtualModel, price: Price) -> VirtualModel:
    return replace(model, steps=tuple(tuple(replace(each, price=price) for each in step) for step in model.steps))


def test_a_virtual_key_gets_an_answer(environment: FakeEnvironment) -> None:
    environment.callers.callers[SHOWN] = Caller(KEY)
    response, body, _ = ask()
    assert (response.status, body["choices"][0]["message"]["content"]) == (200, "Hello.")
    assert not any(name.startswith("x-ratelimit-") for name in response.headers)


@pytest.mark.parametrize(
    ("caller", "code"),
    [
        pytest.param(None, "invalid_api_key", id="unknown"),
        pytest.param(Caller(replace(KEY, blocked=True)), "key_blocked", id="blocked"),
        pytest.param(Caller(replace(KEY, expires=5)), "key_expired", id="expired"),
        pytest.param(Caller(replace(KEY, deleted_at=5)), "key_deleted", id="deleted"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("GET", "/health")]
)
def test_a_rejected_key_gets_the_reason(
    caller: Caller | None, code: str, method: str, path: str, environment: FakeEnvironment
) -> None:
    if caller:
        environment.callers.callers[SHOWN] = caller
    response, body, _ = send(event(method, path, {}))
    assert (response.status, body["error"]["type"], body["error"]["code"]) == (401, "auth_error", code)
    assert SHOWN not in str(body)


def test_a_key_that_cannot_be_looked_up_gets_a_503_with_retry_after(environment: FakeEnvironment) -> None:
    environment.callers.outage = True
    for each in (chat_event(), event("GET", "/v1/models"), event("GET", "/health")):
        response, body, _ = send(each)
        assert (response.status, body["error"]["code"]) == (503, "temporarily_unavailable")
        assert response.headers["retry-after"] == "2"


def test_health_requires_the_master_key(environment: FakeEnvironment) -> None:
    environment.callers.callers[SHOWN] = Caller(KEY)
    response, body, _ = send(event("GET", "/health"))
    assert (response.status, body["error"]["code"]) == (403, "master_key_required")


def test_only_allowed_models_are_listed(environment: FakeEnvironment) -> None:
    environment.models["other-model"] = virtual("other-model", "one/x")
    assert listed(environment, KEY) == ["auto codex/ü", "auto-chat", "other-model"]
    assert listed(environment, replace(KEY, models=("auto*",))) == ["auto codex/ü", "auto-chat"]
    assert listed(environment, replace(MEMBER, models=("auto*",)), Team("blue", models=("*-*",))) == ["auto-chat"]
    assert listed(environment, replace(KEY, models=("gone",))) == []


def test_a_denied_model_is_a_403_that_names_the_allowed_ones(environment: FakeEnvironment) -> None:
    environment.callers.callers[SHOWN] = Caller(replace(KEY, models=("auto-chat", "gone")))
    for each in (chat_event(model="auto codex/ü"), event("GET", "/v1/models/auto%20codex%2F%C3%BC")):
        response, body, _ = send(each)
        assert (response.status, body["error"]["code"]) == (403, "key_model_access_denied")
        assert "may use: auto-chat." in body["error"]["message"]
    assert not environment.upstream.calls


def test_an_unknown_model_is_a_404_that_names_the_allowed_ones(environment: FakeEnvironment) -> None:
    environment.callers.callers[SHOWN] = Caller(replace(KEY, models=("auto-*",)))
    response, body, _ = ask(model="auto-none")
    assert (response.status, body["error"]["code"]) == (404, "model_not_found")
    assert "Available models: auto-chat." in body["error"]["message"]


def test_a_request_over_the_rate_gets_a_429_with_retry_after(environment: FakeEnvironment) -> None:
    environment.callers.callers[SHOWN] = Caller(replace(KEY, limits=Limits(rpm=1, tpm=100_000)))
    response, _, _ = ask()
    assert response.headers["x-ratelimit-limit-requests"] == "1"
    assert response.headers["x-ratelimit-remaining-requests"] == "0"
    assert response.headers["x-ratelimit-reset-requests"] == "1m0s"
    assert int(response.headers["x-ratelimit-remaining-tokens"]) < 100_000 - 4_096
    environment.now += 20.5
    response, body, _ = ask()
    assert (response.status, body["error"]["type"], body["error"]["code"]) == (
        429,
        "rate_limit_error",
        "rate_limit_exceeded",
    )
    assert response.headers["retry-after"] == "40"
    assert response.headers["x-ratelimit-remaining-requests"] == "0"
    assert "Requests per minute are limited to 1 for this API key." in body["error"]["message"]
    environment.now += 40
    assert ask()[0].status == 200


@pytest.mark.parametrize(
    ("limits", "hint"),
    [(Limits(tpm=0), "Tokens per minute"), (Limits(parallel=0), "Concurrent requests")],
    ids=["tokens", "parallel"],
)
def test_other_limits_are_429_too(limits: Limits, hint: str, environment: FakeEnvironment) -> None:
    environment.callers.callers[SHOWN] = Caller(MEMBER, Team("blue", limits=limits))
    response, body, _ = ask()
    assert (response.status, body["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(response.headers["retry-after"]) >= 1
    assert hint in body["error"]["message"]
    assert "the team that this API key belongs to" in body["error"]["message"]


def test_a_request_over_the_budget_is_a_402(environment: FakeEnvironment) -> None:
    environment.models["auto-chat"] = priced(environment.models["auto-chat"], Price(input=1, output=10))
    environment.callers.callers[SHOWN] = Caller(replace(KEY, limits=Limits(10_000_000, "1h")))
    ledger = Ledger(committed=9_990_000, spent=9_990_000, period_ends=environment.now + 60)
    environment.fake_ledgers.table["key#h"] = ledger
    response, body, _ = ask(max_tokens=100)
    assert (response.status, body["error"]["type"], body["error"]["code"]) == (
        402,
        "budget_exceeded",
        "budget_exceeded",
    )
    assert "The budget of this API key is $0.01; $0.00999 of it are spent" in body["error"]["message"]
    assert "resets at 2027-01-15T08:01:00+00:00" in body["error"]["message"]
    assert "retry-after" not in response.headers
    assert not environment.upstream.calls


@pytest.mark.parametrize(
    ("more", "answer"),
    [
        pytest.param({"max_tokens": 100}, 100, id="the caller's limit"),
        pytest.param({"max_tokens": 64_000}, 4_096, id="what is plausible, below the caller's limit"),
        pytest.param({}, 4_096, id="what is plausible, without a limit"),
        pytest.param({"n": 3}, 3 * 4_096, id="as much for each answer"),
    ],
)
def test_a_plausible_answer_is_reserved_at_the_highest_price_of_the_chain(
    more: dict[str, Any], answer: int, environment: FakeEnvironment
) -> None:
    model = environment.models["auto-chat"]
    cheap, dear = Price(input=1, output=1), Price(input=2, output=20)
    steps = [replace(each, price=price) for each, price in zip(model.chain, (cheap, dear), strict=True)]
    environment.models["auto-chat"] = replace(model, steps=((steps[0],), (steps[1],)))
    environment.callers.callers[SHOWN] = Caller(replace(KEY, limits=Limits(max_budget=10**12)))
    ask(**more)
    (wanted,) = environment.fake_ledgers.wanted
    prompt = wanted.tokens - answer
    assert 0 < prompt < 30
    assert wanted.cost == prompt * 2_000 + answer * 20_000
    assert environment.now + 840 < wanted.until <= environment.now + 901


def test_an_unpriced_chain_reserves_no_money(environment: FakeEnvironment) -> None:
    environment.callers.callers[SHOWN] = Caller(replace(KEY, limits=Limits(max_budget=0)))
    assert ask()[0].status == 200
    assert environment.fake_ledgers.wanted[0].cost == 0


def test_an_invalid_request_reserves_nothing(environment: FakeEnvironment) -> None:
    environment.callers.callers[SHOWN] = Caller(replace(KEY, models=("auto-chat",), limits=Limits(rpm=5)))
    for each in (chat_event(messages=[]), chat_event(model="other"), event("POST", "/v1/chat/completions", "no JSON")):
        assert send(each)[0].status in (400, 403)
    assert environment.fake_ledgers.wanted == []


def test_contention_for_a_ledger_is_a_503_with_retry_after(environment: FakeEnvironment) -> None:
    environment.callers.callers[SHOWN] = Caller(replace(KEY, limits=Limits(rpm=5)))
    environment.fake_ledgers.busy = True
    response, body, _ = ask()
    assert (response.status, body["error"]["code"]) == (503, "temporarily_unavailable")


PRICE = Price(input=1, output=10)
COUNTED = 7 * 1_000 + 3 * 10_000  # what COMPLETION's usage costs, in nano-dollars
UNCOUNTED = {name: value for name, value in COMPLETION.items() if name != "usage"}


@pytest.mark.parametrize(
    ("price", "script", "settled"),
    [
        pytest.param(PRICE, [], (COUNTED, 10), id="what the answer cost"),
        pytest.param(None, [], (0, 10), id="nothing, where that is not known"),
        pytest.param(PRICE, [UNCOUNTED], ("reserved", None), id="what was reserved, where the provider counts nothing"),
        pytest.param(None, [UNCOUNTED], (0, None), id="nothing, where there is no price either"),
        pytest.param(PRICE, [DOWN], (0, 0), id="nothing, where there is no answer"),
    ],
)
def test_a_reservation_is_settled_after_the_answer(
    price: Price | None, script: list[Any], settled: tuple[Any, int | None], environment: FakeEnvironment
) -> None:
    model = virtual("auto-chat", "one/gpt-5")
    environment.models["auto-chat"] = priced(model, price) if price else model
    environment.callers.callers[SHOWN] = Caller(replace(KEY, limits=Limits(max_budget=10**12)))
    environment.upstream.script["one"] = [whole(each) if isinstance(each, dict) else each for each in script]
    _, _, settle = ask()
    assert environment.fake_ledgers.settled == [], "nobody waits for it"
    settle()
    cost = environment.fake_ledgers.wanted[0].cost if settled[0] == "reserved" else settled[0]
    assert environment.fake_ledgers.settled == [(cost, settled[1])]
    assert environment.books.booked[0].key == "h"


def test_an_address_that_guesses_keys_gets_a_429(environment: FakeEnvironment) -> None:
    def status(key: str) -> int:
        sent = event("GET", "/v1/models", headers={"x-api-key": key})
        sent["requestContext"]["identity"] = {"sourceIp": "192.0.2.1"}
        return app.handler(sent, context()).status

    assert [status(f"sk-guess-{number}") for number in range(31)] == [401] * 30 + [429]
    assert status("sk-master") == 200, "the master key takes no lookup"


@pytest.mark.parametrize(
    ("models", "team_models", "status"),
    [
        pytest.param(("two/glm-4.7",), (), 200, id="listed"),
        pytest.param(("two/*",), (), 404, id="a pattern"),
        pytest.param((), (), 404, id="all models"),
        pytest.param(("two/glm-4.7",), ("auto-*",), 403, id="not in the team"),
        pytest.param(("two/other",), (), 403, id="another one"),
    ],
)
def test_a_key_that_lists_a_deployment_may_call_it_alone(
    models: tuple[str, ...], team_models: tuple[str, ...], status: int, environment: FakeEnvironment
) -> None:
    team = Team("blue", models=team_models)
    environment.callers.callers[SHOWN] = Caller(replace(MEMBER, models=models), team)
    response, _, _ = ask(model="two/glm-4.7")
    assert response.status == status
    if status == 200:
        assert response.headers["x-vibe-deployment"] == "two/glm-4.7"
