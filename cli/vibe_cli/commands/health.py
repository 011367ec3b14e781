"""`health`: the state of every deployment, as the router reports it."""

from typing import TYPE_CHECKING, Any

from vibe_cli.connect import Connection, connect
from vibe_cli.options import with_options

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show_health"]


@with_options(connection=Connection)
def show_health(connection: Connection) -> int:
    """Show the state of every deployment."""
    from vibe_cli import output

    with connect(connection) as api:
        answer = api.get("/health")
    return output.respond(connection.as_json, answer, lambda console: _render(console, answer))


def _render(console: "Console", answer: dict[str, Any]) -> None:
    from vibe_cli import output

    rows = [
        [
            output.clean(each.get("deployment")),
            output.state_text(each.get("state")),
            output.time_until(each.get("until"), None),
            output.clean(each.get("verdict") or ""),
            output.quota_text(each.get("quota"), None),
        ]
        for each in answer.get("deployments") or ()
    ]
    console.print(
        output.table(("deployment", "state", "until", "verdict", "quota used"), rows)
        if rows
        else "There are no routes yet."
    )
    console.print(f"State table: {output.clean(answer.get('state_table'))}")
