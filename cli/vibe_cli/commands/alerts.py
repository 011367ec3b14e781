"""`alerts`: list alerts and their deliveries, and test a receiver."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vibe_cli.connect import Connection, connect
from vibe_cli.errors import CommandError
from vibe_cli.options import command_group, with_options

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["app"]

app = command_group("List alerts and their deliveries, and test a receiver.")

_WAIT_SECONDS = 20.0
_POLL_SECONDS = 0.5
_STYLES = {"delivered": "green", "retrying": "yellow", "failed": "red"}


@app.command("list")
@with_options(connection=Connection)
def list_alerts(
    connection: Connection,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200, help="The most to list.")] = 20,
) -> int:
    """List the newest alerts, and what became of them at each receiver."""
    from vibe_cli import output

    with connect(connection) as api:
        answer = api.get(f"/alerts?limit={limit}")
    return output.respond(connection.as_json, answer, lambda console: _render(console, answer))


def _render(console: "Console", answer: dict[str, Any]) -> None:
    from vibe_cli import output

    receivers: list[dict[str, Any]] = answer.get("receivers") or []
    if not receivers:
        console.print("No receivers: add `alerts` to routes.yaml (docs/alerts.md).")
    for each in receivers:
        missing = [str(each[name]) for name in ("url", "secret") if each.get(f"{name}_set") is False]
        events = ", ".join(map(str, each.get("events") or ())) or "all events"
        lacks = f"; not set: {', '.join(missing)}" if missing else ""
        console.print(output.clean(f"{each.get('name')}: {each.get('type')}, {events}{lacks}"))
    alerts: list[dict[str, Any]] = answer.get("alerts") or []
    if not alerts:
        console.print("No alerts.")
        return
    rows = [
        [
            output.time_text(each.get("at")),
            output.clean(each.get("event")),
            output.clean(each.get("text")),
            ", ".join(output.clean(f"{it.get('receiver')}: {it.get('status')}") for it in each.get("deliveries") or ()),
        ]
        for each in alerts
    ]
    console.print(output.table(("time", "event", "alert", "deliveries"), rows))


@app.command("test")
@with_options(connection=Connection)
def test_receiver(
    connection: Connection, name: Annotated[str, typer.Argument(metavar="NAME", help="The receiver.")]
) -> int:
    """Send a test message to a receiver, and wait for the result."""
    from vibe_cli import output

    with connect(connection) as api:
        sent = api.post("/alerts/test", {"receiver": name})
        until = time.monotonic() + _WAIT_SECONDS
        while True:
            alert = api.get(f"/alerts/{sent['id']}")
            delivery = next((each for each in alert.get("deliveries") or () if each.get("receiver") == name), None)
            if delivery or time.monotonic() > until:
                break
            time.sleep(_POLL_SECONDS)
    if delivery is None:
        raise CommandError(f"No result yet. See it later with: vibe alerts list (alert {sent['id']})")
    output.respond(connection.as_json, alert, lambda console: _report(console, delivery))
    return 0 if delivery.get("status") == "delivered" else 1


def _report(console: "Console", delivery: dict[str, Any]) -> None:
    from vibe_cli import output

    status = str(delivery.get("status"))
    console.print(output.styled(status, _STYLES.get(status, "dim")), output.clean(delivery.get("detail") or ""))
