"""Tokens of an OpenID Connect provider as keys: who may call models with them, and with whose limits. Pure.

`OIDC_TOKENS` is a JSON object; without it no token is accepted:

    {"audience": "api://router",
     "teams": {"red": ["group:data", "bob@example.com"]},
     "team_claim": "team",
     "users": ["*@example.com"],
     "models": ["auto-*"],
     "limits": {"max_budget": 5, "budget_duration": "1d", "rpm_limit": 60}}

People are named as in OIDC_ROLES (access.roles). The first of `teams` that a person is in is theirs, with its models,
budget and limits; else the one that the claim `team_claim` names; `users` may call models without a team. `models` and
`limits` apply to each person, besides those of the team. `audience` is what a token must be for, one or several; by
default the router's client id. `clients` are those that it may have been issued to; by default any.
"""

import hashlib
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from vibe_router.access.keys import Key, Limits, duration_seconds
from vibe_router.access.roles import RolesError, identities_of, read_people
from vibe_router.core.price import NANO
from vibe_router.core.tags import bounded_text

__all__ = ["TokenRules", "TokensError", "key_of", "read_token_rules", "token_key_id"]

_FIELDS = frozenset({"audience", "clients", "teams", "team_claim", "users", "models", "limits"})
_COUNTS = ("rpm_limit", "tpm_limit", "max_parallel_requests")
_MOST = 10**12
_TEAM = re.compile(r"[A-Za-z0-9_.:@-]{1,128}", re.ASCII)
_NAME_CHARACTERS = 200


class TokensError(ValueError):
    """An invalid OIDC_TOKENS; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class TokenRules:
    """The tokens that are accepted, and the permissions of their holders."""

    audiences: tuple[str, ...]
    clients: tuple[str, ...] = ()
    teams: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    team_claim: str | None = None
    users: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)


def read_token_rules(text: str, client_id: str | None) -> TokenRules:
    """Read OIDC_TOKENS; `client_id` is the default audience. Raises TokensError."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise TokensError("OIDC_TOKENS is not JSON") from None
    if not isinstance(value, dict) or not value.keys() <= _FIELDS:
        raise TokensError(f"OIDC_TOKENS must be an object with some of the fields {', '.join(sorted(_FIELDS))}")
    teams, claim = value.get("teams", {}), value.get("team_claim")
    if not isinstance(teams, dict) or not all(_TEAM.fullmatch(team) for team in teams):
        raise TokensError("teams in OIDC_TOKENS must be an object of people by the ids of their teams")
    if claim is not None and not (isinstance(claim, str) and claim):
        raise TokensError("team_claim in OIDC_TOKENS must be the name of a claim")
    try:
        people = {team: read_people(each, f"{team} in OIDC_TOKENS") for team, each in teams.items()}
        users = read_people(value.get("users", []), "users in OIDC_TOKENS")
    except RolesError as error:
        raise TokensError(str(error)) from None
    audience = value.get("audience", client_id)
    rules = TokenRules(
        audiences=_texts([audience] if isinstance(audience, str) else audience, "audience"),
        clients=_texts(value.get("clients", []), "clients"),
        teams=people,
        team_claim=claim,
        users=users,
        models=_texts(value.get("models", []), "models"),
        limits=_limits(value.get("limits", {})),
    )
    if not rules.audiences:
        raise TokensError("audience in OIDC_TOKENS, or OIDC_CLIENT_ID, must be set")
    if not (people or claim or users):
        raise TokensError("OIDC_TOKENS must name who may call models, in teams, team_claim or users")
    return rules


def key_of(claims: Mapping[str, Any], rules: TokenRules) -> Key | None:
    """Return the key that a token with these verified `claims` stands for; None if its holder may not call models.

    It is stored nowhere. Its ledger and its usage are those of the person, whatever token they send.
    """
    name, identities = identities_of(claims)
    team = next((team for team, people in rules.teams.items() if identities & set(people)), None)
    if team is None and rules.team_claim:
        team = _claimed_team(claims.get(rules.team_claim))
    if team is None and not identities & set(rules.users):
        return None
    shown = bounded_text(name, _NAME_CHARACTERS)
    bare = Key(
        hash="",
        key_id=token_key_id(name),
        name="token",
        alias=shown,
        models=rules.models,
        user_id=shown,
        user_limited=True,
    )
    return replace(bare, team_id=team, limits=rules.limits)


def token_key_id(name: str) -> str:
    """Return the id under which the usage of a person's tokens is recorded; each name has its own."""
    name = bounded_text(name, sys.maxsize)
    if len(name) > _NAME_CHARACTERS:
        name = f"{name[:100]}~{hashlib.sha256(name.encode()).hexdigest()}"
    return f"oidc:{name.replace('%', '%25').replace('#', '%23')}"  # ids of ledgers have parts between number signs


def _claimed_team(value: object) -> str | None:
    """Return the team that a claim names: a text, or the first of a list."""
    if isinstance(value, list):
        value = value[0] if value else None
    return value if isinstance(value, str) and _TEAM.fullmatch(value) else None


def _texts(value: object, name: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise TokensError(f"{name} in OIDC_TOKENS must be a list of texts")
    return tuple(value)


def _limits(value: object) -> Limits:
    if not isinstance(value, dict) or not value.keys() <= {"max_budget", "budget_duration", *_COUNTS}:
        names = ", ".join(("max_budget", "budget_duration", *_COUNTS))
        raise TokensError(f"limits in OIDC_TOKENS must be an object with some of the fields {names}")
    budget, duration = value.get("max_budget"), value.get("budget_duration")
    if not _is_number(budget, int | float) or not all(_is_number(value.get(name), int) for name in _COUNTS):
        raise TokensError("limits in OIDC_TOKENS must be numbers that are not negative")
    try:
        _ = None if duration is None else duration_seconds(duration)
    except (ValueError, TypeError):
        raise TokensError("budget_duration in OIDC_TOKENS must be a duration such as 1d") from None
    return Limits(
        max_budget=None if budget is None else round(budget * NANO),
        budget_duration=duration,
        rpm=value.get("rpm_limit"),
        tpm=value.get("tpm_limit"),
        parallel=value.get("max_parallel_requests"),
    )


def _is_number(value: object, kind: Any) -> bool:
    return value is None or (isinstance(value, kind) and not isinstance(value, bool) and 0 <= value <= _MOST)
