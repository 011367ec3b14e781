"""The command line itself: help, completion, usage errors, interruption and width."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup

from tests.unit.cli.conftest import Done
from tests.unit.cli.fake_router import FakeRouter
from vibe_cli.app import build_command

Command = Callable[..., Done]


@pytest.mark.parametrize("arguments", [(), ("--help",)], ids=["nothing", "--help"])
def test_vibe_alone_prints_help(command: Command, arguments: tuple[str, ...]) -> None:
    done = command(*arguments)
    assert done.status == 0
    assert "Usage: vibe [OPTIONS] COMMAND" in done.out
    assert "import-litellm  Convert a LiteLLM proxy's config.yaml" in done.out


@pytest.mark.parametrize("group", ["keys", "teams", "requests", "cooldowns", "usage"])
def test_group_alone_prints_its_help(command: Command, group: str) -> None:
    done = command(group)
    assert done.status == 0
    assert f"Usage: vibe {group} [OPTIONS] COMMAND" in done.out


def test_version_is_that_of_the_package(command: Command) -> None:
    assert command("--version").out == "0.1.0\n"


@pytest.mark.parametrize(
    ("called", "on_path", "name"),
    [
        ("bin/vibe", False, "bin/vibe"),
        ("bin/vibe", True, "vibe"),
        ("/usr/bin/pytest", False, "vibe"),
    ],
    ids=["by its path", "by its name", "from another program"],
)
def test_usage_names_the_program_as_it_can_be_called(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, called: str, on_path: bool, name: str
) -> None:
    program = tmp_path / "bin/vibe"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [called])
    monkeypatch.setenv("PATH", str(program.parent) if on_path else "/nonexistent")
    assert command("keys").out.startswith(f"Usage: {name} keys [OPTIONS] COMMAND")
    assert command("kyes").err.endswith(f"Help: {name} --help\n")


def test_lists_of_commands_show_whole_lines(command: Command) -> None:
    assert "..." not in command("complexity").out.partition("Commands:")[2]


def test_every_command_has_help(command: Command) -> None:
    for name, each in build_command().commands.items():
        actions = list(each.commands.values()) if isinstance(each, TyperGroup) else [each]
        assert all(action.help for action in actions), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("kyes",), "No such command 'kyes'. Did you mean 'keys'?\nHelp: vibe --help"),
        (("keys", "create", "--bugdet", "1"), "--model-budgets, --soft-budget)\nHelp: vibe keys create --help"),
        (("keys", "show"), "Missing argument 'KEY'."),
        (("requests", "list", "--limit", "many"), "--limit"),
    ],
    ids=["command", "option", "missing argument", "invalid number"],
)
def test_wrong_usage_exits_with_2(command: Command, arguments: tuple[str, ...], message: str) -> None:
    done = command(*arguments)
    assert (done.status, done.out) == (2, "")
    assert message in done.err


def test_interruption_exits_with_130(command: Command, router: FakeRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vibe_cli.api.Api.get", interrupt)
    assert command("health").status == 130


@pytest.mark.parametrize(("typed", "completions"), [("vibe ke", {"keys"}), ("vibe keys cr", {"create"})])
def test_shell_completion(typed: str, completions: set[str]) -> None:
    environ = {
        "_VIBE_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
        "PATH": os.environ["PATH"],
    }
    done = subprocess.run(
        [sys.executable, "-m", "vibe_cli"], env=environ, capture_output=True, text=True, check=True, timeout=60
    )
    assert set(done.stdout.split()) == completions


def test_completion_is_for_the_name_and_not_the_path() -> None:
    program = Path(sys.executable).with_name("vibe")
    shown = subprocess.run([program, "--show-completion", "bash"], capture_output=True, text=True, check=True)
    assert shown.stdout.rstrip().endswith("-F _vibe_completion vibe")


LONG = "a-very-long-name-of-something-that-does-not-fit"
HOLDER: dict[str, Any] = {
    "models": [LONG, LONG],
    "spend": 1234.5,
    "max_budget": 5000,
    "budget_duration": "30d",
    "rpm_limit": 1000,
    "tpm_limit": 1_000_000,
    "max_parallel_requests": 4,
    "blocked": True,
}


@pytest.mark.parametrize(
    ("arguments", "whole"),
    [
        (("keys", "list"), "sk-...abcd"),
        (("teams", "list"), "team-1"),
        (("requests", "list"), "0f00cd22"),
        (("cooldowns", "list"), "in 2 min"),
        (("health",), "cooling"),
        (("spend",), "$3.00"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_tables_fit_80_columns_with_an_ellipsis(
    terminal: Command, router: FakeRouter, arguments: tuple[str, ...], whole: str
) -> None:
    router.teams["team-1"] = {"team_id": "team-1", "team_alias": LONG, **HOLDER}
    router.add(key_alias=LONG, team_id="team-1", expires="2026-01-01T00:00:00Z", **HOLDER)
    cooling = {"deployment": f"{LONG}/{LONG}", "state": "cooling", "until": "2026-11-24T12:02:05Z", "verdict": "quota"}
    router.answers["/cooldowns"] = {"now": "2026-11-24T12:00:00Z", "deployments": [cooling | {"evidence": LONG}]}
    router.answers["/health"] = {"deployments": [cooling], "state_table": "reachable"}
    request = {"request_id": "0f00cd22-59b2", "at": "2026-11-24T12:00:00Z", "model": LONG, "deployment": LONG}
    router.answers["/usage/requests"] = {"requests": [request | {"status": 200, "cost": 0.5, "total_ms": 90}]}
    counted = {"name": LONG, "requests": 4000, "cost": 3, "prompt_tokens": 10**9, "completion_tokens": 10**9}
    router.answers["/usage/overview"] = {"totals": counted, "models": [counted]}
    done = terminal(*arguments, columns=80)
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", done.out).splitlines()]
    assert done.status == 0, done.err
    assert max(map(len, lines)) <= 80
    assert "…" in done.out
    assert whole in done.out
    assert len([line for line in lines if line and not set(line) <= {"─", " "}]) <= 4, "no cell is broken over lines"
