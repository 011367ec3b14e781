"""Every command that needs neither AWS nor Docker runs with the dependencies of `make start` alone."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infrastructure.expanded import ROOT

# Runs `vibe` while importing a distribution that only requirements/dev.txt has fails, as in a fresh environment.
PROGRAM = """
import importlib.metadata, re, sys
from importlib.abc import MetaPathFinder

normalize = lambda name: re.sub(r"[-_.]+", "-", name).lower()
pins = re.findall(r"^([\\w.-]+)(?:\\[.*\\])?==", open(sys.argv[1]).read(), re.MULTILINE)
allowed = set(map(normalize, pins))
allowed |= {"pip", "setuptools", "vibe-router"}
missing = {
    module
    for module, owners in importlib.metadata.packages_distributions().items()
    if not {normalize(owner) for owner in owners} & allowed
}

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

assert "pytest" in missing
sys.meta_path.insert(0, Missing())
from vibe_cli.app import main
sys.exit(main(sys.argv[2:]))
"""

UNREACHABLE = ("--url", "http://127.0.0.1:9")


def targets() -> set[str]:
    """Return the make targets that call `vibe`."""
    return set(re.findall(r"^\t@\$\(VIBE\) ([\w-]+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


# Target: arguments, exit status and output.
RUNS: dict[str, tuple[tuple[str, ...], int, str]] = {
    "routes": (("--dry-run",), 2, "No routes table"),
    "prices": (("--dry-run", "--file", str(ROOT / "routes.yaml")), 0, '"changes"'),
    "keys": (("list", *UNREACHABLE), 2, "cannot be reached"),
    "teams": (("list", *UNREACHABLE), 2, "cannot be reached"),
    "requests": (("list", *UNREACHABLE), 2, "cannot be reached"),
    "spend": (UNREACHABLE, 2, "cannot be reached"),
    "complexity": (("report", *UNREACHABLE), 2, "cannot be reached"),
    "cooldowns": (("list", *UNREACHABLE), 2, "cannot be reached"),
    "import-litellm": (("config.yaml",), 0, '"routes"'),
    "status": (UNREACHABLE, 2, "cannot be reached"),
    "logs": (("saved.log",), 0, '"request_id": "1"'),
    "smoke": (UNREACHABLE, 2, "cannot be reached"),
}


def test_every_target_is_tried() -> None:
    assert targets() - {"start"} == RUNS.keys()


@pytest.mark.parametrize("target", RUNS)
def test_target_runs_with_the_local_lock(target: str, tmp_path: Path) -> None:
    arguments, status, output = RUNS[target]
    (tmp_path / "config.yaml").write_text("model_list: [{model_name: m, litellm_params: {model: openai/gpt-5}}]")
    (tmp_path / "saved.log").write_text('{"message": "ROUTING DECISION", "request_id": "1"}\n')
    if target == "routes":
        (tmp_path / "routes.yaml").write_text((ROOT / "routes.yaml").read_text(encoding="utf-8"))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(ROOT / "requirements/local.txt"), target, *arguments],
        cwd=tmp_path,
        env={"PATH": "", "MASTER_KEY": "sk-test", "DATA_DIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert output in done.stdout + done.stderr


def test_local_stack_starts_with_the_local_lock() -> None:
    program = PROGRAM.replace("from vibe_cli.app import main\nsys.exit(main(sys.argv[2:]))", "import local.__main__")
    done = subprocess.run(
        [sys.executable, "-c", program, str(ROOT / "requirements/local.txt")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
