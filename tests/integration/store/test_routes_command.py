"""`vibe routes`, as people and pipelines call it."""

import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.store.conftest import client_of
from tests.unit.cli.pseudo_terminal import run_on_terminal
from vibe_cli.app import main
from vibe_router.store.dynamodb import DynamoDB, to_item
from vibe_router.store.routes import RoutesSnapshot, RoutesStore

CHECKOUT = Path(__file__).parents[3]

GOOD = """\
providers:
  ark: {base_url: "${ARK_BASE_URL:-https://ark.example/v3}", secret: ARK_API_KEY}
models:
  auto:
    description: All there is
    chain:
      - {provider: ark, model: glm-4.7}
"""


@dataclass
class Done:
    status: int
    out: str
    err: str

    @property
    def report(self) -> Any:
        return json.loads(self.out)


class Command:
    """Calls the command in a folder of its own, with its output going into a pipe."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Done:
        try:
            status = main(["routes", *arguments])
        except SystemExit as end:
            status = int(end.code or 0)
        return Done(status, *self._capsys.readouterr())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("ROUTES_TABLE", "ROUTES_FILE", "DATA_DIR", "ARK_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "routes.yaml").write_text(GOOD)
    return tmp_path


@pytest.fixture
def command(folder: Path, aws: None, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture
def store(dynamodb_client: DynamoDB, routes_table: str) -> RoutesStore:
    return RoutesStore(dynamodb_client, routes_table)


def test_changes_are_listed_by_field_and_written(
    command: Command, folder: Path, store: RoutesStore, routes_table: str
) -> None:
    first = command("--table", routes_table)
    assert first.status == 0
    assert first.report["written"] is True
    assert [(change["row"], change["change"]) for change in first.report["changes"]] == [
        ("providers.ark", "added"),
        ("models.auto", "added"),
    ]
    text = GOOD.replace("All there is", "More") + "      - {provider: ark, model: glm-5, weight: 2}\n    retries: 3\n"
    (folder / "routes.yaml").write_text(text)
    second = command("--table", routes_table)
    assert second.report["changes"] == [
        {
            "row": "models.auto",
            "change": "changed",
            "fields": {
                "description": {"from": "All there is", "to": "More"},
                "retries": {"from": None, "to": 3},
                "chain[1]": {"from": None, "to": {"provider": "ark", "model": "glm-5", "weight": 2}},
            },
        }
    ]
    assert store.read()["model", "auto"]["retries"] == 3
    assert command("--table", routes_table).report == {"table": routes_table, "changes": [], "written": False}


def test_concurrent_change_is_not_overwritten(
    command: Command, routes_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = iter([RoutesSnapshot({}, 0), RoutesSnapshot({("provider", "ark"): {"base_url": "by hand"}}, 0)])
    monkeypatch.setattr(RoutesStore, "snapshot", lambda _: next(seen))
    done = command("--table", routes_table)
    assert (done.status, done.out) == (1, "")
    assert "The routes were changed concurrently." in done.err


def test_a_dry_run_writes_nothing(command: Command, store: RoutesStore, routes_table: str) -> None:
    done = command("--table", routes_table, "--dry-run")
    assert done.status == 0
    assert len(done.report["changes"]) == 2
    assert done.report["written"] is False
    assert store.read() == {}


def test_rows_missing_from_the_file_are_removed(
    command: Command, folder: Path, store: RoutesStore, routes_table: str
) -> None:
    (folder / "routes.yaml").write_text(
        GOOD + "  old:\n    chain: [{provider: ark, model: x}]\ndefaults: {retries: 0}\n"
    )
    command("--table", routes_table)
    (folder / "routes.yaml").write_text(GOOD)
    done = command("--table", routes_table)
    assert [(change["row"], change["change"]) for change in done.report["changes"]] == [
        ("models.old", "removed"),
        ("defaults", "removed"),
    ]
    assert sorted(store.read()) == [("model", "auto"), ("provider", "ark")]


def test_an_equivalent_row_is_no_change_and_a_corrupt_one_is(
    command: Command, dynamodb_client: DynamoDB, store: RoutesStore, routes_table: str
) -> None:
    command("--table", routes_table)
    same = {**store.read()["model", "auto"], "chain": [[{"provider": "ark", "model": "glm-4.7"}]]}
    dynamodb_client.put_item(TableName=routes_table, Item=to_item({"kind": "model", "name": "auto", **same}))
    assert command("--table", routes_table).report["changes"] == []
    corrupt: dict[str, Any] = {"kind": "provider", "name": "ark", "secret": 5}
    dynamodb_client.put_item(TableName=routes_table, Item=to_item(corrupt))
    done = command("--table", routes_table)
    assert [(change["row"], change["change"]) for change in done.report["changes"]] == [("providers.ark", "changed")]
    assert store.read()["provider", "ark"]["secret"] == "ARK_API_KEY"


def test_mistakes_are_reported_by_line_and_nothing_is_written(
    command: Command, folder: Path, store: RoutesStore, routes_table: str
) -> None:
    (folder / "routes.yaml").write_text(GOOD + "      - {provider: arc, model: x}\n    speed: 9\n")
    done = command("--table", routes_table)
    assert done.status == 1
    assert done.out == ""
    assert done.err.splitlines() == [
        "routes.yaml:8: models.auto.chain[1].provider: unknown provider 'arc'; did you mean 'ark'?",
        "routes.yaml:9: models.auto.speed: unknown setting",
        "Nothing was written.",
    ]
    assert store.read() == {}


def test_variables_come_from_the_environment_over_the_env_file(
    command: Command, folder: Path, store: RoutesStore, routes_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text(f"ARK_BASE_URL=http://from.file/$v3\nROUTES_TABLE={routes_table}\n")
    assert command().status == 0
    assert store.read()["provider", "ark"]["base_url"] == "http://from.file/$v3"
    monkeypatch.setenv("ARK_BASE_URL", "http://from.environment")
    assert command().status == 0
    assert store.read()["provider", "ark"]["base_url"] == "http://from.environment"


def write_local(folder: Path, endpoint: str, table: str, pid: int) -> None:
    file = folder / ".data" / "local.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"endpoint": endpoint, "routes_table": table, "pid": pid}))


def test_the_running_local_stack_is_the_default(
    command: Command,
    folder: Path,
    routes_table: str,
    endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_local(folder, endpoint, routes_table, os.getpid())
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert command().report["table"] == routes_table
    with closing(client_of(endpoint)) as client:
        assert len(RoutesStore(client, routes_table).read()) == 2


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("arguments", [[], ["--aws"]], ids=["no option", "--aws"])
def test_a_missing_table_name_is_reported(command: Command, folder: Path, endpoint: str, arguments: list[str]) -> None:
    write_local(folder, endpoint, "routes", ended_process())
    done = command(*arguments)
    assert done.status == 2
    assert "make start" in done.err
    assert "--table NAME" in done.err


@pytest.mark.parametrize("written", [None, "{", "[]", "{}", '{"pid": "x"}'])
def test_a_stopped_local_stack_is_reported(command: Command, folder: Path, written: str | None) -> None:
    if written is not None:
        write_local(folder, "", "", 1)
        (folder / ".data" / "local.json").write_text(written)
    done = command("--local")
    assert done.status == 2
    assert "not running" in done.err


def test_a_missing_table_is_reported(command: Command) -> None:
    done = command("--table", "nowhere")
    assert done.status == 2
    assert "There is no table 'nowhere'" in done.err


def test_missing_credentials_are_reported(command: Command, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    from vibe_cli.boto import session

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "none"))
    session.cache_clear()
    done = command("--table", "vibe-router-routes")
    session.cache_clear()
    assert done.status == 2
    assert "No AWS credentials" in done.err
    assert "aws configure" in done.err


def test_a_missing_region_is_reported(command: Command, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "none"))
    done = command("--table", "vibe-router-routes")
    assert done.status == 2
    assert "No AWS region" in done.err


def test_unreachable_endpoint_is_reported(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    done = command("--table", "vibe-router-routes")
    assert done.status == 2
    assert "http://127.0.0.1:1) cannot be reached" in done.err


@pytest.mark.parametrize("arguments", [["--local", "--aws"], ["--nonsense"]], ids=["both places", "an unknown option"])
def test_wrong_usage_is_rejected(command: Command, arguments: list[str]) -> None:
    assert command(*arguments).status == 2


def test_terminal_shows_coloured_changes_and_asks(
    command: Command, folder: Path, store: RoutesStore, routes_table: str
) -> None:
    status, shown, error = run_on_terminal(["routes", "--table", routes_table], "n\n")
    assert status == 1
    assert "\x1b[32m+ models.auto\x1b[0m" in shown
    assert "chain[0]: ark/glm-4.7" in shown
    assert "2 added, 0 changed, 0 removed" in shown
    assert "Write these changes? [y/N]" in shown
    assert "Nothing was written." in error
    assert store.read() == {}
    status, shown, _ = run_on_terminal(["routes", "--table", routes_table], "y\n")
    assert status == 0
    assert "Written; in effect within 10 seconds." in shown
    assert len(store.read()) == 2
    (folder / "routes.yaml").write_text(GOOD.replace("glm-4.7", "glm-5"))
    status, shown, _ = run_on_terminal(["routes", "--table", routes_table, "--yes"], "")
    assert status == 0
    assert "chain[0]: ark/glm-4.7 → ark/glm-5" in shown
    assert "[y/N]" not in shown
    status, shown, _ = run_on_terminal(["routes", "--table", routes_table], "")
    assert "already matches the file" in shown
