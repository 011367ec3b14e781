import base64
import json
from typing import Any

import pytest

from local.events import Request, is_binary, proxy_event, split_stage
from local.resources import Match
from local.template import Route

ROUTE = Route(path="/v1/models/{model+}", method="ANY", function="Function", streamed=True, timeout=29)


def event_of(
    *,
    method: str = "POST",
    path: str = "/v1/models/a%2Fb",
    query: str = "",
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes = b"",
) -> dict[str, Any]:
    request = Request(
        method=method,
        path=path,
        query=query,
        headers=(("Host", "localhost:4000"), *headers),
        body=body,
        source_ip="10.0.0.7",
        host="localhost:4000",
        request_id="the-id",
        at=1700000000.25,
    )
    match = Match(ROUTE, {"model": "a%2Fb"})
    event: dict[str, Any] = json.loads(proxy_event(request, match, "prod", ("multipart/form-data",), "Root=1-2-3"))
    return event


def test_the_event_has_exactly_the_fields_of_a_v1_proxy_event() -> None:
    assert event_of().keys() == {
        "resource",
        "path",
        "httpMethod",
        "headers",
        "multiValueHeaders",
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "pathParameters",
        "stageVariables",
        "requestContext",
        "body",
        "isBase64Encoded",
    }


def test_absent_values_are_null() -> None:
    event = event_of()
    assert event["queryStringParameters"] is None
    assert event["multiValueQueryStringParameters"] is None
    assert event["stageVariables"] is None
    assert event["body"] is None
    assert event["isBase64Encoded"] is False


def test_path_and_path_parameters_stay_encoded_as_rest_apis_leave_them() -> None:
    event = event_of(path="/v1/models/a%2Fb")
    assert event["path"] == "/v1/models/a%2Fb"
    assert event["pathParameters"] == {"model": "a%2Fb"}
    assert event["resource"] == "/v1/models/{model+}"


def test_the_query_is_decoded_and_the_last_of_several_values_wins() -> None:
    event = event_of(query="a=1&a=2&b=x%20y%26z&c=&d=a+b")
    assert event["queryStringParameters"] == {"a": "2", "b": "x y&z", "c": "", "d": "a b"}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": ["x y&z"], "c": [""], "d": ["a b"]}


def test_headers_keep_their_case_and_all_their_values() -> None:
    event = event_of(headers=(("X-Mixed-Case", "1"), ("x-twice", "a"), ("x-twice", "b")))
    assert event["headers"]["X-Mixed-Case"] == "1"
    assert event["headers"]["x-twice"] == "b"
    assert event["multiValueHeaders"]["x-twice"] == ["a", "b"]


@pytest.mark.parametrize("name", ["Connection", "Transfer-Encoding", "TE", "Expect", "Upgrade", "Keep-Alive"])
def test_hop_by_hop_headers_stay_with_the_gateway(name: str) -> None:
    event = event_of(headers=((name, "x"),))
    assert name not in event["headers"]
    assert name not in event["multiValueHeaders"]


def test_forwarded_headers_of_the_caller_are_replaced() -> None:
    event = event_of(
        headers=(
            ("X-Forwarded-For", "1.2.3.4"),
            ("X-Forwarded-Proto", "gopher"),
            ("x-amzn-trace-id", "forged"),
            ("User-Agent", "test"),
        )
    )
    assert event["multiValueHeaders"]["X-Forwarded-For"] == ["1.2.3.4, 10.0.0.7"]
    assert event["headers"]["X-Forwarded-Proto"] == "http"
    assert event["headers"]["X-Forwarded-Port"] == "4000"
    assert event["headers"]["X-Amzn-Trace-Id"] == "Root=1-2-3"
    assert "x-amzn-trace-id" not in event["headers"]
    identity = event["requestContext"]["identity"]
    assert (identity["sourceIp"], identity["userAgent"]) == ("10.0.0.7", "test")


def test_the_request_context_names_request_stage_and_resource() -> None:
    context = event_of(method="PUT", path="/prod/v1/models/x")["requestContext"]
    assert context["requestId"] == "the-id"
    assert context["stage"] == "prod"
    assert context["httpMethod"] == "PUT"
    assert context["resourcePath"] == "/v1/models/{model+}"
    assert context["path"] == "/prod/v1/models/x"
    assert context["requestTimeEpoch"] == 1700000000250
    assert context["requestTime"] == "14/Nov/2023:22:13:20 +0000"
    assert context["domainName"] == "localhost"


def test_a_path_with_the_stage_is_handed_on_without_it() -> None:
    assert event_of(path="/prod/v1/models/x")["path"] == "/v1/models/x"


@pytest.mark.parametrize(
    ("path", "below"),
    [
        ("/prod/v1/models", "/v1/models"),
        ("/prod", "/"),
        ("/prod/", "/"),
        ("/production", "/production"),
        ("/v1/prod/x", "/v1/prod/x"),
    ],
)
def test_the_stage_is_a_whole_first_part_of_the_path(path: str, below: str) -> None:
    assert split_stage(path, "prod") == below


@pytest.mark.parametrize(
    ("content_type", "body", "text", "encoded"),
    [
        pytest.param("application/json", b'{"a": "\xc3\xa9"}', '{"a": "é"}', False, id="text stays text"),
        pytest.param("application/json", b"\xff\x00", "�\x00", False, id="what is no UTF-8 is made so"),
        pytest.param("", b"abc", "abc", False, id="without a type it is text"),
        pytest.param(
            "multipart/form-data; boundary=x",
            b"\xff\x00\xfe",
            base64.b64encode(b"\xff\x00\xfe").decode(),
            True,
            id="a binary type is encoded, whatever its parameters",
        ),
    ],
)
def test_bodies(content_type: str, body: bytes, text: str, encoded: bool) -> None:
    event = event_of(headers=(("content-type", content_type),), body=body)
    assert (event["body"], event["isBase64Encoded"]) == (text, encoded)


def test_an_empty_binary_body_is_no_body() -> None:
    event = event_of(headers=(("Content-Type", "multipart/form-data"),))
    assert (event["body"], event["isBase64Encoded"]) == (None, False)


@pytest.mark.parametrize(
    ("content_type", "kinds", "binary"),
    [
        ("image/png", ["image/png"], True),
        ("IMAGE/PNG", ["image/png"], True),
        ("image/png", ["image/*"], True),
        ("image/png", ["*/*"], True),
        ("", ["*/*"], True),
        ("image/png", ["image/jpeg", "text/*"], False),
        ("image/png", [], False),
    ],
)
def test_binary_types_may_be_patterns(content_type: str, kinds: list[str], binary: bool) -> None:
    assert is_binary(content_type, kinds) is binary
