"""The code to measure: this checkout, or an earlier revision of it in a temporary folder."""

import io
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from local.launch import launch_of
from local.template import Function, Template, read_template

from .targets import BrokenError

__all__ = ["OWN", "Checkout", "of_revision"]

_ROOT = Path(__file__).parent.parent
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+)", re.MULTILINE)
# Where each kind of layout has its packages.
_PACKAGES = ("", "cli", "layers/router", "layers/streaming_runtime", "functions/admin", "functions/gateway")


@dataclass(frozen=True)
class Checkout:
    """A checkout in the folder `root`. `revision` is empty for this one.

    `libraries` is a folder with the libraries of its lock, None if those of this environment are the same.
    """

    root: Path
    revision: str = ""
    libraries: Path | None = None

    def name(self, target: str) -> str:
        """Return the name of one of its targets in the report."""
        return f"{target} at {self.revision}" if self.revision else target

    @cached_property
    def template(self) -> Template:
        """Its template.yaml."""
        return read_template(self.root / "template.yaml")

    @property
    def gateway(self) -> Function:
        """Its gateway function."""
        return self.template.functions["GatewayFunction"]

    @property
    def path(self) -> dict[str, str]:
        """The variable that puts its packages before the installed ones."""
        packages = [str(self.root / each) for each in _PACKAGES if (self.root / each).is_dir()]
        libraries = [str(self.libraries)] if self.libraries else []
        return {"PYTHONPATH": os.pathsep.join([*packages, *libraries])}

    @property
    def environment(self) -> dict[str, str]:
        """The variables of its programs: this process's, and its path."""
        return {**os.environ, **self.path}

    def variables(self, aws_endpoint: str) -> dict[str, str]:
        """Return its function's environment variables: the local stack's, with tracing as deployed."""
        given = dict(launch_of(self.gateway, aws_endpoint, {}).variables)
        given.pop("POWERTOOLS_TRACE_DISABLED", None)
        return {**given, "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000", "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR"}

    @property
    def routes_command(self) -> tuple[str, ...]:
        """The command that writes routes."""
        module = "vibe_cli" if (self.root / "cli/vibe_cli").is_dir() else "vibe_router"
        return (sys.executable, "-m", module, "routes")


OWN = Checkout(_ROOT)
"""The checkout of this module."""


def of_revision(revision: str, folder: Path) -> Checkout:
    """Unpack a revision of this repository into `folder`, with its libraries if they differ. Raises BrokenError."""
    short = _run("git", "rev-parse", "--short", f"{revision}^{{commit}}").decode().strip()
    root = folder / short
    with tarfile.open(fileobj=io.BytesIO(_run("git", "archive", "--format=tar", short))) as archive:
        archive.extractall(root, filter="data")
    locks = [root / f"requirements/{name}.txt" for name in ("runtime", "local")]
    if all(_installed(dict(_PIN.findall(lock.read_text()))) for lock in locks):
        return Checkout(root, short)
    libraries = folder / f"{short}-libraries"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps")
    _run(*pip, "--require-hashes", "--target", str(libraries), "--requirement", str(locks[1]))
    return Checkout(root, short, libraries)


def _installed(pins: Mapping[str, str]) -> bool:
    for name, version in pins.items():
        try:
            if distribution(name).version != version:
                return False
        except PackageNotFoundError:  # perhaps for another system or Python
            continue
    return True


def _run(*command: str) -> bytes:
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, check=False)
    if done.returncode:
        raise BrokenError(f"{' '.join(command[:4])} …: {done.stderr.decode(errors='replace').strip()[-500:]}")
    return done.stdout
