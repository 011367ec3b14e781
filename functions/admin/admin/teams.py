"""/team/*: teams, by LiteLLM's paths and fields."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import Field

from admin.call import Call, call_of
from admin.fields import (
    Body,
    Dollars,
    HolderFields,
    LiteLLMOnly,
    NotHonoured,
    TeamId,
    Text,
    example,
    holder_fields,
    nano,
    optional,
)
from admin.keys import key_object
from admin.openapi import answers
from admin.records import no_such_team, rejections, require_models, spending
from admin.router import Router
from vibe_router.access.issuing import make_tombstone
from vibe_router.access.keys import Key, Team, model_ledger_id
from vibe_router.access.ledger import Ledger

__all__ = ["router"]

router = Router()


class TeamFields(HolderFields, LiteLLMOnly):
    """The fields of a team."""

    team_alias: Text | None = optional("A display name")
    admins: NotHonoured = None
    members: NotHonoured = None
    members_with_roles: NotHonoured = None
    model_aliases: NotHonoured = None
    team_member_budget: NotHonoured = None
    team_member_key_duration: NotHonoured = None
    team_member_permissions: NotHonoured = None
    team_member_rpm_limit: NotHonoured = None
    team_member_tpm_limit: NotHonoured = None


class NewTeam(TeamFields):
    """A team to create."""

    model_config = example(team_alias="research", max_budget=500, budget_duration="30d")

    team_id: TeamId | None = optional("Your own id; generated if missing")


class UpdateTeam(TeamFields):
    """Changes to a team. A missing field stays as it is; a limit that is null is removed."""

    model_config = example(team_id="$TEAM_ID", max_budget=750)

    team_id: TeamId
    spend: Dollars | None = optional("The amount to count as spent in the current period")


class DeleteTeams(Body):
    """Teams to delete, with their keys."""

    model_config = example(team_ids=["$TEAM_ID"])

    team_ids: Annotated[list[TeamId], Field(min_length=1, max_length=100)]


class NamedTeam(Body):
    """One team."""

    model_config = example(team_id="$TEAM_ID")

    team_id: TeamId


@router.post("/team/new", tags=["Teams"], responses=answers("The team.", 409))
def new(body: NewTeam) -> dict[str, Any]:
    """Create a team."""
    call = call_of(router)
    now = round(call.now, 3)
    require_models(call, body)
    team = _with(Team(body.team_id or str(uuid.uuid4()), created_at=now, version=1), body, now)
    with rejections("team_id"):
        call.environment.keys.add_team(team)
    return _team_object(team, {})


@router.post("/team/update", tags=["Teams"], responses=answers("The team as it is now.", 404, 409))
def update(body: UpdateTeam) -> dict[str, Any]:
    """Change a team. The change is effective everywhere within 10 seconds."""
    call = call_of(router)
    require_models(call, body)
    team = _changed(call, body.team_id, lambda seen: _with(seen, body, round(call.now, 3)))
    if body.spend is not None:
        call.environment.ledgers.set_spent(team.ledger_id, nano(body.spend))
    fields = _one(call, team)
    return {**fields, "data": fields}


@router.post(
    "/team/delete",
    tags=["Teams"],
    responses=answers("`deleted_teams`, and the hashes of the `deleted_keys`.", 404, 409),
)
def delete(body: DeleteTeams) -> dict[str, Any]:
    """Delete teams and their keys."""
    call = call_of(router)
    teams = []
    for team_id in body.team_ids:
        team = call.environment.keys.team(team_id)
        if team is None:
            raise no_such_team(team_id)
        teams.append(team)
    gone = [key for key in call.environment.keys.list_keys() if key.team_id in body.team_ids]
    for team in teams:  # first, so that no key can join it
        call.environment.keys.delete_team(team.id)
        for ledger_id in (team.ledger_id, *(model_ledger_id(team, each.model) for each in team.limits.models)):
            call.environment.ledgers.forget(ledger_id)
    with rejections():
        for key in gone:
            call.environment.keys.change_key(key.hash, lambda seen: make_tombstone(seen, round(call.now, 3)))
    return {"deleted_teams": body.team_ids, "deleted_keys": [key.hash for key in gone]}


@router.post("/team/block", tags=["Teams"], responses=answers("The team as it is now.", 404, 409))
def block(body: NamedTeam) -> dict[str, Any]:
    """Block every key of a team until the team is unblocked."""
    return _blocked(call_of(router), body.team_id, blocked=True)


@router.post("/team/unblock", tags=["Teams"], responses=answers("The team as it is now.", 404, 409))
def unblock(body: NamedTeam) -> dict[str, Any]:
    """Unblock the keys of a team."""
    return _blocked(call_of(router), body.team_id, blocked=False)


@router.get("/team/info", tags=["Teams"], responses=answers("`team_info`, the team, and its `keys`.", 404))
def info(team_id: Annotated[str, Query(min_length=1, max_length=128)]) -> dict[str, Any]:
    """Return a team and its keys."""
    call = call_of(router)
    team = call.environment.keys.team(team_id)
    if team is None:
        raise no_such_team(team_id)
    keys = _keys_of(call, team)
    ledgers = spending(call, keys)
    listed = [key_object(key, ledgers) for key in keys]
    return {"team_id": team_id, "team_info": _one(call, team), "keys": listed, "team_memberships": []}


@router.get("/team/list", tags=["Teams"], responses=answers("The teams, by their aliases.", many=True))
def listed() -> list[dict[str, Any]]:
    """List all teams."""
    call = call_of(router)
    teams = sorted(call.environment.keys.list_teams(), key=lambda team: (team.alias or "", team.id))
    ledgers = spending(call, teams)
    return [_team_object(team, ledgers) for team in teams]


def _team_object(team: Team, ledgers: Mapping[str, Ledger]) -> dict[str, Any]:
    return {
        "team_id": team.id,
        "team_alias": team.alias,
        **holder_fields(team, ledgers),
    }


def _one(call: Call, team: Team) -> dict[str, Any]:
    return _team_object(team, spending(call, [team]))


def _keys_of(call: Call, team: Team) -> list[Key]:
    keys = (key for key in call.environment.keys.list_keys() if key.team_id == team.id)
    return sorted(keys, key=lambda key: (key.created_at, key.hash), reverse=True)


def _with(team: Team, body: TeamFields, now: float) -> Team:
    """Return `team` with the changes of `body`."""
    fields = body.changed_fields(team.limits)
    if "team_alias" in body.model_fields_set:
        fields["alias"] = body.team_alias
    return replace(team, **fields, updated_at=now)


def _blocked(call: Call, team_id: str, *, blocked: bool) -> dict[str, Any]:
    now = round(call.now, 3)
    return _one(call, _changed(call, team_id, lambda seen: replace(seen, blocked=blocked, updated_at=now)))


def _changed(call: Call, team_id: str, change: Callable[[Team], Team]) -> Team:
    with rejections("team_id"):
        team = call.environment.keys.change_team(team_id, change)
    if team is None:
        raise no_such_team(team_id)
    return team
