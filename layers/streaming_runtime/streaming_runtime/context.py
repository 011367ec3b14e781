"""The context object of an invocation, like the managed runtime's, with callbacks for after the response."""

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ["Context", "Function"]

_logger = logging.getLogger("streaming_runtime")

# https://www.w3.org/TR/trace-context/ and https://www.w3.org/TR/baggage/
_W3C_FIELDS = ("traceparent", "tracestate", "baggage")


class Function(NamedTuple):
    """The function's properties from Lambda's environment variables, read once."""

    name: str | None = None
    version: str | None = None
    memory_mb: str | None = None
    log_group: str | None = None
    log_stream: str | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Function":
        """Read the `AWS_LAMBDA_*` variables."""
        return cls(
            environ.get("AWS_LAMBDA_FUNCTION_NAME"),
            environ.get("AWS_LAMBDA_FUNCTION_VERSION"),
            environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
            environ.get("AWS_LAMBDA_LOG_GROUP_NAME"),
            environ.get("AWS_LAMBDA_LOG_STREAM_NAME"),
        )


class _Identity:
    """The Cognito identity of a caller through the mobile SDK. Both fields are None for other callers."""

    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.cognito_identity_id = fields.get("cognitoIdentityId")
        self.cognito_identity_pool_id = fields.get("cognitoIdentityPoolId")


class _Client:
    """The application that invoked the function through the mobile SDK."""

    __slots__ = ("app_package_name", "app_title", "app_version_code", "app_version_name", "installation_id")

    def __init__(self, fields: Mapping[str, Any]) -> None:
        for name in self.__slots__:
            setattr(self, name, fields.get(name))


class _ClientContext:
    """The client context that a direct caller passed."""

    __slots__ = ("client", "custom", "env")

    def __init__(self, fields: Mapping[str, Any]) -> None:
        client = fields.get("client")
        self.client = _Client(client) if isinstance(client, dict) else None
        self.custom = fields.get("custom")
        self.env = fields.get("env")


class Context:
    """One invocation, with the names of the managed runtime's `LambdaContext`.

    `deadline_ms` is in milliseconds since the epoch. `client_context` and `cognito_identity` are the Runtime API's JSON
    headers. A header that is not a JSON object is ignored.
    """

    def __init__(
        self,
        aws_request_id: str,
        deadline_ms: int,
        invoked_function_arn: str | None = None,
        *,
        function: Function | None = None,
        client_context: str | None = None,
        cognito_identity: str | None = None,
        tenant_id: str | None = None,
        write_log: Callable[[str], object] = print,
    ) -> None:
        if function is None:
            function = Function.from_environment()
        self.aws_request_id = aws_request_id
        self.invoked_function_arn = invoked_function_arn
        self.function_name = function.name
        self.function_version = function.version
        self.memory_limit_in_mb = function.memory_mb
        self.log_group_name = function.log_group
        self.log_stream_name = function.log_stream
        self.tenant_id = tenant_id
        self.identity = _Identity(_json_object(cognito_identity) or {})
        fields = _json_object(client_context)
        self._w3c = fields.pop("w3c", None) if fields else None
        self.client_context = _ClientContext(fields) if fields is not None else None
        self._deadline_ms = deadline_ms
        self._write_log = write_log
        self._work: list[Callable[[], None]] = []

    def after_response(self, work: Callable[[], None]) -> None:
        """Run `work` after the client has the whole response and before the next invocation is requested.

        Callbacks run in order, after failed responses too. They are billed and limited by the function's timeout. An
        exception is logged and does not stop the other callbacks.
        """
        self._work.append(work)

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda ends this invocation, 0 after the deadline."""
        return max(0, self._deadline_ms - int(time.time() * 1000))

    def log(self, message: object) -> None:
        """Write `message` to the function's log unchanged, without a level or line end."""
        self._write_log(str(message))

    def w3c(self) -> dict[str, str]:
        """Return the W3C trace context (`traceparent`, `tracestate`, `baggage`) that the caller passed."""
        fields = self._w3c if isinstance(self._w3c, dict) else {}
        return {name: fields[name] for name in _W3C_FIELDS if isinstance(fields.get(name), str)}

    def run_work(self) -> None:
        """Run the callbacks of `after_response` once. Called by the runtime loop."""
        # A callback may register more callbacks: the list can grow during the loop.
        for work in self._work:
            try:
                work()
            except Exception:
                _logger.exception("Work after the response failed")
        self._work = []


def _json_object(header: str | None) -> dict[str, Any] | None:
    if not header:
        return None
    try:
        value = json.loads(header)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
