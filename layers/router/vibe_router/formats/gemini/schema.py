"""Convert Gemini's schemas, which are OpenAPI's with types in capitals, to JSON Schema. JSON Schema stays as it is."""

from collections.abc import Mapping
from typing import Any

from vibe_router.core.errors import bad_request
from vibe_router.formats.gemini.names import camel

__all__ = ["json_schema"]

_MAX_DEPTH = 100
_DROPPED = frozenset({"nullable", "propertyOrdering", "example"})
_COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})


def json_schema(schema: Mapping[str, Any], at: str, depth: int = 0) -> dict[str, Any]:
    """Return `schema` as JSON Schema. Raises ApiError (400) with the place `at`."""
    if depth > _MAX_DEPTH:
        raise bad_request(f"'{at}' is nested too deeply.", at)
    converted: dict[str, Any] = {}
    for name, value in camel(schema).items():
        match name, value:
            case _, None:
                continue
            case "type", str(kind):
                if kind.upper() != "TYPE_UNSPECIFIED":
                    converted["type"] = kind.lower()
            case "format", "enum":  # says what `enum` says
                continue
            case "properties" | "$defs" | "defs", dict(members):
                converted["properties" if name == "properties" else "$defs"] = {
                    key: _inner(each, f"{at}.{name}.{key}", depth) for key, each in members.items()
                }
            case "items" | "additionalProperties", dict():
                converted[name] = _inner(value, f"{at}.{name}", depth)
            case "anyOf" | "oneOf" | "allOf" | "prefixItems", list(members):
                converted[name] = [_inner(each, f"{at}.{name}[{i}]", depth) for i, each in enumerate(members)]
            case "ref", str(target):
                converted["$ref"] = target.replace("#/defs/", "#/$defs/")
            case _ if name in _COUNTS and isinstance(value, str) and value.isdigit():
                converted[name] = int(value)
            case _ if name not in _DROPPED:
                converted[name] = value
    if schema.get("nullable") is True:
        if isinstance(single := converted.get("type"), str):
            converted["type"] = [single, "null"]
            if isinstance(choices := converted.get("enum"), list) and None not in choices:
                converted["enum"] = [*choices, None]
        elif isinstance(variants := converted.get("anyOf"), list):
            converted["anyOf"] = [*variants, {"type": "null"}]
    return converted


def _inner(value: Any, at: str, depth: int) -> dict[str, Any] | bool:
    if isinstance(value, bool):  # JSON Schema's any or none
        return value
    if not isinstance(value, dict):
        raise bad_request(f"'{at}' must be an object.", at)
    return json_schema(value, at, depth + 1)
