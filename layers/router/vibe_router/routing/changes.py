"""Compare two versions of the routes before one replaces the other.

Routes are rows by kind and name, as in the RoutesTable (store.routes). Pure.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vibe_router.routing.settings import ALERTS, DEFAULTS, KINDS, PARTS, SINGLE, Problem, Row, RowKey, Rows
from vibe_router.routing.spec import RoutesSpec, as_row, parse_row

__all__ = [
    "DEFAULTS",
    "KINDS",
    "Change",
    "Row",
    "RowKey",
    "Rows",
    "as_written",
    "changes",
    "digest_of",
    "document_of",
    "read_rows",
    "rows_of",
]


@dataclass(frozen=True, slots=True)
class Change:
    """The change of one row: `fields` maps each name that differs to its old and its new value, None if absent."""

    row: str  # as in the file: models.auto-chat
    change: Literal["added", "changed", "removed"]
    fields: Mapping[str, tuple[object, object]]

    def as_json(self) -> dict[str, Any]:
        """Return it in plain values, for programs."""
        fields = {name: {"from": old, "to": new} for name, (old, new) in self.fields.items()}
        return {"row": self.row, "change": self.change, "fields": fields}


def changes(current: Rows, rows: Rows) -> Iterator[Change]:
    """Yield the changes when `rows` replace `current`; rows of an unknown kind are left out."""
    for key in sorted({*current, *rows}, key=lambda key: (KINDS.index(key[0]) if key[0] in KINDS else 9, key[1])):
        kind, name = key
        before, after = current.get(key), rows.get(key)
        part = next((part for known, part in PARTS.items() if known == kind), None)
        if before == after or part is None:
            continue
        old, new = dict(_fields(before or {})), dict(_fields(after or {}))
        differing = [field for field in {**old, **new} if old.get(field) != new.get(field)]
        yield Change(
            row=name if kind in SINGLE else f"{part}.{name}",
            change="added" if before is None else "removed" if after is None else "changed",
            fields={field: (old.get(field), new.get(field)) for field in differing},
        )


def as_written(rows: Rows) -> Rows:
    """Return rows in their canonical form, so that equal meanings compare equal. A row with a mistake is unchanged."""

    def written(key: RowKey, row: Row) -> Row:
        spec = parse_row(key[0], key[1], row)[0] if key[0] in KINDS else None
        return as_row(spec) if spec else row

    return {key: written(key, row) for key, row in rows.items()}


def digest_of(rows: Rows) -> str:
    """Return a digest of the rows in their canonical form, independent of their order."""
    canonical = [[*key, row] for key, row in sorted(as_written(rows).items()) if key[0] in KINDS]
    return hashlib.sha256(json.dumps(canonical, sort_keys=True).encode()).hexdigest()[:32]


def rows_of(spec: RoutesSpec) -> Rows:
    """Return the rows of `spec`."""
    rows: dict[RowKey, Row] = {("provider", name): as_row(provider) for name, provider in spec.providers.items()}
    rows |= {("model", name): as_row(model) for name, model in spec.models.items()}
    rows |= {("alias", name): as_row(alias) for name, alias in spec.aliases.items()}
    rows |= {("guard", name): as_row(guard) for name, guard in spec.guards.items()}
    if defaults := as_row(spec.defaults):
        rows[DEFAULTS] = defaults
    if alerts := as_row(spec.alerts):
        rows[ALERTS] = alerts
    return rows


def document_of(rows: Rows) -> dict[str, Any]:
    """Return the content of routes.yaml: providers, defaults, models, aliases, guards and alerts."""
    by_kind: dict[str, dict[str, Row]] = {kind: {} for kind in KINDS}
    for (kind, name), row in sorted(rows.items()):
        if kind in by_kind:
            by_kind[kind][name] = row
    return {
        "providers": by_kind["provider"],
        "defaults": by_kind["defaults"].get("defaults", {}),
        "models": by_kind["model"],
        "aliases": {name: row.get("model", row) for name, row in by_kind["alias"].items()},
        "guards": by_kind["guard"],
        "alerts": by_kind["alerts"].get("alerts", {}),
    }


def read_rows(rows: Rows) -> tuple[RoutesSpec, list[Problem]]:
    """Return the spec of the valid rows, and the problems of the others."""
    problems: list[Problem] = []
    parts: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    for key, row in rows.items():
        kind, name = key
        if kind not in KINDS or key != SINGLE.get(kind, key):
            problems.append(Problem(key, f"is not a row of the routes; `kind` is one of {', '.join(KINDS)}"))
            continue
        spec, found = parse_row(kind, name, row)
        problems += found
        if spec:
            parts[kind][name] = spec
    spec_of: dict[str, Any] = {
        "providers": parts["provider"],
        "models": parts["model"],
        "aliases": parts["alias"],
        "guards": parts["guard"],
    }
    spec_of |= {kind: parts[kind][kind] for kind in SINGLE if kind in parts[kind]}
    return RoutesSpec(**spec_of), problems


def _fields(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _fields(value, f"{prefix}{name}.")
        elif name == "chain" and isinstance(value, list):
            yield from ((f"{prefix}chain[{position}]", step) for position, step in enumerate(value))
        else:
            yield prefix + name, value
