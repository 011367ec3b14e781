"""Settings of this machine: the environment, `.env`, and where the local stack runs.

Each is read here and nowhere else, by the commands, by `make start` and by deploying.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from vibe_cli.checkout import CHECKOUT

__all__ = [
    "KEY_NAMES",
    "LOCAL_PORT",
    "find_local_master_key",
    "find_local_stack",
    "read_environment",
    "read_environment_of",
]

KEY_NAMES = ("MASTER_KEY", "LITELLM_MASTER_KEY")
"""The variables that may hold the master key, the first one set wins."""

LOCAL_PORT = 4000
"""The port on which `make start` listens when PORT is not set."""


def read_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return `environ` over the `.env` of the working directory, and that over the checkout's."""
    return read_environment_of((CHECKOUT / ".env", Path(".env")), environ)


def read_environment_of(files: Iterable[Path], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of `environ` over those of `files`, of which later ones win; an empty one is not set."""
    from dotenv import dotenv_values

    merged: dict[str, str | None] = {}
    for file in files:
        merged |= dotenv_values(file, interpolate=False)  # a key may contain "$"
    return {name: value for name, value in {**merged, **environ}.items() if value}


def find_local_stack(environ: Mapping[str, str]) -> dict[str, str] | None:
    """Return the addresses and tables that a running `make start` has published in local.json; None if none runs."""
    for folder in _data_dirs(environ):
        try:
            published = json.loads((folder / "local.json").read_text(encoding="utf-8"))
            found = {name: str(value) for name, value in published.items()}
            os.kill(int(found["pid"]), 0)  # signal 0 only checks that the process exists
        except PermissionError:
            return found  # it exists, and belongs to another user
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        return found
    return None


def find_local_master_key(environ: Mapping[str, str]) -> str | None:
    """Return the master key that `make start` generated and stored in its data folder; None without one."""
    for folder in _data_dirs(environ):
        try:
            return (folder / "master-key").read_text(encoding="utf-8").strip() or None
        except (OSError, ValueError):
            continue
    return None


def _data_dirs(environ: Mapping[str, str]) -> tuple[Path, Path]:
    """Return where DATA_DIR may be: relative to the working directory, and to the checkout."""
    data_dir = environ.get("DATA_DIR", ".data")
    return Path(data_dir), CHECKOUT / data_dir
