"""Render the functions' JSON log lines for people: one line per request."""

import json
import sys
from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Any

from vibe_cli.decisions import format_decision
from vibe_cli.output import Ink, clean
from vibe_router.core.record import DECISION

__all__ = ["ReadableLog"]

_COMMON_FIELDS = frozenset({"level", "message", "service", "timestamp", "location", "xray_trace_id"})


class ReadableLog:
    """A log writer that renders JSON lines as text, and passes other lines unchanged.

    A routing decision becomes the line that `vibe logs` prints; metrics are dropped.
    """

    def __init__(self, write: Callable[[bytes], None], ink: Ink | None = None, zone: tzinfo | None = None) -> None:
        self._write = write
        self._ink = ink or Ink(sys.stdout)
        self._zone = zone

    def write(self, lines: bytes) -> None:
        """Render and write whole lines, including line ends."""
        rendered = (self._render(line) for line in lines.decode("utf-8", "replace").splitlines())
        if text := "".join(f"{line}\n" for line in rendered if line is not None):
            self._write(text.encode("utf-8", "replace"))

    def _render(self, line: str) -> str | None:
        try:
            fields = json.loads(line) if line.startswith("{") else None
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            return line
        if "_aws" in fields:
            return None
        if fields.get("message") == DECISION:
            return format_decision(fields, self._ink, self._zone)
        return self._event(fields)

    def _event(self, fields: Mapping[str, Any]) -> str:
        level = str(fields.get("level", "INFO"))
        details = [
            f"{name}={value}" for name, value in fields.items() if name not in _COMMON_FIELDS and value is not None
        ]
        colour = "dim" if level in ("DEBUG", "INFO") else "warn" if level == "WARNING" else "bad"
        return self._ink(colour, clean(f"{level} {fields.get('message', '')} {' '.join(details)}", 500))
