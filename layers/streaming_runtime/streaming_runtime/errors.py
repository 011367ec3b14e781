"""What can go wrong in the runtime, and how an error is told to Lambda.

FunctionError            the function is at fault, under a name that Lambda's users know (`Runtime.…`)
├─ HandlerError          the handler cannot be had: its name, its module, its syntax
├─ EventError            the event is not JSON
└─ ResponseError         what the handler returned cannot be sent
RuntimeApiError          the Runtime API refused a request for good
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

# Frames of the runtime and of the import system say nothing about the function.
_PACKAGE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib is slow to import
_NOT_THE_FUNCTIONS = (_PACKAGE + os.sep, str(importlib.__file__), "<frozen importlib")


class FunctionError(Exception):
    """An error that the runtime found itself; `name` is what Lambda shows as its type."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class HandlerError(FunctionError):
    """The handler that `_HANDLER` names cannot be had."""


class EventError(FunctionError):
    """The event is not JSON."""

    def __init__(self, message: str) -> None:
        super().__init__("Runtime.UnmarshalError", message)


class ResponseError(FunctionError):
    """The handler's result cannot be sent."""

    def __init__(self, message: str) -> None:
        super().__init__("Runtime.MarshalError", message)


class RuntimeApiError(Exception):
    """The Runtime API answered with a status after which no runtime can go on."""


class RuntimeApiLostError(Exception):
    """The connection to the Runtime API could not be made or broke."""


class ErrorReport(NamedTuple):
    """One error as Lambda's log, its `/error` endpoints and X-Ray take it.

    The stack names files, lines, functions and the lines' source, never a variable's value.
    """

    error_type: str
    message: str
    frames: tuple[traceback.FrameSummary, ...] = ()
    request_id: str = ""

    @classmethod
    def of(cls, error: BaseException, request_id: str = "") -> "ErrorReport":
        """Describe `error`; of its stack the function's own frames, without the runtime's above them."""
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

    def within(self, limit: int) -> bytes:
        """Return `to_json` cut to at most `limit` bytes: the outer frames go first, then the message's end.

        `limit` is at least 2,000, which any request id and a type of 100 letters fit into.
        """
        report = self._replace(error_type=self.error_type[:100])
        while len(encoded := report.to_json()) > limit:
            if report.frames:
                report = report._replace(frames=report.frames[1:])
            else:
                report = report._replace(message=report.message[: len(report.message) // 2])
        return encoded

    def xray_cause(self) -> str:
        """Return the error as X-Ray's console shows it: JSON that fits into one header line."""
        stack = [{"label": frame.name, "path": frame.filename, "line": frame.lineno} for frame in self.frames]
        cause = {
            "working_directory": os.environ.get("LAMBDA_TASK_ROOT", ""),
            "exceptions": [{"message": self.message[:2000], "type": self.error_type, "stack": stack[-50:]}],
            "paths": sorted({frame.filename for frame in self.frames[-50:]}),
        }
        return json.dumps(cause)


def _frames(trace: TracebackType | None) -> tuple[traceback.FrameSummary, ...]:
    return tuple(frame for frame in traceback.extract_tb(trace) if not frame.filename.startswith(_NOT_THE_FUNCTIONS))
