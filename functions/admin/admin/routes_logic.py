"""What the routes' handlers do: the table, its history, and the states of what is in it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from admin.call import Call
from vibe_router.access.issuing import hash_key
from vibe_router.access.keys import Caller
from vibe_router.core.errors import ApiError, bad_request, switched_off, unknown_model
from vibe_router.core.models import Catalogue
from vibe_router.formats import registry
from vibe_router.formats.interfaces import ClientRequest
from vibe_router.pipeline import explain
from vibe_router.pipeline.status import at_iso
from vibe_router.pipeline.status import told as told_state
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
from vibe_router.routing.spec import ModelSpec, Problem, RoutesSpec, parse, resolve, spoken
from vibe_router.store.history import Version
from vibe_router.store.routes import RoutesChangedError, RoutesSnapshot

__all__ = [
    "Seen",
    "catalogue",
    "checked",
    "compared",
    "explained",
    "history",
    "rolled_back",
    "states_of",
    "told",
    "written",
]

_HELLO = [{"role": "user", "content": "Hello"}]


@dataclass(frozen=True, slots=True)
class Seen:
    """The routes that an editor saw: their version, and what they said, as a row edited by hand raises no version."""

    version: int
    digest: str | None = None

    def stands(self, standing: RoutesSnapshot) -> bool:
        """Whether these are still the routes."""
        return self.version == standing.version and self.digest in (None, digest_of(standing.rows))


def catalogue(call: Call) -> tuple[RoutesSpec, Catalogue]:
    """Read the routes: what the rows say, and what they come to."""
    spec, _ = read_rows(call.environment.routes.read())
    return spec, resolve(spec)[0]


def states_of(call: Call, spec: RoutesSpec) -> Mapping[str, State]:
    """Return the states of all that is in a chain, switched off or not."""
    members = {(member.provider, member.model) for model in spec.models.values() for s in model.chain for member in s}
    ids = {f"deployment#{provider}/{model}" for provider, model in members}
    ids |= {f"credential#{provider}" for provider, _ in members}
    return call.environment.states.read(sorted(ids))


def told(call: Call) -> dict[str, Any]:
    """Return the routes, their version, each chain's states, and what is wrong with them."""
    standing = call.environment.routes.standing()
    spec, problems = read_rows(standing.rows)
    problems += resolve(spec)[1]
    states = states_of(call, spec)
    chains = {name: _chain(spec, model, states, call.now) for name, model in spec.models.items()}
    document = document_of(as_written(standing.rows))
    known_as = {"version": standing.version, "digest": digest_of(standing.rows)}
    return {**known_as, **document, "chains": chains, "problems": _told(problems)}


def checked(document: Mapping[str, Any]) -> tuple[RoutesSpec | None, list[dict[str, str]]]:
    """Return the spec of `document`, or None and what is wrong with it."""
    spec, problems = parse(document)
    return spec, _told(problems)


def compared(call: Call, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is wrong with `document`, or what writing it would change."""
    spec, problems = checked(document)
    standing = as_written(call.environment.routes.read())
    return {"problems": problems, "changes": _plain(changes(standing, rows_of(spec))) if spec else []}


def written(call: Call, document: Mapping[str, Any], seen: Seen, note: str) -> tuple[int, dict[str, Any]]:
    """Write `document` over what was `seen`; returns the answer's status and body. Raises ApiError (400)."""
    spec, problems = checked(document)
    if spec is None:
        raise _invalid(problems)
    return _written(call, rows_of(spec), seen, note)


def rolled_back(call: Call, seen: Seen, to: int, note: str) -> tuple[int, dict[str, Any]]:
    """Write version `to` over what was `seen`; returns the answer's status and body. Raises ApiError (400, 404)."""
    rows = call.environment.history.rows(to)
    if rows is None:
        raise ApiError(404, f"Version {to} is not in the history.", code="version_not_found", param="to")
    spec, problems = checked(document_of(rows))
    if spec is None:  # written by a router that knew other rules
        raise _invalid(problems)
    return _written(call, rows_of(spec), seen, note or f"back to version {to}")


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


def explained(call: Call, body: bytes, name: str, wire: str, key: str | None) -> dict[str, Any]:
    """Return where the request in `body` would go, and whether the holder of `key` would be let in. Raises ApiError."""
    _, routes = catalogue(call)
    model = routes.models.get(name)
    if model is None:
        raise switched_off(name) if name in routes.switched_off else unknown_model(name, sorted(routes.models))
    request = _request(body, wire)
    states = call.environment.states.read(list(dict.fromkeys(s for each in model.chain for s in each.state_ids)))
    found = explain.route(model, request, states, call.now)
    caller = _caller(call, key) if key else Caller()
    ledgers = call.environment.ledgers.read(caller.ledgers)
    return {**found, "admission": explain.admission(caller, model, request, ledgers, call.now)}


def _written(call: Call, rows: Rows, seen: Seen, note: str) -> tuple[int, dict[str, Any]]:
    environment = call.environment
    standing = environment.routes.standing()
    if seen.stands(standing):
        found = _plain(changes(as_written(standing.rows), rows))
        if not found:
            return 200, {"version": seen.version, "digest": digest_of(rows), "changes": []}
        *between, version = _versions(call, standing, found, note)
        also = [write for each in between for write in environment.history.entry(each, standing.rows)]
        also += environment.history.entry(version, rows)
        try:
            environment.routes.write(rows, standing.rows, seen.version, also, becomes=version.version)
        except RoutesChangedError:
            standing = environment.routes.standing()
        else:
            return 200, {"version": version.version, "digest": digest_of(rows), "changes": found}
    return 409, _conflict(call, standing, rows, seen)


def _versions(call: Call, standing: RoutesSnapshot, found: list[dict[str, Any]], note: str) -> list[Version]:
    """Return the versions that a write makes: its own, and before it one of what was edited by hand since the last."""
    history, now = call.environment.history, round(call.now, 3)
    history.keep(standing, now)
    kept = history.rows(standing.version) or standing.rows
    by_hand = _plain(changes(as_written(kept), as_written(standing.rows)))
    versions = [Version(standing.version + 1, now, "", "edited by hand in the table", by_hand)] if by_hand else []
    return [*versions, Version(standing.version + 1 + len(versions), now, call.by, note, found)]


def _conflict(call: Call, standing: RoutesSnapshot, rows: Rows, seen: Seen) -> dict[str, Any]:
    """Tell an editor what has changed since the version that they saw, and what writing theirs would undo."""
    before = call.environment.history.rows(seen.version)
    now = as_written(standing.rows)
    since_then = f"they are at version {standing.version}"
    if standing.version == seen.version:
        since_then = "rows of the table were edited by hand"
    error = {
        "message": f"The routes have changed since version {seen.version}: {since_then}.",
        "type": "invalid_request_error",
        "param": "version",
        "code": "routes_conflict",
    }
    since = None if before is None else _plain(changes(as_written(before), now))
    yours = _plain(changes(now, rows))
    return {"error": error, "version": standing.version, "changes": yours if since is None else since, "yours": yours}


def _chain(spec: RoutesSpec, model: ModelSpec, states: Mapping[str, State], now: float) -> list[list[dict[str, Any]]]:
    def entry(member: Any) -> dict[str, Any]:
        provider = spec.providers.get(member.provider)
        return {
            **told_state(f"{member.provider}/{member.model}", member.provider, states, now),
            "provider": member.provider,
            "model": member.model,
            "weight": member.weight,
            "enabled": member.enabled,
            "price": member.price.model_dump(exclude_none=True) if member.price else None,
            "formats": list(member.formats or (spoken(provider) if provider else ())),
        }

    return [[entry(member) for member in step] for step in model.chain]


def _request(body: bytes, wire: str) -> ClientRequest:
    """Read the request that is to be explained; one without messages is a short one. Raises ApiError (400)."""
    try:
        client = registry.client(wire)
    except KeyError:
        raise bad_request("format: is no format that callers speak.", param="format") from None
    if wire == "chat":
        body = json.dumps({"messages": _HELLO, **json.loads(body)}).encode()
    return client.parse(body, {})


def _caller(call: Call, named: str) -> Caller:
    """Return the holder of a key that is named by itself or its hash. Raises ApiError (404)."""
    if call.environment.is_master_key(named):
        return Caller()
    keys = call.environment.keys
    key = keys.key(named) or keys.key(hash_key(named))
    if key is None:
        raise ApiError(404, "There is no such key.", code="key_not_found", param="key")
    return Caller(key, keys.team(key.team_id) if key.team_id else None)


def _invalid(problems: list[dict[str, str]]) -> ApiError:
    first = problems[0]
    message = f"{first['path']}: {first['reason']}" if first["path"] else f"The routes {first['reason']}"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return ApiError(
        400, f"{message}{more}.", code="invalid_routes", param=first["path"] or None, details={"problems": problems}
    )


def _plain(found: Iterable[Change]) -> list[dict[str, Any]]:
    return [change.as_json() for change in found]


def _told(problems: Iterable[Problem]) -> list[dict[str, str]]:
    return [{"path": problem.path, "reason": problem.reason} for problem in problems]
