import json
from typing import Any

import pytest

from local.prelude import Head, MalformedResponseError, head_of_prelude, result_of


def head(**content: Any) -> Head:
    return head_of_prelude(json.dumps(content).encode())


def test_status_and_headers_go_out_as_they_are() -> None:
    assert head(statusCode=201, headers={"X-A": "1"}) == Head(201, (("X-A", "1"),))


def test_several_values_and_cookies_are_several_headers() -> None:
    made = head(statusCode=200, multiValueHeaders={"x": ["1", "2"]}, cookies=["a=1", "b=2"])
    assert made.headers == (("x", "1"), ("x", "2"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"))


def test_a_value_in_both_kinds_of_headers_is_sent_once() -> None:
    assert head(headers={"x": "1", "y": "3"}, multiValueHeaders={"x": ["1"]}).headers == (("x", "1"), ("y", "3"))


def test_a_status_may_be_left_out_or_be_text() -> None:
    assert head().status == 200
    assert head(statusCode="404").status == 404


@pytest.mark.parametrize("name", ["Connection", "Content-Length", "Date", "server", "WWW-Authenticate"])
def test_headers_that_the_gateway_sets_itself_are_renamed(name: str) -> None:
    assert head(headers={name: "x"}).headers == ((f"x-amzn-Remapped-{name}", "x"),)


@pytest.mark.parametrize("name", ["Transfer-Encoding", "keep-alive", "Upgrade"])
def test_invalid_headers_are_dropped(name: str) -> None:
    assert head(headers={name: "chunked"}).headers == ()


@pytest.mark.parametrize(
    "prelude",
    [
        pytest.param(b"not json", id="no JSON"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b'{"statusCode": 99}', id="a status that is none"),
        pytest.param(b'{"statusCode": true}', id="a status of another type"),
        pytest.param(b'{"statusCode": 200, "body": "x"}', id="a body in the prelude"),
        pytest.param(b'{"headers": []}', id="headers of another type"),
        pytest.param(b'{"headers": {"a": {}}}', id="a value of another type"),
        pytest.param(b'{"headers": {"a": "x\\r\\nb: y"}}', id="a line end in a value"),
        pytest.param(b'{"headers": {"a b": "x"}}', id="a name that is none"),
        pytest.param(b'{"headers": {"a\\r\\nb": "x"}}', id="a line end in a name"),
        pytest.param(b'{"multiValueHeaders": {"a": "x"}}', id="several values that are one"),
        pytest.param(b'{"cookies": "a=1"}', id="cookies of another type"),
    ],
)
def test_a_prelude_that_is_not_one_is_rejected(prelude: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        head_of_prelude(prelude)


def test_a_proxy_result_has_its_body_as_text_or_base64() -> None:
    assert result_of(b'{"statusCode": 200, "body": "h\\u00e9"}') == (Head(200, ()), "hé".encode())
    assert result_of(b'{"statusCode": 200, "body": "/wA=", "isBase64Encoded": true}')[1] == b"\xff\x00"
    assert result_of(b'{"statusCode": 204}') == (Head(204, ()), b"")


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b'{"statusCode": 200}\x00\x00\x00\x00\x00\x00\x00\x00hello', id="a streamed answer"),
        pytest.param(b'{"statusCode": 200, "body": {"a": 1}}', id="a body that is no text"),
        pytest.param(b'{"statusCode": 200, "body": "%", "isBase64Encoded": true}', id="a body that is no base64"),
    ],
)
def test_a_proxy_result_that_is_not_one_is_rejected(payload: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        result_of(payload)
