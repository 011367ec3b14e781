"""From a proxy event to the route that answers it, and the errors on the way."""

import base64
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import app, proxy_event
from streaming_runtime import StreamingResponse
from streaming_runtime.response import Head
from tests.unit.gateway.fake_environment import MASTER_KEY, FakeEnvironment, chat_event, context, event
from vibe_router.core.errors import unavailable

CHAT = {"model": "auto-chat", "messages": [{"role": "user", "content": "Say hello."}]}


def answer(given_event: dict[str, Any]) -> StreamingResponse:
    return app.handler(given_event, context())


def payload(response: StreamingResponse) -> bytes:
    return b"".join(response.body)


def error(response: StreamingResponse) -> dict[str, Any]:
    reported: dict[str, Any] = json.loads(payload(response))["error"]
    assert {"message", "type", "param", "code"} <= reported.keys()
    assert response.headers["content-type"] == "application/json"
    return reported


ROUTES = [
    pytest.param("POST", "/chat/completions", id="chat completions"),
    pytest.param("GET", "/models", id="the models"),
    pytest.param("GET", "/models/auto-chat", id="one model"),
    pytest.param("GET", "/health/liveliness", id="liveliness"),
    pytest.param("GET", "/health/liveness", id="liveness"),
    pytest.param("GET", "/health/readiness", id="readiness"),
    pytest.param("GET", "/health", id="health"),
]
PREFIXES = pytest.mark.parametrize(
    "prefix", ["", "/v1", "/prod", "/prod/v1"], ids=["bare", "v1", "stage", "stage and v1"]
)


@PREFIXES
@pytest.mark.parametrize("end", ["", "/"], ids=["", "with a slash"])
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_route_is_served_with_and_without_its_prefixes(
    environment: FakeEnvironment, method: str, path: str, prefix: str, end: str
) -> None:
    response = answer(event(method, prefix + path + end, CHAT if method == "POST" else None))
    assert response.status == 200
    assert json.loads(payload(response))


@PREFIXES
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_wrong_method_is_a_405_with_an_allow_header(
    environment: FakeEnvironment, method: str, path: str, prefix: str
) -> None:
    for wrong in {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"} - {method}:
        response = answer(event(wrong, prefix + path))
        assert response.status == 405
        assert response.headers["allow"] == f"{method}, OPTIONS"
        assert error(response)["code"] == "method_not_allowed"


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_preflight_needs_no_key(environment: FakeEnvironment, method: str, path: str) -> None:
    response = answer(event("OPTIONS", path, headers={"Origin": "https://a.example"}))
    assert response.status == 204
    assert response.headers["allow"] == f"{method}, OPTIONS"
    assert payload(response) == b""


@pytest.mark.parametrize(
    "path",
    ["/", "", "/v1", "/prod", "/embedding", "/v2/models", "/model", "/healthy", "/chat", "/../models",
     "/V1/models", "/ü\ud800"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_an_unknown_path_is_a_404_in_openais_format(environment: FakeEnvironment, method: str, path: str) -> None:
    response = answer(event(method, path))
    assert response.status == 404
    assert error(response)["code"] == "not_found"
    assert "/v1/chat/completions" in error(answer(event(method, path)))["message"]


@pytest.mark.parametrize(
    ("url_path", "location"),
    [("/", "/ui/"), ("/prod", "/prod/ui/"), ("/prod/", "/prod/ui/"), ("/production", "/ui/")],
)
def test_a_browser_is_redirected_from_the_root_to_the_page(
    environment: FakeEnvironment, url_path: str, location: str
) -> None:
    browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    asked = event("GET", "/", headers=browser, requestContext={"stage": "prod", "path": url_path})
    response = answer(asked)
    assert response.status == 302
    assert response.headers["location"] == location


def test_head_of_the_root_is_a_200_without_a_body(environment: FakeEnvironment) -> None:
    response = answer(event("HEAD", "/"))
    assert response.status == 200
    assert payload(response) == b""


@pytest.mark.parametrize(
    ("path", "stage", "status"),
    [
        pytest.param("/dev/v1/models", "dev", 200, id="another stage's name"),
        pytest.param("/dev/v1/models", "prod", 404, id="not this stage's name"),
        pytest.param("/v1/models", "v1", 200, id="a stage called v1"),
        pytest.param("/v1/v1/models", "v1", 200, id="a stage called v1, twice"),
        pytest.param("/production/models", "prod", 404, id="a path that only begins like the stage"),
        pytest.param("/models", None, 200, id="no stage"),
    ],
)
def test_the_stage_is_dropped_from_the_path(
    environment: FakeEnvironment, path: str, stage: str | None, status: int
) -> None:
    assert answer(event("GET", path, requestContext={"stage": stage})).status == status


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if "/health/" not in str(route.values[1])])
@pytest.mark.parametrize(
    "headers", [None, {}, {"Authorization": "Bearer wrong"}], ids=["null headers", "no headers", "a wrong key"]
)
def test_a_missing_key_is_a_401_before_any_other_check(
    environment: FakeEnvironment, method: str, path: str, headers: dict[str, str] | None
) -> None:
    response = answer(event(method, path, "{broken", headers=headers))
    assert response.status == 401
    assert error(response)["code"] == "invalid_api_key"
    assert environment.upstream.calls == []


@pytest.mark.parametrize("path", ["/health/liveliness", "/health/liveness", "/health/readiness", "/openapi.json"])
def test_health_and_description_are_public(environment: FakeEnvironment, path: str) -> None:
    assert answer(event("GET", path, headers=None)).status == 200


@pytest.mark.parametrize("name", ["authorization", "Authorization", "AUTHORIZATION"])
def test_header_names_are_case_insensitive(environment: FakeEnvironment, name: str) -> None:
    assert answer(event("GET", "/v1/models", headers={name: f"Bearer {MASTER_KEY}", "x-null": None})).status == 200


def test_a_body_in_base64_is_decoded(environment: FakeEnvironment) -> None:
    encoded = base64.b64encode(json.dumps(CHAT).encode()).decode()
    response = answer(event("POST", "/v1/chat/completions", encoded, isBase64Encoded=True))
    assert response.status == 200


@pytest.mark.parametrize("body", ["A", "ü", "===="], ids=["cut", "not ASCII", "only padding"])
def test_a_body_of_invalid_base64_is_a_400(environment: FakeEnvironment, body: str) -> None:
    response = answer(event("POST", "/v1/chat/completions", body, isBase64Encoded=True))
    assert response.status == 400
    assert error(response)["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "body", [None, "", "{broken", "[]", "\ud800"], ids=["null", "empty", "broken", "array", "half"]
)
def test_an_invalid_body_is_a_400(environment: FakeEnvironment, body: str | None) -> None:
    response = answer(event("POST", "/v1/chat/completions", body))
    assert response.status == 400
    assert error(response)["type"] == "invalid_request_error"


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if "live" not in str(route.values[1])])
def test_unreachable_tables_are_a_503_with_retry_after(environment: FakeEnvironment, method: str, path: str) -> None:
    environment.outage = unavailable("The routes cannot be read right now.")
    response = answer(event(method, path, CHAT))
    assert response.status == 503
    assert int(response.headers["retry-after"]) >= 1
    assert error(response)["code"] == "temporarily_unavailable"


def test_an_unexpected_failure_is_a_logged_500_without_details(
    environment: FakeEnvironment, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unforeseen(*_: object) -> None:
        raise RuntimeError("the prompt was: Say hello.")

    monkeypatch.setattr(environment.failover, "execute", unforeseen)
    response = answer(chat_event())
    assert response.status == 500
    assert error(response)["code"] == "internal_error"
    assert response.headers["x-vibe-request-id"] == "request-1"
    [line] = lines()
    assert (line["message"], line["fault"]) == ("FAULT", "RuntimeError")
    assert "Say hello" not in json.dumps(line)


def test_a_request_without_an_id_gets_lambdas() -> None:
    assert proxy_event.read({}, "aws-request-1").id == "aws-request-1"


texts = st.text(st.characters(exclude_categories=()), max_size=15)
paths = st.lists(
    st.sampled_from(["", "/", "prod", "v1", "chat", "completions", "chat/completions", "models", "health", "auto-chat",
                     "%2F", "%", "..", "ü", "\ud800", "\0"]),
    max_size=5,
).map("/".join)  # fmt: skip
headers = st.dictionaries(
    st.sampled_from(["Authorization", "authorization", "x-api-key", "Content-Type", "Accept"]),
    st.none() | texts | st.sampled_from([f"Bearer {MASTER_KEY}", MASTER_KEY]),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["model", "messages", "stream", "stream_options", "n", "max_tokens", "tools", "temperature", "x"]
bodies = (
    st.none()
    | texts
    | st.dictionaries(st.sampled_from(FIELDS), values).map(lambda fields: json.dumps({**CHAT, **fields}))
    | st.sampled_from([json.dumps(CHAT), json.dumps({**CHAT, "stream": True}), '{"a":' * 50_000])
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "httpMethod": st.sampled_from(["GET", "POST", "PUT", "OPTIONS", "HEAD", "TRACE"]),
        "path": paths | st.just("/v1/chat/completions") | st.none(),
        "headers": st.none() | headers | st.just({"Authorization": f"Bearer {MASTER_KEY}"}),
        "body": bodies,
        "isBase64Encoded": st.booleans(),
        "requestContext": st.none()
        | st.fixed_dictionaries({}, optional={"stage": st.none() | st.sampled_from(["prod", "v1", ""])}),
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_event=requests)
def test_any_event_gets_a_valid_answer_other_than_500(
    environment: FakeEnvironment, given_event: dict[str, Any]
) -> None:
    response = answer(given_event)
    assert response.status in (200, 204, 400, 401, 404, 405)
    Head.of(response.status, response.headers).prelude()
    body = payload(response)
    if response.status >= 400:
        assert json.loads(body)["error"]["message"]
    elif response.headers.get("content-type", "").startswith("text/event-stream"):
        assert body.endswith(b"data: [DONE]\n\n")
    if response.status == 405:
        assert response.headers["allow"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.dictionaries(st.sampled_from(FIELDS), values, max_size=3))
def test_any_fields_are_answered_or_rejected_with_a_reason(
    environment: FakeEnvironment, fields: dict[str, object]
) -> None:
    response = answer(event("POST", "/v1/chat/completions", json.dumps({**CHAT, **fields})))
    assert response.status in (200, 400, 404)
    Head.of(response.status, response.headers).prelude()


@PREFIXES
@pytest.mark.parametrize("name", ["Upgrade", "Sec-WebSocket-Key"], ids=["as sent", "as API Gateway passes it on"])
def test_a_websocket_upgrade_is_a_426(environment: FakeEnvironment, name: str, prefix: str) -> None:
    response = answer(event("GET", f"{prefix}/responses") | {"headers": {name: "websocket"}})
    assert response.status == 426
    assert error(response)["code"] == "websocket_not_supported"
    assert answer(event("GET", f"{prefix}/responses")).status == 405
