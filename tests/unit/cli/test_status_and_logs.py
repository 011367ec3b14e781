"""`vibe status` and `vibe logs` against a router over a real socket, as on a running local stack."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Done
from tests.unit.cli.fake_router import FakeRouter, RefusalError
from vibe_cli.output import quota_text

Command = Callable[..., Done]
L1, L2 = "cliproxyapi/claude-sonnet-4-6", "new-api/gpt-5"


def row(request: str, at: str | None = None, **changed: object) -> dict[str, Any]:
    return {
        "request_id": request,
        "at": at or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "model": "auto-chat",
        "deployment": L1,
        "status": 200,
        "error": None,
        "fallbacks": 0,
        "attempts": [{"deployment": L1, "verdict": "ok", "status": 200, "ms": 80}],
    } | changed


FAILED_OVER = row(
    "2",
    deployment=L2,
    fallbacks=1,
    attempts=[{"deployment": L1, "verdict": "quota", "status": 429, "ms": 15}, {"deployment": L2, "verdict": "ok"}],
)


@pytest.fixture
def stack(router: FakeRouter) -> FakeRouter:
    """A router with one deployment on cooldown, and three requests today."""
    until = "2026-11-24T12:02:05.000+00:00"
    cooling = {"state": "cooling", "scope": "credential", "until": until, "verdict": "quota", "strikes": 2}
    router.answers["/cooldowns"] = {
        "now": "2026-11-24T12:00:00.000+00:00",
        "deployments": [
            {"deployment": L1, "models": ["auto-chat"], "evidence": "429 used up", **cooling},
            {"deployment": L2, "models": ["auto-chat"], "state": "healthy"},
        ],
    }
    router.answers["/usage/overview"] = {
        "deployments": [{"name": L2, "requests": 3}, {"name": "gone/model", "requests": 1}],
        "keys": [{"key_id": "master", "requests": 5}],
    }
    router.answers["/usage/requests"] = {"requests": [FAILED_OVER], "next": None}
    return router


def test_status_has_cooldowns_errors_and_traffic(command: Command, stack: FakeRouter) -> None:
    answer = command("status").answer
    assert answer["requests_today"] == 5
    found = {each["deployment"]: each for each in answer["deployments"]}
    first = found[L1]
    assert (first["state"], first["scope"], first["verdict"], first["strikes"]) == ("cooling", "credential", "quota", 2)
    assert (first["evidence"], first["requests"], first["models"]) == ("429 used up", 0, ["auto-chat"])
    assert (first["last_error"]["verdict"], first["last_error"]["status"]) == ("quota", 429)
    assert (found[L2]["state"], found[L2]["requests"], found[L2]["share"]) == ("healthy", 3, 0.75)
    assert (found["gone/model"]["state"], found["gone/model"]["share"]) == ("not in routes", 0.25)


def test_status_on_a_terminal_fits_80_columns(terminal: Command, stack: FakeRouter) -> None:
    shown = terminal("status", columns=80).out
    assert all(len(line.rstrip("\r")) <= 80 for line in _plain(shown).split("\n"))
    assert "…" in shown
    wide = terminal("status").out
    assert "in 2 min 5 s: quota, 2 strikes, credential" in wide
    assert "429 used up" in wide
    assert "Requests today, since midnight UTC: 5, of which 1 were not served" in wide


def test_unknown_traffic_is_not_zero(command: Command, stack: FakeRouter) -> None:
    stack.answers["/usage/overview"] = RefusalError(503, "The table is gone.")
    done = command("status")
    assert done.answer["requests_today"] is None
    assert {each["requests"] for each in done.answer["deployments"]} == {None}
    assert "The traffic is unknown" in done.err


def test_status_counts_a_saved_log(command: Command, stack: FakeRouter, tmp_path: Path) -> None:
    today = datetime.now(UTC).isoformat()
    attempts = [{"deployment": L1, "verdict": "transient", "status": 503}]
    lines: list[dict[str, Any]] = [
        {"timestamp": today, "deployment": L2, "attempts": attempts},
        {"timestamp": today, "deployment": L1},
        {"timestamp": today, "deployment": None},
        {"timestamp": "2020-01-01T00:00:00+00:00", "deployment": L1},
    ]
    saved = tmp_path / "saved.log"
    saved.write_text("\n".join(json.dumps({"message": "ROUTING DECISION", **line}) for line in lines))
    answer = command("status", "--log", str(saved)).answer
    assert answer["requests_today"] == 3
    assert [each["requests"] for each in answer["deployments"]] == [1, 1]
    assert command("status", "--log", str(tmp_path / "missing")).status == 2


def test_logs_print_requests_of_the_api_oldest_first(command: Command, stack: FakeRouter) -> None:
    old = row("old", at="2020-01-01T00:00:00.000Z")
    stack.answers["/usage/requests"] = {"requests": [row("3", status=502), FAILED_OVER, row("1"), old], "next": "more"}

    def shown(*arguments: str) -> list[str]:
        return [json.loads(line)["request_id"] for line in command("logs", "--once", *arguments).out.splitlines()]

    assert shown() == ["1", "2", "3"]
    assert shown("--failed") == ["3"]
    assert shown("--fallbacks") == ["2"]
    assert shown("--model", "auto-codex") == []


def test_logs_on_a_terminal_are_readable_lines(terminal: Command, stack: FakeRouter) -> None:
    shown = terminal("logs", "--once").out
    assert f"after {L1} quota 429 (15 ms)" in shown
    assert "timestamp" not in shown
    assert json.loads(terminal("logs", "--once", "--json").out)["selected_model"] == "auto-chat"


def test_logs_of_files(command: Command, router: FakeRouter, tmp_path: Path) -> None:
    saved = tmp_path / "saved.log"
    saved.write_text('{"message": "START"}\nprefix {"message": "ROUTING DECISION", "request_id": "1"}\n')
    assert json.loads(command("logs", str(saved)).out)["request_id"] == "1"
    assert command("logs", str(tmp_path / "missing")).status == 2


def _plain(text: str) -> str:
    import re

    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_status_shows_what_is_used_of_a_quota(command: Command, stack: FakeRouter) -> None:
    window = {"name": "5h", "used": 0.95, "resets_at": "2026-11-24T12:10:00.000+00:00"}
    quota = {"used": 0.95, "windows": [{"name": "7d", "used": 0.2, "resets_at": None}, window]}
    stack.answers["/cooldowns"]["deployments"][1]["quota"] = quota
    deployments = command("status").answer["deployments"]
    assert [each["quota"] for each in deployments[:2]] == [None, quota]


@pytest.mark.parametrize(
    ("quota", "text"),
    [
        (None, "–"),
        ({"windows": []}, "–"),
        ({"windows": [{"name": "requests", "used": 0.5, "resets_at": None}]}, "50% of requests"),
        (
            {
                "windows": [
                    {"name": "7d", "used": 0.2},
                    {"name": "5h", "used": 0.95, "resets_at": "2026-11-24T12:10:00Z"},
                ]
            },
            "95% of 5h (resets in 10 min 0 s)",
        ),
    ],
)
def test_a_quota_in_words(quota: object, text: str) -> None:
    assert quota_text(quota, "2026-11-24T12:00:00Z") == text


EXPLAINED = {
    "model": "auto-chat",
    "admission": {"admitted": True, "why": "Key, model, limits and budget allow it."},
    "tried": [{"deployment": L1, "mode": "normal", "why": "Step 1.", "dropped_params": ["seed"]}],
    "skipped": [{"deployment": L2, "why": "It is cooling after 'quota'."}],
}


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        (("auto-chat",), {"format": "chat", "stream": True}),
        (("auto-chat", "Hi", "--whole", "--as", "sk-1"), {"format": "chat", "stream": False, "key": "sk-1"}),
        (("auto-chat", "Hi", "--format", "responses"), {"format": "responses", "input": "Hi"}),
        (("auto-chat", "Hi", "--format", "messages"), {"format": "messages", "max_tokens": 1024}),
    ],
)
def test_explain_asks_where_a_request_would_go(
    command: Command, router: FakeRouter, arguments: tuple[str, ...], sent: dict[str, Any]
) -> None:
    router.answers["/routes/explain"] = EXPLAINED
    assert command("explain", *arguments).answer == EXPLAINED
    asked = router.asked("/routes/explain")[-1]
    assert sent.items() <= asked.items()
    assert asked["model"] == "auto-chat"


def test_explain_reads_a_request_from_a_file(command: Command, router: FakeRouter, tmp_path: Path) -> None:
    router.answers["/routes/explain"] = EXPLAINED
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"messages": [], "seed": 7}), encoding="utf-8")
    command("explain", "auto-chat", "--file", str(file))
    assert router.asked("/routes/explain")[-1]["seed"] == 7
    file.write_text("[1]", encoding="utf-8")
    assert command("explain", "auto-chat", "--file", str(file)).status == 2
