"""Check the locked versions against the advisories in the package `safety-db`: python -m scripts.advisories.

The database is a file in a package, so this works without a network, but it is only as new as that package. The report
says how old it is. Status 1 if a locked version has a known vulnerability.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

__all__ = ["Pin", "findings", "main", "pins"]

ROOT = Path(__file__).parent.parent
LOCKS = ("runtime", "local", "build", "dev", "checkov")
_STALE_DAYS = 90

Pin = tuple[str, str]
"""A package's name and version."""


def pins(text: str) -> set[Pin]:
    """Return the pins of a lock."""
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[a-z,]+\])?==(\S+)", text, re.MULTILINE)
    return {(canonicalize_name(name), version) for name, version in found}


def findings(locked: Iterable[Pin], database: Mapping[str, Iterable[str]]) -> list[str]:
    """Return a line for each pin whose version is in one of the ranges that `database` has for its package."""
    ranges = {canonicalize_name(name): specs for name, specs in database.items() if name != "$meta"}
    return [
        f"{name} {version} is vulnerable: {spec}"
        for name, version in sorted(locked)
        for spec in ranges.get(canonicalize_name(name), ())
        if _is_in(version, spec)
    ]


def _is_in(version: str, spec: str) -> bool:
    try:
        return SpecifierSet(spec).contains(version, prereleases=True)
    except InvalidSpecifier:
        return True  # a range that cannot be read is shown rather than passed over


def main() -> int:
    """Print the report; return the exit status."""
    locked = {pin for name in LOCKS for pin in pins((ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8"))}
    package = find_spec("safety_db")
    if package is None or package.origin is None:
        print("NOT CHECKED: the locked versions, because the package safety-db is not installed.")
        return 0
    try:
        database = json.loads(Path(package.origin).with_name("insecure.json").read_text(encoding="utf-8"))
        made = datetime.fromtimestamp(database["$meta"]["timestamp"], UTC)
    except (OSError, ValueError, TypeError, KeyError) as error:
        print(f"NOT CHECKED: the locked versions, because the advisories cannot be read ({type(error).__name__}).")
        return 0
    found = findings(locked, database)
    print("\n".join(found) or f"{len(locked)} locked versions: none is among the advisories of {made:%B %Y}.")
    if (datetime.now(UTC) - made).days > _STALE_DAYS:
        print(f"NOT CHECKED: advisories since {made:%B %Y}. These need a network:")
        print("    pipx run pip-audit -r requirements/runtime.txt")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
