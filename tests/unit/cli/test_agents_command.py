"""`vibe agents`: the files of each agent, against a router over a real socket."""

import json
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.cli.conftest import Done
from tests.unit.cli.fake_router import FakeRouter, RefusalError
from vibe_cli.agents.edits import UneditableError, set_json, set_toml, set_variables

Command = Callable[..., Done]

FILES = {
    "codex": (".codex/config.toml", ".codex/vibe-models.json"),
    "claude": (".claude/settings.json",),
    "opencode": (".config/opencode/opencode.json",),
    "gemini": (".gemini/settings.json", ".gemini/.env"),
}
BEFORE = {
    ".codex/config.toml": '# mine\nmodel = "gpt-5.5" # the best\n\n[tools]\nweb_search = true\n',
    ".claude/settings.json": '{\n    "env": {"DEBUG": "1", "ANTHROPIC_AUTH_TOKEN": "sk-ant-older"},\n    "x": 1\n}\n',
    ".config/opencode/opencode.json": '{"theme": "dark", "provider": {"other": {"name": "x"}}}',
    ".gemini/settings.json": '{"security": {"auth": {"useExternal": false}}}',
    ".gemini/.env": "# mine\nexport GEMINI_API_KEY=older\nX=1\n",
}


@pytest.fixture
def home(router: FakeRouter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and a router with two models."""
    for name in ("CODEX_HOME", "CLAUDE_CONFIG_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "OPENCODE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("GEMINI_CLI_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    entries: list[dict[str, Any]] = [{"id": "auto-chat", "context_window": 100_000}, {"id": "auto-codex"}]
    catalogue = [{"slug": each["id"], "base_instructions": "Help."} for each in entries]
    router.answers["/v1/models"] = {"object": "list", "data": entries, "models": catalogue}
    router.answers["/v1/models/auto-codex"] = entries[1]
    for alias in ("claude-opus-5", "claude-haiku-5", "gemini-3-pro-preview"):
        router.answers[f"/v1/models/{alias}"] = {"id": alias, "alias_of": "auto-chat"}
    return tmp_path


def prepare(home: Path, name: str) -> dict[Path, str]:
    """Write the files that an agent has already."""
    before = {home / file: BEFORE[file] for file in FILES[name] if file in BEFORE}
    for path, text in before.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return before


def content(home: Path, name: str) -> Any:
    path = home / FILES[name][0]
    return tomllib.loads(path.read_text()) if path.suffix == ".toml" else json.loads(path.read_text())


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("exists", [False, True], ids=["new", "existing"])
def test_an_agent_is_configured_and_restored(
    command: Command, router: FakeRouter, home: Path, name: str, exists: bool
) -> None:
    before = prepare(home, name) if exists else {}
    done = command("agents", name, "--budget", "5")
    assert (done.status, done.err) == (0, "")
    [created] = router.asked("/key/generate")
    assert created["max_budget"] == 5
    assert created["key_alias"].startswith(f"{name}@")
    for file in FILES[name]:
        assert stat.S_IMODE((home / file).stat().st_mode) == 0o600
    assert any("sk-new-1" in (home / file).read_text() for file in FILES[name])
    assert "older" not in done.out
    assert "sk-new-1" not in done.out

    undone = command("agents", name, "--undo")
    assert (undone.status, undone.err) == (0, "")
    assert not router.keys
    for file in FILES[name]:
        path = home / file
        assert path.read_text() == before[path] if path in before else not path.exists()
    assert command("agents", name, "--undo").status == 1


def test_settings_for_codex(command: Command, router: FakeRouter, home: Path) -> None:
    prepare(home, "codex")
    command("agents", "codex")
    assert content(home, "codex") == {
        "model": "auto-codex",
        "model_provider": "vibe",
        "model_catalog_json": str(home / ".codex/vibe-models.json"),
        "tools": {"web_search": True},
        "model_providers": {
            "vibe": {
                "name": "Vibe Router",
                "base_url": f"{router.url}/v1",
                "wire_api": "responses",
                "experimental_bearer_token": "sk-new-1",
            }
        },
    }
    assert "# mine" in (home / ".codex/config.toml").read_text()
    catalogue = json.loads((home / ".codex/vibe-models.json").read_text())
    assert [each["slug"] for each in catalogue["models"]] == ["auto-chat", "auto-codex"]


def test_codex_gets_the_instructions_of_an_installed_codex(command: Command, home: Path) -> None:
    codex = home / "codex"
    codex.write_text('#!/bin/sh\necho \'{"models": [{"base_instructions": "Its own."}]}\'\n')
    codex.chmod(0o700)
    command("agents", "codex", "--models", "auto-chat")
    catalogue = json.loads((home / ".codex/vibe-models.json").read_text())
    assert [(each["slug"], each["base_instructions"]) for each in catalogue["models"]] == [("auto-chat", "Its own.")]
    assert content(home, "codex")["model"] == "auto-chat"


def test_settings_for_other_agents(command: Command, router: FakeRouter, home: Path) -> None:
    for name in ("claude", "opencode", "gemini"):
        prepare(home, name)
        assert command("agents", name).status == 0
    assert content(home, "claude") == {
        "env": {
            "DEBUG": "1",
            "ANTHROPIC_AUTH_TOKEN": "sk-new-1",
            "ANTHROPIC_BASE_URL": router.url,
            "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY": "1",
        },
        "x": 1,
    }
    opencode = content(home, "opencode")
    assert (opencode["theme"], opencode["model"], list(opencode["provider"])) == (
        "dark",
        "vibe/auto-chat",
        ["other", "vibe"],
    )
    assert opencode["provider"]["vibe"]["models"]["auto-chat"]["limit"] == {"context": 100_000, "output": 32_000}
    assert content(home, "gemini")["security"]["auth"] == {"useExternal": False, "selectedType": "gemini-api-key"}
    assert (home / ".gemini/.env").read_text() == (
        f"# mine\nGEMINI_API_KEY=sk-new-3\nX=1\nGOOGLE_GEMINI_BASE_URL={router.url}\n"
    )


def test_models_are_named_where_no_alias_helps(command: Command, router: FakeRouter, home: Path) -> None:
    for alias in ("claude-opus-5", "claude-haiku-5", "gemini-3-pro-preview"):
        router.answers[f"/v1/models/{alias}"] = RefusalError(404, "There is no such model.")
    command("agents", "claude")
    command("agents", "gemini")
    assert content(home, "claude")["env"]["ANTHROPIC_MODEL"] == "auto-chat"
    assert content(home, "gemini")["model"] == {"name": "auto-chat"}


def test_aliases_of_the_new_key_count(command: Command, router: FakeRouter, home: Path) -> None:
    for alias in ("claude-opus-5", "claude-haiku-5"):
        router.answers[f"/v1/models/{alias}"] = RefusalError(404, "There is no such model.")
    command("agents", "claude", "--aliases", "claude-*=auto-codex")
    assert "ANTHROPIC_MODEL" not in content(home, "claude")["env"]
    [created] = router.asked("/key/generate")
    assert created["aliases"] == {"claude-*": "auto-codex"}


def test_a_dry_run_and_a_print_write_nothing(command: Command, router: FakeRouter, home: Path) -> None:
    dry = command("agents", "claude", "--dry-run")
    assert "+" in dry.out
    assert router.keys == {}
    printed = command("agents", "claude", "--print")
    assert '"ANTHROPIC_AUTH_TOKEN": "sk-new-1"' in printed.out
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("claude", "{// mine\n}", id="comments"),
        pytest.param("claude", "[]", id="a list"),
        pytest.param("claude", '{"a": 1, "a": 2}', id="a name twice"),
        pytest.param("claude", "{" * 100_000, id="very deep"),
        pytest.param("codex", "model = ", id="half a line"),
        pytest.param("codex", 'model_providers = {vibe = {name = "x"}}', id="an inline table"),
        pytest.param("claude", b"\xff\xfe", id="not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_edited_is_left_alone(
    command: Command, router: FakeRouter, home: Path, name: str, text: str | bytes
) -> None:
    path = home / FILES[name][0]
    path.parent.mkdir()
    raw = text.encode() if isinstance(text, str) else text
    path.write_bytes(raw)
    done = command("agents", name)
    assert done.status == 1
    assert "Nothing was changed" in done.err
    assert path.read_bytes() == raw
    assert router.keys == {}


def test_a_failed_write_leaves_no_key_and_no_change(command: Command, router: FakeRouter, home: Path) -> None:
    prepare(home, "codex")
    (home / ".codex/vibe-models.json").mkdir()
    done = command("agents", "codex")
    assert done.status in (1, 2)
    assert router.keys == {}
    assert (home / ".codex/config.toml").read_text() == BEFORE[".codex/config.toml"]


def test_undoing_keeps_what_was_edited_since(command: Command, home: Path) -> None:
    prepare(home, "claude")
    command("agents", "claude")
    command("agents", "claude", "--model", "auto-codex")
    path = home / ".claude/settings.json"
    path.write_text("{}")
    assert "before-undo" in command("agents", "claude", "--undo").out
    assert (home / ".claude/settings.json.before-undo").read_text() == "{}"
    assert "ANTHROPIC_MODEL" not in content(home, "claude")["env"]
    command("agents", "claude", "--undo")
    assert path.read_text() == BEFORE[".claude/settings.json"]


def test_an_unknown_model_is_rejected(command: Command, router: FakeRouter, home: Path) -> None:
    router.answers["/v1/models/nope"] = RefusalError(404, "There is no such model.")
    done = command("agents", "codex", "--model", "nope")
    assert (done.status, router.keys) == (1, {})
    assert "auto-chat, auto-codex" in done.err
    assert command("agents", "codex", "--models", "none-*").status == 1


def test_a_terminal_asks_first(terminal: Command, router: FakeRouter, home: Path) -> None:
    done = terminal("agents", "claude", typed="n\n")
    assert (done.status, router.keys) == (1, {})
    assert not (home / ".claude").exists()


_LINES = [
    *('model = "a"', 'model_provider="b"', '"model" = "q"', "# note", "", "[a]", "x = 1", "y = [1,", " 2]"),
    *("[model_providers]", "[model_providers.vibe]", "[model_providers.vibe.headers]", "[model_providers.other]"),
    "[[list]]",
]
_TOML = st.lists(st.sampled_from(_LINES), max_size=7).map("\n".join)


@settings(max_examples=60)
@given(_TOML)
def test_toml_is_edited_exactly_or_not_at_all(text: str) -> None:
    try:
        edited = set_toml(text, {"model": "m", "model_provider": "vibe"}, "model_providers.vibe", {"name": "V"})
    except UneditableError:
        return
    before, after = tomllib.loads(text), tomllib.loads(edited)
    assert (after.pop("model"), after.pop("model_provider")) == ("m", "vibe")
    assert after["model_providers"].pop("vibe") == {"name": "V"}
    before.pop("model", None)
    before.pop("model_provider", None)
    before.setdefault("model_providers", {}).pop("vibe", None)
    assert after == before
    assert edited.count("# note") == text.count("# note") or "model_providers.vibe" in text


def test_edits_that_change_nothing_keep_the_text() -> None:
    assert set_json('{"a":{"b":1}}', {"a": {"b": 1}}) == '{"a":{"b":1}}'
    assert set_toml('m="x"\n[t.v]\nn="V"', {"m": "x"}, "t.v", {"n": "V"}) == 'm="x"\n[t.v]\nn="V"'
    assert set_variables("A=1\nB=2\nA=3", {"A": "4"}) == "A=4\nB=2\n"
