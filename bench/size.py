"""The disk space of installed packages."""

import re
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

__all__ = ["of_distribution", "of_folder", "requirements"]

_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==", re.MULTILINE)


def requirements(lock: Path) -> list[str]:
    """Return the names of the distributions that a lock file pins."""
    return _PINNED.findall(lock.read_text())


def of_folder(folder: Path) -> int:
    """Return the bytes of all files in a directory, without bytecode."""
    return _sum(folder.rglob("*"))


def of_distribution(name: str) -> int | None:
    """Return the bytes of an installed distribution, without bytecode; None if it is not installed."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    return _sum(Path(str(file.locate())) for file in found.files or ())


def _sum(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in _kept(files))


def _kept(files: Iterable[Path]) -> Iterator[Path]:
    return (file for file in files if file.suffix != ".pyc" and file.is_file())
