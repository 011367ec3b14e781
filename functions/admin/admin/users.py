"""/user/*: the users who own keys, by LiteLLM's paths and fields.

A user is a name in the `user_id` of keys. Models and limits may be stored of one, which all of the user's keys share,
besides their own and those of their team.
"""

import math
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import Field

from admin import keys as key_routes
from admin.call import Call, call_of
from admin.fields import (
    Body,
    Dollars,
    HolderFields,
    LiteLLMOnly,
    NotHonoured,
    TeamId,
    Text,
    dollars,
    example,
    iso,
    limit_fields,
    nano,
    optional,
)
from admin.keys import GenerateKey, KeyFields, key_object
from admin.openapi import answers
from admin.records import no_such_user, rejections, require_models, spending
from admin.router import Router
from vibe_router.access.issuing import make_tombstone
from vibe_router.access.keys import Key, KeyOwner, model_ledger_id
from vibe_router.access.ledger import Ledger
from vibe_router.core.errors import bad_request

__all__ = ["router"]

router = Router()

_STORED = ("models", "limits", "budget_ladder", "metadata")  # of a user, among the fields that keys have, too
_OF_USER = frozenset(
    {
        *("user_id", "user_alias", "user_email", "user_role", "auto_create_key", "teams"),
        *("organizations", "sso_user_id"),
        *("models", "max_budget", "budget_duration", "soft_budget", "model_max_budget", "budget_ladder", "metadata"),
        *("rpm_limit", "tpm_limit", "max_parallel_requests"),
    }
)
_ROLE = "internal_user"  # LiteLLM's role of a user without rights on the admin API


UserRole = Annotated[
    Literal["internal_user"] | None,
    Field(description="Only LiteLLM's internal_user: who administers the router is set in OIDC_ROLES"),
]


class NewUser(KeyFields):
    """A user to create, with models and limits for all keys of the user, and the other fields of a first key."""

    model_config = example(user_id="ann@example.com", user_alias="Ann", max_budget=10, budget_duration="30d")

    user_id: Annotated[Text, Field(max_length=200)] | None = optional("Your own id; generated if missing")
    user_alias: Text | None = optional("A display name")
    user_email: Text | None = optional("The e-mail address")
    user_role: UserRole = None
    auto_create_key: bool | None = optional("Whether a key is created, too (default: true)")
    teams: Annotated[list[TeamId], Field(max_length=1)] | None = optional("The team of the key; at most one")
    organizations: NotHonoured = None
    sso_user_id: NotHonoured = None


class UpdateUser(HolderFields, LiteLLMOnly):
    """Changes to a user. A missing field stays as it is; a limit that is null is removed."""

    model_config = example(user_id="ann@example.com", max_budget=25)

    user_id: Annotated[Text, Field(description="The user")]
    user_alias: Text | None = optional("A display name")
    user_email: Text | None = optional("The e-mail address")
    user_role: UserRole = None
    spend: Dollars | None = optional("The amount to count as spent in the current period")
    tags: NotHonoured = None
    blocked: NotHonoured = None
    guards: NotHonoured = None
    cache_seconds: NotHonoured = None


class DeleteUsers(Body):
    """Users to delete, with their keys."""

    model_config = example(user_ids=["ann@example.com"])

    user_ids: Annotated[list[Text], Field(min_length=1, max_length=100, description="The users")]


@router.post("/user/new", tags=["Users"], responses=answers("The user, and in `key` the secret of the new key.", 409))
def new(body: NewUser) -> dict[str, Any]:
    """Create a user and, unless `auto_create_key` is false, a first key."""
    call = call_of(router)
    require_models(call, body)
    of_key = {name: getattr(body, name) for name in body.model_fields_set - _OF_USER}
    if body.teams:
        of_key["team_id"] = body.teams[0]
    creates_key = body.auto_create_key is not False
    given = sorted(name for name, value in of_key.items() if value not in (None, [], {}))
    if given and not creates_key:
        raise bad_request(f"{given[0]}: belongs to a key, and auto_create_key is false.", param=given[0])
    now = round(call.now, 3)
    bare = KeyOwner(body.user_id or str(uuid.uuid4()), created_at=now, version=1)
    owner = _with(bare, body, now)
    with rejections("user_id"):
        call.environment.keys.add_user(owner)
    user = _one(call, owner, [])
    if not creates_key:
        return {**user, "key": None}
    try:
        key = key_routes.generate(GenerateKey.model_construct({*of_key, "user_id"}, **of_key, user_id=owner.id))
    except Exception:
        call.environment.keys.delete_user(owner.id)
        raise
    _mark_keys(call, owner, _keys_of(call, {owner.id}))  # those that had the name before
    return {**key, **user, "key_count": 1, "key": key["key"]}


@router.get("/user/info", tags=["Users"], responses=answers("`user_info`, and the user's `keys` and `teams`.", 404))
def info(user_id: Annotated[str, Query(min_length=1, max_length=256)]) -> dict[str, Any]:
    """Return a user and the keys that belong to the user."""
    call = call_of(router)
    keys = _keys_of(call, {user_id})
    owner = call.environment.keys.user(user_id) or (KeyOwner(user_id) if keys else None)
    if owner is None:
        raise no_such_user(user_id)
    ledgers = spending(call, keys)
    wanted = {key.team_id for key in keys}
    teams = [team for team in call.environment.keys.list_teams() if team.id in wanted]
    return {
        "user_id": user_id,
        "user_info": _one(call, owner, keys),
        "keys": [key_object(key, ledgers) for key in keys],
        "teams": [{"team_id": team.id, "team_alias": team.alias} for team in teams],
    }


@router.post("/user/update", tags=["Users"], responses=answers("`user_id`, and in `data` the user as it is now.", 404))
def update(body: UpdateUser) -> dict[str, Any]:
    """Change a user. The change is effective for all keys of the user within 10 seconds."""
    call = call_of(router)
    require_models(call, body)
    now = round(call.now, 3)
    keys = _keys_of(call, {body.user_id})
    with rejections("user_id"):
        owner = call.environment.keys.change_user(body.user_id, lambda seen: _with(seen, body, now))
        if owner is None and keys:  # nothing is stored yet of a user whom keys name
            owner = _with(KeyOwner(body.user_id, created_at=now, version=1), body, now)
            call.environment.keys.add_user(owner)
    if owner is None:
        raise no_such_user(body.user_id)
    _mark_keys(call, owner, keys)
    if body.spend is not None:
        call.environment.ledgers.set_spent(owner.ledger_id, nano(body.spend))
    return {"user_id": owner.id, "data": _one(call, owner, keys)}


@router.post(
    "/user/delete", tags=["Users"], responses=answers("`deleted_users`, and the hashes of the `deleted_keys`.", 404)
)
def delete(body: DeleteUsers) -> dict[str, Any]:
    """Delete users and their keys."""
    call = call_of(router)
    gone = _keys_of(call, set(body.user_ids))
    owners = {key.user_id for key in gone}
    for user_id in body.user_ids:
        if user_id not in owners and call.environment.keys.user(user_id) is None:
            raise no_such_user(user_id)
    with rejections():
        for key in gone:
            call.environment.keys.change_key(key.hash, lambda seen: make_tombstone(seen, round(call.now, 3)))
    for user_id in body.user_ids:
        if owner := call.environment.keys.user(user_id):
            for ledger_id in (owner.ledger_id, *(model_ledger_id(owner, each.model) for each in owner.limits.models)):
                call.environment.ledgers.forget(ledger_id)
        call.environment.keys.delete_user(user_id)
    return {"deleted_users": body.user_ids, "deleted_keys": [key.hash for key in gone]}


@router.get("/user/list", tags=["Users"], responses=answers("`users`, of `total` on `total_pages`."))
def listed(
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    page_size: Annotated[int, Query(ge=1, le=100)] = 25,
    user_ids: Annotated[str | None, Query(max_length=4000, description="Ids, separated by commas")] = None,
    user_email: Annotated[str | None, Query(max_length=256)] = None,
) -> dict[str, Any]:
    """List the users who are stored or own keys, by id."""
    call = call_of(router)
    of: dict[str, list[Key]] = {}
    for key in call.environment.keys.list_keys():
        if key.user_id:
            of.setdefault(key.user_id, []).append(key)
    owners = {owner.id: owner for owner in call.environment.keys.list_users()}
    owners |= {user_id: KeyOwner(user_id) for user_id in of.keys() - owners.keys()}
    wanted = set(user_ids.split(",")) if user_ids else None
    found = [
        owners[user_id]
        for user_id in sorted(owners)
        if (wanted is None or user_id in wanted) and (user_email is None or owners[user_id].email == user_email)
    ]
    shown = found[(page - 1) * page_size : page * page_size]
    ledgers = spending(call, [*shown, *(key for owner in shown for key in of.get(owner.id, ()))])
    return {
        "users": [_user_fields(owner, of.get(owner.id, []), ledgers) for owner in shown],
        "total": len(found),
        "page": page,
        "page_size": page_size,
        "total_pages": math.ceil(len(found) / page_size),
    }


def _keys_of(call: Call, user_ids: set[str]) -> list[Key]:
    keys = (key for key in call.environment.keys.list_keys() if key.user_id in user_ids)
    return sorted(keys, key=lambda key: (key.created_at, key.hash), reverse=True)


def _with(owner: KeyOwner, body: "NewUser | UpdateUser", now: float) -> KeyOwner:
    """Return `owner` with the changes of `body`."""
    fields = {name: value for name, value in body.changed_fields(owner.limits).items() if name in _STORED}
    for name, field in {"user_alias": "alias", "user_email": "email"}.items():
        if name in body.model_fields_set:
            fields[field] = getattr(body, name)
    return replace(owner, **fields, updated_at=now)


def _mark_keys(call: Call, owner: KeyOwner, keys: Iterable[Key]) -> None:
    """Have the gateway read the user along with the keys, if there is something to enforce."""
    limited = owner.is_limited
    with rejections():
        for key in keys:
            if key.user_limited != limited:
                call.environment.keys.change_key(key.hash, lambda seen: replace(seen, user_limited=limited))


def _one(call: Call, owner: KeyOwner, keys: list[Key]) -> dict[str, Any]:
    return _user_fields(owner, keys, spending(call, [owner, *keys]))


def _user_fields(owner: KeyOwner, keys: list[Key], ledgers: Mapping[str, Ledger]) -> dict[str, Any]:
    """Return a user's fields by LiteLLM's names. Without limits of the user's own, the spending is that of the keys."""
    limits = limit_fields(owner, ledgers)
    if not owner.is_limited:
        spent = {key.ledger_id: ledger.spent for key in keys if (ledger := ledgers.get(key.ledger_id))}
        limits["spend"] = dollars(sum(spent.values()))
    return {
        "user_id": owner.id,
        "user_alias": owner.alias,
        "user_email": owner.email,
        "user_role": _ROLE,
        "models": list(owner.models),
        **limits,
        "key_count": len(keys),
        "teams": sorted({key.team_id for key in keys if key.team_id}),
        "metadata": dict(owner.metadata),
        "created_at": iso(owner.created_at),
        "updated_at": iso(owner.updated_at),
    }
