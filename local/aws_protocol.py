"""The messages between `make start` and the embedded AWS's process: one line of JSON each way."""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["ServerConfig", "StartReport", "StreamReader"]


@dataclass(frozen=True)
class StreamReader:
    """A function that reads the stream of a table: its handler, the directories of its code, and its environment.

    `lanes`: how many batches it handles concurrently; with more than one, each change is a batch.
    """

    table: str
    arn: str
    handler: str
    paths: list[str]
    environment: dict[str, str]
    lanes: int = 1


@dataclass(frozen=True)
class ServerConfig:
    """The configuration. `token`: the path of requests.

    `tables`: CreateTable's parameters and the TTL attribute; `secrets`: name to value; `readers`: StreamReaders.
    """

    descriptor: int
    token: str
    region: str
    data_dir: str
    tables: list[tuple[dict[str, Any], str | None]]
    secrets: dict[str, dict[str, str]]
    readers: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class StartReport:
    """The result of the start. `restored`: tables read from files; `set_aside`: a sentence for each unreadable file."""

    restored: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)
