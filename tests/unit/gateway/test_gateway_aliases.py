"""Aliases through the handler: the model that serves, the key's permission for it, the log, and the listing."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway import app
from streaming_runtime import StreamingResponse
from tests.unit.gateway.fake_environment import FakeEnvironment, chat_event, context, event, virtual
from vibe_router.access.keys import Caller, Key, Limits

SHOWN = "sk-virtual"
KEY = Key("h", "h", "sk-...tual", models=("auto-chat",))


def send(sent: dict[str, Any], **headers: str) -> tuple[StreamingResponse, Any]:
    sent["headers"] = {"x-api-key": SHOWN, **headers}
    invocation = context()
    response = app.handler(sent, invocation)
    body = json.loads(b"".join(response.body))
    invocation.run_work()
    return response, body


@pytest.fixture
def aliased(environment: FakeEnvironment) -> FakeEnvironment:
    environment.models["other"] = virtual("other", "one/x")
    environment.aliases = {"gpt-5*": "auto-chat", "gpt-4o": "auto-chat", "claude-*": "other"}
    environment.callers.callers[SHOWN] = Caller(KEY)
    return environment


def test_the_model_behind_an_alias_serves(aliased: FakeEnvironment, lines: Callable[[], list[dict[str, Any]]]) -> None:
    response, body = send(chat_event(model="gpt-5.1"))
    assert (response.status, body["choices"][0]["message"]["content"]) == (200, "Hello.")
    assert response.headers["x-vibe-model"] == "auto-chat"
    [decision] = [line for line in lines() if line["message"] == "ROUTING DECISION"]
    assert (decision["selected_model"], decision["requested_model"]) == ("auto-chat", "gpt-5.1")
    [record] = aliased.books.booked
    assert (record.model, record.requested_model, record.resolved) == ("auto-chat", "gpt-5.1", True)
    assert record.from_row(record.as_row(1)) == record


def test_a_model_by_its_own_name_has_no_other(
    aliased: FakeEnvironment, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    send(chat_event())
    assert "requested_model" not in lines()[-1]
    assert "requested_model" not in aliased.books.booked[0].as_row(1)


def test_the_model_is_checked_and_not_the_alias(aliased: FakeEnvironment) -> None:
    response, body = send(chat_event(model="claude-opus-5"))
    assert (response.status, body["error"]["code"]) == (403, "key_model_access_denied")
    assert "may not use the model that 'claude-opus-5' is an alias of" in body["error"]["message"]
    assert "other" not in body["error"]["message"]
    aliased.callers.callers[SHOWN] = Caller(replace(KEY, models=("gpt-*",)))
    assert send(chat_event(model="gpt-5.1"))[0].status == 403
    assert not aliased.upstream.calls


def test_a_key_has_aliases_of_its_own(aliased: FakeEnvironment) -> None:
    own = {"claude-*": "auto-chat", "auto-chat": "other"}
    aliased.callers.callers[SHOWN] = Caller(replace(KEY, models=(), aliases=own))
    assert send(chat_event(model="claude-opus-5"))[0].headers["x-vibe-model"] == "auto-chat"
    assert send(chat_event())[0].headers["x-vibe-model"] == "other"
    assert send(chat_event(model="gpt-4o"))[0].headers["x-vibe-model"] == "auto-chat"


def test_exact_aliases_are_listed(aliased: FakeEnvironment) -> None:
    aliased.callers.callers[SHOWN] = Caller(replace(KEY, aliases={"mine": "auto-chat", "not-mine": "other"}))
    _, body = send(event("GET", "/v1/models"))
    assert {each["id"]: each.get("alias_of") for each in body["data"]} == {
        "auto-chat": None,
        "gpt-4o": "auto-chat",
        "mine": "auto-chat",
    }
    _, one = send(event("GET", "/v1/models/gpt-5.9"))
    assert (one["id"], one["alias_of"]) == ("gpt-5.9", "auto-chat")
    _, page = send(event("GET", "/v1/models", queryStringParameters={"limit": "2"}), **{"anthropic-version": "x"})
    assert ([each["id"] for each in page["data"]], page["has_more"]) == (["auto-chat", "gpt-4o"], True)


def test_codex_gets_its_catalogue(aliased: FakeEnvironment) -> None:
    _, body = send(event("GET", "/v1/models", queryStringParameters={"client_version": "0.171.0"}))
    assert [(each["slug"], each["priority"]) for each in body["models"]] == [("auto-chat", 1), ("gpt-4o", 2)]
    assert body["models"][0]["base_instructions"]
    assert [each["id"] for each in body["data"]] == ["auto-chat", "gpt-4o"]


def test_an_alias_of_a_model_that_is_gone_is_unknown(aliased: FakeEnvironment) -> None:
    del aliased.models["other"]
    aliased.callers.callers[SHOWN] = Caller(replace(KEY, models=(), limits=Limits()))
    response, body = send(chat_event(model="claude-opus-5"))
    assert (response.status, body["error"]["code"]) == (404, "model_not_found")
    assert "'claude-opus-5' does not exist" in body["error"]["message"]
