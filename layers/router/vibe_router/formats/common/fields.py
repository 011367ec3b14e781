"""Typed access to fields of a caller's JSON. A field of another type is a 400 that names it."""

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

from vibe_router.core.errors import bad_request
from vibe_router.core.usage import MOST_TOKENS

__all__ = [
    "Shape",
    "Types",
    "check_conversation",
    "check_magnitude",
    "check_ranges",
    "entries",
    "integer",
    "mapping",
    "number",
    "text",
    "truth",
]

Shape = Callable[..., Any]
# By field name: the allowed types, and their description for a 400.
Types = Mapping[str, tuple[tuple[type, ...], str]]

# The largest numbers of fields that are multiplied or stored; the tables store no number of more than 38 digits.
_LIMITS: Mapping[str, int] = {
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "max_output_tokens", "budget_tokens"), MOST_TOKENS),
    **dict.fromkeys(("n", "best_of"), 1_000),
    **dict.fromkeys(("dimensions", "top_n"), 1_000_000),
}
_MAX_NUMBER = 2**64


def check_conversation(body: Mapping[str, Any], types: Types) -> None:
    """Check that fields of `body` have these `types`, and that it has a model and messages with roles.

    Raises ApiError (400).
    """
    for name, (allowed, wanted) in types.items():
        value = body.get(name)
        if value is not None and (not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed)):
            raise bad_request(f"'{name}' must be {wanted}.", name)
        check_magnitude(value, name)
    check_ranges(body)
    if not body.get("model"):
        raise bad_request("'model' is missing.", "model")
    if body.get("messages") is None:
        raise bad_request("'messages' is missing.", "messages")
    if not body["messages"]:
        raise bad_request("'messages' must hold at least one message.", "messages")
    for index, message in enumerate(body["messages"]):
        if not isinstance(message, dict):
            raise bad_request(f"'messages[{index}]' must be an object.", f"messages[{index}]")
        if not isinstance(message.get("role"), str):
            raise bad_request(f"'messages[{index}].role' must be a string.", f"messages[{index}].role")


# The ranges outside which no provider accepts a value; within them providers differ.
_RANGES: Mapping[str, tuple[float, float]] = {
    "temperature": (0, math.inf),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "n": (1, math.inf),
    "best_of": (1, math.inf),
    "top_logprobs": (0, math.inf),
    "dimensions": (1, math.inf),
    "top_n": (1, math.inf),
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "max_output_tokens"), (0, math.inf)),
}


def check_ranges(body: Mapping[str, Any]) -> None:
    """Check that numbers which every provider limits alike are within their range. Raises ApiError (400)."""
    for name in _LIMITS.keys() & body.keys():
        check_magnitude(body[name], name)
    for name in _RANGES.keys() & body.keys():
        least, most = _RANGES[name]
        value = number(body, name)
        if value is not None and not least <= value <= most:
            limits = f"at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
            raise bad_request(f"'{name}' must be {limits}.", name)


def text(body: Mapping[Any, Any], name: str, place: str = "") -> str | None:
    """Return the string `name`, None if absent. `place` is the path before the name, for the 400."""
    return cast("str | None", _typed(body, name, place, str, "a string"))


def integer(body: Mapping[Any, Any], name: str, place: str = "") -> int | None:
    """Return the integer `name`, None if absent."""
    return cast("int | None", _typed(body, name, place, int, "an integer"))


def number(body: Mapping[Any, Any], name: str, place: str = "") -> float | None:
    """Return the number `name`, None if absent."""
    return cast("float | None", _typed(body, name, place, (int, float), "a number"))


def truth(body: Mapping[Any, Any], name: str, place: str = "") -> bool | None:
    """Return the boolean `name`, None if absent."""
    return cast("bool | None", _typed(body, name, place, bool, "a boolean"))


def mapping(body: Mapping[Any, Any], name: str, place: str = "") -> dict[str, Any] | None:
    """Return the object `name`, None if absent."""
    return cast("dict[str, Any] | None", _typed(body, name, place, dict, "an object"))


def entries(body: Mapping[Any, Any], name: str, place: str = "") -> list[Any]:
    """Return the array `name`, empty if absent."""
    return cast("list[Any] | None", _typed(body, name, place, list, "an array")) or []


def _typed(body: Mapping[Any, Any], name: str, place: str, types: type | tuple[type, ...], wanted: str) -> object:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, types) or (isinstance(value, bool) and types is not bool):
        raise bad_request(f"'{place}{name}' must be {wanted}.", f"{place}{name}")
    check_magnitude(value, name, place)
    return value


def check_magnitude(value: object, name: str, place: str = "") -> None:
    """Check that a number is within the limits of its field. Raises ApiError (400)."""
    if isinstance(value, int | float) and abs(value) > (limit := _LIMITS.get(name, _MAX_NUMBER)):
        bound = f"at most {limit}" if value > 0 else f"at least -{limit}"
        raise bad_request(f"'{place}{name}' must be {bound}.", f"{place}{name}")
