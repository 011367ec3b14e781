"""`teams`: create, list, change, block and delete teams, whose models, budget and limits their keys share."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vibe_cli.connect import Connection, connect
from vibe_cli.errors import CommandError
from vibe_cli.fields import Settings, TeamSettings
from vibe_cli.holders import budget_facts, change
from vibe_cli.options import Yes, command_group, with_options

if TYPE_CHECKING:
    from rich.console import Console

    from vibe_cli.api import Api

__all__ = ["app", "find_team", "team_aliases"]

Team = Annotated[str, typer.Argument(metavar="TEAM", help="Its id or alias.")]

app = command_group("Create, list, change, block and delete teams of keys.")


@app.command("create")
@with_options(settings=TeamSettings, connection=Connection)
def create(
    settings: Settings,
    connection: Connection,
    team_id: Annotated[str | None, typer.Option("--id", metavar="ID", help="An id (default: a generated one).")] = None,
) -> int:
    """Create a team."""
    from vibe_cli import output

    body = settings.body(removable=False) | ({"team_id": team_id} if team_id else {})
    with connect(connection) as api:
        team = api.post("/team/new", body)
    return output.respond(connection.as_json, team, lambda console: console.print(output.details(_facts(team))))


@app.command("list")
@with_options(connection=Connection)
def list_teams(connection: Connection) -> int:
    """List teams with their limits and spend."""
    from vibe_cli import output

    with connect(connection) as api:
        teams = _teams(api)
    return output.respond(connection.as_json, teams, lambda console: _render(console, teams))


def _render(console: "Console", teams: list[dict[str, Any]]) -> None:
    from vibe_cli import output

    rows = [
        [
            output.clean(team.get("team_alias") or "–"),
            output.clean(team.get("team_id") or "–"),
            output.models_text(team.get("models")),
            output.dollars(team.get("spend")),
            output.budget_text(team),
            output.limits_text(team),
            output.styled("blocked", "red") if team.get("blocked") else "",
        ]
        for team in teams
    ]
    head = ("alias", "id", "models", "spent", "budget", "limits", "state")
    console.print(output.table(head, rows, numbers=("spent", "budget")) if rows else "There are no teams yet.")


@app.command("show")
@with_options(connection=Connection)
def show(team: Team, connection: Connection) -> int:
    """Show a team."""
    from vibe_cli import output

    with connect(connection) as api:
        answer = api.get("/team/info", team_id=find_team(api, team))
    facts = _facts(answer.get("team_info") or answer)
    return output.respond(connection.as_json, answer, lambda console: console.print(output.details(facts)))


@app.command("update")
@with_options(settings=TeamSettings, connection=Connection)
def update(team: Team, settings: Settings, connection: Connection) -> int:
    """Change a team. Settings that are not given stay; the word none removes one."""
    return change(
        settings, connection, lambda api, body: api.post("/team/update", {"team_id": find_team(api, team), **body})
    )


@app.command("block")
@with_options(connection=Connection)
def block(team: Team, connection: Connection) -> int:
    """Reject requests with any key of a team, within 10 seconds."""
    return _set_blocked(team, connection, "block")


@app.command("unblock")
@with_options(connection=Connection)
def unblock(team: Team, connection: Connection) -> int:
    """Accept requests with the team's keys again, within 10 seconds."""
    return _set_blocked(team, connection, "unblock")


def _set_blocked(team: str, connection: Connection, action: str) -> int:
    from vibe_cli import output

    with connect(connection) as api:
        answer = api.post(f"/team/{action}", {"team_id": find_team(api, team)})
    message = f"The team is {action}ed, everywhere within 10 seconds."
    return output.respond(connection.as_json, answer, lambda console: console.print(message))


@app.command("delete")
@with_options(connection=Connection)
def delete(
    teams: Annotated[list[str], typer.Argument(metavar="TEAM...", help="Ids or aliases.")],
    connection: Connection,
    yes: Yes = False,
) -> int:
    """Delete teams and their keys."""
    from vibe_cli import output

    with connect(connection) as api:
        found = [find_team(api, named) for named in teams]
        question = f"Delete {output.plural(len(found), 'team')} and all their keys?"
        if output.for_terminal(connection.as_json) and not yes and not output.confirm(question):
            raise CommandError("Nothing was deleted.", status=1)
        answer = api.post("/team/delete", {"team_ids": found})
    message = f"{output.plural(len(found), 'team')} deleted."
    return output.respond(connection.as_json, answer, lambda console: console.print(message))


def find_team(api: "Api", named: str) -> str:
    """Return the id of the team with an id or alias. Raises CommandError for none, and for an alias of several."""
    teams = _teams(api)
    if any(team.get("team_id") == named for team in teams):
        return named
    found = [str(team.get("team_id")) for team in teams if team.get("team_alias") == named]
    if len(found) != 1:
        why = "is the alias of several teams; give an id" if found else "is not the id or alias of a team"
        raise CommandError(f"{named!r} {why}. List teams with: vibe teams list", status=1)
    return found[0]


def team_aliases(api: "Api") -> dict[str, str]:
    """Return the aliases of teams by id."""
    return {str(team.get("team_id")): str(team["team_alias"]) for team in _teams(api) if team.get("team_alias")}


def _teams(api: "Api") -> list[dict[str, Any]]:
    answer = api.get("/team/list")
    teams = answer.get("teams") if isinstance(answer, dict) else answer
    if not isinstance(teams, list):
        raise CommandError("The router answered without teams. Check that it is at least as new as this command.")
    return teams


def _facts(team: dict[str, Any]) -> dict[str, Any]:
    return {"alias": team.get("team_alias"), "id": team.get("team_id"), **budget_facts(team)}
