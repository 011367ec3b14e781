"""Shared by keys and teams: the errors of rejected writes, and spending."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from admin.call import Call
from admin.fields import HolderFields
from admin.routes_logic import catalogue
from vibe_router.access.keys import Holder, Limits, model_ledger_id
from vibe_router.access.ledger import Ledger, roll_period
from vibe_router.core.errors import ApiError, bad_request
from vibe_router.core.patterns import is_pattern, matches
from vibe_router.routing.resolution import nearest
from vibe_router.store.key_admin import AliasTakenError, BusyError, NoSuchTeamError, TakenError

__all__ = ["no_such_key", "no_such_team", "no_such_user", "rejections", "require_models", "require_own", "spending"]


@contextmanager
def rejections(record: str = "key") -> Iterator[None]:
    """Turn the store's rejections into API errors. `record` is the field that identifies the record."""
    try:
        yield
    except TakenError:
        raise bad_request(f"{record}: already exists.", param=record, code="already_exists") from None
    except AliasTakenError:
        raise bad_request("key_alias: is used by another key.", param="key_alias", code="key_alias_taken") from None
    except NoSuchTeamError:
        raise bad_request("team_id: there is no such team.", param="team_id", code="team_not_found") from None
    except BusyError:
        message = "The record is being changed concurrently. Try again."
        raise ApiError(409, message, code="conflict", headers={"retry-after": "1"}) from None


def require_own(call: Call, named: str, param: str) -> None:
    """Require that a virtual key names itself, by its hash or key_id. Raises ApiError (403)."""
    if call.key and named not in (call.key.hash, call.key.key_id):
        message = f"{param}: a virtual key may read about itself only; another key requires the master key."
        raise ApiError(403, message, type="auth_error", code="master_key_required", param=param)


def require_models(call: Call, body: HolderFields) -> None:
    """Require that the models of budgets and budget ladders, and the guards exist: a misspelt one would limit nothing.

    Raises ApiError (400).
    """
    if body.guards:
        guards = catalogue(call)[1].guards
        for name in body.guards:
            if name not in guards:
                hint = nearest(name, guards) or f"there are {', '.join(sorted(guards)) or 'none'}"
                raise bad_request(f"guards: {name!r} is no guard of the routes; {hint}.", param="guards")
    named = [("model_max_budget", model) for model in body.model_max_budget or ()]
    for model, ladder in (body.budget_ladder or {}).items():
        named += [("budget_ladder", model), *(("budget_ladder", step.model) for step in ladder)]
    if not named:
        return
    _, routes = catalogue(call)
    names = {*routes.models, *routes.switched_off, *routes.broken}
    for field, model in named:
        if model in names or (is_pattern(model) and any(matches(model, each) for each in names)):
            continue
        if (target := routes.resolve(model)) in names:
            hint = f"is an alias of {target!r}; name the model"
        else:
            hint = (
                f"is no virtual model; {nearest(model, names) or 'there are ' + (', '.join(sorted(names)) or 'none')}"
            )
        raise bad_request(f"{field}: {model[:100]!r} {hint}.", param=field)


def no_such_key(named: str) -> ApiError:
    """Return the 404 for a key that does not exist, without repeating the key."""
    shown = f"sk-...{named[-4:]}" if named.startswith("sk-") else named[:100]
    return ApiError(404, f"There is no key {shown}.", code="key_not_found", param="key")


def no_such_user(user_id: str) -> ApiError:
    """Return the 404 for a user of whom nothing is stored and who owns no keys."""
    return ApiError(404, f"There is no user {user_id[:256]}.", code="user_not_found", param="user_id")


def no_such_team(team_id: str) -> ApiError:
    """Return the 404 for a team that does not exist."""
    return ApiError(404, f"There is no team {team_id[:128]}.", code="team_not_found", param="team_id")


def spending(call: Call, holders: Iterable[Holder]) -> dict[str, Ledger]:
    """Return the ledgers of `holders` that exist, by id, rolled to the current budget period.

    Those of budgets for single models are among them.
    """
    limits: dict[str, Limits] = {}
    for holder in holders:
        limits[holder.ledger_id] = holder.limits
        for budget in holder.limits.models:
            limits[model_ledger_id(holder, budget.model)] = Limits(budget.max_budget, budget.duration)
    found = call.environment.ledgers.read(limits)
    return {
        each: roll_period(ledger, limits[each], call.now) if ledger.period_ends else ledger
        for each, ledger in found.items()
    }
