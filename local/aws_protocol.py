"""The messages between `make start` and the embedded AWS's process: one line of JSON each way."""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["ServerConfig", "StartReport"]


@dataclass(frozen=True)
class ServerConfig:
    """The configuration. `token`: the path of requests.

    `tables`: CreateTable's parameters and the TTL attribute; `secrets`: name to value.
    """

    descriptor: int
    token: str
    region: str
    data_dir: str
    tables: list[tuple[dict[str, Any], str | None]]
    secrets: dict[str, dict[str, str]]


@dataclass(frozen=True)
class StartReport:
    """The result of the start. `restored`: tables read from files; `set_aside`: a sentence for each unreadable file."""

    restored: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)
