"""The function's log, in the format of Lambda's managed runtimes.

Python's root logger and the runtime's own errors go to a sink: standard output, or the descriptor of
`_LAMBDA_TELEMETRY_LOG_FD`, where each message is framed so that it is one event, however many lines it has. Format and
level are the function's logging configuration: `AWS_LAMBDA_LOG_FORMAT` (`JSON`, else text), `AWS_LAMBDA_LOG_LEVEL`.
"""

import json
import logging
import os
import sys
import time
import traceback
from collections.abc import MutableMapping
from typing import Any, Protocol

from .errors import ErrorReport

__all__ = ["FramedSink", "Log", "Sink", "StandardSink"]

# The first four bytes of a frame encode format and level. Lambda cannot filter text without a level.
_UNLEVELED_TEXT = 0xA55A0003
_JSON_FRAMES = {0: 0xA55A0002, 10: 0xA55A000A, 20: 0xA55A000E, 30: 0xA55A0012, 40: 0xA55A0016, 50: 0xA55A001A}
_TEXT_FRAMES = {level: frame + 1 for level, frame in _JSON_FRAMES.items()}

_TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"
# Attributes of every record. All others were passed as `extra`.
_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "aws_request_id", "tenant_id"}


class Sink(Protocol):
    """The destination of formatted messages."""

    line_break: str
    """The separator of the lines within one message."""

    def write(self, message: str, frame: int) -> None:
        """Write one message, which includes its final line end."""


class StandardSink:
    """Standard output. CloudWatch makes an event of each line; a carriage return does not end a line there."""

    line_break = "\r"

    def write(self, message: str, frame: int) -> None:  # noqa: ARG002 - only FramedSink uses it
        """Write to the current `sys.stdout`."""
        sys.stdout.write(message)


class FramedSink:
    """The telemetry descriptor. Frame: type, length, time (µs since the epoch) in 4, 4, 8 big-endian bytes; message."""

    line_break = "\n"

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, message: str, frame: int) -> None:
        """Write one frame."""
        text = message.encode(errors="replace")
        head = frame.to_bytes(4, "big") + len(text).to_bytes(4, "big") + (time.time_ns() // 1000).to_bytes(8, "big")
        os.write(self._descriptor, head + text)


class Log(logging.Handler):
    """The root logger's handler, which also writes the runtime's own errors.

    `level` is the name of the root logger's level. `TRACE` means DEBUG; an unknown name is ignored.
    """

    def __init__(self, sink: Sink, *, as_json: bool = False, level: str = "") -> None:
        super().__init__()
        self._sink = sink
        self._as_json = as_json
        self._root_level = "DEBUG" if level.upper() == "TRACE" else level.upper()
        self._request_id = ""
        self._tenant_id: str | None = None
        if as_json:
            self._frames = _JSON_FRAMES
            self.setFormatter(_JsonFormatter())
        else:
            self._frames = _TEXT_FRAMES if level else dict.fromkeys(_TEXT_FRAMES, _UNLEVELED_TEXT)
            self.setFormatter(_TextFormatter())

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str] = os.environ) -> "Log":
        """Read the function's logging configuration. The descriptor's variable is removed from the environment."""
        descriptor = environ.pop("_LAMBDA_TELEMETRY_LOG_FD", None)
        return cls(
            StandardSink() if descriptor is None else FramedSink(int(descriptor)),
            as_json=environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON",
            level=environ.get("AWS_LAMBDA_LOG_LEVEL", ""),
        )

    def install(self) -> None:
        """Install this handler in the root logger."""
        root = logging.getLogger()
        root.addHandler(self)
        if self._root_level in logging.getLevelNamesMapping():
            root.setLevel(self._root_level)

    def set_invocation(self, request_id: str, tenant_id: str | None = None) -> None:
        """Add this invocation's ids to all later lines."""
        self._request_id, self._tenant_id = request_id, tenant_id

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        record.aws_request_id = self._request_id
        record.tenant_id = self._tenant_id
        try:
            self._sink.write(self.format(record), self._frames[_tens(record.levelno)])
        except Exception:  # noqa: BLE001 - a record that cannot be formatted must not fail the function
            self.handleError(record)

    def write(self, message: str) -> None:
        """Write text unchanged."""
        self._sink.write(message, _UNLEVELED_TEXT)

    def error(self, report: ErrorReport) -> None:
        """Write an error that ended an invocation or the start, in the format that Lambda's console parses."""
        if self._as_json:
            line = {"timestamp": time.strftime(_TIME_FORMAT + "Z", time.gmtime()), "level": "ERROR", **report.fields()}
            self._sink.write(json.dumps(line, ensure_ascii=False) + "\n", _JSON_FRAMES[logging.ERROR])
            return
        # A message with line ends stays one event and cannot forge another line.
        lines = f"[ERROR] {report.error_type}: {report.message}".splitlines()
        if report.frames:
            lines.append("Traceback (most recent call last):")
        for entry in traceback.format_list(report.frames):
            # CloudWatch strips spaces at the start of an event, and its console those of each line.
            lines += [line.replace(" ", "\u00a0", len(line) - len(line.lstrip(" "))) for line in entry.splitlines()]
        self._sink.write(self._sink.line_break.join(lines) + "\n", _TEXT_FRAMES[logging.ERROR])


class _TextFormatter(logging.Formatter):
    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__(
            "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", _TIME_FORMAT, validate=False
        )

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record) + "\n"


class _JsonFormatter(logging.Formatter):
    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "timestamp": self.formatTime(record, _TIME_FORMAT) + "Z",
            "level": logging.getLevelName(_tens(record.levelno)),
            "message": record.msg if isinstance(record.msg, dict) and not record.args else record.getMessage(),
            "logger": record.name,
            "requestId": getattr(record, "aws_request_id", None),
            "tenantId": getattr(record, "tenant_id", None),
        }
        if record.exc_info and record.exc_info[0] is not None:
            fields["errorType"] = record.exc_info[0].__name__
            fields["errorMessage"] = str(record.exc_info[1])
            fields["stackTrace"] = traceback.format_tb(record.exc_info[2])
            fields["location"] = f"{record.pathname}:{record.funcName}:{record.lineno}"
        extra = {key: value for key, value in vars(record).items() if key not in _RECORD_FIELDS and key not in fields}
        present = {key: value for key, value in (fields | extra).items() if value is not None}
        return json.dumps(present, ensure_ascii=False, default=str) + "\n"


def _tens(level: int) -> int:
    """Round a custom level down to one of Python's."""
    return min(50, max(0, level)) // 10 * 10
