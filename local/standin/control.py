"""`/_control`: how a person or a test tells a stand-in to misbehave, and asks what has reached it.

GET    /_control                         what is set, and what was seen (`?last=N` requests per model, default 5)
GET    /_control/faults                  every fault's name, meaning and options (`?provider=` for one dialect)
POST   /_control                         {"provider", "fault", "model"?, "times"?, …the fault's options}
POST   /_control/<provider>/<fault>      the same; `?model=&times=&…` give the rest
DELETE /_control                         heal everything (`?provider=&model=` for one)
DELETE /_control/<provider>              heal one provider
DELETE /_control/requests                forget what was seen
"""

import json
from collections.abc import Mapping
from typing import Any

from local.standin.faults import BadFault, describe, find_fault
from local.standin.state import Order, State

__all__ = ["answer", "order"]

_USAGE = {
    "list faults": "GET /_control/faults",
    "set one": "POST /_control/<provider>/<fault>?times=1&model=…",
    "heal": "DELETE /_control/<provider>",
    "forget requests": "DELETE /_control/requests",
}


def order(provider: str, fault: str, model: str | None, times: int | None, options: Mapping[str, Any]) -> Order:
    """Return the order for a fault. Raises `BadFault` with what there is instead."""
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
        raise BadFault("'times' must be a positive whole number, or null for every request")
    return Order(provider, model, find_fault(provider, fault, options), options, times)


def answer(
    state: State, method: str, path: str, query: Mapping[str, str], body: bytes
) -> tuple[int, dict[str, object]]:
    """Return the status and the JSON of one control request; `path` is what follows `/_control`."""
    parts = [part for part in path.split("/") if part]
    try:
        match method, parts:
            case "GET", []:
                last = int(query["last"]) if query.get("last", "").isdigit() else 5
                return 200, {
                    "faults": [found.as_json() for found in state.orders()],
                    "requests": state.seen(last),
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
                state.forget()
                return 200, {"forgotten": True}
            case "DELETE", [provider]:
                return 200, {"healed": state.heal(provider, query.get("model"))}
            case _:
                return 404, {"error": f"nothing is at {method} /_control{path}", "usage": _USAGE}
    except BadFault as bad:
        return 400, {"error": str(bad), "usage": _USAGE}


def _set(state: State, given: Mapping[str, Any], name: str | None = None) -> tuple[int, dict[str, object]]:
    options = dict(given)
    provider, fault = options.pop("provider", None), name or options.pop("fault", None)
    model, times = options.pop("model", None), options.pop("times", None)
    if isinstance(fault, int) and not isinstance(fault, bool):
        fault = str(fault)
    if not isinstance(provider, str) or not provider or not isinstance(fault, str):
        raise BadFault("give a 'provider' and a 'fault', both as texts")
    if model is not None and not isinstance(model, str):
        raise BadFault("'model' must be a model's name, or null for all")
    made = order(provider, fault, model, times, options)
    state.give(made)
    return 200, made.as_json()


def _object(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise BadFault("the body must be a JSON object")
    return given


def _value(name: str, text: str) -> object:
    """Read a query's value: numbers, true, false and null are read as such, a model's name never."""
    if name == "model":
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
