from pathlib import Path

import pytest

from scripts import commands


def test_the_page_of_commands_is_what_the_commands_are() -> None:
    assert commands.main(["--check"]) == 0, "run python -m scripts.commands"


def test_a_page_that_is_not_is_told_and_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "ROOT", tmp_path)
    monkeypatch.setattr(commands, "PAGE", tmp_path / "commands.md")
    assert commands.main(["--check"]) == 1
    assert capsys.readouterr().err == "commands.md is not what the commands are: run python -m scripts.commands\n"
    assert commands.main([]) == 0
    assert commands.main(["--check"]) == 0
    text = commands.PAGE.read_text()
    assert "### keys create" in text
    assert "| `--budget DOLLARS` |" in text
    assert text.count("| `--key-env NAME` |") == 1  # what every command takes is told once
