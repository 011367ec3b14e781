"""The gateway's log in CloudWatch Logs."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from vibe_router.core.record import DECISION

__all__ = ["LogsClient", "follow_log", "logs_client"]

_POLL_SECONDS = 2.0
# Lines of several environments arrive late and out of order, so each poll reads the last minute again.
_LATE_MS = 60_000


class LogsClient(Protocol):
    """The part of boto3's client for CloudWatch Logs that is used."""

    def filter_log_events(self, **kwargs: Any) -> dict[str, Any]:
        """Return a page of events."""


def logs_client() -> LogsClient:
    """Return a client with the usual AWS settings."""
    from botocore.config import Config

    from vibe_cli.boto import session

    patient = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 5, "mode": "standard"})
    client: LogsClient = session().client("logs", config=patient)
    return client


def follow_log(
    client: LogsClient,
    group: str,
    since_ms: int,
    *,
    once: bool = False,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.time,
) -> Iterator[str]:
    """Yield each line with a decision since `since_ms` (epoch ms), then new ones as they arrive, unless `once`.

    Polls FilterLogEvents, which is free; a Live Tail session costs money by the minute.
    """
    seen: dict[str, int] = {}  # event id → time in epoch ms
    start = since_ms
    while True:
        polled_at = int(now() * 1000)
        page: Mapping[str, Any] = {}
        while True:
            more = {"nextToken": page["nextToken"]} if page.get("nextToken") else {}
            page = client.filter_log_events(logGroupName=group, startTime=start, filterPattern=f'"{DECISION}"', **more)
            for event in page["events"]:
                if event["eventId"] not in seen:
                    seen[event["eventId"]] = event["timestamp"]
                    yield event["message"]
            if not page.get("nextToken"):
                break
        if once:
            return
        start = max(since_ms, polled_at - _LATE_MS)
        seen = {event: at for event, at in seen.items() if at >= start}
        sleep(_POLL_SECONDS)
