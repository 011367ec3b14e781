"""Numbers that DynamoDB does not store, from a caller whose key has limits: a 400, and the limits stay on for others.

Through the handler and the real store: DynamoDB Local rejects such a number, while moto stores it.
"""

import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from gateway import app
from tests.unit.gateway.fake_environment import FakeEnvironment, context, event, virtual
from tests.unit.store.fakes import Aside, Time
from vibe_router.access.keys import Caller, Key, Limits
from vibe_router.pipeline.admission import Admission
from vibe_router.store.dynamodb import DynamoDB
from vibe_router.store.keys import KeyDirectory
from vibe_router.store.ledger import LedgerStore

CHAT = {"messages": [{"role": "user", "content": "x"}]}
# By path: a body, the fields of numbers that the router reads, and the limits of answers among them.
BODIES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "/v1/chat/completions": (CHAT, ("max_tokens", "max_completion_tokens", "n")),
    "/v1/completions": ({"prompt": "x"}, ("max_tokens", "n", "best_of")),
    "/v1/responses": ({"input": "x"}, ("max_output_tokens",)),
    "/v1/messages": ({**CHAT, "max_tokens": 9}, ("max_tokens",)),
    "/v1beta/models/auto-chat:generateContent": (
        {"contents": [{"parts": [{"text": "x"}]}]},
        ("maxOutputTokens", "candidateCount"),
    ),
    "/v1/embeddings": ({"input": "x"}, ("dimensions",)),
    "/v1/images/generations": ({"prompt": "x"}, ("n",)),
    "/v1/rerank": ({"documents": ["x"]}, ("top_n",)),
}
NUMBERS = {
    "36 digits": "9" * 36,
    "300 digits": "9" * 300,
    "4,297 digits": "9" * 4_297,
    "1e400": "1e400",
    "negative": "-7",
    "negative, 36 digits": "-" + "9" * 36,
}
LIMITS = Limits(max_budget=10**9, budget_duration="30d", rpm=1, tpm=100_000, parallel=5)


@pytest.fixture
def environment(
    dynamodb_client: DynamoDB, ledger_table: str, time: Time, aside: Aside, monkeypatch: pytest.MonkeyPatch
) -> FakeEnvironment:
    """The environment of the handler, with ledgers in a table. Each caller has a key with a limit of one request."""
    environment = FakeEnvironment()
    environment.models["auto-chat"] = virtual("auto-chat", "one/gpt-5")
    keys = cast("KeyDirectory", environment.callers)
    ledgers = LedgerStore(dynamodb_client, ledger_table, time.clock, spawn=aside)
    environment.admission = Admission(environment.master_key, keys, ledgers, time.clock)
    for name in ("sk-attacker", "sk-other"):
        environment.callers.callers[name] = Caller(Key(name, name, limits=LIMITS))
    monkeypatch.setattr(app, "environment", environment)
    return environment


@pytest.fixture
def send(environment: FakeEnvironment) -> Callable[..., tuple[int, Any]]:
    """Send a body, which may be no JSON that Python would write, with a key; return status and answer."""

    def send(path: str, body: str, key: str) -> tuple[int, Any]:
        sent = event("POST", path, body)
        sent["headers"] = {"content-type": "application/json", "x-api-key": key}
        invocation = context()
        response = app.handler(sent, invocation)
        raw = b"".join(response.body)
        invocation.run_work()
        return response.status, json.loads(raw)

    return send


def body_of(path: str, field: str, number: str) -> str:
    body = {"model": "auto-chat", **BODIES[path][0]}
    into = body.setdefault("generationConfig", {}) if "generateContent" in path else body
    into[field] = "HERE"
    return json.dumps(body).replace('"HERE"', number)


@pytest.mark.parametrize("path", BODIES)
def test_such_a_number_is_a_400_and_limits_stay_on(send: Callable[..., tuple[int, Any]], path: str) -> None:
    for field in BODIES[path][1]:
        for name, number in NUMBERS.items():
            status, answer = send(path, body_of(path, field, number), "sk-attacker")
            assert status == 400, (field, name, answer)
            error = answer["error"]
            assert error["message"]
            if "generateContent" in path:
                assert error["status"] == "INVALID_ARGUMENT"
            else:
                assert error["type"] == "invalid_request_error"
    chat = "/v1/chat/completions"
    body = body_of(chat, "max_tokens", "5")
    assert [send(chat, body, "sk-other")[0] for _ in range(2)] == [200, 429]
