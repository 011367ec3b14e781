"""The router's own errors, and their form for OpenAI's clients."""

import json
from collections.abc import Mapping
from typing import Any

__all__ = [
    "ApiError",
    "bad_key",
    "bad_request",
    "error_body",
    "fault",
    "invalid_key",
    "misconfigured",
    "not_found",
    "switched_off",
    "unavailable",
    "unknown_model",
]


class ApiError(Exception):
    """An error for the caller. Its text never holds a secret.

    `details` are further members of the error object, such as the attempts of an exhausted chain. `request_id` is set
    by the gateway, for formats whose errors contain it.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",  # noqa: A002 - the name on the wire
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.code = code
        self.param = param
        self.headers = dict(headers or {})
        self.details = dict(details or {})
        self.request_id: str | None = None


def error_body(error: ApiError) -> bytes:
    """Return `error` as OpenAI's error object, in JSON."""
    fields = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return json.dumps({"error": {**fields, **error.details}}).encode()


def bad_request(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """Return the 400 for a malformed request."""
    return ApiError(400, message, param=param, code=code)


def bad_key(code: str, message: str) -> ApiError:
    """Return the 401 for a key that is not valid, or no longer."""
    challenge = {"www-authenticate": 'Bearer realm="vibe-router"'}
    return ApiError(401, message, type="auth_error", code=code, headers=challenge)


def invalid_key(message: str) -> ApiError:
    """Return the 401 for a missing or unknown key."""
    return bad_key("invalid_api_key", message)


def misconfigured(model: str) -> ApiError:
    """Return the 503 for a model whose row, or whose provider's row, is wrong. The log says what is wrong."""
    message = f"The model '{model}' is misconfigured: a row of the routes is invalid. The router's log names it."
    return ApiError(503, message, type="server_error", code="model_misconfigured", param="model")


def not_found(message: str) -> ApiError:
    """Return the 404 for a path that does not exist."""
    return ApiError(404, message, code="not_found")


def unavailable(message: str) -> ApiError:
    """Return the 503 for a service that the router cannot reach at the moment."""
    return ApiError(503, message, type="server_error", code="temporarily_unavailable", headers={"retry-after": "2"})


def fault() -> ApiError:
    """Return the 500 for a fault of the router."""
    return ApiError(500, "The router failed; its log has the reason.", type="server_error", code="internal_error")


def unknown_model(model: str, names: list[str]) -> ApiError:
    """Return OpenAI's 404 for a model that does not exist, naming those that do."""
    listed = f"Available models: {', '.join(names)}." if names else "There are no models yet: run `make routes`."
    shown = model if len(model) <= 100 else f"{model[:100]}…"
    return ApiError(404, f"The model '{shown}' does not exist. {listed}", code="model_not_found", param="model")


def switched_off(model: str) -> ApiError:
    """Return the 404 for a model whose deployments are all switched off: a retry does not help."""
    message = f"The model '{model}' is switched off: none of its deployments is enabled."
    return ApiError(404, message, code="model_switched_off", param="model")
