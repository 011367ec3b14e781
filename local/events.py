"""Build the v1 proxy event that API Gateway sends to a function for an HTTP request. Pure.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from .resources import Match
from .template import ACCOUNT_ID

__all__ = ["Request", "is_binary", "proxy_event", "split_stage"]

# Headers that API Gateway does not pass on, in lower case.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
_DROPPED = frozenset(
    {
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

_IDENTITY = (
    "accessKey",
    "accountId",
    "apiKey",
    "apiKeyId",
    "caller",
    "cognitoAuthenticationProvider",
    "cognitoAuthenticationType",
    "cognitoIdentityId",
    "cognitoIdentityPoolId",
    "principalOrgId",
    "user",
    "userArn",
)


@dataclass(frozen=True)
class Request:
    """A received request. `path` includes the stage if the client sent it; `at` is in epoch seconds."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    source_ip: str
    host: str
    request_id: str
    at: float


def split_stage(path: str, stage: str) -> str:
    """Return the path without the stage, which is optional in local URLs."""
    prefix = f"/{stage}"
    return path.removeprefix(prefix) or "/" if path == prefix or path.startswith(f"{prefix}/") else path


def is_binary(content_type: str, kinds: Iterable[str]) -> bool:
    """Return whether a body of this type is sent as base64, by BinaryMediaTypes with `*` as wildcard."""
    essence = content_type.partition(";")[0].strip().lower()
    main, _, sub = essence.partition("/")
    for kind in kinds:
        wanted_main, _, wanted_sub = kind.lower().partition("/")
        if wanted_main in ("*", main) and wanted_sub in ("*", sub):
            return True
    return False


def proxy_event(request: Request, match: Match, stage: str, binary_media_types: Iterable[str], trace_id: str) -> bytes:
    """Return the event as JSON.

    REST APIs leave `path` and path parameters percent-encoded and decode the query. The single-valued mappings have the
    last value of a repeated name.
    """
    headers = [(name, value) for name, value in request.headers if name.lower() not in _DROPPED]
    forwarded = [value for name, value in headers if name.lower() == "x-forwarded-for"]
    headers = [(name, value) for name, value in headers if name.lower() not in _SET_HERE]
    headers += [
        ("X-Amzn-Trace-Id", trace_id),
        ("X-Forwarded-For", ", ".join([*forwarded, request.source_ip])),
        ("X-Forwarded-Port", request.host.rpartition(":")[2] if ":" in request.host else "80"),
        ("X-Forwarded-Proto", "http"),
    ]
    by_name = {name.lower(): value for name, value in headers}
    query = parse_qsl(request.query, keep_blank_values=True)
    encoded = is_binary(by_name.get("content-type", ""), binary_media_types)
    path = split_stage(request.path, stage)
    event = {
        "resource": match.route.path,
        "path": path,
        "httpMethod": request.method,
        "headers": dict(headers),
        "multiValueHeaders": _multiple(headers),
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": _multiple(query) or None,
        "pathParameters": match.parameters or None,
        "stageVariables": None,
        "requestContext": _context(request, match, stage, by_name.get("user-agent")),
        "body": _body(request.body, encoded=encoded),
        "isBase64Encoded": encoded and bool(request.body),
    }
    return json.dumps(event, ensure_ascii=False).encode()


_SET_HERE = frozenset({"x-amzn-trace-id", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto"})


def _body(body: bytes, *, encoded: bool) -> str | None:
    if not body:
        return None
    # API Gateway decodes every body as text that is not declared binary.
    return base64.b64encode(body).decode("ascii") if encoded else body.decode("utf-8", "replace")


def _multiple(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _context(request: Request, match: Match, stage: str, user_agent: str | None) -> dict[str, Any]:
    domain = request.host.rpartition(":")[0] or request.host
    return {
        "accountId": ACCOUNT_ID,
        "apiId": "local",
        "deploymentId": "local",
        "domainName": domain,
        "domainPrefix": domain.partition(".")[0],
        "extendedRequestId": request.request_id,
        "httpMethod": request.method,
        "identity": {**dict.fromkeys(_IDENTITY), "sourceIp": request.source_ip, "userAgent": user_agent},
        # With the stage at the API's own address, without it behind a custom domain: as the client sent it.
        "path": request.path,
        "protocol": "HTTP/1.1",
        "requestId": request.request_id,
        "requestTime": datetime.fromtimestamp(request.at, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "requestTimeEpoch": int(request.at * 1000),
        "resourceId": "local",
        "resourcePath": match.route.path,
        "stage": stage,
    }
