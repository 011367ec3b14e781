"""The environment, the running local stack, and the key for any router."""

import json
import os
from pathlib import Path

import pytest

from vibe_cli.chat_client import choose_router
from vibe_cli.errors import CommandError
from vibe_cli.settings import find_local_stack, read_environment_of

FAR = "https://a.example/prod/v1"


def test_environment_overrides_files_and_empty_variables_are_unset(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("A=1\nB=1\nC=1\nD=${A}\n")
    second.write_text("B=2\nC=2\n")
    found = read_environment_of((first, second, tmp_path / "missing"), {"C": "3", "E": "", "A": ""})
    assert found == {"B": "2", "C": "3", "D": "${A}"}


def _publish(folder: Path, **changed: object) -> dict[str, str]:
    (folder / "local.json").write_text(json.dumps({"pid": os.getpid(), "url": "http://127.0.0.1:9"} | changed))
    return {"DATA_DIR": str(folder)}


def test_running_stack_is_found(tmp_path: Path) -> None:
    found = find_local_stack(_publish(tmp_path))
    assert found
    assert found["url"] == "http://127.0.0.1:9"


@pytest.mark.parametrize("changed", [{"pid": 2**22 + 1}, {"pid": "x"}, {"pid": None}], ids=str)
def test_ended_stack_is_not_found(tmp_path: Path, changed: dict[str, object]) -> None:
    assert find_local_stack(_publish(tmp_path, **changed)) is None
    assert find_local_stack({"DATA_DIR": str(tmp_path / "none")}) is None


@pytest.mark.parametrize(
    ("key_env", "environ", "key"),
    [
        (None, {"KEY": "sk-1", "MASTER_KEY": "sk-2"}, "sk-1"),
        (None, {"KEY": "", "MASTER_KEY": "sk-2"}, "sk-2"),
        ("OURS", {"KEY": "sk-1", "OURS": "sk-3\n"}, "sk-3"),
    ],
    ids=["the first variable", "an empty variable", "a named variable"],
)
def test_key_from_the_environment(key_env: str | None, environ: dict[str, str], key: str) -> None:
    assert choose_router(FAR, None, key_env, environ) == (FAR, key)


def test_missing_variable_is_reported() -> None:
    with pytest.raises(CommandError, match="OURS"):
        choose_router(FAR, None, "OURS", {"KEY": "sk-1"})


def test_local_key_is_never_sent_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "master-key").write_text("sk-local\n")
    environ = {"DATA_DIR": str(tmp_path)}
    assert choose_router("http://localhost:4000", environ=environ)[1] == "sk-local"
    for url in (FAR, "http://127.0.0.1.a.example/v1", "http://localhost@a.example"):
        with pytest.raises(CommandError, match="No key"):
            choose_router(url, environ=environ)


def test_url_of_the_environment_or_the_local_stack(tmp_path: Path) -> None:
    environ = {"KEY": "sk-1", **_publish(tmp_path)}
    assert choose_router(environ={**environ, "URL": FAR})[0] == FAR
    assert (
        choose_router(environ={**environ, "URL": FAR, "VIBE_ROUTER_URL": "https://b.example"})[0] == "https://b.example"
    )
    assert choose_router(environ=environ)[0] == "http://127.0.0.1:9/v1"
    assert choose_router(environ={"KEY": "x", "PORT": "4711", "DATA_DIR": "/none"})[0] == "http://127.0.0.1:4711/v1"
