"""The results of handlers, and their encoding. Pure: no I/O.

Format: https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html
A JSON object (the prelude), eight NUL bytes, the payload.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from .errors import ResponseError

__all__ = ["PRELUDE_LIMIT", "STREAM_CONTENT_TYPE", "Head", "Heartbeat", "StreamingResponse", "payload_of"]

STREAM_CONTENT_TYPE = "application/vnd.awslambda.http-integration-response"
# API Gateway searches only the first 16 KB for the delimiter.
PRELUDE_LIMIT = 16 * 1024
_DELIMITER = bytes(8)

# Hop-by-hop headers: API Gateway frames the client's connection itself.
_HOP_HEADERS = frozenset(
    ("connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade")
)
# The characters of a field name: RFC 9110, section 5.6.2.
_NAME_CHARACTERS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True)
class Heartbeat:
    """Bytes that are sent to a client while the body is silent.

    `payload` is sent `after` seconds after the last byte, and every `after` seconds from then on, between two chunks of
    the body and never inside one. If nothing has been sent yet, status and headers are sent first.
    """

    after: float
    payload: bytes

    def __post_init__(self) -> None:
        if self.after <= 0 or not self.payload:
            raise ValueError("a heartbeat needs a time above 0 and a payload")


@dataclass(frozen=True)
class StreamingResponse:
    """A response whose body is sent while it is produced.

    Each item of `body` is one chunk and is sent at once. Status and headers are sent with the first item, so an error
    before it is still a clean error. An empty first item sends them early. If `body` has `close()`, it is called when
    the body ends or fails. `content-length` and hop-by-hop headers are dropped; every `set-cookie` is sent.
    """

    status: int
    headers: Mapping[str, str]
    body: Iterable[bytes]
    heartbeat: Heartbeat | None = None


class Head(NamedTuple):
    """A validated status and headers. Create it with `of` or `of_result`; both raise `ResponseError`."""

    status: int
    headers: dict[str, str]
    multi_value_headers: dict[str, list[str]]
    cookies: list[str]

    @classmethod
    def of(
        cls,
        status: object,
        headers: Mapping[str, object] | None,
        multi_value_headers: Mapping[str, Iterable[object]] | None = None,
        cookies: Iterable[object] = (),
    ) -> "Head":
        """Validate the parts of a response. Cookies are collected from all three parameters."""
        head = cls(_status(status), {}, {}, _values("cookies", cookies))
        for name, value in (headers or {}).items():
            lowered = _lowered(name)
            if lowered == "set-cookie":
                head.cookies.append(_value(name, value))
            elif lowered not in _HOP_HEADERS:
                head.headers[name] = _value(name, value)
        for name, values in (multi_value_headers or {}).items():
            lowered = _lowered(name)
            if lowered == "set-cookie":
                head.cookies.extend(_values(name, values))
            elif lowered not in _HOP_HEADERS:
                head.multi_value_headers[name] = _values(name, values)
        return head

    @classmethod
    def of_result(cls, result: Mapping[str, Any]) -> "Head":
        """Validate a proxy result's status and headers."""
        try:
            return cls.of(
                result["statusCode"],
                result.get("headers"),
                result.get("multiValueHeaders"),
                result.get("cookies") or (),
            )
        except (AttributeError, TypeError) as error:
            raise ResponseError(f"headers of the result have the wrong shape: {error}") from error

    def prelude(self) -> bytes:
        """Return the JSON and the delimiter before a streamed payload, at most `PRELUDE_LIMIT` bytes."""
        fields: dict[str, object] = {"statusCode": self.status, "headers": self.headers}
        if self.multi_value_headers:
            fields["multiValueHeaders"] = self.multi_value_headers
        if self.cookies:
            fields["cookies"] = self.cookies
        prelude = json.dumps(fields, separators=(",", ":")).encode() + _DELIMITER
        if len(prelude) > PRELUDE_LIMIT:
            raise ResponseError(
                f"status and headers take {len(prelude)} bytes, API Gateway reads {PRELUDE_LIMIT}: send fewer headers"
            )
        return prelude

    def proxy_result(self, payload: bytes) -> bytes:
        """Return the response as buffered proxy JSON. A payload that is not UTF-8 is encoded in base64."""
        multi = self.multi_value_headers
        if self.cookies:
            multi = {**multi, "Set-Cookie": self.cookies}
        try:
            body, encoded = payload.decode(), False
        except UnicodeDecodeError:
            from base64 import b64encode

            body, encoded = b64encode(payload).decode(), True
        result = {
            "statusCode": self.status,
            "headers": self.headers,
            "multiValueHeaders": multi,
            "body": body,
            "isBase64Encoded": encoded,
        }
        return json.dumps(result).encode()


def payload_of(result: Mapping[str, Any]) -> bytes:
    """Return a proxy result's body as bytes. Raises `ResponseError` if it is not text or not valid base64."""
    body = result.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise ResponseError(f"body of the result is {type(body).__name__}: give a string")
    if not result.get("isBase64Encoded"):
        # A lone surrogate has no UTF-8 encoding; a question mark is better than no response.
        return body.encode(errors="replace")
    from base64 import b64decode

    try:
        return b64decode(body, validate=True)
    except ValueError as error:
        raise ResponseError("body of the result says isBase64Encoded and is not base64") from error


def _status(status: object) -> int:
    if isinstance(status, str) and status.isascii() and status.isdigit():
        status = int(status)
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
        raise ResponseError(f"status is {status!r}: give a number from 200 to 599")
    return int(status)  # an IntEnum such as HTTPStatus becomes a plain number


def _lowered(name: object) -> str:
    lowered = name.lower() if isinstance(name, str) else ""
    if not lowered or not _NAME_CHARACTERS.issuperset(lowered):
        raise ResponseError(f"header name {name!r} has characters that HTTP does not allow")
    return lowered


def _values(name: str, values: Iterable[object]) -> list[str]:
    if isinstance(values, str):
        raise ResponseError(f"values of {name} are one string: give a list of strings")
    return [_value(name, value) for value in values]


def _value(name: str, value: object) -> str:
    """Validate a header value. The error names only the header, because its value may be a secret."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ResponseError(f"value of {name} is {type(value).__name__}: give a string")
    if "\r" in value or "\n" in value or "\0" in value:
        raise ResponseError(f"value of {name} has a line break or a NUL in it")
    return value
