"""The logic of the routes' handlers: the table, its history, and the states of deployments."""

import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from admin.call import Call
from vibe_router.access.authentication import hash_key
from vibe_router.access.budgets import ladder_of
from vibe_router.access.keys import Caller
from vibe_router.core.errors import ApiError, bad_request, switched_off, unknown_model
from vibe_router.core.models import Catalogue, VirtualModel
from vibe_router.core.urls import host_header, host_of, is_metadata
from vibe_router.formats import registry
from vibe_router.formats.interfaces import ClientRequest
from vibe_router.pipeline import explain
from vibe_router.pipeline.status import at_iso, deployment_status
from vibe_router.routing.changes import (
    Change,
    Rows,
    as_written,
    changes,
    digest_of,
    document_of,
    read_rows,
    rows_of,
)
from vibe_router.routing.cooldown import State
from vibe_router.routing.order import Observed
from vibe_router.routing.settings import Problem, checked_base_url, provider_formats
from vibe_router.routing.spec import ModelSpec, RoutesSpec, parse, resolve
from vibe_router.store.history import Version
from vibe_router.store.routes import RoutesChangedError, RoutesSnapshot

__all__ = [
    "BaseVersion",
    "catalogue",
    "compare",
    "explain_request",
    "history",
    "read_routes",
    "roll_back",
    "states_of",
    "validate",
    "write",
]

_HELLO = [{"role": "user", "content": "Hello"}]


@dataclass(frozen=True, slots=True)
class BaseVersion:
    """The routes that an edit is based on: version and digest, because a row edited by hand raises no version."""

    version: int
    digest: str | None = None

    def is_current(self, current: RoutesSnapshot) -> bool:
        """Return whether the edit is still based on the current routes."""
        return self.version == current.version and self.digest in (None, digest_of(current.rows))


def catalogue(call: Call) -> tuple[RoutesSpec, Catalogue]:
    """Read the routes, as a spec and resolved."""
    spec, _ = read_rows(call.environment.routes.read())
    return spec, resolve(spec)[0]


def states_of(call: Call, spec: RoutesSpec) -> Mapping[str, State]:
    """Return the states of every deployment of a chain, enabled or not."""
    members = {(member.provider, member.model) for model in spec.models.values() for s in model.chain for member in s}
    ids = {f"deployment#{provider}/{model}" for provider, model in members}
    ids |= {f"credential#{provider}" for provider, _ in members}
    return call.environment.states.read(sorted(ids))


def read_routes(call: Call) -> dict[str, Any]:
    """Return the routes, their version, the states of each chain, and problems."""
    current = call.environment.routes.snapshot()
    spec, problems = read_rows(current.rows)
    problems += resolve(spec, invalid={name for kind, name in current.rows if kind == "model"})[1]
    states = states_of(call, spec)
    members = {f"{each.provider}/{each.model}" for model in spec.models.values() for s in model.chain for each in s}
    observed = call.environment.observations.read(sorted(members))
    chains = {name: _chain(spec, model, states, observed, call.now) for name, model in spec.models.items()}
    document = document_of(as_written(current.rows))
    known_as = {"version": current.version, "digest": digest_of(current.rows)}
    return {
        **known_as,
        **document,
        "chains": chains,
        "problems": _problem_fields(problems),
        "secrets_set": call.environment.secrets_set(),
    }


def validate(document: Mapping[str, Any]) -> tuple[RoutesSpec | None, list[dict[str, str]]]:
    """Return the spec of `document`, or None and its problems."""
    spec, problems = parse({part: rows for part, rows in document.items() if rows is not None})
    if spec and (rejected := _rejected_hosts(spec)):
        return None, rejected
    return spec, _problem_fields(problems)


def compare(call: Call, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the problems of `document`, or the changes that writing it would make."""
    current = as_written(call.environment.routes.read())
    spec, problems = validate(_complete(document, current))
    if spec is None:
        return {"problems": problems, "changes": [], "new_hosts": []}
    rows = rows_of(spec)
    return {
        "problems": problems,
        "changes": _change_fields(changes(current, rows)),
        "new_hosts": _new_hosts(current, rows),
    }


def write(
    call: Call, document: Mapping[str, Any], seen: BaseVersion, note: str, confirmed: Collection[tuple[str, str]] = ()
) -> tuple[int, dict[str, Any]]:
    """Write `document` over the version `seen`; return the answer's status and body. Raises ApiError (400).

    `confirmed` are hosts that a secret may be sent to from now on.
    """
    current = as_written(call.environment.routes.read())
    spec, problems = validate(_complete(document, current))
    if spec is None:
        raise _invalid(problems)
    return _write(call, rows_of(spec), seen, note, confirmed)


def roll_back(
    call: Call, seen: BaseVersion, to: int, note: str, confirmed: Collection[tuple[str, str]] = ()
) -> tuple[int, dict[str, Any]]:
    """Write version `to` over the version `seen`; return the answer's status and body. Raises ApiError (400, 404)."""
    rows = call.environment.history.rows(to)
    if rows is None:
        raise ApiError(404, f"Version {to} is not in the history.", code="version_not_found", param="to")
    spec, problems = validate(document_of(rows))
    if spec is None:  # written under older rules
        raise _invalid(problems)
    return _write(call, rows_of(spec), seen, note or f"rollback to version {to}", confirmed)


def history(call: Call, limit: int) -> list[dict[str, Any]]:
    """Return the newest versions."""
    return [
        {
            "version": each.version,
            "at": at_iso(each.at),
            "by": each.by,
            "note": each.note,
            "changes": each.changes,
        }
        for each in call.environment.history.versions(limit)
    ]


def explain_request(call: Call, body: bytes, name: str, wire: str, key: str | None) -> dict[str, Any]:
    """Return where the request in `body` would go, and whether `key` would be admitted. Raises ApiError."""
    _, routes = catalogue(call)
    caller = _caller(call, key) if key else Caller()
    resolved = routes.resolve(name, caller.aliases)
    model = routes.models.get(resolved)
    if model is None:
        raise switched_off(resolved) if resolved in routes.switched_off else unknown_model(name, sorted(routes.models))
    request = _request(body, wire)
    ids = {id_ for each in _on_its_ladder(caller, model) for id_ in caller.ledgers_for(each)}
    ledgers = call.environment.ledgers.read(ids)
    model, budgets = explain.on_ladder(caller, model, request, routes, ledgers, call.now)
    states = call.environment.states.read(list(dict.fromkeys(s for each in model.chain for s in each.state_ids)))
    stores = explain.ChainStores(call.environment.conversations, call.environment.observations)
    found = explain.route(model, request, states, call.now, stores, _names_of(caller))
    admitted = explain.admission(caller, model, request, ledgers, call.now)
    return {"requested": name, **found, **budgets, "admission": admitted}


def _on_its_ladder(caller: Caller, model: VirtualModel) -> list[str]:
    """Return the names of `model` and of the models on its budget ladder."""
    return [model.name, *(step.model for step in ladder_of(caller, model))]


def _complete(document: Mapping[str, Any], current: Rows) -> Mapping[str, Any]:
    """Return `document` with what programs of old do not send: the current aliases of its models, alerts, guards."""
    for part in ("alerts", "guards"):
        if document.get(part) is None:
            document = {**document, part: document_of(current)[part]}
    if document.get("aliases") is not None:
        return document
    models = document.get("models") or {}
    kept = {name: model for name, model in document_of(current)["aliases"].items() if name not in models}
    return {**document, "aliases": {name: model for name, model in kept.items() if model in models}}


def _rejected_hosts(spec: RoutesSpec) -> list[dict[str, str]]:
    """Return a problem for each provider whose host is link-local or a cloud's metadata service."""
    return [
        {"path": f"providers.{name}.base_url", "reason": "leads to a link-local address or a metadata service"}
        for name, provider in spec.providers.items()
        if provider.base_url and is_metadata(host_of(provider.base_url))
    ]


def _new_hosts(current: Rows, rows: Rows) -> list[dict[str, str]]:
    """Return the hosts that secrets would be sent to from now on.

    A secret's first host is new too: otherwise deleting its provider and adding it again would send it anywhere. A host
    that got the secret encrypted is new again as `http://HOST`.
    """
    before, after = _hosts_of_secrets(current), _hosts_of_secrets(rows)
    found = []
    for secret, hosts in after.items():
        known = before.get(secret, {})
        for host, is_plain in sorted(hosts.items()):
            if host not in known:
                found.append({"secret": secret, "host": host})
            elif is_plain and not known[host]:
                found.append({"secret": secret, "host": f"http://{host}"})
    return found


def _hosts_of_secrets(rows: Rows) -> dict[str, dict[str, bool]]:
    """Return each secret's hosts, and whether it is sent to them without encryption."""
    found: dict[str, dict[str, bool]] = {}
    for (kind, _), row in rows.items():
        match row if kind == "provider" else None:
            case {"secret": str(secret), "base_url": str(base_url)}:
                with suppress(ValueError):  # a row edited by hand; it cannot be called
                    url = checked_base_url(base_url)
                    hosts, host = found.setdefault(secret, {}), host_header(url)
                    hosts[host] = hosts.get(host, False) or urlsplit(url).scheme == "http"
    return found


def _check_hosts(current: Rows, rows: Rows, confirmed: Collection[tuple[str, str]]) -> None:
    """Raise ApiError (400) if a secret would be sent to a new host that is not `confirmed`."""
    new = _new_hosts(current, rows)
    if unconfirmed := [each for each in new if (each["secret"], each["host"]) not in confirmed]:
        first = unconfirmed[0]
        raise ApiError(
            400,
            f"The secret {first['secret']} would go to a new host, {first['host']}. Confirm it in confirmed_hosts.",
            code="secret_host_unconfirmed",
            param="confirmed_hosts",
            details={"new_hosts": new},
        )


def _write(
    call: Call, rows: Rows, seen: BaseVersion, note: str, confirmed: Collection[tuple[str, str]]
) -> tuple[int, dict[str, Any]]:
    environment = call.environment
    current = environment.routes.snapshot()
    if seen.is_current(current):
        _check_hosts(as_written(current.rows), rows, confirmed)
        found = _change_fields(changes(as_written(current.rows), rows))
        if not found:
            return 200, {"version": seen.version, "digest": digest_of(rows), "changes": []}
        *between, version = _versions(call, current, found, note)
        also = [write for each in between for write in environment.history.entry(each, current.rows)]
        also += environment.history.entry(version, rows)
        try:
            environment.routes.write(rows, current.rows, seen.version, also, becomes=version.version)
        except RoutesChangedError:
            current = environment.routes.snapshot()
        else:
            return 200, {"version": version.version, "digest": digest_of(rows), "changes": found}
    return 409, _conflict(call, current, rows, seen)


def _versions(call: Call, current: RoutesSnapshot, found: list[dict[str, Any]], note: str) -> list[Version]:
    """Return the versions that a write creates: one for rows edited by hand since the last, then its own."""
    history, now = call.environment.history, round(call.now, 3)
    history.record_current(current, now)
    stored = history.rows(current.version) or current.rows
    by_hand = _change_fields(changes(as_written(stored), as_written(current.rows)))
    versions = [Version(current.version + 1, now, "", "edited by hand in the table", by_hand)] if by_hand else []
    return [*versions, Version(current.version + 1 + len(versions), now, call.by, note, found)]


def _conflict(call: Call, current: RoutesSnapshot, rows: Rows, seen: BaseVersion) -> dict[str, Any]:
    """Return the conflict: changes since the version that the edit is based on, and what writing it would undo."""
    before = call.environment.history.rows(seen.version)
    now = as_written(current.rows)
    since_then = f"they are at version {current.version}"
    if current.version == seen.version:
        since_then = "rows of the table were edited by hand"
    error = {
        "message": f"The routes have changed since version {seen.version}: {since_then}.",
        "type": "invalid_request_error",
        "param": "version",
        "code": "routes_conflict",
    }
    since = None if before is None else _change_fields(changes(as_written(before), now))
    yours = _change_fields(changes(now, rows))
    return {"error": error, "version": current.version, "changes": yours if since is None else since, "yours": yours}


def _chain(
    spec: RoutesSpec, model: ModelSpec, states: Mapping[str, State], observed: Mapping[str, Observed], now: float
) -> list[list[dict[str, Any]]]:
    def entry(member: Any) -> dict[str, Any]:
        provider = spec.providers.get(member.provider)
        return {
            **deployment_status(f"{member.provider}/{member.model}", member.provider, states, now, observed),
            "provider": member.provider,
            "model": member.model,
            "weight": member.weight,
            "enabled": member.enabled,
            "price": member.price.model_dump(exclude_none=True) if member.price else None,
            "formats": list(member.formats or (provider_formats(provider.type, provider.formats) if provider else ())),
        }

    return [[entry(member) for member in step] for step in model.chain]


def _request(body: bytes, wire: str) -> ClientRequest:
    """Read the request to explain; without messages it is a short one. Raises ApiError (400)."""
    try:
        client = registry.client(wire)
    except KeyError:
        raise bad_request("format: is not a format of callers.", param="format") from None
    if wire == "chat":
        body = json.dumps({"messages": _HELLO, **json.loads(body)}).encode()
    return client.parse(body, {})


def _caller(call: Call, named: str) -> Caller:
    """Return the caller of a key, sent as key or as hash. Raises ApiError (404)."""
    if call.environment.is_master_key(named):
        return Caller()
    keys = call.environment.keys
    key = keys.key(named) or keys.key(hash_key(named))
    if key is None:
        raise ApiError(404, "The key does not exist.", code="key_not_found", param="key")
    user = keys.user(key.user_id) if key.user_id and key.user_limited else None
    return Caller(key, keys.team(key.team_id) if key.team_id else None, user)


def _names_of(caller: Caller) -> tuple[str, str]:
    return caller.key_id, (caller.key.alias if caller.key else None) or ""


def _invalid(problems: list[dict[str, str]]) -> ApiError:
    first = problems[0]
    message = f"{first['path']}: {first['reason']}" if first["path"] else f"The routes {first['reason']}"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return ApiError(
        400, f"{message}{more}.", code="invalid_routes", param=first["path"] or None, details={"problems": problems}
    )


def _change_fields(found: Iterable[Change]) -> list[dict[str, Any]]:
    return [change.as_json() for change in found]


def _problem_fields(problems: Iterable[Problem]) -> list[dict[str, str]]:
    return [{"path": problem.path, "reason": problem.reason} for problem in problems]
