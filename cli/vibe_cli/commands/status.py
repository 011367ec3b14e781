"""`status`: every deployment's cooldown, last error and share of today's traffic."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vibe_cli.connect import Connection, connect
from vibe_cli.errors import CommandError
from vibe_cli.options import with_options

if TYPE_CHECKING:
    from rich.console import Console

    from vibe_cli.api import Api
    from vibe_cli.decisions import Failure, Traffic

__all__ = ["DeploymentStatus", "show_status", "summarize"]

_UNKNOWN = "unknown"
_PAGE = 200


@dataclass(frozen=True)
class DeploymentStatus:
    """The status of one deployment; None is unknown or does not apply.

    `scope` is what is on cooldown: the deployment, or the credential of its provider. `requests` is the number it
    served today, `share` their part of all that were served, from 0 to 1. `quota` is what its provider reports as used.
    """

    deployment: str
    models: tuple[str, ...]
    state: str
    scope: str | None = None
    until: str | None = None
    verdict: str | None = None
    strikes: int | None = None
    evidence: str | None = None
    quota: dict[str, Any] | None = None
    last_error: "Failure | None" = None
    requests: int | None = None
    share: float | None = None


@with_options(connection=Connection)
def show_status(
    connection: Connection,
    log: Annotated[
        Path | None, typer.Option("--log", metavar="FILE", help="Count the traffic in a saved log instead.")
    ] = None,
) -> int:
    """Show every deployment's cooldown, last error and share of today's traffic.

    A day begins at midnight UTC.
    """
    from vibe_cli import output

    with connect(connection) as api:
        cooldowns = api.get("/cooldowns")
        now = datetime.now(UTC)
        today = _traffic_in(log, now) if log else _traffic_of(api, now)
    deployments = summarize(cooldowns.get("deployments") or [], today)
    answer = {
        "stack": connection.stack or api.url,
        "requests_today": today.requests if today else None,
        "deployments": [asdict(each) for each in deployments],
    }
    return output.respond(
        connection.as_json, answer, lambda console: _render(console, deployments, today, cooldowns.get("now"))
    )


def summarize(listed: list[dict[str, Any]], today: "Traffic | None") -> list[DeploymentStatus]:
    """Return the status of each deployment `listed` by /cooldowns, and of others that served requests today."""
    served = sum(today.served.values()) if today else 0
    found = [
        DeploymentStatus(
            str(each.get("deployment")),
            tuple(each.get("models") or ()),
            str(each.get("state") or _UNKNOWN),
            **{name: each.get(name) for name in ("scope", "until", "verdict", "strikes", "evidence", "quota")},
            **_traffic(str(each.get("deployment")), today, served),
        )
        for each in listed
    ]
    removed = sorted(set(today.served) - {each.deployment for each in found}) if today else []
    return found + [DeploymentStatus(name, (), "not in routes", **_traffic(name, today, served)) for name in removed]


def _traffic(name: str, today: "Traffic | None", served: int) -> dict[str, Any]:
    if today is None:
        return {}
    requests = today.served.get(name, 0)
    return {
        "last_error": today.last_failures.get(name),
        "requests": requests,
        "share": requests / served if served else None,
    }


def _traffic_of(api: "Api", now: datetime) -> "Traffic | None":
    """Return today's traffic from the usage records; None, with a note on standard error, if they are unavailable."""
    from vibe_cli.decisions import Traffic
    from vibe_cli.output import note

    today = Traffic()
    try:
        overview = api.get("/usage/overview", days=1)
        today.served = {str(each["name"]): each["requests"] for each in overview.get("deployments") or ()}
        today.requests = sum(each["requests"] for each in overview.get("keys") or ())
        for status in (None, "failover", "error"):
            rows = api.get("/usage/requests", limit=_PAGE, status=status, day=f"{now:%Y-%m-%d}").get("requests") or ()
            for row in rows:
                today.note_failures({**row, "timestamp": row.get("at")})
    except CommandError as error:
        note(f"{error}\nThe traffic is unknown.")
        return None
    return today


def _traffic_in(log: Path, now: datetime) -> "Traffic":
    from vibe_cli.commands.logs import read_lines
    from vibe_cli.decisions import Traffic, logged_at, parse_decision

    today = Traffic()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    for decision in filter(None, map(parse_decision, read_lines([log]))):
        if (at := logged_at(decision)) and at >= midnight:
            today.count(decision)
    return today


def _render(console: "Console", found: list[DeploymentStatus], today: "Traffic | None", now: object) -> None:
    from vibe_cli import output

    head = ("deployment", "state", "cooldown", "quota used", "last error", "today")
    rows = [
        [
            output.clean(each.deployment),
            output.state_text(each.state),
            _cooldown(each, now),
            output.quota_text(each.quota, now),
            _last_error(each, today),
            _share(each),
        ]
        for each in found
    ]
    console.print(output.table(head, rows, numbers=("quota used", "today")) if rows else "There are no routes yet.")
    if today is None:
        console.print(f"Requests today: {_UNKNOWN}")
    else:
        errors = today.requests - sum(today.served.values())
        console.print(f"Requests today, since midnight UTC: {today.requests:,}, of which {errors:,} were not served")


def _cooldown(row: DeploymentStatus, now: object) -> str:
    from vibe_cli import output

    if row.until is None:
        return "–"
    strikes = output.plural(row.strikes or 0, "strike")
    scope = f", {row.scope}" if row.scope and row.scope != "deployment" else ""
    return f"{output.time_until(row.until, now)}: {output.clean(row.verdict or _UNKNOWN)}, {strikes}{scope}"


def _last_error(row: DeploymentStatus, today: "Traffic | None") -> str:
    from vibe_cli import output

    if row.evidence:
        return output.clean(row.evidence)
    if row.last_error:
        status = f" {row.last_error.status}" if row.last_error.status else ""
        return f"{row.last_error.at:%H:%M:%S} UTC {output.clean(row.last_error.verdict)}{status}"
    return _UNKNOWN if today is None else "–"


def _share(row: DeploymentStatus) -> str:
    if row.requests is None:
        return _UNKNOWN
    return f"{row.requests:,} ({row.share:.0%})" if row.share is not None else f"{row.requests:,}"
