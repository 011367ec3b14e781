"""The generated pages, by path, and whether they are up to date."""

from collections.abc import Callable, Mapping

from scripts.artefacts import ROOT
from scripts.reference import commands, errors, openapi, routes, settings

__all__ = ["PAGES", "outdated"]

PAGES: Mapping[str, Callable[[], str]] = {
    "docs/commands.md": commands.page,
    "docs/reference/errors.md": errors.page,
    "docs/reference/routes.md": routes.page,
    "docs/reference/settings.md": settings.page,
    "functions/gateway/gateway/openapi.json": openapi.page,
}


def outdated() -> list[str]:
    """Return the paths of pages that differ from what the code gives."""
    return [
        name
        for name, render in PAGES.items()
        if not (ROOT / name).is_file() or (ROOT / name).read_text(encoding="utf-8") != render()
    ]
