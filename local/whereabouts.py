"""Where a running stack is: `local.json` under DATA_DIR, for the commands and whoever else looks for it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from .snapshot import write_atomically

__all__ = ["forget", "write_down"]

_NAME = "local.json"


def write_down(data_dir: Path, url: str, endpoint: str, variables: Mapping[str, str]) -> None:
    """Write down the API's `url`, the embedded AWS's endpoint, and the tables that a function's `variables` name."""
    tables = {name.lower(): table for name, table in variables.items() if name.endswith("_TABLE")}
    where = {"pid": os.getpid(), "url": url, "endpoint": endpoint, **tables}
    write_atomically(data_dir / _NAME, json.dumps(where).encode())


def forget(data_dir: Path) -> None:
    """Take it away: the stack has ended."""
    (data_dir / _NAME).unlink(missing_ok=True)
