"""`teams`: make, list, change, block and delete teams, whose models, budget and limits their keys share."""

import argparse
from typing import TYPE_CHECKING, Any

from vibe_cli.connect import add_connection, connected
from vibe_cli.errors import CommandError
from vibe_cli.fields import TEAM, add_actions, add_fields, said

if TYPE_CHECKING:
    from vibe_cli.api import Api

__all__ = ["add_to", "team_aliases", "team_id"]

_WHICH = "its id or alias"


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser's."""
    command = commands.add_parser("teams", help="make, list, change, block and delete teams of keys")
    actions = command.add_subparsers(metavar="ACTION", required=True)

    create = actions.add_parser("create", help="make a team")
    create.add_argument("--id", help="an id of your own; one is made up otherwise")
    add_fields(create, TEAM, removable=False)
    create.set_defaults(run=_create)

    listing = actions.add_parser("list", help="list teams with what they may do and have spent")
    listing.set_defaults(run=_list)

    add_actions(actions, "team", _WHICH, TEAM, {"show": _show, "update": _update})

    for word, text in (("block", "make every key of a team useless"), ("unblock", "make its keys work again")):
        action = actions.add_parser(word, help=f"{text}, within 10 seconds")
        action.add_argument("team", help=_WHICH)
        action.set_defaults(run=_block, word=word)

    delete = actions.add_parser("delete", help="delete teams, with the keys that belong to them")
    delete.add_argument("team", nargs="+", help=_WHICH)
    delete.add_argument("--yes", action="store_true", help="without asking")
    delete.set_defaults(run=_delete)

    for action in actions.choices.values():
        add_connection(action)


def team_id(api: "Api", named: str) -> str:
    """Return the id of the team that is named by id or alias. Raises CommandError for none, or several of an alias."""
    teams = _teams(api)
    if any(team.get("team_id") == named for team in teams):
        return named
    found = [str(team.get("team_id")) for team in teams if team.get("team_alias") == named]
    if len(found) != 1:
        why = "is the alias of several teams; name one by its id" if found else "is no team's id or alias"
        raise CommandError(f"{named!r} {why}. `teams list` shows them.", status=1)
    return found[0]


def team_aliases(api: "Api") -> dict[str, str]:
    """Return what people call teams, by id, for those that have an alias."""
    return {str(team.get("team_id")): str(team["team_alias"]) for team in _teams(api) if team.get("team_alias")}


def _teams(api: "Api") -> list[dict[str, Any]]:
    answer = api.get("/team/list")
    teams = answer.get("teams") if isinstance(answer, dict) else answer
    if not isinstance(teams, list):
        raise CommandError("The router answered without teams. Is its version as new as this command's?")
    return teams


def _create(args: argparse.Namespace) -> int:
    from vibe_cli import show

    body = said(args) | ({"team_id": args.id} if args.id else {})
    with connected(args) as api:
        made = api.post("/team/new", body)
    return show.tell(args.json, made, lambda out: out.print(show.pairs(_facts(made))))


def _list(args: argparse.Namespace) -> int:
    from vibe_cli import show

    with connected(args) as api:
        teams = _teams(api)
    if not show.for_people(args.json):
        show.print_json(teams)
        return 0
    rows = [
        [
            show.clean(team.get("team_alias") or "–"),
            show.clean(team.get("team_id") or "–"),
            show.models(team.get("models")),
            show.dollars(team.get("spend")),
            show.budget(team),
            show.limits(team),
            show.styled("blocked", "red") if team.get("blocked") else "",
        ]
        for team in teams
    ]
    head = ("alias", "id", "models", "spent", "budget", "limits", "")
    show.console().print(show.table(head, rows, numbers=("spent", "budget")) if rows else "There are no teams yet.")
    return 0


def _facts(team: dict[str, Any]) -> dict[str, Any]:
    from vibe_cli import show

    return {
        "alias": team.get("team_alias"),
        "id": team.get("team_id"),
        "models": show.models(team.get("models")),
        "spent": show.dollars(team["spend"]) if team.get("spend") is not None else None,
        "budget": show.budget(team),
        "budget begins anew": show.moment(team.get("budget_reset_at")),
        "limits": show.limits(team),
        "tags": ", ".join(map(str, team.get("tags") or ())),
        "made": show.moment(team.get("created_at")),
        "blocked": "yes" if team.get("blocked") else None,
    }


def _show(args: argparse.Namespace) -> int:
    from vibe_cli import show

    with connected(args) as api:
        answer = api.get("/team/info", team_id=team_id(api, args.team))
    info = answer.get("team_info") or answer
    return show.tell(args.json, answer, lambda out: out.print(show.pairs(_facts(info))))


def _update(args: argparse.Namespace) -> int:
    from vibe_cli import show

    fields = said(args)
    if not fields:
        raise CommandError("What should change? Name at least one setting, such as --budget 100", status=1)
    with connected(args) as api:
        answer = api.post("/team/update", {"team_id": team_id(api, args.team), **fields})
    return show.tell(args.json, answer, lambda out: out.print("Changed; true everywhere within 10 seconds."))


def _block(args: argparse.Namespace) -> int:
    from vibe_cli import show

    with connected(args) as api:
        answer = api.post(f"/team/{args.word}", {"team_id": team_id(api, args.team)})
    told = f"The team is {args.word}ed; true everywhere within 10 seconds."
    return show.tell(args.json, answer, lambda out: out.print(told))


def _delete(args: argparse.Namespace) -> int:
    from vibe_cli import show

    people = show.for_people(args.json)
    with connected(args) as api:
        found = [team_id(api, named) for named in args.team]
        question = f"Delete {show.count(len(found), 'team')}? Their keys are deleted with them."
        if people and not args.yes and not show.agrees(question):
            raise CommandError("Nothing was deleted.", status=1)
        answer = api.post("/team/delete", {"team_ids": found})
    return show.tell(args.json, answer, lambda out: out.print(f"{show.count(len(found), 'team')} deleted."))
