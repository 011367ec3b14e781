"""The location of a running stack: `local.json` under DATA_DIR, for the commands."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from .files import write_atomically

__all__ = ["remove_location", "write_location"]

_NAME = "local.json"


def write_location(data_dir: Path, url: str, endpoint: str, variables: Mapping[str, str]) -> None:
    """Write the API's `url`, the embedded AWS's endpoint, and the table names in a function's `variables`."""
    tables = {name.lower(): table for name, table in variables.items() if name.endswith("_TABLE")}
    location = {"pid": os.getpid(), "url": url, "endpoint": endpoint, **tables}
    write_atomically(data_dir / _NAME, json.dumps(location).encode())


def remove_location(data_dir: Path) -> None:
    """Remove the file after the stack has ended."""
    (data_dir / _NAME).unlink(missing_ok=True)
