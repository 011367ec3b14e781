"""Requests as clients send them: compressed bodies, and paths with doubled versions, stray slashes or Azure's parts."""

import base64
import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from gateway import app
from gateway.content_encoding import MAX_BODY, decode
from gateway.paths import target_of
from tests.unit.gateway.fake_environment import FakeEnvironment, context, event
from vibe_router.core.errors import ApiError

CHAT = {"model": "auto-chat", "messages": [{"role": "user", "content": "Hi"}]}
PLAIN = json.dumps(CHAT).encode()


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def send(path: str, body: bytes | None = PLAIN, method: str = "POST", **headers: str) -> tuple[int, Any]:
    sent = event(method, path, base64.b64encode(body).decode() if body else None, isBase64Encoded=bool(body))
    sent["headers"] |= {name.replace("_", "-"): value for name, value in headers.items()}
    response = app.handler(sent, context())
    return response.status, json.loads(b"".join(response.body))


# --- Compressed bodies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("identity", bytes),
        ("deflate, gzip", lambda body: gzip.compress(zlib.compress(body))),
    ],
    ids=["gzip", "its alias", "upper case", "zlib", "raw deflate", "identity", "two codings"],
)
def test_a_compressed_body_is_decoded(
    environment: FakeEnvironment, coding: str, compress: Callable[[bytes], bytes]
) -> None:
    status, answer = send("/v1/chat/completions", compress(PLAIN), content_encoding=coding)
    assert (status, answer["object"]) == (200, "chat.completion")


@pytest.mark.parametrize("coding", ["zstd", "br", "compress", "gzip, zstd", "gzip, gzip, gzip"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_an_unsupported_coding_is_a_415_that_names_it(environment: FakeEnvironment, path: str, coding: str) -> None:
    status, answer = send(path, b"(\xb5/\xfd", content_encoding=coding)
    assert status == 415
    assert f"'{coding}'" in answer["error"]["message"]
    assert "gzip, deflate" in answer["error"]["message"]
    assert environment.upstream.calls == []


def test_a_compressed_body_that_arrived_as_text_is_a_415(environment: FakeEnvironment) -> None:
    sent = event("POST", "/v1/chat/completions", gzip.compress(PLAIN).decode("utf-8", "replace"))
    sent["headers"]["content-encoding"] = "gzip"
    response = app.handler(sent, context())
    assert response.status == 415


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", PLAIN),
        ("gzip", gzip.compress(PLAIN)[:-9]),
        ("gzip", gzip.compress(PLAIN) + b"more"),
        ("deflate", PLAIN),
        ("deflate", zlib.compress(PLAIN)[:-5]),
    ],
    ids=["no gzip", "truncated gzip", "data after gzip", "no deflate", "truncated deflate"],
)
def test_a_body_that_does_not_match_its_coding_is_a_400(environment: FakeEnvironment, coding: str, body: bytes) -> None:
    assert send("/v1/chat/completions", body, content_encoding=coding)[0] == 400


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, raw_deflate], ids=["gzip", "zlib", "raw"])
def test_a_body_that_is_too_large_when_decoded_is_a_413(compress: Callable[[bytes], bytes]) -> None:
    coding = "gzip" if compress is gzip.compress else "deflate"
    assert len(decode(compress(b" " * MAX_BODY), coding)) == MAX_BODY
    with pytest.raises(ApiError) as rejected:
        decode(compress(b" " * (MAX_BODY + 1)), coding)
    assert rejected.value.status == 413


# --- Paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "target", "model"),
    [
        ("/v1/chat/completions", "/chat/completions", None),
        ("/chat/completions", "/chat/completions", None),
        ("//v1/chat/completions", "/chat/completions", None),
        ("/v1//chat//completions", "/chat/completions", None),
        ("/v1/v1/messages", "/messages", None),
        ("/v1/v1/v1//messages", "/messages", None),
        ("/v1/models/a//b", "/models/a//b", None),
        ("/openai/v1/responses", "/responses", None),
        ("/openai/deployments/auto-chat/chat/completions", "/chat/completions", "auto-chat"),
        ("//openai/deployments/auto%20codex%2F%C3%BC/embeddings", "/embeddings", "auto codex/ü"),
        ("/openai/deployments/auto-chat", "/", "auto-chat"),
        ("/", "/", None),
        ("/v1", "/v1", None),
    ],
)
def test_the_target_of_a_path(path: str, target: str, model: str | None) -> None:
    assert target_of(path) == (target, model)


@pytest.mark.parametrize(
    "path",
    [
        "//v1/chat/completions",
        "/v1/v1/chat/completions",
        "/prod//v1/chat/completions/",
        "/openai/v1/chat/completions",
    ],
)
def test_a_request_with_doubled_or_stray_path_parts_is_served(environment: FakeEnvironment, path: str) -> None:
    assert send(path)[0] == 200


def test_an_azure_path_names_the_model(environment: FakeEnvironment) -> None:
    body = json.dumps({"messages": CHAT["messages"]}).encode()
    status, _ = send("/openai/deployments/auto-chat/chat/completions", body)
    assert status == 200
    other = json.dumps({**CHAT, "model": "gpt-4o"}).encode()
    assert send("/openai/deployments/auto-chat/chat/completions", other)[0] == 200
    assert send("/openai/deployments/no-such/chat/completions", PLAIN)[0] == 404


def test_an_azure_path_names_the_model_of_a_form(environment: FakeEnvironment) -> None:
    part = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--b--\r\n'
    path = "/openai/deployments/no-such/audio/transcriptions"
    status, answer = send(path, part, content_type="multipart/form-data; boundary=b")
    assert (status, answer["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("path", ["/openai/deployments/auto-chat", "/openai/deployments//chat/completions"])
def test_an_azure_path_without_a_model_or_operation_is_rejected(environment: FakeEnvironment, path: str) -> None:
    assert send(path)[0] in (400, 404, 405)
