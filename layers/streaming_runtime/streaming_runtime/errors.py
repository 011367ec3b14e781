"""The runtime's errors, and how an error is reported to Lambda.

FunctionError            the function is at fault; `name` is one of Lambda's error types (`Runtime.…`)
├─ HandlerError          the handler cannot be loaded: its name, module or syntax is invalid
├─ EventError            the event is not JSON
└─ ResponseError         the handler's result cannot be sent
RuntimeApiError          the Runtime API rejected a request, and the runtime must exit
RuntimeApiLostError      the connection to the Runtime API broke
"""

import importlib
import json
import os
import traceback
from types import TracebackType
from typing import Any, NamedTuple

__all__ = [
    "ErrorReport",
    "EventError",
    "FunctionError",
    "HandlerError",
    "ResponseError",
    "RuntimeApiError",
    "RuntimeApiLostError",
]

# Frames of the runtime and of the import system are left out of stack traces.
_PACKAGE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib is slow to import
_FOREIGN_FILES = (_PACKAGE + os.sep, str(importlib.__file__), "<frozen importlib")


class FunctionError(Exception):
    """An error that the runtime detected. `name` is the error type that Lambda shows."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class HandlerError(FunctionError):
    """The handler that `_HANDLER` names cannot be loaded."""


class EventError(FunctionError):
    """The event is not JSON."""

    def __init__(self, message: str) -> None:
        super().__init__("Runtime.UnmarshalError", message)


class ResponseError(FunctionError):
    """The handler's result cannot be sent."""

    def __init__(self, message: str) -> None:
        super().__init__("Runtime.MarshalError", message)


class RuntimeApiError(Exception):
    """The Runtime API answered with a status after which the runtime must exit."""


class RuntimeApiLostError(Exception):
    """The connection to the Runtime API could not be made or broke."""


class ErrorReport(NamedTuple):
    """One error for Lambda's log, its `/error` endpoints and X-Ray.

    The stack holds files, lines, functions and source lines, never the values of variables.
    """

    error_type: str
    message: str
    frames: tuple[traceback.FrameSummary, ...] = ()
    request_id: str = ""

    @classmethod
    def of(cls, error: BaseException, request_id: str = "") -> "ErrorReport":
        """Build the report of `error`, with only the function's own stack frames."""
        if isinstance(error, FunctionError):
            cause = error.__cause__
            return cls(error.name, str(error), _frames(cause.__traceback__) if cause else (), request_id)
        return cls(type(error).__name__, str(error), _frames(error.__traceback__), request_id)

    def fields(self) -> dict[str, Any]:
        """Return the error in the managed runtime's shape."""
        return {
            "errorMessage": self.message,
            "errorType": self.error_type,
            "requestId": self.request_id,
            "stackTrace": traceback.format_list(self.frames),
        }

    def to_json(self) -> bytes:
        """Return `fields` as ASCII JSON."""
        return json.dumps(self.fields()).encode()

    def truncated(self, limit: int) -> bytes:
        """Return `to_json` in at most `limit` bytes: without the outer frames first, then without the message's end.

        `limit` is at least 2,000: enough for any request id and an error type of 100 characters.
        """
        report = self._replace(error_type=self.error_type[:100])
        while len(encoded := report.to_json()) > limit:
            if report.frames:
                report = report._replace(frames=report.frames[1:])
            else:
                report = report._replace(message=report.message[: len(report.message) // 2])
        return encoded

    def xray_cause(self) -> str:
        """Return the error for X-Ray's console, as JSON that fits into one header line."""
        stack = [{"label": frame.name, "path": frame.filename, "line": frame.lineno} for frame in self.frames]
        cause = {
            "working_directory": os.environ.get("LAMBDA_TASK_ROOT", ""),
            "exceptions": [{"message": self.message[:2000], "type": self.error_type, "stack": stack[-50:]}],
            "paths": sorted({frame.filename for frame in self.frames[-50:]}),
        }
        return json.dumps(cause)


def _frames(trace: TracebackType | None) -> tuple[traceback.FrameSummary, ...]:
    return tuple(frame for frame in traceback.extract_tb(trace) if not frame.filename.startswith(_FOREIGN_FILES))
