"""/user/*: the users who own keys, by LiteLLM's paths and fields.

A user is a name in the `user_id` of keys; alias, e-mail address and metadata may be stored of one. Users have no
limits of their own: those sent to /user/new are given to the key that is created with the user.
"""

import math
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import AfterValidator, Field

from admin import keys as key_routes
from admin.call import Call, call_of
from admin.fields import Body, Metadata, NotHonoured, TeamId, Text, example, iso, optional
from admin.keys import GenerateKey, KeyFields, key_object
from admin.openapi import answers
from admin.records import no_such_user, rejections, spending
from admin.router import Router
from vibe_router.access.issuing import make_tombstone
from vibe_router.access.keys import Key, KeyOwner
from vibe_router.core.errors import bad_request

__all__ = ["router"]

router = Router()

_ROLE = "internal_user"  # LiteLLM's role of a user without rights on the admin API


def _no_limit(value: object) -> None:
    if value is not None:
        raise ValueError("does not apply to users; set it on their keys or their team")


NoLimit = Annotated[Any, AfterValidator(_no_limit), Field(description="Accepted only if null")]
UserRole = Annotated[
    Literal["internal_user"] | None,
    Field(description="Only LiteLLM's internal_user: who administers the router is set in OIDC_ROLES"),
]


class NewUser(KeyFields):
    """A user to create, and the fields of the key that is created with the user, unless `auto_create_key` is false."""

    model_config = example(user_id="ann@example.com", user_alias="Ann", max_budget=10, budget_duration="30d")

    user_alias: Text | None = optional("A display name")
    user_email: Text | None = optional("The e-mail address")
    user_role: UserRole = None
    auto_create_key: bool | None = optional("Whether a key is created, too (default: true)")
    teams: Annotated[list[TeamId], Field(max_length=1)] | None = optional("The team of the key; at most one")
    organizations: NotHonoured = None
    sso_user_id: NotHonoured = None


class UpdateUser(Body):
    """Changes to a user. A missing field stays as it is."""

    model_config = example(user_id="ann@example.com", user_alias="Ann")

    user_id: Annotated[Text, Field(description="The user")]
    user_alias: Text | None = optional("A display name")
    user_email: Text | None = optional("The e-mail address")
    user_role: UserRole = None
    metadata: Metadata | None = optional("Any other data, up to 8 KB")
    max_budget: NoLimit = None
    budget_duration: NoLimit = None
    models: NoLimit = None
    rpm_limit: NoLimit = None
    tpm_limit: NoLimit = None
    max_parallel_requests: NoLimit = None


class DeleteUsers(Body):
    """Users to delete, with their keys."""

    model_config = example(user_ids=["ann@example.com"])

    user_ids: Annotated[list[Text], Field(min_length=1, max_length=100, description="The users")]


@router.post("/user/new", tags=["Users"], responses=answers("The user, and in `key` the secret of the new key.", 409))
def new(body: NewUser) -> dict[str, Any]:
    """Create a user and, unless `auto_create_key` is false, a key with the limits that are sent."""
    call = call_of(router)
    own = {"user_id", "user_alias", "user_email", "user_role", "auto_create_key", "teams", "organizations"}
    of_key = {name: getattr(body, name) for name in body.model_fields_set - own - {"metadata", "sso_user_id"}}
    if body.teams:
        of_key["team_id"] = body.teams[0]
    creates_key = body.auto_create_key is not False
    given = sorted(name for name, value in of_key.items() if value not in (None, [], {}))
    if given and not creates_key:
        raise bad_request(f"{given[0]}: belongs to a key, and auto_create_key is false.", param=given[0])
    now = round(call.now, 3)
    owner = KeyOwner(
        body.user_id or str(uuid.uuid4()),
        body.user_alias,
        body.user_email,
        body.metadata or {},
        created_at=now,
        updated_at=now,
        version=1,
    )
    with rejections("user_id"):
        call.environment.keys.add_user(owner)
    if not creates_key:
        return {**_user_fields(owner, [], 0.0), "key": None}
    try:
        key = key_routes.generate(GenerateKey.model_construct({*of_key, "user_id"}, **of_key, user_id=owner.id))
    except Exception:
        call.environment.keys.delete_user(owner.id)
        raise
    return {**key, **_user_fields(owner, [], 0.0), "metadata": dict(owner.metadata), "key": key["key"]}


@router.get("/user/info", tags=["Users"], responses=answers("`user_info`, and the user's `keys` and `teams`.", 404))
def info(user_id: Annotated[str, Query(min_length=1, max_length=256)]) -> dict[str, Any]:
    """Return a user and the keys that belong to the user."""
    call = call_of(router)
    keys = _keys_of(call, {user_id})
    owner = call.environment.keys.user(user_id) or (KeyOwner(user_id) if keys else None)
    if owner is None:
        raise no_such_user(user_id)
    objects = _objects(call, keys)
    wanted = {key.team_id for key in keys}
    teams = [team for team in call.environment.keys.list_teams() if team.id in wanted]
    return {
        "user_id": user_id,
        "user_info": _user_fields(owner, keys, _spent(objects)),
        "keys": objects,
        "teams": [{"team_id": team.id, "team_alias": team.alias} for team in teams],
    }


@router.post("/user/update", tags=["Users"], responses=answers("`user_id`, and in `data` the user as it is now.", 404))
def update(body: UpdateUser) -> dict[str, Any]:
    """Change what is stored of a user."""
    call = call_of(router)
    now = round(call.now, 3)
    names = {"user_alias": "alias", "user_email": "email", "metadata": "metadata"}
    fields: dict[str, Any] = {names[name]: getattr(body, name) for name in body.model_fields_set & names.keys()}
    if "metadata" in fields:
        fields["metadata"] = fields["metadata"] or {}
    keys = _keys_of(call, {body.user_id})
    with rejections("user_id"):
        owner = call.environment.keys.change_user(body.user_id, lambda seen: replace(seen, **fields, updated_at=now))
        if owner is None and keys:  # nothing is stored yet of a user whom keys name
            owner = KeyOwner(body.user_id, **fields, created_at=now, updated_at=now, version=1)
            call.environment.keys.add_user(owner)
    if owner is None:
        raise no_such_user(body.user_id)
    return {"user_id": owner.id, "data": _user_fields(owner, keys, _spent(_objects(call, keys)))}


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
    keys = {owner.id: of.get(owner.id, []) for owner in shown}
    ledgers = spending(call, [key for each in keys.values() for key in each])
    return {
        "users": [
            _user_fields(owner, keys[owner.id], _spent(key_object(key, ledgers) for key in keys[owner.id]))
            for owner in shown
        ],
        "total": len(found),
        "page": page,
        "page_size": page_size,
        "total_pages": math.ceil(len(found) / page_size),
    }


def _keys_of(call: Call, user_ids: set[str]) -> list[Key]:
    keys = (key for key in call.environment.keys.list_keys() if key.user_id in user_ids)
    return sorted(keys, key=lambda key: (key.created_at, key.hash), reverse=True)


def _objects(call: Call, keys: list[Key]) -> list[dict[str, Any]]:
    ledgers = spending(call, keys)
    return [key_object(key, ledgers) for key in keys]


def _spent(keys: Iterable[Mapping[str, Any]]) -> float:
    """Return what keys have spent in all; a replaced key shares its successor's ledger."""
    return sum({key["key_id"]: float(key["total_spend"]) for key in keys}.values())


def _user_fields(owner: KeyOwner, keys: list[Key], spend: float) -> dict[str, Any]:
    """Return a user's fields by LiteLLM's names."""
    return {
        "user_id": owner.id,
        "user_alias": owner.alias,
        "user_email": owner.email,
        "user_role": _ROLE,
        "spend": spend,
        "key_count": len(keys),
        "teams": sorted({key.team_id for key in keys if key.team_id}),
        "metadata": dict(owner.metadata),
        "created_at": iso(owner.created_at),
        "updated_at": iso(owner.updated_at),
    }
