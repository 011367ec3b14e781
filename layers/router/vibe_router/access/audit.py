"""The audit log: who changed what, and who signed in. Pure.

An entry holds no secret: of a change's fields, the values of a few that are safe are recorded, and of the others the
names.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from vibe_router.core.clock import to_iso
from vibe_router.core.tags import bounded_text

__all__ = ["AuditEntry", "new_position", "recorded_changes"]

_CHARACTERS = 200  # of a recorded text
_ITEMS = 50  # of a recorded list or mapping
_LEVELS = 3  # of lists and mappings: a ladder is a list of mappings in a mapping
_HIDDEN = "(not recorded)"
# Fields of the admin API whose values are recorded. Keys, hashes of keys, passwords and free metadata are not.
_SAFE = frozenset(
    {
        "all",
        "archive",
        "blocked",
        "budget_duration",
        "budget_ladder",
        "cache_seconds",
        "deployment",
        "duration",
        "grace_period",
        "guards",
        "key_alias",
        "key_aliases",
        "max_budget",
        "max_parallel_requests",
        "model_max_budget",
        "models",
        "note",
        "provider",
        "receiver",
        "rpm_limit",
        "soft_budget",
        "spend",
        "tags",
        "team_alias",
        "team_id",
        "team_ids",
        "to",
        "tpm_limit",
        "user_id",
        "version",
    }
)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change or sign-in.

    `at` is in epoch seconds, `position` its place in the log (`new_position`). `by` names the user, "master key" or a
    key's id; `action` is the path, such as key/update; `target` names what was changed, if anything. `request_id` and
    `status` are the call's.
    """

    position: str
    at: float
    request_id: str
    by: str
    address: str
    action: str
    target: str | None = None
    status: int = 200
    changes: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the entry for people and programs."""
        return {
            "at": to_iso(self.at),
            "request_id": self.request_id,
            "by": self.by,
            "address": self.address,
            "action": self.action,
            "target": self.target,
            "status": self.status,
            "changes": dict(self.changes),
        }


def new_position(at: float) -> str:
    """Return the position of an entry made at `at`: positions sort by time, and each is unique."""
    return f"{to_iso(at)}#{secrets.token_hex(6)}"


def recorded_changes(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a call's `body` as they are recorded: the safe ones with their values."""
    return {bounded_text(name, 60): _recorded(value) if name in _SAFE else _HIDDEN for name, value in body.items()}


def _recorded(value: object, levels: int = _LEVELS) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return bounded_text(value, _CHARACTERS)
        case Sequence() if levels:
            return [_recorded(each, levels - 1) for each in value[:_ITEMS]]
        case Mapping() if levels:
            items = islice(value.items(), _ITEMS)
            return {bounded_text(str(name), _CHARACTERS): _recorded(each, levels - 1) for name, each in items}
    return _HIDDEN
