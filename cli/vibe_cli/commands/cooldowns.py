"""`cooldowns`: list deployments on cooldown, and end cooldowns."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vibe_cli.connect import Connection, connect
from vibe_cli.errors import CommandError
from vibe_cli.options import command_group, with_options

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["app"]

app = command_group("List deployments on cooldown, and end cooldowns.")


@app.command("list")
@with_options(connection=Connection)
def list_cooldowns(
    connection: Connection,
    everything: Annotated[bool, typer.Option("--all", help="Include healthy deployments.")] = False,
) -> int:
    """List deployments on cooldown: until when, and why."""
    from vibe_cli import output

    with connect(connection) as api:
        answer = api.get("/cooldowns")
    return output.respond(connection.as_json, answer, lambda console: _render(console, answer, everything))


def _render(console: "Console", answer: dict[str, Any], everything: bool) -> None:
    from vibe_cli import output

    listed: list[dict[str, Any]] = answer.get("deployments") or []
    shown = [each for each in listed if everything or each.get("state") != "healthy"]
    if not shown:
        console.print(f"No cooldowns; {output.plural(len(listed), 'deployment')} healthy.")
        return
    rows = [
        [
            output.clean(each.get("deployment")),
            output.state_text(each.get("state")),
            output.clean(each.get("scope") or ""),
            output.time_until(each.get("until"), answer.get("now")),
            output.clean(each.get("verdict") or ""),
            output.clean(each.get("strikes") or ""),
            output.clean(each.get("evidence") or ""),
        ]
        for each in shown
    ]
    head = ("deployment", "state", "scope", "until", "verdict", "strikes", "evidence")
    console.print(output.table(head, rows, numbers=("strikes",)))


@app.command("clear")
@with_options(connection=Connection)
def clear_cooldowns(
    connection: Connection,
    deployment: Annotated[str | None, typer.Argument(metavar="[DEPLOYMENT]", help="One, as provider/model.")] = None,
    provider: Annotated[
        str | None,
        typer.Option("--provider", metavar="NAME", help="A provider's deployments and credential."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All cooldowns.")] = False,
) -> int:
    """End cooldowns: the next request may use these deployments."""
    from vibe_cli import output

    if (deployment is not None) + (provider is not None) + everything != 1:
        raise CommandError("Name one DEPLOYMENT, or give --provider or --all.")
    body: dict[str, object] = {"all": True}
    if not everything:
        body = {"provider": provider} if provider else {"deployment": deployment}
    with connect(connection) as api:
        answer = api.post("/cooldowns/clear", body)
    cleared = ", ".join(output.clean(each) for each in answer.get("cleared") or ())
    message = f"Cleared: {cleared}" if cleared else "There were no cooldowns to clear."
    return output.respond(connection.as_json, answer, lambda console: console.print(message))
