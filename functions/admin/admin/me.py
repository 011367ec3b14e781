"""/me/*: what a user of any role may see and do: their own keys and usage, or those of the team they lead."""

from collections import defaultdict
from datetime import timedelta
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from admin import keys as key_routes
from admin import series
from admin.call import Call, call_of
from admin.fields import Alias, Body, Duration, Models, example, optional
from admin.keys import GenerateKey, NamedKey, RegenerateKey, key_hash_of, key_object
from admin.openapi import answers
from admin.records import no_such_key, spending
from admin.router import Router
from admin.series import Csv, Most, StepOrAuto
from admin.usage_logic import summed, today
from vibe_router.access.keys import Key
from vibe_router.access.tokens import token_key_id
from vibe_router.core.errors import ApiError

__all__ = ["router"]

router = Router()

_KeyName = Annotated[str, Path(max_length=300, description="A key, its hash or its id")]


class CreateKey(Body):
    """A key to create in the team that the user leads."""

    model_config = example(key_alias="bob's laptop", user_id="bob@example.com")

    key_alias: Alias | None = optional("A unique name")
    user_id: Alias | None = optional("The user it belongs to")
    models: Models | None = optional("Allowed models; the team's still apply")
    duration: Duration | None = optional("Time until it expires: 12h, 30d, 1mo")


@router.get("/me", tags=["Me"], responses=answers("`name`, `role` and `team`."))
def me() -> dict[str, Any]:
    """Return who is signed in, with which role."""
    call = call_of(router)
    session = call.session
    return {
        "name": call.by,
        "role": session.role if session else "admin",
        "team": session.team if session else None,
    }


@router.get("/me/keys", tags=["Me"], responses=answers("`keys`, by alias."))
def my_keys() -> dict[str, Any]:
    """List the user's own keys; for a lead those of the team."""
    call = call_of(router)
    found = sorted(_keys_of(call), key=lambda key: (key.alias or "", key.hash))
    ledgers = spending(call, found)
    return {"keys": [key_object(key, ledgers) for key in found]}


@router.get("/me/usage", tags=["Me"], responses=answers("`totals`, and the same by `days` and by `keys`."))
def my_usage(days: Annotated[int, Query(ge=1, le=90)] = 30) -> dict[str, Any]:
    """Return the usage of these keys over the last days (UTC)."""
    call = call_of(router)
    last = today(call)
    names = {**_token_names(call), **{key.key_id: key.alias or key.name for key in _keys_of(call)}}
    found = [
        total
        for total in call.environment.usage.totals("key", last - timedelta(days=days - 1), last)
        if total.name in names
    ]
    by_day, by_key = defaultdict(list), defaultdict(list)
    for total in found:
        by_day[total.at[:10]].append(total)
        by_key[total.name].append(total)
    return {
        "totals": summed(found),
        "days": [{"at": day, **summed(each)} for day, each in sorted(by_day.items())],
        "keys": [{"key_id": key_id, "key_alias": names[key_id], **summed(each)} for key_id, each in by_key.items()],
    }


@router.get("/me/usage/series", tags=["Me"], responses=answers(series.ABOUT))
def my_usage_over_time(
    by: series.By = "all",
    start_date: series.Day = None,
    end_date: series.Day = None,
    step: StepOrAuto = "auto",
    name: Annotated[str | None, Query(max_length=400)] = None,
    limit: Most = 20,
    csv: Csv = False,
) -> Response[Any]:
    """Return the usage of these keys over time, by hour, day or week (UTC).

    `by` is what the series are of, and `name` one of them; users and teams are the keys' present ones. Usage by model,
    deployment and tag, and by hour, is added up from requests, which are stored for some months.
    """
    call = call_of(router)
    found = _keys_of(call)
    tokens = _token_names(call)
    keys = {key_id: {"user": call.by, "team": None} for key_id in tokens}
    keys |= {key.key_id: {"user": key.user_id, "team": key.team_id} for key in found}
    names = {**tokens, **{key.key_id: key.alias or key.name for key in found}}
    display = {key_id: {"key_alias": alias} for key_id, alias in names.items()} if by == "key" else {}
    wanted = series.read_range(call, start_date, end_date, step, by, has_keys=True)
    return series.respond(series.series_of(call, by, wanted, keys=keys, names=display, only=name, most=limit), csv=csv)


@router.post("/me/keys", tags=["Me"], responses=answers("The key, and in `key` its secret.", 403, 409))
def create_key(body: CreateKey) -> dict[str, Any]:
    """Create a key in the team that the user leads, whose budget and limits apply to it."""
    call = call_of(router)
    fields: dict[str, Any] = {**body.model_dump(exclude_unset=True), "team_id": _led_team(call)}
    return key_routes.generate(GenerateKey(**fields))


@router.post(
    "/me/keys/<key>/regenerate", tags=["Me"], responses=answers("The new key, and in `key` its secret.", 404, 409)
)
def regenerate_key(key: _KeyName) -> dict[str, Any]:
    """Replace one of these keys with a new one. The old one stops working."""
    return key_routes.regenerate(RegenerateKey(key=_own(call_of(router), key).hash))


@router.post("/me/keys/<key>/block", tags=["Me"], responses=answers("The key as it is now.", 404, 409))
def block_key(key: _KeyName) -> dict[str, Any]:
    """Block one of these keys, for example because it was lost."""
    return key_routes.block(NamedKey(key=_own(call_of(router), key).hash))


@router.post("/me/keys/<key>/unblock", tags=["Me"], responses=answers("The key as it is now.", 403, 404, 409))
def unblock_key(key: _KeyName) -> dict[str, Any]:
    """Unblock a key of the team. Members may not, as their lead may have blocked it."""
    call = call_of(router)
    _led_team(call)
    return key_routes.unblock(NamedKey(key=_own(call, key).hash))


def _keys_of(call: Call) -> list[Key]:
    """Return the keys that the user may see. A regenerated key is represented by its successor."""
    session = call.session
    live = [key for key in call.environment.keys.list_keys() if key.replaced_by is None]
    if session is None or session.is_admin:
        return live
    if session.role == "lead":
        return [key for key in live if key.team_id is not None and key.team_id == session.team]
    return [key for key in live if key.user_id is not None and key.user_id == session.username]


def _token_names(call: Call) -> dict[str, str]:
    """Return the id under which the usage of a member's tokens is recorded (access.tokens), with a name for it."""
    session = call.session
    is_member = session is not None and session.role == "member"
    return {token_key_id(session.username): "your tokens"} if session and is_member else {}


def _own(call: Call, named: str) -> Key:
    """Return one of the user's keys. Raises ApiError (404), also for a key of somebody else."""
    for key in _keys_of(call):
        if named == key.key_id or key_hash_of(named) == key.hash:
            return key
    raise no_such_key(named)


def _led_team(call: Call) -> str | None:
    """Return the team that the user leads; an admin leads all. Raises ApiError (403)."""
    session = call.session
    if session is None or session.is_admin:
        return None
    if session.role == "lead" and session.team:
        return session.team
    raise ApiError(403, "Only the lead of a team may do this.", type="auth_error", code="lead_required")
