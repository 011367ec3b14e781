"""The logger, metrics and tracer of the whole router.

A log line, a metric or a trace never holds a prompt, an answer or a key.
"""

import logging
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.logging.types import LogRecord

from vibe_router.core.record import ALWAYS_LOGGED, DECISION

__all__ = ["DECISION", "NAMESPACE", "log_fault", "logger", "metrics", "start_tracing", "traced"]

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
metrics = Metrics(namespace=NAMESPACE, service=_SERVICE)
# Modules of the package log by name; their lines get this logger's format.
_package = logging.getLogger(__name__.partition(".")[0])
_package.addHandler(logger.registered_handler)
_package.propagate = False
_tracer: Tracer | None = None


def start_tracing() -> None:
    """Start tracing if X-Ray is available. Call it after an answer: the SDK takes 90 ms to import.

    So the first request of an environment has no subsegments.
    """
    global _tracer
    if _tracer is None and "AWS_XRAY_DAEMON_ADDRESS" in os.environ:
        _tracer = Tracer(service=_SERVICE, auto_patch=False)  # a patch would trace every table read


@contextmanager
def traced(step: str, **annotations: str) -> Iterator[None]:
    """Record the block as a subsegment in X-Ray, if it samples this request."""
    # For a request that is not sampled, the SDK would do all the work in vain.
    if _tracer is None or "Sampled=1" not in os.environ.get("_X_AMZN_TRACE_ID", ""):
        yield
        return
    with _tracer.provider.in_subsegment(f"## {step}") as segment:
        for name, value in annotations.items():
            segment.put_annotation(name, value)
        yield


def log_fault(where: str, error: BaseException) -> None:
    """Log a fault of the router: its place, not its text, which may quote a caller."""
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    logger.error("FAULT", extra={"where": where, "fault": type(error).__name__, "frames": frames})
