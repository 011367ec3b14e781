"""The master key of a data folder: random, and stored there for the owner alone."""

import os
import secrets
from pathlib import Path

__all__ = ["MASTER_KEY_FILE", "stored_master_key"]

MASTER_KEY_FILE = "master-key"


def stored_master_key(data_dir: Path) -> str:
    """Return the master key stored in `data_dir`; the first call generates it. Raises OSError."""
    path = data_dir / MASTER_KEY_FILE
    try:
        stored = path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        stored = ""
    if stored:
        path.chmod(0o600)
        return stored
    key = f"sk-vibe-{secrets.token_urlsafe(24)}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{key}\n")
    return key
