"""Keeps the embedded tables in files: one per table, in DynamoDB's own JSON, so that nothing is lost in translation."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Debounce", "Item", "Timer", "read_items", "set_aside", "write_atomically"]

Item = dict[str, Any]
"""Attribute name to typed value, e.g. `{"id": {"S": "x"}}`."""


class Timer(Protocol):
    """What `loop.call_later` returns."""

    def cancel(self) -> None:
        """Let the call not happen."""


@dataclass
class Debounce:
    """Runs `action` once, `delay` seconds after the first of any number of `note`s; `call_later` is the loop's."""

    action: Callable[[], None]
    delay: float
    call_later: Callable[[float, Callable[[], None]], Timer]
    _timer: Timer | None = None

    def note(self) -> None:
        """Say that there is something to do. The wait is counted from the first word: a busy time puts nothing off."""
        if self._timer is None:
            self._timer = self.call_later(self.delay, self.flush)

    def flush(self) -> None:
        """Do it now, if there is anything to do."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.action()


def read_items(path: Path) -> list[Item] | None:
    """Return what was saved, or None when nothing was. Raises ValueError for a file that holds something else."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    items = content.get("items") if isinstance(content, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError("it holds no items")
    return items


def write_atomically(path: Path, content: bytes) -> None:
    """Replace the file, so that whenever the machine stops there is the old content or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def set_aside(path: Path, now: float | None = None) -> Path:
    """Rename a file that cannot be read, for a person to look at; returns its new path."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    kept = path.with_name(f"{path.name}.unreadable-{stamp}")
    path.rename(kept)
    return kept
