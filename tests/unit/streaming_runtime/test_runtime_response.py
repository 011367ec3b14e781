import base64
import json
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming_runtime import Heartbeat
from streaming_runtime.errors import ErrorReport, ResponseError
from streaming_runtime.response import PRELUDE_LIMIT, Head, payload_of


def test_the_prelude_is_compact_json_and_eight_nuls() -> None:
    prelude = Head.of(201, {"content-type": "text/plain"}).prelude()
    assert prelude == b'{"statusCode":201,"headers":{"content-type":"text/plain"}}' + bytes(8)


@pytest.mark.parametrize(
    ("result", "prelude"),
    [
        pytest.param({"statusCode": 200}, {"statusCode": 200, "headers": {}}, id="no headers"),
        pytest.param({"statusCode": "404"}, {"statusCode": 404, "headers": {}}, id="a status in digits"),
        pytest.param({"statusCode": HTTPStatus.OK}, {"statusCode": 200, "headers": {}}, id="an enum's status"),
        pytest.param(
            {"statusCode": 200, "headers": {"retry-after": 5}},
            {"statusCode": 200, "headers": {"retry-after": "5"}},
            id="a number as a value",
        ),
        pytest.param(
            {"statusCode": 200, "headers": {"Set-Cookie": "a=1"}, "multiValueHeaders": {"set-cookie": ["b=2", "c=3"]}},
            {"statusCode": 200, "headers": {}, "cookies": ["a=1", "b=2", "c=3"]},
            id="cookies of all parameters stay separate",
        ),
        pytest.param(
            {"statusCode": 200, "cookies": ["a=1"], "multiValueHeaders": {"vary": ["a", "b"]}},
            {"statusCode": 200, "headers": {}, "multiValueHeaders": {"vary": ["a", "b"]}, "cookies": ["a=1"]},
            id="several values of one header",
        ),
        pytest.param(
            {
                "statusCode": 200,
                "headers": {"Connection": "close", "Transfer-Encoding": "chunked", "Content-Length": "3", "x-a": "b"},
                "multiValueHeaders": {"Keep-Alive": ["timeout=5"], "TE": ["trailers"]},
            },
            {"statusCode": 200, "headers": {"x-a": "b"}},
            id="hop-by-hop headers are dropped",
        ),
        pytest.param({"statusCode": 200, "headers": None}, {"statusCode": 200, "headers": {}}, id="headers of None"),
    ],
)
def test_a_proxy_result_becomes_a_prelude(result: dict[str, Any], prelude: dict[str, Any]) -> None:
    assert json.loads(Head.of_result(result).prelude()[:-8]) == prelude


@pytest.mark.parametrize(
    "result",
    [
        pytest.param({"statusCode": 99}, id="a status below 200"),
        pytest.param({"statusCode": 600}, id="a status above 599"),
        pytest.param({"statusCode": True}, id="a status of True"),
        pytest.param({"statusCode": None}, id="a status of None"),
        pytest.param({"statusCode": "2OO"}, id="a status that is not a number"),
        pytest.param({"statusCode": 200, "headers": {"x-a": "b\r\nx-evil: 1"}}, id="a line break in a value"),
        pytest.param({"statusCode": 200, "headers": {"x-a": "b\nc"}}, id="a bare line feed in a value"),
        pytest.param({"statusCode": 200, "headers": {"x-a": "b\0"}}, id="a NUL in a value"),
        pytest.param({"statusCode": 200, "headers": {"x a": "b"}}, id="a space in a name"),
        pytest.param({"statusCode": 200, "headers": {"x-a:": "b"}}, id="a colon in a name"),
        pytest.param({"statusCode": 200, "headers": {"": "b"}}, id="an empty name"),
        pytest.param({"statusCode": 200, "headers": {1: "b"}}, id="a name that is a number"),
        pytest.param({"statusCode": 200, "headers": {"x-a": None}}, id="a value of None"),
        pytest.param({"statusCode": 200, "headers": ["x-a"]}, id="headers in a list"),
        pytest.param({"statusCode": 200, "multiValueHeaders": {"x-a": "b"}}, id="one string for many values"),
        pytest.param({"statusCode": 200, "multiValueHeaders": {"x-a": ["b", "c\n"]}}, id="a break in one of many"),
        pytest.param({"statusCode": 200, "multiValueHeaders": {"x-a": 5}}, id="a number for many values"),
        pytest.param({"statusCode": 200, "cookies": ["a=1\r\n"]}, id="a line break in a cookie"),
        pytest.param({"statusCode": 200, "cookies": "a=1"}, id="one string for the cookies"),
    ],
)
def test_an_invalid_head_is_rejected(result: dict[str, Any]) -> None:
    with pytest.raises(ResponseError):
        Head.of_result(result)


def test_a_rejected_value_is_not_quoted() -> None:
    with pytest.raises(ResponseError) as caught:
        Head.of(200, {"authorization": "Bearer secret\n"})
    assert "authorization" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_delimiter_ends_within_the_first_16_kb() -> None:
    frame = len(Head.of(200, {"x": ""}).prelude())
    longest = Head.of(200, {"x": "y" * (PRELUDE_LIMIT - frame)})
    assert len(longest.prelude()) == 16_384
    with pytest.raises(ResponseError, match="send fewer headers"):
        Head.of(200, {"x": "y" * (PRELUDE_LIMIT - frame + 1)}).prelude()


@given(st.dictionaries(st.from_regex(r"\Ax-[a-z0-9-]{1,20}\Z"), st.text(max_size=50), max_size=8))
def test_a_prelude_contains_no_delimiter_or_line_break(headers: dict[str, str]) -> None:
    try:
        head = Head.of(200, headers)
    except ResponseError:
        assert any(set(value) & {"\r", "\n", "\0"} for value in headers.values())
        return
    prelude = head.prelude()
    assert prelude.index(0) == len(prelude) - 8
    assert b"\n" not in prelude
    assert json.loads(prelude[:-8])["headers"] == headers


@pytest.mark.parametrize(
    ("result", "payload"),
    [
        pytest.param({}, b"", id="no body"),
        pytest.param({"body": None}, b"", id="a body of None"),
        pytest.param({"body": "né"}, "né".encode(), id="text"),
        pytest.param({"body": "a\ud800b"}, b"a?b", id="a lone surrogate"),
        pytest.param({"body": "AP8=", "isBase64Encoded": True}, b"\0\xff", id="base64"),
    ],
)
def test_a_body_is_encoded_to_bytes(result: dict[str, Any], payload: bytes) -> None:
    assert payload_of(result) == payload


@pytest.mark.parametrize("result", [{"body": {"a": 1}}, {"body": b"raw"}, {"body": "$$$", "isBase64Encoded": True}])
def test_an_invalid_body_is_rejected(result: dict[str, Any]) -> None:
    with pytest.raises(ResponseError):
        payload_of(result)


@given(st.binary(max_size=200))
def test_a_buffered_result_preserves_every_payload(payload: bytes) -> None:
    result = json.loads(Head.of(200, {}).proxy_result(payload))
    assert (base64.b64decode(result["body"]) if result["isBase64Encoded"] else result["body"].encode()) == payload


def test_a_buffered_result_keeps_cookies_separate() -> None:
    result = json.loads(Head.of(200, {"a": "b"}, {"set-cookie": ["x=1", "y=2"]}).proxy_result(b"hi"))
    assert result == {
        "statusCode": 200,
        "headers": {"a": "b"},
        "multiValueHeaders": {"Set-Cookie": ["x=1", "y=2"]},
        "body": "hi",
        "isBase64Encoded": False,
    }


@pytest.mark.parametrize(("after", "payload"), [(0, b"x"), (-1, b"x"), (1, b"")])
def test_an_invalid_heartbeat_is_rejected(after: float, payload: bytes) -> None:
    with pytest.raises(ValueError, match="heartbeat"):
        Heartbeat(after, payload)


def _deep(levels: int) -> None:
    if levels:
        _deep(levels - 1)
    raise ValueError("deep\n" * 5000)


def test_a_long_error_is_truncated_to_its_innermost_frames() -> None:
    try:
        _deep(50)
    except ValueError as error:
        report = ErrorReport.of(error, "req-1")
    encoded = report.truncated(2700)
    assert len(encoded) <= 2700
    cut = json.loads(encoded)
    assert cut["errorType"] == "ValueError"
    assert cut["requestId"] == "req-1"
    assert cut["errorMessage"].startswith("deep\n")
    short = report._replace(message="short")
    kept = json.loads(short.truncated(2700))["stackTrace"]
    assert kept == short.fields()["stackTrace"][-len(kept) :] != []


def test_a_stack_trace_contains_lines_but_no_values() -> None:
    def fails(password: str) -> None:
        raise ValueError(f"{len(password)} letters")

    try:
        fails("hunter2")
    except ValueError as error:
        report = ErrorReport.of(error)
    assert "fails" in report.fields()["stackTrace"][-1]
    assert "hunter2" not in report.fields()["stackTrace"][-1]
    assert json.loads(report.xray_cause())["exceptions"][0]["stack"][-1]["label"] == "fails"
