"""Roles of the users who sign in to the page through an OpenID Connect provider. Pure.

- admin: everything, like the page's password
- lead: the keys and the usage of one team
- member: their own keys and usage: those whose `user_id` is their name

`OIDC_ROLES` is a JSON object of the people who have each role:

    {"admin": ["ann@example.com", "group:platform"],
     "lead": {"red": ["bob@example.com"]},
     "member": ["*@example.com"]}

A person is an e-mail address, `*@` and a domain, `group:` and an entry of the claims `groups`, `roles` or
`cognito:groups`, or `sub:` and the provider's own id. The first role that fits applies, in the order above.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "ADMIN",
    "Role",
    "RoleRules",
    "RolesError",
    "User",
    "identities_of",
    "read_people",
    "read_role_rules",
    "user_of",
]

Role = Literal["admin", "lead", "member"]
ADMIN: Role = "admin"
_GROUP_CLAIMS = ("groups", "roles", "cognito:groups")


class RolesError(ValueError):
    """An invalid OIDC_ROLES; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class User:
    """A signed-in user: the name that keys and the audit log know, the role, and a lead's team."""

    name: str
    role: Role
    team: str | None = None


@dataclass(frozen=True, slots=True)
class RoleRules:
    """The users of each role: `admins`, `leads` by team, `members`."""

    admins: Sequence[str]
    leads: Mapping[str, Sequence[str]]
    members: Sequence[str]


def read_role_rules(text: str | None) -> RoleRules:
    """Read OIDC_ROLES. Raises RolesError."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise RolesError("OIDC_ROLES is not JSON") from None
    if not isinstance(value, dict) or not value.keys() <= {"admin", "lead", "member"}:
        raise RolesError("OIDC_ROLES must be an object with the fields admin, lead and member")
    leads = value.get("lead", {})
    if not isinstance(leads, dict):
        raise RolesError("lead in OIDC_ROLES must be an object of teams")
    return RoleRules(_people(value, "admin"), {team: _people(leads, team) for team in leads}, _people(value, "member"))


def user_of(claims: Mapping[str, Any], rules: RoleRules) -> User | None:
    """Return the user whom `claims` identify, None if no rule matches.

    An e-mail address counts only if the provider has verified it: at some, users can write any address.
    """
    name, identities = identities_of(claims)
    if identities & set(rules.admins):
        return User(name, "admin")
    for team, people in rules.leads.items():
        if identities & set(people):
            return User(name, "lead", team)
    return User(name, "member") if identities & set(rules.members) else None


def identities_of(claims: Mapping[str, Any]) -> tuple[str, set[str]]:
    """Return the name of whom `claims` identify, and everything that rules may call them by."""
    email = claims.get("email")
    is_verified = isinstance(email, str) and claims.get("email_verified") in (True, "true") and "@" in email
    address = str(email).lower() if is_verified else None
    identities = {f"sub:{claims['sub']}"} | ({address, f"*@{address.rpartition('@')[2]}"} if address else set())
    for claim in _GROUP_CLAIMS:
        groups = claims.get(claim)
        if isinstance(groups, list):
            identities |= {f"group:{group}" for group in groups if isinstance(group, str)}
    return address or str(claims["sub"]), identities


def read_people(value: object, name: str) -> tuple[str, ...]:
    """Read a list of people; addresses become lower-case. Raises RolesError, which calls it `name`."""
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise RolesError(f"{name} must be a list of people")
    return tuple(each if each.startswith(("group:", "sub:")) else each.lower() for each in value)


def _people(value: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return read_people(value.get(name, []), f"{name} in OIDC_ROLES")
