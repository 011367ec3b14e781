"""`spend`: what requests cost, by model, deployment, key, team and day."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from vibe_cli.connect import Connection, connect
from vibe_cli.errors import CommandError
from vibe_cli.options import with_options

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show_spend"]

By = Literal["models", "deployments", "keys", "teams", "days"]
_COUNTERS = ("requests", "errors", "failovers", "prompt_tokens", "completion_tokens")


@with_options(connection=Connection)
def show_spend(
    connection: Connection,
    days: Annotated[int, typer.Option("--days", metavar="N", help="Number of days, including today.")] = 7,
    by: Annotated[By | None, typer.Option("--by", metavar="|".join(get_args(By)), help="Only this grouping.")] = None,
) -> int:
    """Show spend by model, deployment, key, team and day."""
    from vibe_cli import output

    if days < 1:
        raise CommandError("--days must be at least 1.", status=1)
    with connect(connection) as api:
        overview = api.get("/usage/overview", days=days)
    answer = overview.get(by) or [] if by else overview
    return output.respond(connection.as_json, answer, lambda console: _render(console, overview, days, by))


def _render(console: "Console", overview: dict[str, Any], days: int, by: By | None) -> None:
    from vibe_cli import output

    totals = overview.get("totals") or {}
    unpriced = totals.get("unpriced") or 0
    period = "24 hours" if days == 1 else output.plural(days, "day")
    console.print(
        f"{output.dollars(totals.get('cost'))} for {output.plural(totals.get('requests') or 0, 'request')} in {period}"
        + (f", and {unpriced:,} with an unknown price" if unpriced else "")
    )
    for grouping in [by] if by else get_args(By):
        counted = [each for each in overview.get(grouping) or () if each.get("requests")]
        if not counted:
            continue
        if grouping != "days":
            counted.sort(key=lambda each: (-(each.get("cost") or 0), -each["requests"]))
        # Only the totals of all requests are stored by the hour; the others start at midnight.
        today = " today (UTC)" if days == 1 and grouping != "days" else ""
        head = (
            grouping.removesuffix("s") + today,
            "cost",
            "requests",
            "errors",
            "failovers",
            "tokens in",
            "tokens out",
        )
        console.print(output.table(head, [_row(each) for each in counted], numbers=head[1:]))


def _row(counted: dict[str, Any]) -> list[str]:
    from vibe_cli import output

    names = (counted.get(name) for name in ("name", "key_alias", "team_alias", "at", "key_name", "key_id", "team_id"))
    unpriced = counted.get("unpriced") or 0
    cost = "–" if unpriced and unpriced == counted["requests"] else output.dollars(counted.get("cost"))
    return [
        output.clean(next(filter(None, names), "–")),
        cost + (" + ?" if unpriced and cost != "–" else ""),
        *(f"{counted.get(name) or 0:,}" for name in _COUNTERS),
    ]
