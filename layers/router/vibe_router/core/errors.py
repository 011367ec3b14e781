"""The router's own errors, and how OpenAI's clients are told of them."""

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
    "not_found",
    "switched_off",
    "unavailable",
    "unknown_model",
]


class ApiError(Exception):
    """An answer that is an error. Its text is for the caller and never holds a secret.

    `details` are further members of the error object, such as the attempts of an exhausted chain. `request_id` is set
    by who answers, for formats whose errors name it.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",  # noqa: A002 - the wire's own word
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
    """Return the 400 for what a caller sent."""
    return ApiError(400, message, param=param, code=code)


def bad_key(code: str, message: str) -> ApiError:
    """Return the 401 for a key that opens nothing, or nothing any more."""
    challenge = {"www-authenticate": 'Bearer realm="vibe-router"'}
    return ApiError(401, message, type="auth_error", code=code, headers=challenge)


def invalid_key(message: str) -> ApiError:
    """Return the 401 for a missing or unknown key."""
    return bad_key("invalid_api_key", message)


def not_found(message: str) -> ApiError:
    """Return the 404 for a path that nothing answers."""
    return ApiError(404, message, code="not_found")


def unavailable(message: str) -> ApiError:
    """Return the 503 for what the router itself can't reach; it tries again within seconds."""
    return ApiError(503, message, type="server_error", code="temporarily_unavailable", headers={"retry-after": "2"})


def fault() -> ApiError:
    """Return the 500 for a fault of the router's own."""
    return ApiError(500, "The router failed; its log has the reason.", type="server_error", code="internal_error")


def unknown_model(model: str, known: list[str]) -> ApiError:
    """Return OpenAI's 404 for a model that does not exist, naming those that do."""
    there_are = f"There are: {', '.join(known)}." if known else "There are none: load them with `make routes`."
    shown = model if len(model) <= 100 else f"{model[:100]}…"
    return ApiError(404, f"The model '{shown}' does not exist. {there_are}", code="model_not_found", param="model")


def switched_off(model: str) -> ApiError:
    """Return the 404 for a model whose deployments are all switched off: trying again does not help."""
    message = f"The model '{model}' is switched off: none of its deployments is enabled."
    return ApiError(404, message, code="model_switched_off", param="model")
