"""Attribute values in DynamoDB's JSON, such as {"S": "x"}: validation, comparison and the order of keys. Pure."""

from collections.abc import Mapping
from decimal import Context, Decimal, InvalidOperation
from typing import Any

__all__ = ["Item", "ValidationError", "check_item", "compare", "key_bytes", "number", "number_value", "size_of"]

Item = dict[str, Any]
"""Attribute name to typed value, e.g. `{"id": {"S": "x"}}`."""

MAX_ITEM_BYTES = 400 * 1024
_EXACT = Context(prec=330)  # the default context rounds to 28 digits
_MAX_DIGITS = 38
_MAX_DEPTH = 32
_SETS = {"SS": "S", "NS": "N", "BS": "B"}


class ValidationError(Exception):
    """A parameter is invalid; becomes ValidationException."""


def number(text: object) -> Decimal:
    """Return a number's value. Raises `ValidationError` outside DynamoDB's range and precision."""
    if not isinstance(text, str) or len(text) > 300:
        raise ValidationError("The parameter cannot be converted to a numeric value")
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise ValidationError(f"The parameter cannot be converted to a numeric value: {text}") from None
    if not value.is_finite():
        raise ValidationError(f"The parameter cannot be converted to a numeric value: {text}")
    if value and not -130 <= value.adjusted() <= 125:
        side = "overflow" if value.adjusted() > 0 else "underflow"
        raise ValidationError(f"Number {side}. Attempting to store a number with magnitude outside the supported range")
    if len(_EXACT.normalize(value).as_tuple().digits) > _MAX_DIGITS:
        raise ValidationError("Attempting to store more than 38 significant digits in a Number")
    return value


def number_value(value: Decimal) -> dict[str, str]:
    """Return the attribute value of a number. Raises `ValidationError` as `number` does."""
    value = _EXACT.normalize(value)
    text = format(value, "f") if not value or -20 < value.adjusted() < 38 else str(value)
    number(text)
    return {"N": text}


def check_item(item: object) -> Item:
    """Return an item after checking its values and its size. Raises `ValidationError`."""
    if not isinstance(item, dict):
        raise ValidationError("An item must be a map of attribute values")
    for value in item.values():
        check_value(value)
    if sum(len(name.encode()) + size_of(value) for name, value in item.items()) > MAX_ITEM_BYTES:
        raise ValidationError("Item size has exceeded the maximum allowed size")
    return item


def check_value(value: object, depth: int = 0) -> None:
    """Check one attribute value. Raises `ValidationError`."""
    if not isinstance(value, dict) or len(value) != 1 or depth > _MAX_DEPTH:
        raise ValidationError("Supplied AttributeValue must contain exactly one of the supported datatypes")
    ((kind, content),) = value.items()
    match kind:
        case "S" | "B" if isinstance(content, str):
            return
        case "N":
            number(content)
        case "BOOL" if isinstance(content, bool):
            return
        case "NULL" if content is True:
            return
        case "M" if isinstance(content, dict):
            for each in content.values():
                check_value(each, depth + 1)
        case "L" if isinstance(content, list):
            for each in content:
                check_value(each, depth + 1)
        case "SS" | "NS" | "BS" if isinstance(content, list):
            for each in content:
                check_value({_SETS[kind]: each}, depth + 1)
            if not content or len({_comparable(_SETS[kind], each) for each in content}) != len(content):
                raise ValidationError("One or more parameter values were invalid: a set is empty or has duplicates")
        case _:
            raise ValidationError(f"Supplied AttributeValue has an invalid value of type {kind}")


def size_of(value: Mapping[str, Any]) -> int:
    """Return a value's size in bytes, as DynamoDB counts it."""
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode("utf-8", "surrogatepass"))
        case "N":
            return len(content) // 2 + 2
        case "B":
            return len(content) * 3 // 4
        case "M":
            return 3 + sum(1 + len(name.encode()) + size_of(each) for name, each in content.items())
        case "L":
            return 3 + sum(1 + size_of(each) for each in content)
        case "SS" | "NS" | "BS":
            return sum(size_of({_SETS[kind]: each}) for each in content)
    return 1


def _comparable(kind: str, content: Any) -> Any:
    return number(content) if kind == "N" else content.encode("utf-8", "surrogatepass") if kind == "S" else content


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> int | None:
    """Return -1, 0 or 1 for two values of an ordered type, 0 or None for any other types (None: not equal)."""
    ((kind, one),), ((other_kind, other),) = first.items(), second.items()
    if kind != other_kind:
        return None
    if kind in ("S", "N", "B"):
        left, right = _comparable(kind, one), _comparable(kind, other)
        return int(left > right) - int(left < right)
    if kind in _SETS:
        equal = {_comparable(_SETS[kind], each) for each in one} == {_comparable(_SETS[kind], each) for each in other}
    elif kind == "M":
        equal = one.keys() == other.keys() and all(compare(one[name], other[name]) == 0 for name in one)
    elif kind == "L":
        equal = len(one) == len(other) and all(compare(*pair) == 0 for pair in zip(one, other, strict=True))
    else:
        equal = one == other
    return 0 if equal else None


def key_bytes(value: Mapping[str, Any], kind: str) -> bytes:
    """Return bytes that sort as the values of a key attribute do. Raises `ValidationError`."""
    if set(value) != {kind}:
        raise ValidationError("One or more parameter values were invalid: Type mismatch for key")
    content = value[kind]
    if kind == "N":
        return _sortable(number(content))
    if not isinstance(content, str) or not content:
        raise ValidationError("One or more parameter values are not valid: a key is an empty string")
    return content.encode("utf-8", "surrogatepass")


def _sortable(value: Decimal) -> bytes:
    if not value:
        return b"\x80"
    sign, digits, _ = _EXACT.normalize(value).as_tuple()
    magnitude = (value.adjusted() + 200).to_bytes(2, "big") + bytes(digit + 1 for digit in digits)
    return b"\x81" + magnitude if not sign else b"\x7f" + bytes(255 - byte for byte in magnitude) + b"\xff"
