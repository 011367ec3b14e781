from pathlib import Path

import pytest

from scripts.reference import pages
from scripts.reference.commands import page


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
