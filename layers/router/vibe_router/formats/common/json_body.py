"""Parses and writes the JSON of callers and providers. Whatever is parsed can be written again."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from vibe_router.core.errors import bad_request

__all__ = ["dump", "is_truncated", "load", "parse_object", "without_none"]


def parse_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in `raw`; of duplicate keys the last one counts. Raises ApiError (400)."""
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
    except ValueError:  # an integer beyond Python's limit of 4,300 digits
        raise bad_request("The body holds a number that is too large.") from None
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
        raise bad_request("The body holds a number that is too large.") from None
    except RecursionError:
        raise bad_request("The body is nested too deeply.") from None


def is_truncated(text: str) -> bool:
    """Whether `text` is JSON that ends too early, in a string or before a closing bracket; False if it is malformed."""
    try:
        json.loads(text)
    except RecursionError:
        return False
    except ValueError:
        outside = _STRING.sub(lambda string: "" if string[1] else '"', text)
        return '"' in outside or sum(map(outside.count, "{[")) > sum(map(outside.count, "}]"))
    return False


def _refuse(constant: str) -> NoReturn:
    raise bad_request(f"The body is not valid JSON: there is no {constant} in JSON.")


def _finite(number: str) -> float | None:
    value = float(number)
    return value if math.isfinite(value) else None


def _null(_constant: str) -> None:
    return None


_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+("?)', re.DOTALL)  # linear: an open string matches up to the end
_decoder = json.JSONDecoder(parse_constant=_refuse)
_lenient_decoder = json.JSONDecoder(parse_float=_finite, parse_constant=_null)
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return `fields` without those that are None."""
    return {key: value for key, value in fields.items() if value is not None}
