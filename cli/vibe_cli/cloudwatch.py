"""The gateway's log in CloudWatch Logs: its decisions as they come, and today's, counted where they lie."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from vibe_cli.decisions import MESSAGE, Traffic, parse
from vibe_cli.errors import CommandError

__all__ = ["LogsClient", "follow", "log_errors", "logs_client", "traffic"]

_POLL_SECONDS = 2.0
# Lines of several environments arrive out of order and late, so the last minute is looked through again.
_LATE_MS = 60_000
_SERVED = f"filter message = '{MESSAGE}' | stats count(*) as requests by deployment | limit 1000"
# Whoever failed at all failed first: a walk goes on only after a failure.
_FAILED = (
    f"fields @message | filter message = '{MESSAGE}' and attempts.0.verdict != 'ok' | sort @timestamp desc | limit 1000"
)


class LogsClient(Protocol):
    """What is used of boto3's client for CloudWatch Logs."""

    def filter_log_events(self, **kwargs: Any) -> dict[str, Any]:
        """Return a page of events."""

    def start_query(self, **kwargs: Any) -> dict[str, Any]:
        """Start a Logs Insights query."""

    def get_query_results(self, **kwargs: Any) -> dict[str, Any]:
        """Return how far a query is."""


def logs_client() -> LogsClient:
    """Return a client by the usual AWS settings."""
    from botocore.config import Config

    from vibe_router.store.aws import session

    patient = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 5, "mode": "standard"})
    client: LogsClient = session().client("logs", config=patient)
    return client


@contextmanager
def log_errors(group: str) -> Iterator[None]:
    """Turn what goes wrong with CloudWatch Logs into a plain sentence and what to do."""
    from botocore import exceptions

    try:
        yield
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        raise CommandError("No AWS credentials. Run `aws configure` or `aws sso login`, or set AWS_PROFILE.") from error
    except exceptions.NoRegionError as error:
        raise CommandError("No AWS region. Set AWS_REGION, or a region in the AWS profile.") from error
    except exceptions.ClientError as error:
        advice = {
            "ResourceNotFoundException": f"There is no log group {group}. Is STACK right, and deployed in this region?",
            "AccessDeniedException": f"These credentials may not read the log group {group}.",
            "ExpiredTokenException": "The AWS session has ended. Run `aws sso login` or renew the credentials.",
        }.get(error.response.get("Error", {}).get("Code", ""), f"CloudWatch Logs refused: {error}")
        raise CommandError(advice) from error
    except exceptions.BotoCoreError as error:
        raise CommandError(f"CloudWatch Logs can't be reached: {error}") from error


def follow(
    client: LogsClient,
    group: str,
    since_ms: int,
    *,
    once: bool = False,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.time,
) -> Iterator[str]:
    """Yield the lines with a decision that came since `since_ms` (epoch ms), then new ones as they come, each once.

    By FilterLogEvents, which costs nothing, where a Live Tail session costs by the minute. With `once` only what there
    is already.
    """
    seen: dict[str, int] = {}  # event id → when it was logged, in epoch ms
    start = since_ms
    while True:
        asked_at = int(now() * 1000)
        page: Mapping[str, Any] = {}
        while True:
            more = {"nextToken": page["nextToken"]} if page.get("nextToken") else {}
            page = client.filter_log_events(logGroupName=group, startTime=start, filterPattern=f'"{MESSAGE}"', **more)
            for event in page["events"]:
                if event["eventId"] not in seen:
                    seen[event["eventId"]] = event["timestamp"]
                    yield event["message"]
            if not page.get("nextToken"):
                break
        if once:
            return
        start = max(since_ms, asked_at - _LATE_MS)
        seen = {event: at for event, at in seen.items() if at >= start}
        sleep(_POLL_SECONDS)


def traffic(
    client: LogsClient,
    group: str,
    since: float,
    until: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Traffic:
    """Return what came between `since` and `until` (epoch seconds), counted by Logs Insights.

    So a busy day's log, gigabytes of it, stays where it is. The last thousand requests with a failure tell each
    deployment's last one.
    """
    counted = Traffic()
    for row in _query(client, group, _SERVED, since, until, sleep):
        if "requests" not in row:
            raise CommandError("CloudWatch Logs Insights answered without a count.")
        requests = int(float(row["requests"]))
        counted.requests += requests
        if served := row.get("deployment"):
            counted.served[served] = counted.served.get(served, 0) + requests
    for row in _query(client, group, _FAILED, since, until, sleep):
        if decision := parse(row.get("@message", "")):
            counted.note_failures(decision)
    return counted


def _query(
    client: LogsClient, group: str, query: str, since: float, until: float, sleep: Callable[[float], None]
) -> Sequence[Mapping[str, str]]:
    started = client.start_query(logGroupName=group, startTime=int(since), endTime=int(until) + 1, queryString=query)
    for _ in range(240):  # a minute; Insights takes seconds
        found = client.get_query_results(queryId=started["queryId"])
        if found["status"] == "Complete":
            return [{each["field"]: each["value"] for each in row} for row in found["results"]]
        if found["status"] not in ("Scheduled", "Running"):
            raise CommandError(f"CloudWatch Logs Insights: the query has {found['status'].lower()}.")
        sleep(0.25)
    raise CommandError("CloudWatch Logs Insights has not answered for a minute.")
