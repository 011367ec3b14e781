"""Parses and writes the JSON of callers and providers. Everything that is parsed can be written again."""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from itertools import chain
from typing import Any, NoReturn

from vibe_router.core.errors import bad_request

__all__ = ["dump", "is_truncated", "load", "parse_object", "without_none"]


# A body of 6 MB may hold two million empty objects, of 64 bytes each. No conversation comes near these limits.
_MAX_CONTAINERS = 100_000
_MAX_VALUES = 500_000
_MAX_DIGITS = 100  # of an integer: some schemas have the largest of 64 bits, none has more


def parse_object(raw: bytes) -> dict[str, Any]:
    """Parse the JSON object in `raw`, within the limits below. Raises ApiError (400), also for a duplicate member."""
    if len(raw) > 2 * _MAX_CONTAINERS:
        _check_size(raw)
    try:
        value = _decoder.decode(raw.decode().removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        message = f"The body is not valid UTF-8 (byte {error.start})."
        raise bad_request(message) from None
    except json.JSONDecodeError as error:
        message = f"The body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        raise bad_request(message) from None
    except RecursionError:
        raise bad_request("The body is nested too deeply.") from None
    if not isinstance(value, dict):
        raise bad_request("The body must be a JSON object.")
    return value


def load(raw: bytes) -> Any:
    """Parse a provider's JSON. Raises ValueError.

    NaN, infinities and 1e999, which JSON does not have, become null: some providers write them into log probabilities.
    """
    try:
        return _lenient_decoder.decode(raw.decode().removeprefix("\ufeff"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def dump(value: object) -> bytes:
    """Return `value` as compact JSON. Raises ApiError (400) for infinite numbers and too deep nesting."""
    try:
        # Only a lone surrogate fails to encode. It is in a string, where Python's escape for it is also JSON's.
        return _encode(value).encode(errors="backslashreplace")
    except ValueError:  # 1e999 was read as infinity
        raise bad_request("The body has a number that is too large.") from None
    except RecursionError:
        raise bad_request("The body is nested too deeply.") from None


def is_truncated(text: str) -> bool:
    """Return whether `text` is JSON that ends too early: in a string, or before a closing bracket."""
    try:
        json.loads(text)
    except RecursionError:
        return False
    except ValueError:
        outside = _STRING.sub(lambda string: "" if string[1] else '"', text)
        return '"' in outside or sum(map(outside.count, "{[")) > sum(map(outside.count, "}]"))
    return False


def _check_size(raw: bytes) -> None:
    """Reject JSON that is small as text and large in memory: of many objects, arrays and other values."""
    if raw.count(b"[") + raw.count(b"{") <= _MAX_CONTAINERS and raw.count(b",") <= _MAX_VALUES:
        return
    containers = values = end = 0
    for string in chain(_QUOTED.finditer(raw), (None,)):  # one at a time: a list of all strings takes 40 times the body
        start = string.start() if string else len(raw)
        containers += raw.count(b"[", end, start) + raw.count(b"{", end, start)
        values += raw.count(b",", end, start)
        if containers > _MAX_CONTAINERS or values > _MAX_VALUES:
            limits = f"{_MAX_CONTAINERS:,} objects and arrays or {_MAX_VALUES:,} other values"
            raise bad_request(f"The body has more than {limits}.")
        end = string.end() if string else len(raw)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise bad_request(f"The body has the member '{twice[:100]}' twice.", twice[:100])
    return members


def _bounded_integer(number: str) -> int:
    if len(number) > _MAX_DIGITS:
        raise bad_request("The body has a number that is too large.")
    return int(number)


def _bounded_float(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise bad_request("The body has a number that is too large.")
    return value


def _reject(constant: str) -> NoReturn:
    raise bad_request(f"The body is not valid JSON: there is no {constant} in JSON.")


def _finite(number: str) -> float | None:
    value = float(number)
    return value if math.isfinite(value) else None


def _null(_constant: str) -> None:
    return None


# Linear, because an open string matches up to the end: a search that failed would begin again at every quote.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+("?)', re.DOTALL)
_QUOTED = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_decoder = json.JSONDecoder(
    parse_int=_bounded_integer, parse_float=_bounded_float, parse_constant=_reject, object_pairs_hook=_unique
)
_lenient_decoder = json.JSONDecoder(parse_float=_finite, parse_constant=_null)
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return `fields` without those that are None."""
    return {key: value for key, value in fields.items() if value is not None}
