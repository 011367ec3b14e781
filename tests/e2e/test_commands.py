"""`vibe` against the running local stack, which it finds by itself."""

import io
import json
import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx

from tests.e2e.stack import KEY, Stack, eventually
from vibe_cli.app import main

DEPLOYMENT = "cliproxyapi/claude-sonnet-4-6"


def run(stack: Stack, *arguments: str, status: int = 0) -> Any:
    """Run a command in a pipe; return its JSON, or its error with another `status`."""
    text = run_text(stack, *arguments, status=status)
    return json.loads(text) if status == 0 else text


def run_text(stack: Stack, *arguments: str, status: int = 0) -> str:
    """Run a command in a pipe; return its output, or its error with another `status`."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("VIBE_", "LITELLM_"))}
    environ |= {"DATA_DIR": str(stack.data), "MASTER_KEY": KEY}
    out, err = io.StringIO(), io.StringIO()
    with patch.dict(os.environ, environ, clear=True), chdir(stack.data), redirect_stdout(out), redirect_stderr(err):
        assert main(arguments) == status, err.getvalue()
    return out.getvalue() if status == 0 else err.getvalue()


def test_key_life_cycle(stack: Stack) -> None:
    team = run(stack, "teams", "create", "--alias", "builders", "--budget", "100")["team_id"]
    made = run(stack, "keys", "create", "--alias", "by hand", "--team", "builders", "--models", "auto-*")
    assert made["key"].startswith("sk-")
    assert run(stack, "keys", "show", "by hand")["info"]["team_id"] == team
    assert "is used by another key" in run(stack, "keys", "create", "--alias", "by hand", status=1)
    run(stack, "keys", "update", "by hand", "--budget", "2.5", "--budget-duration", "1d", "--models", "none")
    (listed,) = run(stack, "keys", "list", "--team", "builders")
    assert (listed["max_budget"], listed["budget_duration"], listed["models"]) == (2.5, "1d", [])
    assert run(stack, "keys", "block", "by hand")[0]["blocked"] is True
    assert run(stack, "keys", "unblock", made["token"][:12])[0]["blocked"] is False
    renewed = run(stack, "keys", "rotate", "by hand", "--grace", "1h")
    assert renewed["key"] not in (made["key"], None)
    assert run(stack, "keys", "delete", "by hand")["deleted_keys"] == [renewed["token"]]
    assert run(stack, "keys", "list") == []
    assert run(stack, "teams", "delete", "builders")["deleted_teams"] == [team]


def test_many_keys_are_created_and_deleted(stack: Stack, tmp_path: Path) -> None:
    many = tmp_path / "many.csv"
    many.write_text("key_alias,max_budget\n" + "".join(f"many-{number},{number}\n" for number in range(60)))
    environ = {
        **os.environ,
        "DATA_DIR": str(stack.data),
        "MASTER_KEY": KEY,
    }
    command = [sys.executable, "-m", "vibe_cli", "keys", "create", "--local", "--from", str(many)]
    done = subprocess.run(
        command, env=environ, cwd=stack.data, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    made = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["key_alias"] for each in made] == [f"many-{number}" for number in range(60)]
    assert len({each["key"] for each in made}) == 60
    names = [f"many-{number}" for number in range(60)]
    assert len(run(stack, "keys", "delete", *names)["deleted_keys"]) == 60


def test_cooldown_is_listed_and_cleared(stack: Stack) -> None:
    stack.fault("cliproxyapi", "model_cooldown", reset_in=600)
    body = {"model": "auto-chat", "messages": [{"role": "user", "content": "Hello"}]}
    answer = httpx.post(f"{stack.url}/chat/completions", json=body, headers={"x-api-key": KEY}, timeout=60)
    assert answer.status_code == 200

    def state() -> dict[str, Any]:
        listed = run(stack, "cooldowns", "list")["deployments"]
        return next(each for each in listed if each["deployment"] == DEPLOYMENT)

    assert (state()["state"], state()["verdict"]) == ("cooling", "quota")
    assert run(stack, "cooldowns", "clear", DEPLOYMENT)["cleared"]
    assert state()["state"] == "healthy"
    assert {each["deployment"] for each in run(stack, "health")["deployments"]} > {DEPLOYMENT}


def test_requests_and_spend_are_listed(stack: Stack) -> None:
    body = {"model": "auto-chat", "messages": [{"role": "user", "content": "Hello"}]}
    answer = httpx.post(f"{stack.url}/chat/completions", json=body, headers={"x-api-key": KEY}, timeout=60)
    request_id = answer.headers["x-vibe-request-id"]

    def rows() -> list[dict[str, Any]]:
        listed = run(stack, "requests", "list", "--key", "master", "--limit", "200")
        return [row for row in listed if row["request_id"] == request_id]

    (row,) = eventually(rows)
    assert (row["model"], row["status"], row["deployment"]) == ("auto-chat", 200, answer.headers["x-vibe-deployment"])
    assert run(stack, "requests", "show", request_id)["attempts"][-1]["verdict"] == "ok"
    assert run(stack, "spend")["totals"]["requests"] > 0
    assert "auto-chat" in {each["name"] for each in run(stack, "spend", "--by", "models")}
    assert "There is no request" in run(stack, "requests", "show", "nothing", status=1)


def test_unreachable_router_is_reported(stack: Stack) -> None:
    assert "cannot be reached" in run(stack, "keys", "list", "--url", "http://127.0.0.1:9", status=2)


def test_status_and_logs_of_the_local_stack(stack: Stack) -> None:
    stack.fault("cliproxyapi", "503", times=4)
    body = {"model": "auto-chat", "messages": [{"role": "user", "content": "Hello"}]}
    answer = httpx.post(f"{stack.url}/chat/completions", json=body, headers={"x-api-key": KEY}, timeout=60)
    request_id = answer.headers["x-vibe-request-id"]

    def logged() -> list[str]:
        return [line for line in run_text(stack, "logs", "--once", "--fallbacks").splitlines() if request_id in line]

    (line,) = eventually(logged)
    assert json.loads(line)["attempts"][0]["verdict"] == "transient"
    found = {each["deployment"]: each for each in run(stack, "status")["deployments"]}
    assert found[DEPLOYMENT]["last_error"]["status"] == 503
    assert found[answer.headers["x-vibe-deployment"]]["requests"] > 0
    assert run(stack, "smoke", "--models", "auto-claude")["failed"] == 0
