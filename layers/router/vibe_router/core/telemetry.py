"""The logger of the whole router, and the namespace of its metrics.

A log line never holds a prompt, an answer or a key.
"""

import logging
import os
import traceback
from typing import cast

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.logging.types import LogRecord

from vibe_router.core.record import ALWAYS_LOGGED, DECISION

__all__ = ["DECISION", "NAMESPACE", "log_fault", "logger"]

NAMESPACE = os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "VibeRouter")  # one for each stack
_SERVICE = "VIBE-ROUTER"


class _Formatter(LambdaPowertoolsFormatter):
    """Powertools' JSON lines, with all fixed fields of a decision: Powertools drops null."""

    def serialize(self, log: LogRecord) -> str:
        """Return `log` as a line of JSON."""
        if log.get("message") == DECISION:
            return super().serialize(
                cast("LogRecord", {**log, **{name: None for name in ALWAYS_LOGGED if name not in log}})
            )
        return super().serialize(log)


logger = Logger(
    service=_SERVICE,
    location=None,
    logger_formatter=_Formatter(
        log_record_order=["level", "message", "service", "timestamp"], use_rfc3339=True, utc=True
    ),
)
# Modules of the package log by name; their lines get this logger's format.
_package = logging.getLogger(__name__.partition(".")[0])
_package.addHandler(logger.registered_handler)
_package.propagate = False


def log_fault(where: str, error: BaseException) -> None:
    """Log a fault of the router: its place, not its text, which may quote a caller."""
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    logger.error("FAULT", extra={"where": where, "fault": type(error).__name__, "frames": frames})
