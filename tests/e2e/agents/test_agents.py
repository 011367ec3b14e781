"""Codex and Claude Code, headless, through the router: each finishes a task that takes calls of its tools.

The stand-in asks for the calls that the prompt names, so the whole loop runs: the agent's request, a call streamed
back, the agent running it, its result sent on, and the last answer. Nothing leaves this machine.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.formats.pairs import CROSSINGS, MODELS, PROVIDERS, SPOKEN, crossing
from tests.e2e.stack import KEY, Stack

HERE = Path(__file__).parent
NODE = shutil.which("node")
CODEX = HERE / "node_modules/@openai/codex/bin/codex.js"
CLAUDE = HERE / "node_modules/@anthropic-ai/claude-code/cli-wrapper.cjs"
SECONDS = 90

# Installed by `npm ci` here, which CI does wherever npm is.
installed = NODE is not None and CODEX.exists() and CLAUDE.exists()
promised = os.environ.get("CI") == "true" and shutil.which("npm") is not None
pytestmark = pytest.mark.skipif(not installed and not promised, reason="`npm ci` has not been run in tests/e2e/agents")


def run(program: Path, *arguments: str, home: Path, **environ: str) -> str:
    """Run an agent in an empty directory and return its output."""
    assert NODE is not None
    work = home / "work"
    work.mkdir()
    base = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home), "NO_PROXY": "127.0.0.1"}
    ran = subprocess.run(
        [NODE, str(program), *arguments],
        cwd=work,
        env=base | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def codex(stack: Stack, home: Path, model: str, prompt: str, **settings: str) -> str:
    """Run `codex exec` against the router, configured as the README describes."""
    config = {
        "model": model,
        "model_provider": "vibe",
        "check_for_update_on_startup": False,
        "model_providers.vibe.name": "Vibe Router",
        "model_providers.vibe.base_url": stack.url,
        "model_providers.vibe.env_key": "VIBE_KEY",
        "model_providers.vibe.wire_api": "responses",
        "model_providers.vibe.request_max_retries": 0,
        "model_providers.vibe.stream_max_retries": 0,
        **settings,
    }
    (home / "codex").mkdir()
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in config.items()]
    (home / "codex" / "config.toml").write_text("".join(lines))
    options = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    return run(CODEX, "exec", *options, prompt, home=home, CODEX_HOME=str(home / "codex"), VIBE_KEY=KEY)


def claude(stack: Stack, home: Path, model: str, prompt: str) -> str:
    """Run `claude -p` against the router, configured as the README describes."""
    options = ["--permission-mode", "acceptEdits", "--allowedTools", "Bash,Write"]
    return run(
        CLAUDE,
        *("-p", prompt, *options),
        home=home,
        ANTHROPIC_BASE_URL=stack.root,
        ANTHROPIC_AUTH_TOKEN=KEY,
        ANTHROPIC_MODEL=model,
        ANTHROPIC_DEFAULT_HAIKU_MODEL=model,
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        DISABLE_AUTOUPDATER="1",
    )


def requests_with(stack: Stack, spoken: str, word: str) -> list[Any]:
    """Return the bodies that the provider received which contain `word`."""
    bodies = [record.body for record in stack.standin.requests(PROVIDERS[spoken])]
    return [body for body in bodies if word in json.dumps(body)]


@pytest.mark.parametrize("spoken", SPOKEN)
def test_codex_finishes_a_task(formats_stack: Stack, tmp_path: Path, spoken: str) -> None:
    prompt = (
        'Please call exec_command with {"cmd": "printf vibe > made.txt; echo first-done"} '
        'and then call exec_command with {"cmd": "cat made.txt; echo; echo second-done"}.'
    )
    output = codex(formats_stack, tmp_path, MODELS[spoken], prompt, model_reasoning_effort="high")
    assert (tmp_path / "work" / "made.txt").read_text() == "vibe"
    assert "second-done" in output
    assert f"This is the {PROVIDERS[spoken]} stand-in" in output
    assert len(formats_stack.standin.requests(PROVIDERS[spoken])) == 3
    assert requests_with(formats_stack, spoken, "second-done")


@pytest.mark.parametrize("spoken", SPOKEN)
def test_claude_code_finishes_a_task(formats_stack: Stack, tmp_path: Path, spoken: str) -> None:
    made = tmp_path / "work" / "made.txt"
    wanted = json.dumps({"file_path": str(made), "content": "vibe"})
    prompt = f'Please call Write with {wanted} and then call Bash with {{"command": "cat made.txt; echo second-done"}}.'
    output = claude(formats_stack, tmp_path, MODELS[spoken], prompt)
    assert made.read_text() == "vibe"
    assert "second-done" in output
    assert f"This is the {PROVIDERS[spoken]} stand-in" in output
    assert requests_with(formats_stack, spoken, "second-done")


def _fall_over(stack: Stack, user: str, first: str, second: str) -> str:
    """Return a model whose first deployment refuses the first request as too long, so that the second one serves it."""
    model = crossing(user, first, second)
    stack.standin.fault(PROVIDERS[first], "context_length", model=model, times=1)
    return model


LAYERS = [each[1:] for each in CROSSINGS if each[0] == "codex"]


@pytest.mark.parametrize(("first", "second"), LAYERS)
def test_codex_continues_in_another_format(formats_stack: Stack, tmp_path: Path, first: str, second: str) -> None:
    model = _fall_over(formats_stack, "codex", first, second)
    prompt = 'Please call exec_command with {"cmd": "printf vibe > made.txt; echo first-done"}.'
    output = codex(formats_stack, tmp_path, model, prompt, model_reasoning_effort="high")
    assert (tmp_path / "work" / "made.txt").read_text() == "vibe"
    assert f"This is the {PROVIDERS[first]} stand-in" in output
    assert formats_stack.standin.requests(PROVIDERS[second])


@pytest.mark.parametrize(("first", "second"), LAYERS)
def test_claude_code_continues_in_another_format(formats_stack: Stack, tmp_path: Path, first: str, second: str) -> None:
    model = _fall_over(formats_stack, "claude", first, second)
    prompt = 'Please call Bash with {"command": "printf vibe > made.txt; echo first-done"}.'
    output = claude(formats_stack, tmp_path, model, prompt)
    assert (tmp_path / "work" / "made.txt").read_text() == "vibe"
    assert f"This is the {PROVIDERS[first]} stand-in" in output
    assert formats_stack.standin.requests(PROVIDERS[second])
