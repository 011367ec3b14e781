"""The master key that `make start` generates for its data folder."""

from collections.abc import Mapping
from pathlib import Path

from vibe_cli.checkout import CHECKOUT

__all__ = ["find_local_master_key"]


def find_local_master_key(environ: Mapping[str, str]) -> str | None:
    """Return the key stored in DATA_DIR, relative to the working directory or the checkout; None without one."""
    data_dir = environ.get("DATA_DIR", ".data")
    for folder in (Path(), CHECKOUT):
        try:
            return (folder / data_dir / "master-key").read_text(encoding="utf-8").strip() or None
        except (OSError, ValueError):
            continue
    return None
