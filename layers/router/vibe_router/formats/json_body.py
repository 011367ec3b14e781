"""JSON as callers send it: parsed strictly enough that it can be sent on, and never a crash."""

import json
from typing import Any, NoReturn

from vibe_router.formats.errors import bad_request

__all__ = ["dump", "parse_object"]


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


def dump(value: object) -> bytes:
    """Return `value` as compact JSON. Raises ApiError (400) for a number that JSON can't carry."""
    try:
        return _encode(value).encode()
    except UnicodeEncodeError:  # a lone surrogate, which only an escape can carry
        return json.dumps(value, separators=(",", ":")).encode()
    except ValueError:  # 1e999 was read as infinity
        raise bad_request("The body holds a number that is too large.") from None
    except RecursionError:
        raise bad_request("The body is nested too deeply.") from None


def _refuse(constant: str) -> NoReturn:
    raise json.JSONDecodeError(f"{constant} is not JSON", constant, 0)


_decoder = json.JSONDecoder(parse_constant=_refuse)
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
