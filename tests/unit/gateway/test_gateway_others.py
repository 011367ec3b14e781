"""Completions and what passes as it is, through the handler."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway import app
from tests.unit.gateway.fake_environment import (
    FakeEnvironment,
    ScriptedReply,
    context,
    deployment,
    event,
    refusal,
)
from vibe_router.core.models import Deployment, VirtualModel
from vibe_router.routing.verdict import Failure, FailureKind

Lines = Callable[[], list[dict[str, Any]]]
EMBEDDED = {"object": "list", "data": [{"index": 0, "embedding": [0.5]}], "model": "e", "usage": {"prompt_tokens": 4}}


def chained(environment: FakeEnvironment, *chain: Deployment) -> None:
    environment.models["auto-chat"] = VirtualModel("auto-chat", "", tuple((each,) for each in chain))


def member(name: str, *formats: str) -> Deployment:
    return replace(deployment(name), formats=formats)


def post(path: str, body: object) -> tuple[int, bytes, dict[str, str], Callable[[], None]]:
    invocation = context()
    response = app.handler(event("POST", path, body), invocation)
    return response.status, b"".join(response.body), dict(response.headers), invocation.run_work


@pytest.mark.parametrize("path", ["/v1/completions", "/completions", "/prod/v1/completions"])
@pytest.mark.parametrize("stream", [False, True])
def test_completions_over_a_provider_of_chat(
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


FORMS = ("image_edits", "transcriptions")
FORM_TYPE = "multipart/form-data; boundary=b"
# Format → its path, what is asked, and an answer: its type and its bytes.
OTHERS: dict[str, tuple[str, dict[str, Any], str, bytes]] = {
    "embeddings": ("/v1/embeddings", {"input": "a"}, "application/json", json.dumps(EMBEDDED).encode()),
    "moderations": ("/v1/moderations", {"input": "a"}, "application/json", b'{"results":[{"flagged":true}]}'),
    "images": ("/v1/images/generations", {"prompt": "a"}, "application/json", b'{"data":[{"b64_json":""}]}'),
    "image_edits": ("/v1/images/edits", {}, "application/json", b'{"data":[{"b64_json":""}]}'),
    "speech": ("/v1/audio/speech", {"input": "a", "voice": "alloy"}, "audio/mpeg", b"\xff\xfbsound"),
    "transcriptions": ("/v1/audio/transcriptions", {}, "text/plain; charset=utf-8", b"I heard."),
    "rerank": ("/v1/rerank", {"query": "a", "documents": ["b"]}, "application/json", b'{"results":[{"index":0}]}'),
}


def form(model: str) -> str:
    return f'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n{model}\r\n--b--\r\n'


@pytest.mark.parametrize("spoken", OTHERS)
@pytest.mark.parametrize(
    "failed",
    [
        pytest.param(refusal(503, {"error": {"message": "busy"}}), id="an error"),
        pytest.param(Failure(FailureKind.TIMEOUT, 0), id="silence"),
        pytest.param(None, id="a page"),
    ],
)
def test_a_passthrough_body_fails_over_unchanged(
    environment: FakeEnvironment, spoken: str, failed: Failure | None
) -> None:
    chained(environment, member("one/a", spoken), member("two/b", spoken))
    path, asked, content_type, answer = OTHERS[spoken]
    environment.upstream.script["one"] = [failed or ScriptedReply(200, "text/html", [b"<html>Sign in</html>"])]
    environment.upstream.script["two"] = [ScriptedReply(200, content_type, [answer])]
    made = event("POST", path, {"model": "auto-chat", **asked})
    if spoken in FORMS:
        made["headers"]["Content-Type"], made["body"] = FORM_TYPE, form("auto-chat")
    response = app.handler(made, context())
    assert (response.status, b"".join(response.body)) == (200, answer)
    assert response.headers["content-type"] == content_type
    assert response.headers["x-vibe-deployment"] == "two/b"
    sent = [call for _, call in environment.upstream.calls]
    if spoken in FORMS:
        assert [each["form"].decode() for each in sent] == [form("a"), form("b")]
        assert [headers["content-type"] for _, headers in environment.upstream.sent] == [FORM_TYPE] * 2
    else:
        assert sent == [{"model": "a", **asked}, {"model": "b", **asked}]


def test_embeddings_fail_over_and_pass_unchanged(environment: FakeEnvironment, lines: Lines) -> None:
    chained(environment, member("one/e", "embeddings"), member("two/e", "chat", "embeddings"))
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


def test_embeddings_on_a_chat_chain_are_a_400(environment: FakeEnvironment) -> None:
    status, body, _, _ = post("/v1/embeddings", {"model": "auto-chat", "input": "a"})
    assert status == 400
    assert json.loads(body)["error"]["code"] == "unsupported_format"
    assert environment.upstream.calls == []


def test_an_answer_without_embeddings_fails_over(environment: FakeEnvironment) -> None:
    chained(environment, member("one/e", "embeddings"), member("two/e", "embeddings"))
    environment.upstream.script["one"] = [ScriptedReply(200, "application/json", [b'{"object":"list"}'])]
    environment.upstream.script["two"] = [ScriptedReply(200, "application/json", [json.dumps(EMBEDDED).encode()])]
    status, _, headers, _ = post("/v1/embeddings", {"model": "auto-chat", "input": "a"})
    assert (status, headers["x-vibe-deployment"]) == (200, "two/e")


def test_speech_passes_in_bytes(environment: FakeEnvironment) -> None:
    chained(environment, member("one/voice", "speech"))
    environment.upstream.script["one"] = [ScriptedReply(200, "audio/mpeg", [b"\xff\xfb", b"sound"])]
    status, body, headers, _ = post("/v1/audio/speech", {"model": "auto-chat", "input": "Hi", "voice": "alloy"})
    assert (status, body, headers["content-type"]) == (200, b"\xff\xfbsound", "audio/mpeg")
    assert environment.upstream.sent[0][1]["accept"] == "*/*"


@pytest.mark.parametrize(
    ("spoken", "content_type", "passed"),
    [
        ("speech", "audio/wav", "audio/wav"),
        ("speech", 'Audio/OGG; codecs="opus"', "audio/ogg"),
        ("speech", "application/octet-stream", "application/octet-stream"),
        ("images", "image/png", "image/png"),
        ("transcriptions", "text/vtt", "text/vtt; charset=utf-8"),
        ("transcriptions", "text/plain; charset=utf-16", "text/plain; charset=utf-8"),
        ("speech", "text/html", None),
        ("speech", "image/svg+xml", None),
        ("speech", "audio/<script>", None),
        ("images", "image/svg+xml", None),
        ("image_edits", "image/webp", "image/webp"),
        ("image_edits", "text/html", None),
        ("images", "text/html", None),
        ("transcriptions", "text/javascript", None),
        ("transcriptions", "application/xhtml+xml", None),
        ("embeddings", "audio/mpeg", None),
    ],
)
def test_only_media_types_that_no_browser_runs_pass(
    environment: FakeEnvironment, spoken: str, content_type: str, passed: str | None
) -> None:
    chained(environment, member("one/m", spoken))
    page = ScriptedReply(200, content_type, [b"<script>alert(1)</script>"])
    page.headers = {**page.headers, "set-cookie": "a=b", "link": "<https://x.example>"}
    environment.upstream.script["one"] = [page]
    path, asked, *_ = OTHERS[spoken]
    made = event("POST", path, {"model": "auto-chat", **asked})
    if spoken in FORMS:
        made["headers"]["Content-Type"], made["body"] = FORM_TYPE, form("auto-chat")
    response = app.handler(made, context())
    body, headers = b"".join(response.body), response.headers
    assert response.status == (200 if passed else 502)
    assert headers["content-type"] == (passed or "application/json")
    assert headers["x-content-type-options"] == "nosniff"
    assert not {"set-cookie", "link"} & headers.keys()
    assert (b"<script>" in body) is bool(passed)


def test_a_probe_in_a_format_without_streams_is_not_streamed(environment: FakeEnvironment) -> None:
    chained(environment, member("one/e", "embeddings"))
    environment.upstream.script["one"] = [
        refusal(503, {"error": {"message": "busy"}}),
        ScriptedReply(200, "application/json", [json.dumps(EMBEDDED).encode()]),
    ]
    assert post("/v1/embeddings", {"model": "auto-chat", "input": "a"})[0] == 502
    environment.now += 10
    assert post("/v1/embeddings", {"model": "auto-chat", "input": "a"})[0] == 200
    assert "stream" not in environment.upstream.calls[1][1]
