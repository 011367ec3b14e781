"""`keys`, as people and pipelines call it, against a router over a real socket."""

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

from tests.unit.cli.conftest import CHECKOUT, Done
from tests.unit.cli.fake_router import FakeRouter, RefusalError

Command = Callable[..., Done]


def test_a_key_is_made_with_what_the_options_say_and_printed_alone(command: Command, router: FakeRouter) -> None:
    router.teams["team-1"] = {"team_id": "team-1", "team_alias": "builders"}
    done = command(
        "keys", "create", "--alias", "ci", "--models", "auto-chat, auto-*", "--budget", "$2.50", "--budget-duration",
        "30d", "--rpm", "60", "--tpm", "1000", "--parallel", "4", "--duration", "90d", "--user", "me", "--team",
        "builders", "--tags", "a,b", "--metadata", '{"x": 1}',
    )  # fmt: skip
    assert (done.status, done.err) == (0, "")
    assert done.told["key"] == "sk-new-1"
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
def test_an_empty_variable_of_a_shell_opens_nothing(command: Command, router: FakeRouter, option: str) -> None:
    assert command("keys", "create", option, "").status == 2
    assert command("keys", "update", "ci", option, " , ").status == 2
    assert router.calls == []


def test_a_key_is_made_of_nothing(command: Command, router: FakeRouter) -> None:
    assert command("keys", "create").status == 0
    assert router.asked("/key/generate") == [{}]


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--budget", "much", "must be an amount of dollars"),
        ("--budget", "-1", "must be an amount of dollars"),
        ("--budget", "nan", "must be an amount of dollars"),
        ("--rpm", "1.5", "must be a whole number"),
        ("--metadata", "[1]", "must be a JSON object"),
        ("--alias", " ", "must not be empty"),
    ],
)
def test_an_option_that_makes_no_sense_is_told_before_anything_is_asked(
    command: Command, router: FakeRouter, option: str, value: str, told: str
) -> None:
    done = command("keys", "create", f"{option}={value}")
    assert done.status == 2
    assert told in done.err
    assert router.calls == []


def test_what_the_router_refuses_is_told_in_its_words(command: Command, router: FakeRouter) -> None:
    router.add(key_alias="ci")
    done = command("keys", "create", "--alias", "ci")
    assert (done.status, done.out, done.err) == (1, "", "key_alias: another key has it.\n")


def test_many_are_made_of_a_csv_and_each_is_shown(command: Command, router: FakeRouter, tmp_path: Path) -> None:
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


def test_many_are_made_of_json_lines_on_standard_input(
    command: Command, router: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"key_alias": "a"}\n\n{"key_alias": "b", "max_budget": 1}\n'))
    done = command("keys", "create", "--from", "-")
    assert done.status == 0
    assert len(done.out.splitlines()) == 2


def test_of_many_those_that_were_made_are_shown_whatever_becomes_of_the_others(
    command: Command, router: FakeRouter, tmp_path: Path
) -> None:
    router.add(key_alias="b")
    (tmp_path / "many.jsonl").write_text("".join(f'{{"key_alias": "{name}"}}\n' for name in "abc"))
    done = command("keys", "create", "--from", "many.jsonl")
    lines = {line["key_alias"]: line for line in map(json.loads, done.out.splitlines())}
    assert done.status == 1
    assert lines["b"] == {"key_alias": "b", "error": "key_alias: another key has it."}
    assert lines["a"]["key"].startswith("sk-")
    assert lines["c"]["key"].startswith("sk-")


def test_of_many_the_rest_is_not_tried_when_the_router_breaks_down(
    command: Command, router: FakeRouter, tmp_path: Path
) -> None:
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
    assert lines[-1] == {"key_alias": "199", "error": "not tried any more"}
    assert len(made) == 1
    assert len(router.asked("/key/generate")) < 10


@pytest.fixture
def closed(tmp_path: Path, router: FakeRouter) -> Command:
    """Call the command line with its output going to whoever does not read it: `out` is a descriptor."""

    def call(*arguments: str, out: int) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "vibe_cli", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{CHECKOUT}/layers/router:{CHECKOUT}/cli"},
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        return Done(done.returncode, "", done.stderr)

    return call


def test_of_many_no_more_are_made_once_nobody_reads_them(closed: Command, router: FakeRouter, tmp_path: Path) -> None:
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
    assert f"{asked - 1} keys that nobody saw deleted again" in done.err
    assert f"{200 - asked} keys not tried any more" in done.err


@pytest.mark.parametrize("arguments", [("create",), ("create", "--from", "many.jsonl"), ("rotate", "ci")])
def test_nothing_is_made_for_nobody(
    closed: Command, router: FakeRouter, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    router.add(key_alias="ci")
    (tmp_path / "many.jsonl").write_text("{}\n{}\n")
    reading, writing = os.pipe()
    os.close(reading)
    done = closed("keys", *arguments, out=writing)
    os.close(writing)
    assert done.status == 2
    assert "Nobody reads standard output" in done.err
    assert {path for _, path, _ in router.calls} <= {"/key/list"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full disk to try")
def test_what_did_not_fit_on_a_disk_is_taken_back(closed: Command, router: FakeRouter, tmp_path: Path) -> None:
    token = router.add(key_alias="ci")
    (tmp_path / "many.jsonl").write_text("{}\n" * 20)
    with Path("/dev/full").open("w") as disk:
        for arguments in (("create",), ("create", "--from", "many.jsonl")):
            done = closed("keys", *arguments, out=disk.fileno())
            assert done.status == 2
            assert "No space left" in done.err
            assert "that nobody saw deleted again" in done.err
            assert list(router.keys) == [token]
        done = closed("keys", "rotate", "ci", out=disk.fileno())
    assert done.status == 2
    assert f"Rotate {token} once more" in done.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full disk to try")
def test_what_nobody_saw_and_can_t_be_deleted_is_told(closed: Command, router: FakeRouter) -> None:
    router.answers["/key/delete"] = RefusalError(503, "The router's tables cannot be reached right now.")
    with Path("/dev/full").open("w") as disk:
        done = closed("keys", "create", out=disk.fileno())
    (token,) = router.keys
    assert done.status == 2
    assert token in done.err


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("f.csv", "key_alias,nope\na,b\n", "f.csv:2: 'nope' is not one of key_alias, duration"),
        ("f.csv", "key_alias,max_budget\na,1\nb,much\n", "f.csv:3: max_budget must be an amount"),
        ("f.csv", "key_alias,max_budget\na,1,2\n", "f.csv:2: has not as many values"),
        ("f.csv", "key_alias,max_budget\na\n", "f.csv:2: has not as many values"),
        ("f.csv", 'key_alias\n"a\n', "f.csv:1: is not CSV"),
        ("f.csv", "key_alias\n", "f.csv has nothing in it"),
        ("f.jsonl", '{"key_alias": "a"}\n{\n', "f.jsonl:2: is not JSON"),
        ("f.jsonl", "[1]\n", "f.jsonl:1: is not a JSON object"),
        ("f.jsonl", '{"spend": 5}\n', "f.jsonl:1: 'spend' is not one of"),
        ("f.jsonl", "", "f.jsonl has nothing in it"),
    ],
)
def test_a_mistake_in_a_file_of_many_is_told_before_any_is_made(
    command: Command, router: FakeRouter, tmp_path: Path, name: str, text: str, told: str
) -> None:
    (tmp_path / name).write_text(text)
    done = command("keys", "create", "--from", name)
    assert (done.status, done.out) == (1, "")
    assert told in done.err
    assert router.calls == []


def test_a_file_that_is_not_there_is_told(command: Command) -> None:
    done = command("keys", "create", "--from", "nope.csv")
    assert (done.status, done.err) == (1, "nope.csv can't be read: No such file or directory\n")


def test_every_page_of_keys_is_listed(command: Command, router: FakeRouter) -> None:
    for number in range(230):
        router.add(key_alias=f"key-{number}", team_id="t" if number % 2 else None)
    assert len(command("keys", "list").told) == 230
    assert [sent["page"] for sent in router.asked("/key/list")] == ["1", "2", "3"]
    router.teams["t"] = {"team_id": "t", "team_alias": "them"}
    assert len(command("keys", "list", "--team", "them").told) == 115


def test_a_key_is_named_by_alias_by_id_and_by_the_beginning_of_that(command: Command, router: FakeRouter) -> None:
    token = router.add(key_alias="ci")
    router.add(key_alias="other")
    router.add(key_alias="ci", replaced_by=token)
    for name in ("ci", token, token[:10]):
        assert command("keys", "show", name).told["key"] == token


def test_a_key_itself_comes_by_standard_input_and_goes_no_further(
    command: Command, router: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = router.add()
    monkeypatch.setattr(sys, "stdin", io.StringIO("sk-0\n"))
    assert sha256(b"sk-0").hexdigest() == token
    assert command("keys", "block", "-").status == 0
    assert router.keys[token]["blocked"] is True
    assert "sk-0" not in repr(router.calls)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nobody", "'nobody' is no key's alias and no id"),
        ("abcdef", "'abcdef' is no key's alias and no id"),
        ("sk-secret", "can be seen by others here"),
    ],
)
def test_a_name_that_is_no_key_s_is_told(command: Command, router: FakeRouter, name: str, told: str) -> None:
    done = command("keys", "block", name)
    assert (done.status, done.out) == (1, "")
    assert told in done.err
    assert router.asked("/key/block") == []


def test_what_is_named_is_changed_and_none_takes_away(command: Command, router: FakeRouter) -> None:
    token = router.add(key_alias="ci")
    done = command(
        *("keys", "update", "ci", "--budget", "none", "--models", "none", "--duration", "none", "--rpm", "5"),
        *("--metadata", "none"),
    )
    assert done.status == 0
    assert router.asked("/key/update") == [
        {"key": token, "max_budget": None, "models": None, "duration": "-1", "rpm_limit": 5, "metadata": None}
    ]


def test_a_change_of_nothing_is_told(command: Command, router: FakeRouter) -> None:
    assert command("keys", "update", "ci").status == 1
    assert router.calls == []


def test_keys_are_blocked_and_unblocked(command: Command, router: FakeRouter) -> None:
    tokens = [router.add(key_alias=name) for name in "ab"]
    assert len(command("keys", "block", "a", "b", "a").told) == 2
    assert [router.keys[token]["blocked"] for token in tokens] == [True, True]
    command("keys", "unblock", "b")
    assert [router.keys[token]["blocked"] for token in tokens] == [True, False]


def test_a_rotated_key_is_printed(command: Command, router: FakeRouter) -> None:
    token = router.add(key_alias="ci")
    assert command("keys", "rotate", "ci", "--grace", "1h").told["key"] == "sk-rotated"
    assert router.asked(f"/key/{token}/regenerate") == [{"grace_period": "1h"}]


def test_many_are_deleted_in_few_calls(command: Command, router: FakeRouter) -> None:
    router.teams["t"] = {"team_id": "t"}
    for number in range(120):
        router.add(team_id="t", key_alias=f"{number}")
    router.add(key_alias="stays")
    assert len(command("keys", "delete", "--team", "t").told["deleted_keys"]) == 120
    assert [key["key_alias"] for key in router.keys.values()] == ["stays"]
    assert len(router.asked("/key/delete")) == 3


@pytest.mark.parametrize("arguments", [[], ["a", "--team", "t"]], ids=["nothing", "both"])
def test_what_to_delete_must_be_said(command: Command, router: FakeRouter, arguments: list[str]) -> None:
    assert command("keys", "delete", *arguments).status == 1
    assert router.calls == []


def test_a_person_sees_tables_and_the_key_once(terminal: Command, router: FakeRouter) -> None:
    done = terminal("keys", "create", "--alias", "ci", "--budget", "10", "--budget-duration", "30d")
    assert done.status == 0
    assert "sk-new-1" in done.out
    assert "only time" in done.out
    assert "$10.00 / 30d" in done.out
    router.add(key_alias="[red]\x1b[2J", max_budget=5, rpm_limit=1000, blocked=True, expires="2026-01-01T00:00:00Z")
    shown = terminal("keys", "list").out
    assert "[red]\N{REPLACEMENT CHARACTER}[2J" in shown
    assert "\x1b[2J" not in shown
    assert "1,000 rpm" in shown
    assert "blocked" in shown
    assert "2026-01-01 00:00 UTC" in shown
    assert "sk-new-1" not in shown


def test_a_person_is_asked_before_keys_are_deleted(terminal: Command, router: FakeRouter) -> None:
    router.add(key_alias="a")
    refused = terminal("keys", "delete", "a", typed="n\n")
    assert (refused.status, len(router.keys)) == (1, 1)
    assert "Delete 1 key?" in refused.out + refused.err
    agreed = terminal("keys", "delete", "a", typed="y\n")
    assert (agreed.status, len(router.keys)) == (0, 0)


def test_json_can_be_had_on_a_terminal_too(terminal: Command, router: FakeRouter) -> None:
    router.add(key_alias="a")
    assert terminal("keys", "list", "--json").told[0]["key_alias"] == "a"
