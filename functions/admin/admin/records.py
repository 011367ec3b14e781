"""Shared by keys and teams: the errors of rejected writes, and spending."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from admin.call import Call
from vibe_router.access.keys import Key, Team
from vibe_router.access.ledger import Ledger, roll_period
from vibe_router.core.errors import ApiError, bad_request
from vibe_router.store.key_admin import AliasTakenError, BusyError, NoSuchTeamError, TakenError

__all__ = ["ledger_id", "no_such_key", "no_such_team", "rejections", "require_own", "spending"]


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


def no_such_key(named: str) -> ApiError:
    """Return the 404 for a key that does not exist, without repeating the key."""
    shown = f"sk-...{named[-4:]}" if named.startswith("sk-") else named[:100]
    return ApiError(404, f"There is no key {shown}.", code="key_not_found", param="key")


def no_such_team(team_id: str) -> ApiError:
    """Return the 404 for a team that does not exist."""
    return ApiError(404, f"There is no team {team_id[:128]}.", code="team_not_found", param="team_id")


def ledger_id(holder: Key | Team) -> str:
    """Return the ledger's id of a key or a team."""
    return f"key#{holder.key_id}" if isinstance(holder, Key) else f"team#{holder.id}"


def spending(call: Call, holders: Iterable[Key | Team]) -> dict[str, Ledger]:
    """Return the ledgers of `holders` that exist, by `ledger_id`, rolled to the current budget period."""
    limits = {ledger_id(holder): holder.limits for holder in holders}
    found = call.environment.ledgers.read(limits)
    return {
        each: roll_period(ledger, limits[each], call.now) if ledger.period_ends else ledger
        for each, ledger in found.items()
    }
