"""Files of the embedded tables: one per table, in DynamoDB's JSON, which preserves every type."""

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
    """The return value of `loop.call_later`."""

    def cancel(self) -> None:
        """Cancel the call."""


@dataclass
class Debounce:
    """Runs `action` once, `delay` seconds after the first of any number of `schedule` calls."""

    action: Callable[[], None]
    delay: float
    call_later: Callable[[float, Callable[[], None]], Timer]
    _timer: Timer | None = None

    def schedule(self) -> None:
        """Schedule the action. The delay counts from the first call, so frequent calls do not postpone it."""
        if self._timer is None:
            self._timer = self.call_later(self.delay, self.flush)

    def flush(self) -> None:
        """Run a scheduled action now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.action()


def read_items(path: Path) -> list[Item] | None:
    """Return the saved items, None without a file. Raises ValueError for any other content."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    items = content.get("items") if isinstance(content, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError("it has no items")
    return items


def write_atomically(path: Path, content: bytes) -> None:
    """Replace the file: after a crash it has either the old or the new content.

    Only its owner can read it.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
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
    """Rename an unreadable file, for inspection; returns its new path."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    renamed = path.with_name(f"{path.name}.unreadable-{stamp}")
    path.rename(renamed)
    return renamed
