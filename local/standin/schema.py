"""A small valid instance of a JSON Schema, for structured output and tool arguments.

It covers the keywords of structured output (types, enum, const, objects, arrays, anyOf, $ref, lengths and bounds) and
ignores all others (patterns, conditions).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["instance"]

_MAX_DEPTH = 24  # a schema may refer to itself; below this depth only required properties are filled in

_FORMATS = {
    "date": "2026-08-01",
    "date-time": "2026-08-01T16:00:00Z",
    "time": "16:00:00Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def instance(schema: object, text: str = "stand-in", *, required_only: bool = False) -> Any:
    """Return a value that is valid under the schema; free strings are `text`, and free numbers its first number.

    With `required_only`, objects have only their required properties.
    """
    found = re.search(r"\d{1,9}", text)
    root = schema if isinstance(schema, Mapping) else {}
    return _Builder(root, text, int(found[0]) if found else 1, required_only).value(schema, 0)


@dataclass(frozen=True)
class _Builder:
    root: Mapping[str, Any]
    text: str
    number: int
    required_only: bool

    def value(self, schema: object, depth: int) -> Any:
        if not isinstance(schema, Mapping) or depth > 2 * _MAX_DEPTH:
            return self.text
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        if isinstance(schema.get("$ref"), str):
            return self.value(self._resolve(schema["$ref"]), depth + 1)
        for key in ("anyOf", "oneOf"):
            if options := schema.get(key):
                # Deep down the last branch is taken: in recursive schemas it is usually the one that ends (null).
                return self.value(options[-1 if depth > 4 else 0], depth + 1)
        if schema.get("allOf"):
            return self.value(self._merged(schema), depth + 1)
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = kind[-1 if depth > 4 else 0] if kind else None
        if kind is None:
            kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "integer" | "number":
                return self._number(schema, whole=kind == "integer")
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return self._string(schema)

    def _resolve(self, reference: str) -> object:
        found: object = self.root
        for part in reference.removeprefix("#").split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            found = found.get(name, {}) if isinstance(found, Mapping) else {}
        return found

    def _merged(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
        for given in schema["allOf"]:
            part = self._resolve(given["$ref"]) if isinstance(given, Mapping) and "$ref" in given else given
            if isinstance(part, Mapping):
                properties = {**merged.get("properties", {}), **part.get("properties", {})}
                required = [*merged.get("required", []), *part.get("required", [])]
                merged.update(part)
                if properties:
                    merged.update(properties=properties, required=required)
        return merged

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = schema.get("required") or []
        names = [*properties, *(name for name in required if name not in properties)]
        if self.required_only or depth > _MAX_DEPTH:
            names = required
        return {name: self.value(properties.get(name, {}), depth + 1) for name in names}

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        ordered = [self.value(item, depth + 1) for item in schema.get("prefixItems") or []]
        least = int(schema.get("minItems", 0))
        most = int(schema.get("maxItems", max(least, 1)))
        wanted = max(least, min(1, most)) if depth <= 4 else least
        items = schema.get("items", {})
        return [*ordered, *(self.value(items, depth + 1) for _ in range(wanted - len(ordered)))]

    def _number(self, schema: Mapping[str, Any], *, whole: bool) -> float:
        low, high = schema.get("minimum"), schema.get("maximum")
        above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        step = schema.get("multipleOf") or (1 if whole else None)
        if low is None and above is not None:
            low = above + (step or 1)
        if high is None and below is not None:
            high = below - (step or 1)
        if low is not None and high is not None and low > high:  # open bounds closer than a step
            middle = (above if above is not None else low) / 2 + (below if below is not None else high) / 2
            return round(middle) if whole else float(middle)
        value: float = self.number
        if low is not None and value < low:
            value = low
        if high is not None and value > high:
            value = low if low is not None else high
        if step:
            value = -(-value // step) * step
            value = value - step if high is not None and value > high else value
        return int(value) if whole else float(value)

    def _string(self, schema: Mapping[str, Any]) -> str:
        value = _FORMATS.get(str(schema.get("format")), self.text)
        least = int(schema.get("minLength", 0))
        if len(value) < least:
            value = (value * (least // max(1, len(value)) + 1))[:least]
        return value[: int(schema["maxLength"])] if "maxLength" in schema else value
