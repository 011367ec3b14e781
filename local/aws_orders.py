"""What `make start` and the embedded AWS's process say to each other, a line of JSON each way."""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Orders", "Report"]


@dataclass(frozen=True)
class Orders:
    """What is to be served. `tables`: CreateTable's parameters and the TTL attribute; `secrets`: name to value."""

    descriptor: int
    region: str
    data_dir: str
    tables: list[tuple[dict[str, Any], str | None]]
    secrets: dict[str, dict[str, str]]


@dataclass(frozen=True)
class Report:
    """What was found. `restored`: tables that had been saved; `set_aside`: a sentence for each unreadable file."""

    restored: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)
