"""No request gets a 500, and every error has OpenAI's shape."""

import base64
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from admin import app
from tests.integration.admin.harness import MASTER, Admin, Answer
from vibe_router.store.usage import Page

SCHEMA = json.loads(app.openapi_document(""))
OPERATIONS = [
    (method.upper(), path, operation)
    for path, operations in sorted(SCHEMA["paths"].items())
    for method, operation in operations.items()
]
FIELDS = sorted({name for schema in SCHEMA["components"]["schemas"].values() for name in schema.get("properties", {})})

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(["30d", "-1", "sk-x", "auto-chat", "<script>", "\ud800", "1e999", "../../x", "%00", "\x00", "*"]),
)
values = st.recursive(
    odd, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
bodies = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=10), values, max_size=8)
queries = st.dictionaries(
    st.sampled_from(["page", "size", "key", "limit", "days", "before", "day", "team_id", "start_date", "x"]),
    st.text(max_size=20),
    max_size=3,
)


def sound(answer: Answer) -> None:
    assert answer.status < 500, answer.body
    if answer.status >= 400:
        assert answer.error["message"]
        assert isinstance(answer.error["type"], str)


@settings(suppress_health_check=list(HealthCheck))
@given(operation=st.sampled_from(OPERATIONS), body=bodies, query=queries, part=st.text(max_size=12))
def test_no_body_query_or_path_is_a_500(
    admin: Admin, operation: tuple[str, str, Any], body: dict[str, Any], query: dict[str, str], part: str
) -> None:
    method, path, _ = operation
    named = path.replace("{key}", part or "x").replace("{request_id}", part or "x")
    sound(admin.ask(method, named, query=query, raw=json.dumps(body) if method != "GET" else None))


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "{",
        "null",
        "[]",
        "5",
        '"text"',
        '{"max_budget": NaN}',
        '{"max_budget": 1e999}',
        '{"metadata": {"a": "\\ud800"}}',
        '{"metadata": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"metadata": ' + '{"a":' * 200 + "1" + "}" * 200 + "}",
        '{"rpm_limit": ' + "9" * 5000 + "}",
        "\ud800",
        "a=1&b=2",
    ],
)
def test_a_body_other_than_a_json_object_is_a_400(admin: Admin, raw: str) -> None:
    for path in ("/key/generate", "/routes/explain", "/team/new"):
        answer = admin.ask("POST", path, raw=raw)
        if raw:  # without a body every field is absent
            assert answer.status == 400, answer.body
        sound(answer)


def test_a_body_in_base64_is_decoded_and_an_invalid_one_is_a_400(admin: Admin) -> None:
    body = base64.b64encode(b'{"key_alias": "x"}').decode()
    assert admin.ask("POST", "/key/generate", raw=body, encoded=True).status == 200
    assert admin.ask("POST", "/key/generate", raw="%%%", encoded=True).status == 400
    assert admin.ask("POST", "/key/generate", raw=base64.b64encode(b"\xff\xfe").decode(), encoded=True).status == 400


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/xml", ""]
)
def test_json_is_read_under_any_content_type(admin: Admin, content_type: str) -> None:
    answer = admin.ask("POST", "/key/generate", {"rpm_limit": 5}, headers={"Content-Type": content_type})
    assert (answer.status, answer.body["rpm_limit"]) == (200, 5)


def test_a_wrong_method_is_a_405_with_the_allowed_ones(admin: Admin) -> None:
    for path, allowed in [("/key/generate", "POST"), ("/routes", "GET, PUT"), ("/key/sk-x/regenerate", "POST")]:
        answer = admin.ask("DELETE", path)
        assert (answer.status, answer.headers["allow"]) == (405, [allowed])
    assert admin.ask("GET", "/key/nothing").status == 404


def test_sparse_events_are_answered(admin: Admin) -> None:
    from streaming_runtime import Context

    for event in ({}, {"path": None, "headers": None, "requestContext": None}, {"path": "/prod", "httpMethod": "GET"}):
        result = app.handler(event, Context("invocation", 4_000_000_000_000))
        assert result["statusCode"] in (401, 404)


def test_the_whole_api_is_described(admin: Admin) -> None:
    described = {path for _, path, _ in OPERATIONS}
    assert described >= {"/key/generate", "/key/{key}/regenerate", "/team/new", "/spend/logs", "/routes", "/cooldowns"}
    page = admin.ask("GET", "/ui/openapi.json", key=None)
    assert set(page.body["paths"]) == described
    assert MASTER not in json.dumps(page.body)


def test_searching_all_requests_is_bounded(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin.environment.usage, "find", lambda *_, **__: Page([], "there is more"))
    for query, field in (({"user_id": "rare"}, "user_id"), ({"start_date": "2026-11-24 10:00:00"}, "end_date")):
        assert admin.ask("GET", "/spend/logs", query=query).error["param"] == field


@pytest.mark.parametrize("field", ["start_date", "end_date"])
@pytest.mark.parametrize("text", ["yesterday", "2026", "24.11.2026", "2026-11-24 noon"])
def test_an_invalid_date_is_a_400_with_a_valid_example(admin: Admin, field: str, text: str) -> None:
    error = admin.ask("GET", "/spend/logs", query={field: text}).error
    assert error["param"] == field
    assert "such as 2026-11-24" in error["message"]
