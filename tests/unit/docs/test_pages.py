"""Pages refer to commands, options, error codes, pages and verdicts that exist."""

import re
from pathlib import Path

import pytest
from typer.core import TyperGroup

from scripts.reference.errors import CODES
from tests.infrastructure.expanded import ROOT
from vibe_cli.app import build_command
from vibe_router.routing.verdict import Verdict

PAGES = sorted((ROOT / "docs").rglob("*.md"))


def ids(page: Path) -> str:
    return page.relative_to(ROOT / "docs").as_posix()


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        file, _, heading = target.partition("#")
        linked = (page.parent / file).resolve() if file else page
        assert linked.exists(), target
        if heading and linked.suffix == ".md":
            titles = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert heading in slugs, target


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_commands_and_options_exist(page: Path) -> None:
    commands = build_command().commands
    for name, rest in re.findall(r"`vibe ([a-z][\w-]*)([^`]*)`", page.read_text(encoding="utf-8")):
        assert name in commands, name
        command = commands[name]
        words = rest.split()
        if isinstance(command, TyperGroup) and words and words[0] in command.commands:
            command = command.commands[words[0]]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, rest


def test_troubleshooting_names_existing_codes_and_verdicts() -> None:
    text = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| \d{3}[^|]*?`(\w+)`", text, re.MULTILINE))
    assert named <= set(CODES)
    assert set(re.findall(r"cooldown with `(\w+)`", text)) <= {each.value for each in Verdict}
