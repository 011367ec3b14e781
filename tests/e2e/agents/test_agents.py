"""Codex, Claude Code, opencode and Gemini CLI, headless, through the router, as `vibe agents` configures them.

Each finishes a task that takes calls of its tools, and goes on with it in a second turn, without a warning. The
stand-in asks for the calls that the prompt names, so the whole loop runs: the agent's request, a call streamed back,
the agent running it, its result sent on, and the last answer. Nothing leaves this machine.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.formats.pairs import CROSSINGS, MODELS, PROVIDERS, SPOKEN, crossing
from tests.e2e.stack import KEY, Stack

HERE = Path(__file__).parent
NODE = shutil.which("node") or "node"
MODULES = HERE / "node_modules"
SECONDS = 120


@dataclass(frozen=True)
class Agent:
    """One agent: its program, what begins and what continues a session, and the calls of the task.

    `names` are the names of models that it insists on; without any the model is chosen. `noise` matches lines of its
    output that concern this machine and not the router.
    """

    program: Sequence[str]
    begin: Sequence[str]
    resume: Sequence[str]
    write: Callable[[Path], tuple[str, Mapping[str, Any]]]
    shell: tuple[str, Mapping[str, Any]]
    names: str = ""
    environ: Mapping[str, str] | None = None
    noise: str = "(?!)"

    @property
    def installed(self) -> bool:
        """Return whether `npm ci` has installed it."""
        return shutil.which("node") is not None and Path(self.program[-1]).exists()


_CODEX = ("--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")
_SHELL = {"command": "cat made.txt; echo second-done"}
AGENTS = {
    "codex": Agent(
        (NODE, str(MODULES / "@openai/codex/bin/codex.js")),
        ("exec", *_CODEX, "-"),
        ("exec", *_CODEX, "resume", "--last", "-"),
        lambda _: ("exec_command", {"cmd": "printf vibe > made.txt; echo first-done"}),
        ("exec_command", {"cmd": "cat made.txt; echo; echo second-done"}),
    ),
    "claude": Agent(
        (NODE, str(MODULES / "@anthropic-ai/claude-code/cli-wrapper.cjs")),
        ("-p", "--permission-mode", "acceptEdits", "--allowedTools", "Bash,Write"),
        ("-p", "--continue"),
        lambda made: ("Write", {"file_path": str(made), "content": "vibe"}),
        ("Bash", _SHELL),
        names="claude-*",
        environ={"DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"},
    ),
    "opencode": Agent(
        (str(MODULES / "opencode-linux-x64/bin/opencode"),),
        ("run",),
        ("run", "--continue"),
        lambda made: ("write", {"filePath": str(made), "content": "vibe"}),
        ("bash", {**_SHELL, "description": "Show it"}),
        environ={"OPENCODE_DISABLE_AUTOUPDATE": "1"},
    ),
    "gemini": Agent(
        (NODE, str(MODULES / "@google/gemini-cli/bundle/gemini.js")),
        ("--yolo", "--skip-trust"),
        ("--yolo", "--skip-trust", "--resume", "latest"),
        lambda made: ("write_file", {"file_path": str(made), "content": "vibe"}),
        ("run_shell_command", _SHELL),
        names="gemini-*",
        environ={"COLORTERM": "truecolor", "TERM": "xterm-256color"},
        noise="Ripgrep is not available|YOLO mode|\\[STARTUP\\]",
    ),
}
_WARNING = re.compile(r"\bwarn|\berror|metadata|deprecat|recognize", re.IGNORECASE)
# opencode and Gemini CLI take many seconds to start: each crosses every format only if this is asked for.
ALL = os.environ.get("ALL_AGENTS") == "1"
TASKS = [
    (agent, spoken)
    for agent in AGENTS
    for spoken in SPOKEN
    if ALL or agent in ("codex", "claude") or (agent, spoken) in (("opencode", "responses"), ("gemini", "messages"))
]

# Installed by `npm ci` here, which CI does wherever npm is.
promised = os.environ.get("CI") == "true" and shutil.which("npm") is not None


def require(name: str) -> Agent:
    """Return the agent; the test is skipped where it is not installed."""
    agent = AGENTS[name]
    if not agent.installed and not promised:
        pytest.skip("`npm ci` has not been run in tests/e2e/agents")
    return agent


class Session:
    """An agent in an empty home, configured by `vibe agents` for one model."""

    def __init__(self, stack: Stack, home: Path, name: str, model: str) -> None:
        self.agent = require(name)
        self.work = home / "work"
        self.work.mkdir()
        (home / "tmp").mkdir()
        paths = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        base = {"PATH": paths, "HOME": str(home), "TMPDIR": str(home / "tmp"), "NO_PROXY": "127.0.0.1"}
        chosen = ("--aliases", f"{self.agent.names}={model}") if self.agent.names else ("--model", model)
        router = {"MASTER_KEY": KEY, "VIBE_ROUTER_URL": stack.root}
        self._environ = base
        self._call([sys.executable, "-m", "vibe_cli", "agents", name, *chosen], "", router)
        self._environ = {**base, **(self.agent.environ or {})}

    @property
    def made(self) -> Path:
        """The file that the task makes."""
        return self.work / "made.txt"

    def task(self) -> str:
        """Return the prompt of the task: two calls, one after the other."""
        calls = [
            f"{name} with {json.dumps(arguments)}"
            for name, arguments in (self.agent.write(self.made), self.agent.shell)
        ]
        return f"Please call {calls[0]} and then call {calls[1]}."

    def begin(self, prompt: str) -> str:
        """Run the agent with `prompt`; return its output."""
        return self._call([*self.agent.program, *self.agent.begin], prompt)

    def resume(self, prompt: str) -> str:
        """Go on with the last session."""
        return self._call([*self.agent.program, *self.agent.resume], prompt)

    def _call(self, command: Sequence[str], prompt: str, more: Mapping[str, str] | None = None) -> str:
        ran = subprocess.run(
            command,
            cwd=self.work,
            env={**self._environ, **(more or {})},
            input=prompt,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        lines = [line for line in ran.stderr.splitlines() if not re.search(self.agent.noise, line)]
        assert [line for line in lines if _WARNING.search(line)] == []
        return ran.stdout


def requests_with(stack: Stack, spoken: str, word: str) -> list[Any]:
    """Return the bodies that the provider received which contain `word`."""
    bodies = [record.body for record in stack.standin.requests(PROVIDERS[spoken])]
    return [body for body in bodies if word in json.dumps(body)]


@pytest.mark.parametrize(("name", "spoken"), TASKS)
def test_an_agent_finishes_a_task_and_goes_on(formats_stack: Stack, tmp_path: Path, name: str, spoken: str) -> None:
    session = Session(formats_stack, tmp_path, name, MODELS[spoken])
    output = session.begin(session.task())
    assert session.made.read_text() == "vibe"
    assert "second-done" in output
    assert f"This is the {PROVIDERS[spoken]} stand-in" in output
    assert requests_with(formats_stack, spoken, "second-done")
    formats_stack.standin.forget()
    assert f"This is the {PROVIDERS[spoken]} stand-in" in session.resume("And what now?")
    seconds = requests_with(formats_stack, spoken, "And what now?")  # Gemini CLI asks a small model for a model, too
    assert any("second-done" in json.dumps(each) for each in seconds)


def _fall_over(stack: Stack, user: str, first: str, second: str) -> str:
    """Return a model whose first deployment refuses the first request as too long, so that the second one serves it."""
    model = crossing(user, first, second)
    stack.standin.fault(PROVIDERS[first], "context_length", model=model, times=1)
    return model


@pytest.mark.parametrize(("name", "first", "second"), [each for each in CROSSINGS if each[0] in ("codex", "claude")])
def test_an_agent_continues_in_another_format(
    formats_stack: Stack, tmp_path: Path, name: str, first: str, second: str
) -> None:
    session = Session(formats_stack, tmp_path, name, _fall_over(formats_stack, name, first, second))
    output = session.begin(session.task())
    assert session.made.read_text() == "vibe"
    assert f"This is the {PROVIDERS[first]} stand-in" in output
    assert formats_stack.standin.requests(PROVIDERS[second])
