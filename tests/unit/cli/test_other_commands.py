"""`teams`, `cooldowns`, `requests`, `spend` and `health` against a router over a real socket."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.cli.conftest import Done
from tests.unit.cli.fake_router import FakeRouter, RefusalError

Command = Callable[..., Done]


def test_team_life_cycle(command: Command, router: FakeRouter) -> None:
    made = command("teams", "create", "--alias", "builders", "--budget", "100", "--models", "auto-*")
    assert made.answer["team_id"] == "team-0"
    assert router.asked("/team/new") == [{"team_alias": "builders", "max_budget": 100.0, "models": ["auto-*"]}]
    assert command("teams", "create", "--id", "mine").answer["team_id"] == "mine"
    assert [team["team_id"] for team in command("teams", "list").answer] == ["team-0", "mine"]
    assert command("teams", "show", "builders").answer["team_id"] == "team-0"
    assert command("teams", "update", "builders", "--budget", "none", "--tpm", "5").status == 0
    assert router.asked("/team/update") == [{"team_id": "team-0", "max_budget": None, "tpm_limit": 5}]
    assert command("teams", "block", "mine").status == 0
    assert command("teams", "unblock", "mine").status == 0
    assert router.asked("/team/block") == router.asked("/team/unblock") == [{"team_id": "mine"}]
    assert command("teams", "delete", "builders", "mine").answer["deleted_teams"] == ["team-0", "mine"]
    assert router.teams == {}


@pytest.mark.parametrize(
    ("name", "reported"),
    [("nobody", "'nobody' is not the id or alias of a team"), ("twice", "'twice' is the alias of several teams")],
)
def test_unknown_team_is_reported(command: Command, router: FakeRouter, name: str, reported: str) -> None:
    for number in (1, 2):
        router.teams[f"t{number}"] = {"team_id": f"t{number}", "team_alias": "twice"}
    done = command("teams", "block", name)
    assert (done.status, done.out) == (1, "")
    assert reported in done.err


def test_terminal_shows_teams(terminal: Command, router: FakeRouter) -> None:
    assert "There are no teams yet." in terminal("teams", "list").out
    router.teams["t"] = {"team_id": "t", "team_alias": "builders", "max_budget": 5, "spend": 0.25, "blocked": True}
    for shown in (terminal("teams", "list").out, terminal("teams", "show", "t").out):
        assert "builders" in shown
        assert "$5.00" in shown
        assert "$0.25" in shown
    assert "A" in terminal("teams", "delete", "t", typed="n\n").err + "A"
    assert "t" in router.teams


COOLDOWNS: dict[str, Any] = {
    "now": "2026-11-24T12:00:00.000+00:00",
    "deployments": [
        {
            "deployment": "ark/glm-4.7",
            "state": "cooling",
            "scope": "credential",
            "until": "2026-11-24T12:02:05.000+00:00",
            "verdict": "quota",
            "strikes": 3,
            "evidence": "insufficient_quota \x1b[2J",
            "models": ["auto-chat"],
        },
        {"deployment": "new-api/gpt-5", "state": "healthy", "models": []},
    ],
}


def test_cooldowns_are_listed(command: Command, terminal: Command, router: FakeRouter) -> None:
    router.answers["/cooldowns"] = COOLDOWNS
    assert command("cooldowns", "list").answer == COOLDOWNS
    shown = terminal("cooldowns", "list").out
    assert "in 2 min 5 s" in shown
    assert "quota" in shown
    assert "new-api/gpt-5" not in shown
    assert "\x1b[2J" not in shown
    assert "new-api/gpt-5" in terminal("cooldowns", "list", "--all").out
    router.answers["/cooldowns"] = {"deployments": COOLDOWNS["deployments"][1:]}
    assert "No cooldowns; 1 deployment healthy." in terminal("cooldowns", "list").out


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        (["ark/glm-4.7"], {"deployment": "ark/glm-4.7"}),
        (["--provider", "ark"], {"provider": "ark"}),
        (["--all"], {"all": True}),
    ],
)
def test_cooldowns_are_cleared(
    command: Command, router: FakeRouter, arguments: list[str], sent: dict[str, object]
) -> None:
    router.answers["/cooldowns/clear"] = {"cleared": ["deployment#ark/glm-4.7"]}
    assert command("cooldowns", "clear", *arguments).answer == {"cleared": ["deployment#ark/glm-4.7"]}
    assert router.asked("/cooldowns/clear") == [sent]


@pytest.mark.parametrize("arguments", [[], ["a", "--all"]], ids=["nothing", "two ways"])
def test_clear_requires_one_target(command: Command, router: FakeRouter, arguments: list[str]) -> None:
    assert command("cooldowns", "clear", *arguments).status == 2
    assert router.calls == []


ROW: dict[str, Any] = {
    "request_id": "r-1",
    "at": "2026-11-24T12:00:00.000Z",
    "key_alias": "ci",
    "model": "auto-chat",
    "deployment": "new-api/gpt-5",
    "status": "ok",
    "failover": True,
    "prompt_tokens": 1200,
    "completion_tokens": 30,
    "cost": 0.00042,
    "ttft_ms": 180,
    "total_ms": 2400,
    "attempts": [
        {
            "deployment": "cliproxyapi/claude",
            "verdict": "overloaded",
            "status": 503,
            "ms": 87,
            "cooldown_until": "2026-11-24T12:00:05Z",
        },
        {"deployment": "new-api/gpt-5", "verdict": None, "status": 200, "ms": 2300},
    ],
}


def test_requests_are_listed_up_to_the_limit(command: Command, router: FakeRouter) -> None:
    def pages(sent: dict[str, str]) -> dict[str, Any]:
        start, size = int(sent.get("before") or 0), int(sent["limit"])
        rows = [{**ROW, "request_id": f"r-{number}"} for number in range(start, min(start + size, 450))]
        return {"requests": rows, "next": str(start + size) if start + size < 450 else None}

    router.answers["/usage/requests"] = pages
    assert len(command("requests", "list").answer) == 50
    assert len(command("requests", "list", "--limit", "300").answer) == 300
    assert [row["request_id"] for row in command("requests", "list", "--limit", "1000").answer][-1] == "r-449"


def test_filters_are_sent_to_the_router(command: Command, router: FakeRouter) -> None:
    router.answers["/usage/requests"] = {"requests": [], "next": None}
    router.teams["t"] = {"team_id": "t", "team_alias": "them"}
    token = router.add(key_alias="ci")
    filters = ["--model", "auto-chat", "--status", "failover", "--day", "2026-11-24", "--team", "them", "--key", "ci"]
    assert command("requests", "list", *filters, "--deployment", "ark/x").answer == []
    assert router.asked("/usage/requests") == [
        {
            "limit": "50",
            "key": token,
            "team": "t",
            "model": "auto-chat",
            "deployment": "ark/x",
            "status": "failover",
            "day": "2026-11-24",
        }
    ]
    assert command("requests", "list", "--key", "master", "--team", "gone").status == 0
    assert router.asked("/usage/requests")[1] == {"limit": "50", "key": "master", "team": "gone"}


def test_terminal_shows_how_a_request_was_routed(terminal: Command, router: FakeRouter) -> None:
    router.answers["/usage/requests"] = {"requests": [ROW], "next": None}
    router.answers["/usage/requests/r-1"] = ROW
    shown = terminal("requests", "list").out
    for text in ("auto-chat", "new-api/gpt-5", "1,200 + 30", "$0.00042", "180 ms", "2.4 s"):
        assert text in shown
    reported = terminal("requests", "show", "r-1").out
    for text in ("overloaded", "503", "87 ms", "12:00:05", "ci"):
        assert text in reported


def test_requests_fit_the_terminal_and_ids_are_distinct(terminal: Command, router: FakeRouter) -> None:
    ids = ["0f00cd22-59b2-4f21-b2d7-8c8046e99962", "0f00cd22-6000-4bf2-bd46-e12ac30486f1"]
    router.answers["/usage/requests"] = {"requests": [{**ROW, "request_id": each} for each in ids], "next": None}
    wide = terminal("requests", "list").out
    assert "0f00cd22-5 " in wide, "as much as tells them apart"
    assert "first token" in wide
    narrow = terminal("requests", "list", columns=100).out
    assert "new-api/gpt-5" in narrow
    assert "2.4 s" in narrow
    assert "first token" not in narrow
    router.answers[f"/usage/requests/{ids[1]}"] = ROW
    assert "overloaded" in terminal("requests", "show", "0f00cd22-6").out
    several = terminal("requests", "show", "0f00cd22")
    assert several.status == 1
    assert all(each in several.err for each in ids)


def test_request_is_json_in_a_pipe(command: Command, router: FakeRouter) -> None:
    router.answers["/usage/requests/r-1"] = ROW
    assert command("requests", "show", "r-1").answer == ROW


def counted(name: str, cost: float | None, unpriced: int = 0) -> dict[str, Any]:
    return {"name": name, "requests": 4, "errors": 1, "failovers": 2, "cost": cost, "unpriced": unpriced}


OVERVIEW: dict[str, Any] = {
    "totals": {"requests": 12, "cost": 3.5, "unpriced": 4},
    "models": [counted("cheap", 0.5), counted("dear", 3.0), counted("free?", None, 4), counted("partly", 1, 2)],
    "deployments": [],
    "keys": [{**counted("", 1.0), "name": None, "key_id": "5f" * 32, "key_alias": None, "key_name": "sk-...abcd"}],
    "teams": [{**counted("", 1.0), "name": None, "team_id": "t-1", "team_alias": "builders"}],
    "days": [],
}


POINT: dict[str, Any] = {
    "at": "2026-11-24",
    "requests": 3,
    "errors": 1,
    "prompt_tokens": 1_200,
    "completion_tokens": 30,
    "cost": 0.25,
    "unpriced": 1,
    "cache_share": 0.5,
    "ttft_p50_ms": 250.0,
    "ttft_p95_ms": 1_200.0,
    "total_p50_ms": None,
    "total_p95_ms": None,
}
SERIES: dict[str, Any] = {
    "by": "model",
    "points": [POINT],
    "series": [{"name": "auto-chat", "points": [POINT]}, {"name": None, "names": 4, "points": [POINT]}],
}


def test_usage_over_time(command: Command, terminal: Command, router: FakeRouter) -> None:
    router.answers["/usage/series"] = lambda sent: b"at,name\r\n" if "csv" in sent else SERIES
    assert command("usage", "show", "--by", "model", "--from", "2026-11-20", "--step", "day").answer == SERIES
    asked = {"by": "model", "start_date": "2026-11-20", "step": "day", "limit": "1000"}
    assert router.asked("/usage/series") == [asked]
    done = command("usage", "show", "--csv", "--key", "master")
    assert (done.status, done.out.splitlines()) == (0, ["at,name"])
    assert router.asked("/usage/series")[-1] == {
        "by": "all",
        "step": "auto",
        "limit": "1000",
        "key": "master",
        "csv": "true",
    }
    lines = terminal("usage", "show", "--by", "model").out.splitlines()
    assert any("auto-chat" in line and "$0.25 + ?" in line and "250 ms / 1.2 s" in line for line in lines)
    assert any("(4 others)" in line for line in lines)
    assert "exclude each other" in command("usage", "show", "--csv", "--json").err
    router.answers["/usage/series"] = {"by": "all", "points": [], "series": []}
    assert "There were no requests in this range." in terminal("usage", "show").out


def test_a_refused_range_is_reported(command: Command, router: FakeRouter) -> None:
    router.answers["/usage/series"] = RefusalError(400, "start_date: is after end_date.")
    for option in ("--csv", "--json"):
        done = command("usage", "show", option)
        assert (done.status, done.out) == (1, "")
        assert "start_date: is after end_date." in done.err


def test_spend_distinguishes_unknown_from_zero(command: Command, terminal: Command, router: FakeRouter) -> None:
    router.answers["/usage/overview"] = OVERVIEW
    assert command("spend").answer == OVERVIEW
    assert command("spend", "--by", "models", "--days", "30").answer == OVERVIEW["models"]
    assert [sent["days"] for sent in router.asked("/usage/overview")] == ["7", "30"]
    lines = terminal("spend").out.splitlines()
    assert "$3.50 for 12 requests in 7 days, and 4 with an unknown price" in lines[0]
    rows = [line.split() for line in lines if line.split() and line.split()[0] in ("cheap", "dear", "free?", "partly")]
    assert [(row[0], row[1]) for row in rows] == [
        ("dear", "$3.00"),
        ("partly", "$1.00"),
        ("cheap", "$0.50"),
        ("free?", "–"),
    ]
    shown = terminal("spend", "--days", "1").out
    for text in (" in 24 hours, ", "model today (UTC)", "sk-...abcd", "builders"):
        assert text in shown


def test_health_is_shown(command: Command, terminal: Command, router: FakeRouter) -> None:
    health = {"deployments": [{"deployment": "ark/x", "state": "healthy"}], "state_table": "reachable"}
    router.answers["/health"] = health
    assert command("health").answer == health
    shown = terminal("health").out
    assert "ark/x" in shown
    assert "State table: reachable" in shown


@pytest.mark.parametrize(
    "arguments", [["spend", "--days", "0"], ["requests", "list", "--limit", "0"]], ids=["days", "limit"]
)
def test_number_below_one_is_rejected(command: Command, router: FakeRouter, arguments: list[str]) -> None:
    assert command(*arguments).status == 1
    assert router.calls == []
