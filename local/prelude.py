"""Parse the prelude of a streamed response and the proxy result of a buffered one. Pure.

https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html
"""

import base64
import json
import re
from dataclasses import dataclass
from typing import Any

__all__ = ["DELIMITER", "MAX_PRELUDE", "Head", "MalformedResponseError", "head_of_prelude", "result_of"]

DELIMITER = bytes(8)
MAX_PRELUDE = 16 * 1024
"""Largest prelude, including the delimiter, in bytes."""

# Headers that API Gateway sets itself: a function's are renamed, those of the second group dropped.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
_REMAPPED = frozenset({"connection", "content-length", "date", "server", "www-authenticate"})
_DROPPED = frozenset({"keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, token

_PRELUDE_KEYS = frozenset({"statusCode", "headers", "multiValueHeaders", "cookies"})


class MalformedResponseError(Exception):
    """The function's response does not have the format of the route's integration."""


@dataclass(frozen=True)
class Head:
    """Status and headers of a response, as sent to the client."""

    status: int
    headers: tuple[tuple[str, str], ...]


def head_of_prelude(prelude: bytes) -> Head:
    """Parse the JSON before the delimiter. Raises `MalformedResponseError`."""
    content = _object(prelude)
    unknown = sorted(content.keys() - _PRELUDE_KEYS)
    if unknown:
        raise MalformedResponseError(f"the prelude has {', '.join(unknown)}; allowed are {', '.join(_PRELUDE_KEYS)}")
    cookies = content.get("cookies") or []
    if not isinstance(cookies, list):
        raise MalformedResponseError("cookies is not a list")
    head = _head(content)
    return Head(head.status, (*head.headers, *(("Set-Cookie", str(cookie)) for cookie in cookies)))


def result_of(payload: bytes) -> tuple[Head, bytes]:
    """Parse a buffered proxy result into head and body. Raises `MalformedResponseError`."""
    content = _object(payload)
    body = content.get("body")
    if body is not None and not isinstance(body, str):
        raise MalformedResponseError("the body is not a string")
    if not content.get("isBase64Encoded"):
        return _head(content), (body or "").encode("utf-8", "replace")
    try:
        return _head(content), base64.b64decode(body or "", validate=True)
    except ValueError:
        raise MalformedResponseError("the body is not base64 although isBase64Encoded is true") from None


def _object(text: bytes) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError:
        raise MalformedResponseError("it is not JSON") from None
    if not isinstance(content, dict):
        raise MalformedResponseError("it is not a JSON object")
    return content


def _head(content: dict[str, Any]) -> Head:
    status = content.get("statusCode", 200)
    if isinstance(status, str) and status.isdecimal():
        status = int(status)
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
        raise MalformedResponseError(f"statusCode is {status!r}")
    pairs = [
        (name, _text(value))
        for name, values in _mapping(content, "multiValueHeaders").items()
        for value in _listed(values)
    ]
    # A name in both mappings has the values of both.
    single = [(name, _text(value)) for name, value in _mapping(content, "headers").items()]
    pairs += [pair for pair in single if pair not in pairs]
    for name, _ in pairs:
        if not _NAME.fullmatch(name):
            raise MalformedResponseError(f"{name!r} is not a valid header name")
    return Head(status, tuple(_renamed(name, value) for name, value in pairs if name.lower() not in _DROPPED))


def _mapping(content: dict[str, Any], key: str) -> dict[str, Any]:
    value = content.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedResponseError(f"{key} is not an object")
    return value


def _listed(values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise MalformedResponseError("multiValueHeaders has a value that is not a list")
    return values


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise MalformedResponseError("a header's value is not text")
    text = str(value)
    if "\r" in text or "\n" in text or "\0" in text:
        raise MalformedResponseError("a header's value contains a line end")
    return text


def _renamed(name: str, value: str) -> tuple[str, str]:
    return (f"x-amzn-Remapped-{name}" if name.lower() in _REMAPPED else name), value
