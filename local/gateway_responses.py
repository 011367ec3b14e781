"""API Gateway's own errors: the template's GatewayResponses, or AWS's defaults in OpenAI's shape. Pure.

https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
"""

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from .template import GatewayResponse

__all__ = ["GatewayError", "forbidden", "gateway_error", "malformed_request"]


class GatewayError(NamedTuple):
    """An error response of API Gateway itself."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Default(NamedTuple):
    status: int
    error_type: str
    code: str
    message: str


_DEFAULTS = {
    "BAD_REQUEST_BODY": _Default(400, "invalid_request_error", "bad_request", "Bad Request"),
    "INTEGRATION_FAILURE": _Default(502, "server_error", "bad_gateway", "Internal server error"),
    "INTEGRATION_TIMEOUT": _Default(504, "server_error", "gateway_timeout", "Endpoint request timed out"),
    "MISSING_AUTHENTICATION_TOKEN": _Default(
        403, "invalid_request_error", "access_denied", "Missing Authentication Token"
    ),
    "REQUEST_TIMEOUT": _Default(408, "invalid_request_error", "request_timeout", "The request body did not arrive"),
    "REQUEST_TOO_LARGE": _Default(
        413,
        "invalid_request_error",
        "request_too_large",
        "Request Too Long: the limit is 10 MB for the API and 6 MB for the function behind it",
    ),
}

_ERROR_TYPES = {
    "REQUEST_TIMEOUT": "RequestTimeoutException",
    "BAD_REQUEST_BODY": "BadRequestException",
    "INTEGRATION_FAILURE": "InternalServerErrorException",
    "INTEGRATION_TIMEOUT": "InternalServerErrorException",
    "MISSING_AUTHENTICATION_TOKEN": "MissingAuthenticationTokenException",
    "REQUEST_TOO_LARGE": "RequestTooLargeException",
}

_VARIABLE = re.compile(r"\$context\.([A-Za-z.]+[A-Za-z])")


def gateway_error(kind: str, declared: Mapping[str, GatewayResponse], request_id: str) -> GatewayError:
    """Return the response of an error kind: declared for the kind, for its class, or the default."""
    default = _DEFAULTS[kind]
    family = "DEFAULT_4XX" if default.status < 500 else "DEFAULT_5XX"
    response = declared.get(kind) or declared.get(family) or GatewayResponse(0, {}, None)
    context = {
        "requestId": request_id,
        "error.responseType": kind,
        "error.message": default.message,
        "error.messageString": json.dumps(default.message),
    }
    if response.body is None:
        content = {
            "message": f"{default.message}.",
            "type": default.error_type,
            "param": None,
            "code": default.code,
        }
        body = json.dumps({"error": content})
    else:
        body = _VARIABLE.sub(lambda match: context.get(match[1], ""), response.body)
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": _ERROR_TYPES[kind], **response.headers}
    return GatewayError(response.status or default.status, headers, body.encode())


def forbidden(reason: str) -> GatewayError:
    """Return the response to a request that a web page may not send."""
    return _local_error(403, "permission_error", "forbidden", reason)


def malformed_request(reason: str, status: int) -> GatewayError:
    """Return the response to malformed HTTP."""
    return _local_error(status, "invalid_request_error", "bad_request", f"Malformed HTTP request: {reason}")


def _local_error(status: int, error_type: str, code: str, message: str) -> GatewayError:
    content = {"message": message, "type": error_type, "param": None, "code": code}
    return GatewayError(status, {"Content-Type": "application/json"}, json.dumps({"error": content}).encode())
