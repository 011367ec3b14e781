"""`explain`: where a request would go now, and why, before it is sent."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vibe_cli.connect import Connection, connect
from vibe_cli.errors import CommandError
from vibe_cli.options import with_options

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["explain"]


@with_options(connection=Connection)
def explain(
    connection: Connection,
    model: Annotated[str, typer.Argument(help="A virtual model, or an alias of one.")],
    message: Annotated[str, typer.Argument(help="The user's message.")] = "Hello",
    key: Annotated[
        str | None, typer.Option("--as", metavar="KEY", help="Explain it for this virtual key or its hash.")
    ] = None,
    file: Annotated[
        typer.FileText | None, typer.Option("--file", metavar="FILE", help="Read the whole request from a JSON file.")
    ] = None,
    wire: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="Its format: chat, responses, messages …")
    ] = "chat",
    whole: Annotated[bool, typer.Option("--whole", help="Not streamed.")] = False,
) -> int:
    """Show where a request would go now, and why. Nothing is called.

    The answer has the deployments in order, those that are skipped, and whether the key would be admitted.
    """
    from vibe_cli import output

    body = _request(file) if file else {**_short(wire, message), "stream": not whole}
    asked = {**body, "model": model, "format": wire, **({"key": key} if key else {})}
    with connect(connection) as api:
        answer = api.post("/routes/explain", asked)
    return output.respond(connection.as_json, answer, lambda console: _render(console, answer))


def _short(wire: str, message: str) -> dict[str, Any]:
    """Return a request with one message in the format `wire`."""
    match wire:
        case "responses":
            return {"input": message}
        case "completions":
            return {"prompt": message}
    return {"messages": [{"role": "user", "content": message}], "max_tokens": 1024}


def _request(file: typer.FileText) -> dict[str, Any]:
    import json

    try:
        body = json.load(file)
    except ValueError as error:
        raise CommandError(f"{file.name} is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise CommandError(f"{file.name} is not a request: it must be a JSON object.")
    return body


def _render(console: "Console", answer: dict[str, Any]) -> None:
    from rich.padding import Padding

    from vibe_cli import output

    admission = answer.get("admission") or {}
    verdict = "The request would be admitted." if admission.get("admitted") else "The request would be rejected."
    console.print(f"{verdict} {output.clean(admission.get('why') or '')}")
    if ladder := answer.get("budget_ladder"):
        console.print(output.clean(ladder.get("why") or ""))
    for each in answer.get("soft_budgets") or ():
        console.print(output.clean(each.get("why") or ""))
    tried, skipped = answer.get("tried") or (), answer.get("skipped") or ()
    if not tried and not skipped:
        console.print("No deployment is available.")
    for mark, each in [*enumerate(tried, 1), *(("–", each) for each in skipped)]:
        console.print(f"\n{mark}  {output.clean(each.get('deployment'))}")
        console.print(Padding(output.clean(each.get("why") or ""), (0, 0, 0, 3)))
        if dropped := each.get("dropped_params"):
            console.print(Padding(f"Not sent there: {output.clean(', '.join(dropped))}", (0, 0, 0, 3)))
