"""Invalid requests get a clear error in OpenAI's shape, never a 500."""

import httpx
import pytest

from tests.e2e.stack import KEY, Stack

OK = b'{"model":"auto-chat","messages":[{"role":"user","content":"x"}]}'
AUTH = {"authorization": f"Bearer {KEY}"}
BODIES: list[tuple[str, bytes, int]] = [
    ("nothing", b"", 400),
    ("no JSON", b"{nope", 400),
    ("no object", b"[]", 400),
    ("no messages", b'{"model":"auto-chat"}', 400),
    ("messages that are no list", b'{"model":"auto-chat","messages":"hi"}', 400),
    ("a message that is no object", b'{"model":"auto-chat","messages":["hi"]}', 400),
    ("no model", b'{"messages":[{"role":"user","content":"x"}]}', 400),
    ("a model that is a number", b'{"model":3,"messages":[{"role":"user","content":"x"}]}', 400),
    ("a model with markup", b'{"model":"<b>\\r\\nx: y","messages":[{"role":"user","content":"x"}]}', 404),
    ("stream as a string", OK[:-1] + b',"stream":"yes"}', 400),
    ("deep nesting", OK[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    ("a number beyond floats", OK[:-1] + b',"x":1e999}', 400),
    ("a number of ten thousand digits", OK[:-1] + b',"x":' + b"9" * 10_000 + b"}", 400),
    ("NaN", OK[:-1] + b',"x":NaN}', 400),
    ("NULs", OK.replace(b'"x"', b'"\\u0000"'), 200),
    ("a lone surrogate", OK.replace(b'"x"', b'"\\ud800"'), 200),
    ("a key twice", OK[:-1] + b',"temperature":1,"temperature":0}', 400),
    ("a byte order mark", b"\xef\xbb\xbf" + OK, 200),
]


@pytest.mark.parametrize(("body", "status"), [case[1:] for case in BODIES], ids=[case[0] for case in BODIES])
def test_a_body_of(stack: Stack, body: bytes, status: int) -> None:
    answer = httpx.post(f"{stack.url}/chat/completions", content=body, headers=AUTH, timeout=60)
    assert answer.status_code == status, answer.text
    if status != 200:
        error = answer.json()["error"]
        assert error["type"] == "invalid_request_error"
        assert error["message"]


def test_invalid_utf_8_is_never_a_500(stack: Stack) -> None:
    body = OK.replace(b'"x"', b'"\xff\xfe"')
    assert httpx.post(f"{stack.url}/chat/completions", content=body, headers=AUTH, timeout=60).status_code in (200, 400)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer {KEY}"},
        {"x-api-key": KEY},
        {"api-key": KEY},
        {"x-litellm-api-key": KEY},
        {"x-goog-api-key": KEY},
        {"x-api-key": KEY, "authorization": "Bearer sk-ant-oat01-of-a-subscription"},
    ],
    ids=" beside ".join,
)
def test_the_key_is_taken_from(stack: Stack, headers: dict[str, str]) -> None:
    assert httpx.get(f"{stack.url}/models", headers=headers, timeout=60).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer"}, {"authorization": "Basic abc"}], ids=str)
def test_a_missing_key_is_a_401_that_names_the_header(stack: Stack, headers: dict[str, str]) -> None:
    answer = httpx.get(f"{stack.url}/models", headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert "Authorization" in answer.json()["error"]["message"]


def test_a_body_over_the_limit_is_a_413_that_names_the_limit(stack: Stack) -> None:
    answer = httpx.post(f"{stack.url}/chat/completions", content=b"x" * (11 * 1024 * 1024), headers=AUTH, timeout=60)
    assert answer.status_code == 413
    assert "6 MB" in answer.json()["error"]["message"]
    answer = httpx.post(f"{stack.url}/chat/completions", content=b"x" * (7 * 1024 * 1024), headers=AUTH, timeout=60)
    assert answer.status_code == 413
    assert "6 MB" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/nope", "/v1/nope", "/v1", "/v1/chat"])
def test_an_unknown_path_is_404(stack: Stack, path: str) -> None:
    answer = httpx.get(f"{stack.root}{path}", headers=AUTH, timeout=60)
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "invalid_request_error")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_a_wrong_method_is_a_405_that_names_the_allowed_one(stack: Stack, path: str, method: str) -> None:
    answer = httpx.request(method, f"{stack.root}{path}", headers=AUTH, timeout=60)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")


@pytest.mark.parametrize(
    "path", ["/models", "/v1/models", "/v1/v1/models", "/v1/models/auto-chat", "/models/auto-chat/"]
)
def test_paths_are_served_with_and_without_v1(stack: Stack, path: str) -> None:
    assert httpx.get(f"{stack.root}{path}", headers=AUTH, timeout=60).status_code == 200


@pytest.mark.parametrize("path", ["/health/liveliness", "/health/liveness", "/health/readiness"])
def test_health_needs_no_key(stack: Stack, path: str) -> None:
    assert httpx.get(f"{stack.root}{path}", timeout=60).status_code == 200


def test_deployment_states_require_the_master_key(stack: Stack) -> None:
    assert httpx.get(f"{stack.root}/health", timeout=60).status_code == 401
    assert stack.health()["ark/glm-4.7"]["state"] == "healthy"
