"""The make targets, and the script that creates their environment."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.infrastructure.expanded import ROOT

CONTRACT = {"start", "test", "lint", "bench", "build", "sam-local", "routes"}

# A stub of Python that works, and records its arguments.
RECORDER = """#!/bin/sh
echo "$@" >>"{log}"
case "$1" in --version) echo "Python 3.12.0" ;; esac
if [ "$2" = venv ]; then mkdir -p "$4/bin" && cp "$0" "$4/bin/python"; fi
exit {code}
"""


def test_make_lists_every_target() -> None:
    done = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = dict(re.findall(r"^  make ([\w-]+) +(\S.*)$", done.stdout, re.MULTILINE))
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony
    assert set(listed) == set(phony[1].split())
    assert set(listed) >= CONTRACT


def test_ci_lints_and_tests() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    lines = script.read_text(encoding="utf-8").splitlines()
    assert "set -euo pipefail" in lines
    assert {"make lint", "make test"} <= set(lines)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the script, two locks and its own PATH."""
    for directory in ("scripts", "requirements", "bin"):
        (tmp_path / directory).mkdir()
    shutil.copy(ROOT / "scripts/venv.sh", tmp_path / "scripts")
    for lock in ("local", "dev"):
        (tmp_path / f"requirements/{lock}.txt").write_text(f"{lock}==1\n")
    for tool in ("sh", "dirname", "cmp", "cp", "rm", "mkdir", "grep", "tail", "sleep"):
        found = shutil.which(tool)
        assert found
        (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path


def _python(checkout: Path, name: str = "python3", code: int = 0) -> None:
    program = checkout / "bin" / name
    program.write_text(RECORDER.format(log=checkout / "log", code=code))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def _run(checkout: Path, lock: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", checkout / "scripts/venv.sh", lock],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": str(checkout / "bin"), **environment},
    )


def _installations(checkout: Path) -> list[str]:
    log = checkout / "log"
    asked = log.read_text().splitlines() if log.exists() else []
    return [line.rpartition(" ")[2] for line in asked if " install " in line and "--editable" not in line]


def test_missing_python_is_explained(checkout: Path) -> None:
    done = _run(checkout, "local")
    assert done.returncode == 1
    assert "Python 3.11, 3.12, 3.13 or 3.14 is needed" in done.stderr
    assert "make start PYTHON=" in done.stderr


def test_broken_python_is_skipped(checkout: Path) -> None:
    _python(checkout, "python3.13", code=127)
    _python(checkout, "python3.11")
    done = _run(checkout, "local")
    assert done.returncode == 0, done.stderr
    assert _installations(checkout) == ["requirements/local.txt"]


def test_named_python_takes_precedence(checkout: Path) -> None:
    _python(checkout, "mine")
    done = _run(checkout, "local", PYTHON=str(checkout / "bin/mine"))
    assert done.returncode == 0, done.stderr


def test_lock_is_installed_once_and_after_changes(checkout: Path) -> None:
    _python(checkout)
    for _ in range(3):
        assert _run(checkout, "local").returncode == 0
    assert _installations(checkout) == ["requirements/local.txt"]
    (checkout / "requirements/local.txt").write_text("local==2\n")
    assert _run(checkout, "local").returncode == 0
    assert _installations(checkout) == ["requirements/local.txt"] * 2


def test_development_lock_includes_the_local_one(checkout: Path) -> None:
    _python(checkout)
    for lock in ("local", "dev", "local", "dev"):
        assert _run(checkout, lock).returncode == 0
    assert _installations(checkout) == ["requirements/local.txt", "requirements/dev.txt"]


def test_failed_installation_is_repeated(checkout: Path) -> None:
    _python(checkout)
    assert _run(checkout, "local").returncode == 0
    (checkout / ".venv/installed-local.txt").unlink()
    interpreter = checkout / ".venv/bin/python"
    whole = interpreter.read_text()
    interpreter.write_text(whole.replace("exit 0", 'case "$3" in install) exit 1 ;; esac; exit 0'))
    failed = _run(checkout, "local")
    assert failed.returncode == 1
    assert "Run the same command to try again" in failed.stderr
    interpreter.write_text(whole)
    assert _run(checkout, "local").returncode == 0
    assert (checkout / ".venv/installed-local.txt").exists()
