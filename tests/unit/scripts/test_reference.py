import re
from pathlib import Path
from typing import Any

import pytest

from scripts.artefacts import ROOT
from scripts.reference import errors, pages, routes, settings
from scripts.reference.commands import page
from scripts.reference.openapi import document
from vibe_router.core.secret_names import METRICS_KEY, OIDC, TRACING
from vibe_router.core.wire_formats import CLIENT_PATHS
from vibe_router.routing.verdict import Verdict


def test_generated_pages_are_up_to_date() -> None:
    assert pages.outdated() == [], "run: make docs"


def test_changed_and_missing_pages_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    monkeypatch.setattr(pages, "PAGES", {"changed.md": lambda: "new", "missing.md": str, "same.md": lambda: "same"})
    (tmp_path / "changed.md").write_text("old")
    (tmp_path / "same.md").write_text("same")
    assert pages.outdated() == ["changed.md", "missing.md"]


def test_page_of_commands_has_every_action_and_shared_options_once() -> None:
    text = page()
    assert "### keys create" in text
    assert "| `--budget DOLLARS` |" in text
    assert text.count("| `--key-env VARIABLE` | The variable with the master key") == 1


def test_openapi_document_describes_every_format() -> None:
    described = document()
    paths: dict[str, dict[str, Any]] = described["paths"]
    assert {f"/v1{path}" for path in CLIENT_PATHS} <= set(paths)
    tags = {tag["name"] for tag in described["tags"]}
    for path, methods in paths.items():
        for operation in methods.values():
            assert set(operation["tags"]) <= tags
            named = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path)), path
            assert "200" in operation["responses"], path


def test_references_in_the_openapi_document_resolve() -> None:
    described = document()

    def references(value: object) -> list[str]:
        if isinstance(value, dict):
            own = [str(value["$ref"])] if "$ref" in value else []
            return own + [found for each in value.values() for found in references(each)]
        return [found for each in value for found in references(each)] if isinstance(value, list) else []

    found = set(references(described))
    assert found
    for reference in found:
        place: Any = described
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def test_every_error_code_and_verdict_is_explained() -> None:
    assert set(errors.codes()) == set(errors.CODES)
    assert set(errors.VERDICTS) == set(Verdict)
    relay = (ROOT / "layers/router/vibe_router/pipeline/relay.py").read_text(encoding="utf-8")
    assert [code for code in errors.IN_STREAMS if f'"{code}"' not in relay] == []


def test_every_field_of_routes_is_explained() -> None:
    assert {path for path, _ in routes.fields()} == set(routes.MEANINGS)


def test_every_setting_is_explained() -> None:
    assert settings.local_variables() == set(settings.LOCAL)
    assert settings.function_variables() == set(settings.FUNCTIONS)
    assert tuple(settings.SECRET) == (METRICS_KEY, *OIDC, *TRACING)
