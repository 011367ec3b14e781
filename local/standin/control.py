"""`/_control`: the API that sets faults and returns the recorded requests.

GET    /_control                         active faults and recorded requests (`?last=N` per model, default 5)
GET    /_control/faults                  a line per fault (`?provider=` for one dialect), or JSON by `Accept`
POST   /_control                         {"provider", "fault", "model"?, "times"?, …the fault's options}
POST   /_control/<provider>/<fault>      the same; `?model=&times=&…` give the rest
DELETE /_control                         clear all faults (`?provider=&model=` for one provider or model)
DELETE /_control/<provider>              clear the faults of one provider
DELETE /_control/requests                drop the recorded requests
"""

import json
from collections.abc import Mapping
from typing import Any

from local.standin.faults import BadFault, describe, find_fault
from local.standin.state import ActiveFault, State

__all__ = ["answer", "make_fault"]

_USAGE = {
    "list faults": "GET /_control/faults",
    "set one": "POST /_control/<provider>/<fault>?times=1&model=…",
    "heal": "DELETE /_control/<provider>",
    "forget requests": "DELETE /_control/requests",
}


def make_fault(
    provider: str, fault: str, model: str | None, times: int | None, options: Mapping[str, Any]
) -> ActiveFault:
    """Return the fault to activate. Raises `BadFault`, which lists the alternatives."""
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
        raise BadFault("'times' must be a positive whole number, or null for every request")
    return ActiveFault(provider, model, find_fault(provider, fault, options), options, times)


def answer(
    state: State, method: str, path: str, query: Mapping[str, str], body: bytes
) -> tuple[int, dict[str, object]]:
    """Return the status and JSON of one control request; `path` is the part after `/_control`."""
    parts = [part for part in path.split("/") if part]
    try:
        match method, parts:
            case "GET", []:
                last = int(query["last"]) if query.get("last", "").isdigit() else 5
                return 200, {
                    "faults": [active.as_json() for active in state.faults()],
                    "requests": state.summary(last),
                    "usage": _USAGE,
                }
            case "GET", ["faults"]:
                return 200, {"faults": describe(query.get("provider"))}
            case "POST", []:
                return _set(state, _object(body))
            case "POST", [provider, fault]:
                given = {name: _value(name, value) for name, value in query.items()}
                return _set(state, {**given, **(_object(body) if body.strip() else {}), "provider": provider}, fault)
            case "DELETE", []:
                return 200, {"healed": state.heal(query.get("provider"), query.get("model"))}
            case "DELETE", ["requests"]:
                state.clear_records()
                return 200, {"forgotten": True}
            case "DELETE", [provider]:
                return 200, {"healed": state.heal(provider, query.get("model"))}
            case _:
                return 404, {"error": f"there is no {method} /_control{path}", "usage": _USAGE}
    except BadFault as bad:
        return 400, {"error": str(bad), "usage": _USAGE}


def _set(state: State, given: Mapping[str, Any], name: str | None = None) -> tuple[int, dict[str, object]]:
    options = dict(given)
    provider, fault = options.pop("provider", None), name or options.pop("fault", None)
    model, times = options.pop("model", None), options.pop("times", None)
    if isinstance(fault, int) and not isinstance(fault, bool):
        fault = str(fault)
    if not isinstance(provider, str) or not provider or not isinstance(fault, str):
        raise BadFault("'provider' and 'fault' are required, both as strings")
    if model is not None and not isinstance(model, str):
        raise BadFault("'model' must be the name of a model, or null for all")
    fault_to_set = make_fault(provider, fault, model, times, options)
    state.add_fault(fault_to_set)
    return 200, fault_to_set.as_json()


def _object(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise BadFault("the body must be a JSON object")
    return given


def _value(name: str, text: str) -> object:
    """Parse a query value as JSON where possible; a model's name is always text."""
    if name == "model":
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
