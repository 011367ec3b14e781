"""One logger, one set of metrics, one tracer, for all of the router.

A log line, a metric or a trace never holds a prompt, an answer or a key.
"""

import logging
import traceback

from aws_lambda_powertools import Logger, Metrics, Tracer

__all__ = ["NAMESPACE", "log_fault", "logger", "metrics", "tracer"]

NAMESPACE = "VibeRouter"
_SERVICE = "VIBE-ROUTER"

logger = Logger(service=_SERVICE, log_record_order=["level", "message", "service", "timestamp"])
metrics = Metrics(namespace=NAMESPACE, service=_SERVICE)
# The package's own modules log by name; their lines come out as this logger's do.
_package = logging.getLogger(__name__.partition(".")[0])
_package.addHandler(logger.registered_handler)
_package.propagate = False
tracer = Tracer(service=_SERVICE, auto_patch=False)  # patching would put a subsegment around every table read


def log_fault(where: str, error: BaseException) -> None:
    """Log a fault of the router's own: where it arose, not its text, which may quote what a caller sent."""
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    logger.error("FAULT", extra={"where": where, "fault": type(error).__name__, "frames": frames})
