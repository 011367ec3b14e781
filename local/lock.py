"""Lock DATA_DIR: two `make start` would overwrite each other's tables."""

import fcntl
import os
from pathlib import Path

__all__ = ["DataDirInUseError", "lock_data_dir"]


class DataDirInUseError(Exception):
    """Another stack uses the directory; the message has its process id and a remedy."""


def lock_data_dir(data_dir: Path) -> int:
    """Create and lock the directory; the returned descriptor holds the lock until it is closed."""
    data_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise DataDirInUseError(
            f"Another `make start`{f' (process {owner})' if owner else ''} uses {data_dir}. "
            "End it, or give this one a DATA_DIR and a PORT of its own."
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
