"""`vibe keys` against a router over a real socket."""

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Done
from tests.unit.cli.fake_router import FakeRouter, RefusalError

Command = Callable[..., Done]


def test_create_sends_the_options_and_prints_only_the_key(command: Command, router: FakeRouter) -> None:
    router.teams["team-1"] = {"team_id": "team-1", "team_alias": "builders"}
    done = command(
        "keys", "create", "--alias", "ci", "--models", "auto-chat, auto-*", "--budget", "$2.50", "--budget-duration",
        "30d", "--rpm", "60", "--tpm", "1000", "--parallel", "4", "--duration", "90d", "--user", "me", "--team",
        "builders", "--tags", "a,b", "--metadata", '{"x": 1}',
    )  # fmt: skip
    assert (done.status, done.err) == (0, "")
    assert done.answer["key"] == "sk-new-1"
    assert router.asked("/key/generate") == [
        {
            "key_alias": "ci",
            "models": ["auto-chat", "auto-*"],
            "max_budget": 2.5,
            "budget_duration": "30d",
            "rpm_limit": 60,
            "tpm_limit": 1000,
            "max_parallel_requests": 4,
            "duration": "90d",
            "user_id": "me",
            "team_id": "team-1",
            "tags": ["a", "b"],
            "metadata": {"x": 1},
        }
    ]


@pytest.mark.parametrize("option", ["--models", "--tags"])
def test_empty_list_option_is_rejected(command: Command, router: FakeRouter, option: str) -> None:
    assert command("keys", "create", option, "").status == 2
    assert command("keys", "update", "ci", option, " , ").status == 2
    assert router.calls == []


def test_create_without_options(command: Command, router: FakeRouter) -> None:
    assert command("keys", "create").status == 0
    assert router.asked("/key/generate") == [{}]


@pytest.mark.parametrize(
    ("option", "value", "reported"),
    [
        ("--budget", "much", "must be an amount of dollars"),
        ("--budget", "-1", "must be an amount of dollars"),
        ("--budget", "nan", "must be an amount of dollars"),
        ("--rpm", "1.5", "must be a whole number"),
        ("--metadata", "[1]", "must be a JSON object"),
        ("--alias", " ", "must not be empty"),
    ],
)
def test_invalid_option_is_rejected_before_any_call(
    command: Command, router: FakeRouter, option: str, value: str, reported: str
) -> None:
    done = command("keys", "create", f"{option}={value}")
    assert done.status == 2
    assert reported in done.err
    assert router.calls == []


def test_refusal_prints_the_message_of_the_router(command: Command, router: FakeRouter) -> None:
    router.add(key_alias="ci")
    done = command("keys", "create", "--alias", "ci")
    assert (done.status, done.out, done.err) == (1, "", "key_alias: another key has it.\n")


def test_create_many_from_csv(command: Command, router: FakeRouter, tmp_path: Path) -> None:
    (tmp_path / "many.csv").write_text(
        "key_alias,models,max_budget,rpm_limit,blocked\nann,auto-chat;auto-claude,5,,\nbob,,2.5,10,true\n"
    )
    done = command("keys", "create", "--from", "many.csv", "--duration", "30d")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert done.status == 0
    assert [(line["key_alias"], line["key"][:7]) for line in lines] == [("ann", "sk-new-"), ("bob", "sk-new-")]
    assert sorted(router.asked("/key/generate"), key=lambda sent: str(sent["key_alias"])) == [
        {"key_alias": "ann", "models": ["auto-chat", "auto-claude"], "max_budget": 5.0, "duration": "30d"},
        {"key_alias": "bob", "max_budget": 2.5, "rpm_limit": 10, "blocked": True, "duration": "30d"},
    ]


def test_create_many_from_json_lines_on_standard_input(
    command: Command, router: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"key_alias": "a"}\n\n{"key_alias": "b", "max_budget": 1}\n'))
    done = command("keys", "create", "--from", "-")
    assert done.status == 0
    assert len(done.out.splitlines()) == 2


def test_created_keys_are_shown_even_if_others_fail(command: Command, router: FakeRouter, tmp_path: Path) -> None:
    router.add(key_alias="b")
    (tmp_path / "many.jsonl").write_text("".join(f'{{"key_alias": "{name}"}}\n' for name in "abc"))
    done = command("keys", "create", "--from", "many.jsonl")
    lines = {line["key_alias"]: line for line in map(json.loads, done.out.splitlines())}
    assert done.status == 1
    assert lines["b"] == {"key_alias": "b", "error": "key_alias: another key has it."}
    assert lines["a"]["key"].startswith("sk-")
    assert lines["c"]["key"].startswith("sk-")


def test_creation_stops_when_the_router_fails(command: Command, router: FakeRouter, tmp_path: Path) -> None:
    made: list[object] = []

    def breaks(sent: dict[str, Any]) -> dict[str, Any]:
        if sent["key_alias"] != "0":
            raise RefusalError(503, "The router's tables cannot be reached right now.")
        made.append(sent)
        return {"key_alias": "0", "key": "sk-0"}

    router.answers["/key/generate"] = breaks
    (tmp_path / "many.jsonl").write_text("".join(f'{{"key_alias": "{name}"}}\n' for name in range(200)))
    done = command("keys", "create", "--from", "many.jsonl")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert done.status == 2
    assert len(lines) == 200
    assert lines[0]["key"] == "sk-0"
    assert lines[-1] == {"key_alias": "199", "error": "not created: an earlier key failed"}
    assert len(made) == 1
    assert len(router.asked("/key/generate")) < 10


@pytest.fixture
def closed(tmp_path: Path, router: FakeRouter) -> Command:
    """Run `vibe` with the descriptor `out` as its output."""

    def call(*arguments: str, out: int) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "vibe_cli", *arguments],
            cwd=tmp_path,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        return Done(done.returncode, "", done.stderr)

    return call


def test_creation_stops_when_the_output_is_closed(closed: Command, router: FakeRouter, tmp_path: Path) -> None:
    first_is_read = threading.Event()
    adding = threading.Lock()

    def waits(sent: dict[str, Any]) -> dict[str, Any]:
        if sent["key_alias"] != "0":  # several are asked for at once, in any order, and shown in that of the file
            assert first_is_read.wait(60)
        with adding:
            return {**router.keys[router.add(**sent)], "key": f"sk-{len(router.keys)}"}

    router.answers["/key/generate"] = waits
    (tmp_path / "many.jsonl").write_text("".join(f'{{"key_alias": "{name}"}}\n' for name in range(200)))
    reading, writing = os.pipe()
    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(closed, "keys", "create", "--from", "many.jsonl", out=writing)
        with open(reading) as lines:  # noqa: PTH123 - a descriptor has no path
            seen = json.loads(lines.readline())
        first_is_read.set()
        done = ending.result()
    os.close(writing)
    asked = len(router.asked("/key/generate"))
    assert done.status == 2
    assert asked <= 1 + 4, "those that were under way, and no others"
    assert list(router.keys) == [seen["token"]], "those that nobody saw are gone"
    assert f"{asked - 1} unseen keys deleted again" in done.err
    assert f"{200 - asked} keys skipped" in done.err


@pytest.mark.parametrize("arguments", [("create",), ("create", "--from", "many.jsonl"), ("rotate", "ci")])
def test_nothing_is_created_with_closed_output(
    closed: Command, router: FakeRouter, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    router.add(key_alias="ci")
    (tmp_path / "many.jsonl").write_text("{}\n{}\n")
    reading, writing = os.pipe()
    os.close(reading)
    done = closed("keys", *arguments, out=writing)
    os.close(writing)
    assert done.status == 2
    assert "Standard output is closed" in done.err
    assert {path for _, path, _ in router.calls} <= {"/key/list"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full disk to try")
def test_keys_that_cannot_be_shown_are_deleted(closed: Command, router: FakeRouter, tmp_path: Path) -> None:
    token = router.add(key_alias="ci")
    (tmp_path / "many.jsonl").write_text("{}\n" * 20)
    with Path("/dev/full").open("w") as disk:
        for arguments in (("create",), ("create", "--from", "many.jsonl")):
            done = closed("keys", *arguments, out=disk.fileno())
            assert done.status == 2
            assert "No space left" in done.err
            assert "deleted again" in done.err
            assert list(router.keys) == [token]
        done = closed("keys", "rotate", "ci", out=disk.fileno())
    assert done.status == 2
    assert f"Rotate {token} again" in done.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full disk to try")
def test_unseen_keys_that_cannot_be_deleted_are_named(closed: Command, router: FakeRouter) -> None:
    router.answers["/key/delete"] = RefusalError(503, "The router's tables cannot be reached right now.")
    with Path("/dev/full").open("w") as disk:
        done = closed("keys", "create", out=disk.fileno())
    (token,) = router.keys
    assert done.status == 2
    assert token in done.err


@pytest.mark.parametrize(
    ("name", "text", "reported"),
    [
        ("f.csv", "key_alias,nope\na,b\n", "f.csv:2: 'nope' is not one of key_alias, duration"),
        ("f.csv", "key_alias,max_budget\na,1\nb,much\n", "f.csv:3: max_budget must be an amount"),
        ("f.csv", "key_alias,max_budget\na,1,2\n", "f.csv:2: does not have as many values"),
        ("f.csv", "key_alias,max_budget\na\n", "f.csv:2: does not have as many values"),
        ("f.csv", 'key_alias\n"a\n', "f.csv:1: is not CSV"),
        ("f.csv", "key_alias\n", "f.csv is empty"),
        ("f.jsonl", '{"key_alias": "a"}\n{\n', "f.jsonl:2: is not JSON"),
        ("f.jsonl", "[1]\n", "f.jsonl:1: is not a JSON object"),
        ("f.jsonl", '{"spend": 5}\n', "f.jsonl:1: 'spend' is not one of"),
        ("f.jsonl", "", "f.jsonl is empty"),
    ],
)
def test_mistake_in_a_file_is_reported_before_any_call(
    command: Command, router: FakeRouter, tmp_path: Path, name: str, text: str, reported: str
) -> None:
    (tmp_path / name).write_text(text)
    done = command("keys", "create", "--from", name)
    assert (done.status, done.out) == (1, "")
    assert reported in done.err
    assert router.calls == []


def test_missing_file_is_reported(command: Command) -> None:
    done = command("keys", "create", "--from", "nope.csv")
    assert (done.status, done.err) == (1, "nope.csv cannot be read: No such file or directory\n")


def test_list_reads_every_page(command: Command, router: FakeRouter) -> None:
    for number in range(230):
        router.add(key_alias=f"key-{number}", team_id="t" if number % 2 else None)
    assert len(command("keys", "list").answer) == 230
    assert [sent["page"] for sent in router.asked("/key/list")] == ["1", "2", "3"]
    router.teams["t"] = {"team_id": "t", "team_alias": "them"}
    assert len(command("keys", "list", "--team", "them").answer) == 115


def test_key_is_found_by_alias_id_and_prefix(command: Command, router: FakeRouter) -> None:
    token = router.add(key_alias="ci")
    router.add(key_alias="other")
    router.add(key_alias="ci", replaced_by=token)
    for name in ("ci", token, token[:10]):
        assert command("keys", "show", name).answer["key"] == token


def test_key_from_standard_input_is_sent_as_a_hash(
    command: Command, router: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = router.add()
    monkeypatch.setattr(sys, "stdin", io.StringIO("sk-0\n"))
    assert sha256(b"sk-0").hexdigest() == token
    assert command("keys", "block", "-").status == 0
    assert router.keys[token]["blocked"] is True
    assert "sk-0" not in repr(router.calls)


@pytest.mark.parametrize(
    ("name", "reported"),
    [
        ("nobody", "'nobody' is not the alias or id of a key"),
        ("abcdef", "'abcdef' is not the alias or id of a key"),
        ("sk-secret", "can read keys on the command line"),
    ],
)
def test_unknown_key_is_reported(command: Command, router: FakeRouter, name: str, reported: str) -> None:
    done = command("keys", "block", name)
    assert (done.status, done.out) == (1, "")
    assert reported in done.err
    assert router.asked("/key/block") == []


def test_update_changes_given_settings_and_none_removes(command: Command, router: FakeRouter) -> None:
    token = router.add(key_alias="ci")
    done = command(
        *("keys", "update", "ci", "--budget", "none", "--models", "none", "--duration", "none", "--rpm", "5"),
        *("--metadata", "none"),
    )
    assert done.status == 0
    assert router.asked("/key/update") == [
        {"key": token, "max_budget": None, "models": None, "duration": "-1", "rpm_limit": 5, "metadata": None}
    ]


def test_update_without_settings_is_rejected(command: Command, router: FakeRouter) -> None:
    assert command("keys", "update", "ci").status == 1
    assert router.calls == []


def test_block_and_unblock(command: Command, router: FakeRouter) -> None:
    tokens = [router.add(key_alias=name) for name in "ab"]
    assert len(command("keys", "block", "a", "b", "a").answer) == 2
    assert [router.keys[token]["blocked"] for token in tokens] == [True, True]
    command("keys", "unblock", "b")
    assert [router.keys[token]["blocked"] for token in tokens] == [True, False]


def test_rotate_prints_the_new_secret(command: Command, router: FakeRouter) -> None:
    token = router.add(key_alias="ci")
    assert command("keys", "rotate", "ci", "--grace", "1h").answer["key"] == "sk-rotated"
    assert router.asked(f"/key/{token}/regenerate") == [{"grace_period": "1h"}]


def test_delete_in_batches(command: Command, router: FakeRouter) -> None:
    router.teams["t"] = {"team_id": "t"}
    for number in range(120):
        router.add(team_id="t", key_alias=f"{number}")
    router.add(key_alias="stays")
    assert len(command("keys", "delete", "--team", "t").answer["deleted_keys"]) == 120
    assert [key["key_alias"] for key in router.keys.values()] == ["stays"]
    assert len(router.asked("/key/delete")) == 3


@pytest.mark.parametrize("arguments", [[], ["a", "--team", "t"]], ids=["nothing", "both"])
def test_delete_requires_keys_or_a_team(command: Command, router: FakeRouter, arguments: list[str]) -> None:
    assert command("keys", "delete", *arguments).status == 1
    assert router.calls == []


def test_terminal_shows_tables_and_the_secret_once(terminal: Command, router: FakeRouter) -> None:
    done = terminal("keys", "create", "--alias", "ci", "--budget", "10", "--budget-duration", "30d")
    assert done.status == 0
    assert "sk-new-1" in done.out
    assert "not shown again" in done.out
    assert "$10.00 / 30d" in done.out
    router.add(key_alias="[red]\x1b[2J", max_budget=5, rpm_limit=1000, blocked=True, expires="2026-01-01T00:00:00Z")
    shown = terminal("keys", "list").out
    assert "[red]\N{REPLACEMENT CHARACTER}[2J" in shown
    assert "\x1b[2J" not in shown
    assert "1,000 rpm" in shown
    assert "blocked" in shown
    assert "2026-01-01 00:00 UTC" in shown
    assert "sk-new-1" not in shown


def test_delete_asks_for_confirmation_on_a_terminal(terminal: Command, router: FakeRouter) -> None:
    router.add(key_alias="a")
    rejected = terminal("keys", "delete", "a", typed="n\n")
    assert (rejected.status, len(router.keys)) == (1, 1)
    assert "Delete 1 key permanently?" in rejected.out + rejected.err
    agreed = terminal("keys", "delete", "a", typed="y\n")
    assert (agreed.status, len(router.keys)) == (0, 0)


def test_json_on_a_terminal(terminal: Command, router: FakeRouter) -> None:
    router.add(key_alias="a")
    assert terminal("keys", "list", "--json").answer[0]["key_alias"] == "a"
