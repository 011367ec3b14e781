"""Hostile callers and providers through the whole router: numbers, disguises, forms, keys and answers."""

import base64
import json
from typing import Any

import httpx
import pytest

from local.standin.steps import Close, Send
from tests.e2e.formats.pairs import MODELS
from tests.e2e.stack import KEY, Stack

TEXT = {"messages": [{"role": "user", "content": "x"}]}
PATHS: dict[str, tuple[str, dict[str, Any]]] = {
    "/v1/chat/completions": ("max_tokens", TEXT),
    "/v1/messages": ("max_tokens", TEXT),
    "/v1/responses": ("max_output_tokens", {"input": "x"}),
    "/v1/completions": ("best_of", {"prompt": "x"}),
    f"/v1beta/models/{MODELS['chat']}:generateContent": ("maxOutputTokens", {"contents": [{"parts": [{"text": "x"}]}]}),
}


def new_key(stack: Stack, **limits: Any) -> str:
    headers = {"authorization": f"Bearer {KEY}"}
    answer = httpx.post(f"{stack.root}/key/generate", json=limits, headers=headers, timeout=60)
    key: str = answer.json()["key"]
    return key


def post(stack: Stack, path: str, content: str | bytes, key: str = KEY, **headers: str) -> httpx.Response:
    given = {"content-type": "application/json", **headers, "x-api-key": key}
    return httpx.post(stack.root + path, content=content, headers=given, timeout=60)


@pytest.mark.parametrize("path", PATHS)
def test_a_number_that_no_table_holds_turns_no_limit_off(stack: Stack, path: str) -> None:
    attacker, other = new_key(stack, rpm_limit=50, tpm_limit=100_000), new_key(stack, rpm_limit=1)
    field, body = PATHS[path]
    for number in ("9" * 36, "9" * 300, "9" * 4_297, "1e400", "-1"):
        given = {field: "HERE"} if "generateContent" not in path else {"generationConfig": {field: "HERE"}}
        raw = json.dumps({"model": MODELS["chat"], **body, **given}).replace('"HERE"', number)
        answer = post(stack, path, raw, attacker)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["message"]
    chat = json.dumps({"model": MODELS["chat"], **TEXT})
    assert [post(stack, "/v1/chat/completions", chat, other).status_code for _ in range(2)] == [200, 429]


@pytest.mark.parametrize(
    "disguised",
    [
        {"type": "text", "text": "data:image/png;base64," + "A" * 40_000},
        {"type": "text", "text": "word " * 8_000},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "some words " * 4_000}},
    ],
    ids=["a text like a data URL", "a text", "an image of words"],
)
def test_a_disguised_prompt_is_reserved_as_text(stack: Stack, disguised: dict[str, Any]) -> None:
    key = new_key(stack, tpm_limit=6_000)
    plain, body = (
        {"model": MODELS["chat"], "messages": [{"role": "user", "content": content}], "max_tokens": 5}
        for content in ("x", [disguised])
    )
    assert post(stack, "/v1/chat/completions", json.dumps(plain), key).status_code == 200
    answer = post(stack, "/v1/chat/completions", json.dumps(body), key)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")


FORM = "multipart/form-data; boundary=b"


def part(name: str, value: str) -> str:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'


@pytest.mark.parametrize(
    ("path", "content_type", "raw"),
    [
        (
            "/v1/audio/transcriptions",
            FORM,
            part("model", "embeds") + part("file", "x") + part("model", "other") + "--b--\r\n",
        ),
        (
            "/v1/audio/transcriptions",
            FORM + "; boundary=c",
            part("model", "embeds") + part("file", "x") + "--b--\r\n",
        ),
        ("/v1/chat/completions", "application/json", '{"model":"embeds","model":"other","messages":[]}'),
        (
            "/v1/chat/completions",
            "application/json",
            json.dumps({"model": MODELS["chat"], "messages": []})[:-3]
            + '[{"role":"user","role":"system","content":""}]}',
        ),
    ],
    ids=["two models in a form", "two boundaries", "two models in JSON", "two roles of a message"],
)
def test_what_parsers_read_differently_is_a_400(stack: Stack, path: str, content_type: str, raw: str) -> None:
    answer = post(stack, path, raw, **{"content-type": content_type})
    assert answer.status_code == 400, answer.text
    assert stack.standin.requests() == []


def test_speech_is_passed_on_as_audio_alone(stack: Stack) -> None:
    head = "HTTP/1.1 200 OK\r\ncontent-type: {}\r\nx-provider-secret: s\r\nset-cookie: a=b\r\nconnection: close\r\n\r\n"
    body = json.dumps({"model": "embeds", "input": "x", "voice": "alloy"})
    stack.standin.script("embeds", [Send(head.format("audio/wav; charset=x").encode() + b"RIFF"), Close()])
    answer = post(stack, "/v1/audio/speech", body)
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"RIFF", "audio/wav")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not {"x-provider-secret", "set-cookie"} & set(answer.headers)


@pytest.mark.parametrize("spelled", ["sk-provider", base64.b64encode(b"Bearer sk-provider").decode(), "SK-PROVIDER"])
def test_a_provider_s_error_repeats_no_key(stack: Stack, spares: Any, spelled: str) -> None:
    model = next(spares["chat"])
    error = json.dumps({"error": {"message": f"no {spelled}!", "code": f"c-{spelled}", "param": spelled}}).encode()
    head = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
    stack.standin.script("chats", [Send(head + error), Close()], model=model)
    answer = post(stack, "/v1/chat/completions", json.dumps({"model": model, **TEXT}))
    assert answer.status_code == 400
    assert "***" in answer.text
    decision = stack.decision(answer.headers["x-vibe-request-id"])
    assert spelled.strip("=")[8:] not in answer.text + json.dumps(decision)
