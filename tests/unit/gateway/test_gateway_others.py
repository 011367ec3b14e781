"""Completions and what passes as it is, through the handler."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import app
from tests.unit.gateway.fake_environment import (
    FakeEnvironment,
    ScriptedReply,
    context,
    deployment,
    event,
    refusal,
)
from vibe_router.routing.models import Deployment, VirtualModel

Lines = Callable[[], list[dict[str, Any]]]
EMBEDDED = {"object": "list", "data": [{"index": 0, "embedding": [0.5]}], "model": "e", "usage": {"prompt_tokens": 4}}


def chained(environment: FakeEnvironment, *chain: Deployment) -> None:
    environment.models["auto-chat"] = VirtualModel("auto-chat", "", tuple((each,) for each in chain))


def layer(name: str, *formats: str) -> Deployment:
    return replace(deployment(name), formats=formats)


def post(path: str, body: object) -> tuple[int, bytes, dict[str, str], Callable[[], None]]:
    invocation = context()
    response = app.handler(event("POST", path, body), invocation)
    return response.status, b"".join(response.body), dict(response.headers), invocation.run_work


@pytest.mark.parametrize("path", ["/v1/completions", "/completions", "/prod/v1/completions"])
@pytest.mark.parametrize("stream", [False, True])
def test_completions_over_a_layer_that_has_conversations_only(
    environment: FakeEnvironment, path: str, stream: bool, lines: Lines
) -> None:
    status, body, headers, settle = post(path, {"model": "auto-chat", "prompt": "Once", "stream": stream})
    settle()
    assert status == 200
    assert headers["x-vibe-deployment"]
    assert b'"text_completion"' in body
    assert b"Hello." in body
    assert environment.upstream.calls[0][1]["messages"] == [{"role": "user", "content": "Once"}]
    assert body.endswith(b"data: [DONE]\n\n") == stream
    decision = lines()[-1]
    assert (decision["format"], decision["completion_tokens"]) == ("completions", 3)


def test_embeddings_fall_over_and_pass_untouched(environment: FakeEnvironment, lines: Lines) -> None:
    chained(environment, layer("one/e", "embeddings"), layer("two/e", "chat", "embeddings"))
    raw = json.dumps(EMBEDDED, indent=3).encode()
    environment.upstream.script["one"] = [refusal(503, {"error": {"message": "busy"}})]
    environment.upstream.script["two"] = [ScriptedReply(200, "application/json", [raw])]
    status, body, headers, settle = post("/v1/embeddings", {"model": "auto-chat", "input": ["a"], "dimensions": 3})
    settle()
    assert (status, body) == (200, raw)
    assert headers["x-vibe-fallbacks"] == "1"
    assert environment.upstream.calls[1][1] == {"model": "e", "input": ["a"], "dimensions": 3}
    assert environment.upstream.sent[1][0].endswith("/embeddings")
    assert lines()[-1]["prompt_tokens"] == 4


def test_embeddings_of_a_chain_of_conversations_are_a_clear_400(environment: FakeEnvironment) -> None:
    status, body, _, _ = post("/v1/embeddings", {"model": "auto-chat", "input": "a"})
    assert status == 400
    assert json.loads(body)["error"]["code"] == "unsupported_format"
    assert environment.upstream.calls == []


def test_an_answer_that_is_no_embedding_falls_over(environment: FakeEnvironment) -> None:
    chained(environment, layer("one/e", "embeddings"), layer("two/e", "embeddings"))
    environment.upstream.script["one"] = [ScriptedReply(200, "application/json", [b'{"object":"list"}'])]
    environment.upstream.script["two"] = [ScriptedReply(200, "application/json", [json.dumps(EMBEDDED).encode()])]
    status, _, headers, _ = post("/v1/embeddings", {"model": "auto-chat", "input": "a"})
    assert (status, headers["x-vibe-deployment"]) == (200, "two/e")


def test_speech_is_answered_in_its_own_bytes(environment: FakeEnvironment) -> None:
    chained(environment, layer("one/voice", "speech"))
    environment.upstream.script["one"] = [ScriptedReply(200, "audio/mpeg", [b"\xff\xfb", b"sound"])]
    status, body, headers, _ = post("/v1/audio/speech", {"model": "auto-chat", "input": "Hi", "voice": "alloy"})
    assert (status, body, headers["content-type"]) == (200, b"\xff\xfbsound", "audio/mpeg")
    assert environment.upstream.sent[0][1]["accept"] == "*/*"


def test_a_probe_of_what_cannot_stream_is_asked_whole(environment: FakeEnvironment) -> None:
    chained(environment, layer("one/e", "embeddings"))
    environment.upstream.script["one"] = [
        refusal(503, {"error": {"message": "busy"}}),
        ScriptedReply(200, "application/json", [json.dumps(EMBEDDED).encode()]),
    ]
    assert post("/v1/embeddings", {"model": "auto-chat", "input": "a"})[0] == 502
    environment.now += 10
    assert post("/v1/embeddings", {"model": "auto-chat", "input": "a"})[0] == 200
    assert "stream" not in environment.upstream.calls[1][1]
