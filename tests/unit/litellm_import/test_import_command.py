"""`vibe import-litellm`, as people and pipelines call it."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from vibe_cli.app import main
from vibe_cli.routes_file import load_file

CHECKOUT = Path(__file__).parents[3]
CONFIG = """\
model_list:
  - model_name: m
    litellm_params:
      model: openai/gpt-5
      api_key: sk-plain-secret
      rpm: 10
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    written = tmp_path / "config.yaml"
    written.write_text(CONFIG)
    return written


def test_pipe_gets_json_and_nothing_is_written(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import-litellm", str(file)]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert err == ""
    assert (report["written"], report["models"], report["secrets"]) == (None, ["m"], ["OPENAI_API_KEY"])
    assert [(note["line"], note["setting"], note["meaning"]) for note in report["notes"]] == [
        (5, "model_list[0].litellm_params.api_key", "to do"),
        (6, "model_list[0].litellm_params.rpm", "left out"),
    ]
    assert report["routes"].startswith("# Generated from config.yaml")
    assert "sk-plain-secret" not in out
    assert list(file.parent.iterdir()) == [file]


def test_written_routes_load(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import-litellm", str(file), "-o", "routes.yaml"]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == "routes.yaml"
    assert list(load_file(Path("routes.yaml"), {}).models) == ["m"]


def test_existing_file_is_overwritten_only_with_force(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("routes.yaml").write_text("mine")
    assert main(["import-litellm", str(file), "-o", "routes.yaml"]) == 1
    assert "exists and was not changed" in capsys.readouterr().err
    assert Path("routes.yaml").read_text() == "mine"
    assert main(["import-litellm", str(file), "-o", "routes.yaml", "--force"]) == 0
    assert list(load_file(Path("routes.yaml"), {}).models) == ["m"]


def test_routes_on_standard_output_and_report_on_standard_error(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import-litellm", str(file), "-o", "-"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("# Generated from config.yaml")
    assert "left out" in err


@pytest.mark.parametrize(
    ("text", "report"),
    [
        (b"a: [", "config.yaml:1: is not YAML"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (None, "cannot be read: No such file"),
    ],
    ids=["no YAML", "no text", "missing file"],
)
def test_invalid_config_is_rejected(
    file: Path, text: bytes | None, report: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is None:
        file.unlink()
    else:
        file.write_bytes(text)
    assert main(["import-litellm", str(file)]) == 1
    assert report in capsys.readouterr().err


def test_config_without_usable_models_writes_nothing(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("model_list:\n  - {model_name: m, litellm_params: {model: vertex_ai/x}}\n")
    assert main(["import-litellm", str(file), "-o", "routes.yaml"]) == 1
    assert json.loads(capsys.readouterr().out)["written"] is None
    assert not Path("routes.yaml").exists()


def test_terminal_shows_a_report_without_control_characters(file: Path) -> None:
    file.write_text(CONFIG.replace("rpm: 10", '"odd [bold]\\e[2J": 10'))
    leader, follower = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "vibe_cli", "import-litellm", "config.yaml"],
        cwd=file.parent,
        env={
            "PYTHONPATH": f"{CHECKOUT}/layers/router:{CHECKOUT}/cli",
            "COLUMNS": "150",
            "TERM": "xterm",
            "PATH": os.environ["PATH"],
        },
        stdout=follower,
        check=False,
    )
    os.close(follower)
    shown = ""
    while True:
        try:
            read = os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
        if not read:
            break
        shown += read.decode()
    os.close(leader)
    assert done.returncode == 0
    assert "left out" in shown
    assert "odd [bold]\N{REPLACEMENT CHARACTER}[2J" in shown
    assert "Set these keys in .env or the environment: OPENAI_API_KEY" in shown
    assert "\x1b[2J" not in shown
