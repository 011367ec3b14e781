"""/key/*: virtual keys, by LiteLLM's paths and fields."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import AfterValidator, Field

from admin.call import Call, call_of
from admin.evidence import delete_evidence
from admin.fields import (
    Alias,
    Aliases,
    Body,
    Dollars,
    Duration,
    HolderFields,
    LiteLLMOnly,
    NotHonoured,
    TeamId,
    Text,
    example,
    holder_fields,
    iso,
    nano,
    optional,
)
from admin.openapi import answers
from admin.records import no_such_key, rejections, require_models, require_own, spending
from admin.router import Router
from vibe_router.access.authentication import hash_key
from vibe_router.access.issuing import (
    generate_key,
    make_successor,
    make_tombstone,
    mask_key,
    retire,
    validate_custom_key,
)
from vibe_router.access.keys import Key, duration_seconds
from vibe_router.access.ledger import Ledger
from vibe_router.core.errors import bad_request

__all__ = ["key_hash_of", "key_object", "router"]

router = Router()

_REGENERATED = answers("The new key, and in `key` its secret.", 404, 409)
_NONE: Mapping[str, Ledger] = {}
NEVER = "-1"  # LiteLLM's value for a key that does not expire

Expiry = Annotated[str, AfterValidator(lambda value: value if value == NEVER else str(duration_seconds(value)))]
Secret = Annotated[str, AfterValidator(validate_custom_key)]
Named = Annotated[str, Field(min_length=1, max_length=300, description="A key, or its hash")]
Sort = Literal["created_at", "updated_at", "key_alias", "user_id", "team_id", "max_budget", "spend", "expires"]


class KeyFields(HolderFields, LiteLLMOnly):
    """The fields of a key."""

    key_alias: Alias | None = optional("A unique name")
    duration: Expiry | None = optional("Time until it expires: 12h, 30d, 1mo. -1 for never")
    user_id: Text | None = optional("The user it belongs to")
    team_id: TeamId | None = optional("The team it belongs to")
    archive: bool | None = optional("Whether its requests and answers are written to the router's archive")
    aliases: Aliases | None = optional(
        "Names or patterns (*) that this key may send, and the virtual model of each. They win over those of the routes"
    )


class GenerateKey(KeyFields):
    """A key to create."""

    model_config = example(key_alias="ci", models=["auto-*"], max_budget=10, budget_duration="30d", rpm_limit=60)

    key: Secret | None = optional("Your own secret: sk- and more, at least 16 characters")
    spend: NotHonoured = None


class UpdateKey(KeyFields):
    """Changes to a key. A missing field stays as it is; a limit that is null is removed."""

    model_config = example(key="$KEY", max_budget=25)

    key: Named
    spend: Dollars | None = optional("The amount to count as spent in the current period")


class RegenerateKey(KeyFields):
    """A key to replace with a new one, with further changes."""

    model_config = example(key="$KEY", grace_period="1h")

    key: Named | None = optional("The key, or its hash. Omit it if the path contains it")
    new_key: Secret | None = optional("Your own secret")
    grace_period: Duration | None = optional("How long the old key keeps working, such as 1h")
    new_master_key: NotHonoured = None
    spend: NotHonoured = None


class DeleteKeys(Body):
    """Keys to delete, by key, hash or alias."""

    model_config = example(key_aliases=["ci"])

    keys: Annotated[list[Named], Field(max_length=100)] | None = optional("Keys, or their hashes")
    key_aliases: Annotated[list[Alias], Field(max_length=100)] | None = optional("Aliases of keys")


class NamedKey(Body):
    """One key."""

    model_config = example(key="$KEY")

    key: Named


@router.post("/key/generate", tags=["Keys"], responses=answers("The key, and in `key` its secret.", 409))
def generate(body: GenerateKey) -> dict[str, Any]:
    """Create a key. This answer is the only one that ever contains it."""
    call = call_of(router)
    secret = body.key or generate_key()
    if call.environment.is_master_key(secret):
        raise bad_request("key: is the master key.", param="key")
    key_hash = hash_key(secret)
    require_models(call, body)
    bare = Key(key_hash, key_hash, mask_key(secret), created_at=round(call.now, 3), version=1)
    key = _with(bare, body, call)
    with rejections():
        call.environment.keys.add_key(key)
    return {**key_object(key), "key": secret, "token_id": key.hash}


@router.post("/key/update", tags=["Keys"], responses=answers("The key as it is now.", 404, 409))
def update(body: UpdateKey) -> dict[str, Any]:
    """Change a key. The change is effective everywhere within 10 seconds."""
    call = call_of(router)
    require_models(call, body)
    with rejections():
        key = call.environment.keys.change_key(key_hash_of(body.key), lambda seen: _with(seen, body, call))
    if key is None:
        raise no_such_key(body.key)
    if body.spend is not None:
        call.environment.ledgers.set_spent(key.ledger_id, nano(body.spend))
    return {**_one(call, key), "key": body.key}


@router.post("/key/delete", tags=["Keys"], responses=answers("`deleted_keys`: what was named.", 404, 409))
def delete(body: DeleteKeys) -> dict[str, Any]:
    """Delete keys, effective within 10 seconds. Their callers then get an error that says so."""
    call = call_of(router)
    named = {each: key_hash_of(each) for each in body.keys or ()}
    for alias in body.key_aliases or ():
        named[alias] = call.environment.keys.holder_of(alias) or ""
    if not named:
        raise bad_request("keys: send at least one key or one of key_aliases.", param="keys")
    live = {key.hash: key for key in call.environment.keys.list_keys()}
    for each, key_hash in named.items():
        if key_hash not in live:
            raise no_such_key(each)
    ids = {live[key_hash].key_id for key_hash in named.values()}
    _change_all(
        call, (key for key in live.values() if key.key_id in ids), lambda key: make_tombstone(key, round(call.now, 3))
    )
    delete_evidence(call, ids)
    return {"deleted_keys": list(named)}


@router.post("/key/block", tags=["Keys"], responses=answers("The key as it is now.", 404, 409))
def block(body: NamedKey) -> dict[str, Any]:
    """Block a key until it is unblocked."""
    return _blocked(call_of(router), body.key, blocked=True)


@router.post("/key/unblock", tags=["Keys"], responses=answers("The key as it is now.", 404, 409))
def unblock(body: NamedKey) -> dict[str, Any]:
    """Unblock a key."""
    return _blocked(call_of(router), body.key, blocked=False)


@router.post("/key/regenerate", tags=["Keys"], responses=_REGENERATED)
def regenerate(body: RegenerateKey) -> dict[str, Any]:
    """Replace a key with a new one. Its permissions and its spending stay."""
    if body.key is None:
        raise bad_request("key: is missing.", param="key")
    return _regenerated(call_of(router), body.key, body)


@router.post("/key/<key>/regenerate", tags=["Keys"], responses=_REGENERATED)
def regenerate_named(key: Annotated[str, Path()], body: RegenerateKey) -> dict[str, Any]:
    """Replace the key in the path with a new one. Its permissions and its spending stay."""
    return _regenerated(call_of(router), key, body)


@router.get("/key/info", tags=["Keys"], responses=answers("`key` as it was named, and `info`, the key.", 404))
def info(key: Annotated[str | None, Query(min_length=1, max_length=300, examples=["$KEY"])] = None) -> dict[str, Any]:
    """Return a key, named by itself or its hash. A virtual key reads itself, and need not name itself."""
    call = call_of(router)
    if call.key:
        require_own(call, key_hash_of(key) if key else call.key.hash, "key")
        key = key or call.key.hash
    if key is None:
        raise bad_request("key: is missing.", param="key")
    found = call.environment.keys.key(key_hash_of(key))
    if found is None or found.deleted:
        raise no_such_key(key)
    return {"key": key, "info": _one(call, found)}


@router.get("/key/list", tags=["Keys"], responses=answers("`keys`, of `total_count` on `total_pages`."))
def listed(
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    size: Annotated[int, Query(ge=1, le=100)] = 10,
    user_id: Annotated[str | None, Query()] = None,
    team_id: Annotated[str | None, Query()] = None,
    key_alias: Annotated[str | None, Query()] = None,
    key_hash: Annotated[str | None, Query()] = None,
    return_full_object: Annotated[bool, Query()] = False,
    sort_by: Annotated[Sort, Query()] = "created_at",
    sort_order: Annotated[Literal["asc", "desc"], Query()] = "desc",
) -> dict[str, Any]:
    """List keys: their hashes, or with return_full_object all their fields."""
    call = call_of(router)
    wanted = {"user_id": user_id, "team_id": team_id, "alias": key_alias, "hash": key_hash}
    keys = [
        key
        for key in call.environment.keys.list_keys()
        if all(value is None or getattr(key, name) == value for name, value in wanted.items())
    ]
    ledgers = spending(call, keys) if sort_by == "spend" else {}
    keys.sort(key=lambda key: (_sorted_by(sort_by, key, ledgers), key.hash), reverse=sort_order == "desc")
    shown = keys[(page - 1) * size : page * size]
    ledgers = ledgers or (spending(call, shown) if return_full_object else {})
    return {
        "keys": [key_object(key, ledgers) if return_full_object else key.hash for key in shown],
        "total_count": len(keys),
        "current_page": page,
        "total_pages": math.ceil(len(keys) / size),
    }


def key_object(key: Key, ledgers: Mapping[str, Ledger] = _NONE) -> dict[str, Any]:
    """Return a key's fields by LiteLLM's names; `ledgers` are those of the current period, by id."""
    return {
        "token": key.hash,
        "key_id": key.key_id,
        "key_name": key.name,
        "key_alias": key.alias,
        "user_id": key.user_id,
        "team_id": key.team_id,
        "archive": key.archive,
        "aliases": dict(key.aliases),
        "expires": iso(key.expires),
        "replaced_by": key.replaced_by,
        **holder_fields(key, ledgers),
    }


def _one(call: Call, key: Key) -> dict[str, Any]:
    return key_object(key, spending(call, [key]))


def _with(key: Key, body: KeyFields, call: Call) -> Key:
    """Return `key` with the changes of `body`."""
    fields = body.changed_fields(key.limits)
    given = body.model_fields_set
    for name, field in {"key_alias": "alias", "user_id": "user_id", "team_id": "team_id"}.items():
        if name in given:
            fields[field] = getattr(body, name)
    if body.archive is not None:
        fields["archive"] = body.archive
    if "user_id" in given:
        owner = call.environment.keys.user(body.user_id) if body.user_id else None
        fields["user_limited"] = owner is not None and owner.is_limited
    if "aliases" in given:
        fields["aliases"] = body.aliases or {}
    if body.duration is not None:
        fields["expires"] = None if body.duration == NEVER else round(call.now + int(body.duration), 3)
    return replace(key, **fields, updated_at=round(call.now, 3))


def _blocked(call: Call, named: str, *, blocked: bool) -> dict[str, Any]:
    key = call.environment.keys.key(key_hash_of(named))
    if key is None or key.deleted:
        raise no_such_key(named)
    # A predecessor in its grace period is blocked as well.
    same = [each for each in call.environment.keys.list_keys() if each.key_id == key.key_id]
    changed = _change_all(call, same, lambda seen: replace(seen, blocked=blocked, updated_at=round(call.now, 3)))
    return _one(call, changed.get(key.hash, key))


def _change_all(call: Call, keys: Iterable[Key], change: Callable[[Key], Key]) -> dict[str, Key]:
    changed = {}
    with rejections():
        for key in keys:
            if after := call.environment.keys.change_key(key.hash, change):
                changed[key.hash] = after
    return changed


def _regenerated(call: Call, named: str, body: RegenerateKey) -> dict[str, Any]:
    secret = body.new_key or generate_key()
    if call.environment.is_master_key(secret):
        raise bad_request("new_key: is the master key.", param="new_key")
    require_models(call, body)
    grace = duration_seconds(body.grace_period) if body.grace_period else 0

    def change(seen: Key) -> tuple[Key, Key]:
        if seen.replaced_by:
            raise bad_request("key: was regenerated already; use its successor.", param="key")
        successor = make_successor(_with(seen, body, call), secret, round(call.now, 3))
        return retire(seen, successor, round(call.now, 3), grace), successor

    with rejections("new_key"):
        key = call.environment.keys.replace_key(key_hash_of(named), change)
    if key is None:
        raise no_such_key(named)
    return {**_one(call, key), "key": secret, "token_id": key.hash}


def key_hash_of(named: str) -> str:
    """Return the hash of a key that was sent as key or as hash."""
    is_hash = len(named) == 64 and all(character in "0123456789abcdef" for character in named)
    return named if is_hash else hash_key(named)


def _sorted_by(name: Sort, key: Key, ledgers: dict[str, Ledger]) -> tuple[bool, Any]:
    """Return a key's sort value; keys without one come first or last, depending on the order."""
    match name:
        case "spend":
            ledger = ledgers.get(key.ledger_id)
            return True, ledger.spent if ledger else 0
        case "key_alias":
            return key.alias is not None, key.alias or ""
        case "max_budget":
            return key.limits.max_budget is not None, key.limits.max_budget or 0
    value = getattr(key, name)
    return value is not None, value if value is not None else ("" if name.endswith("_id") else 0)
