"""DATA_DIR: created for the owner alone, and locked, because two stacks would overwrite each other's tables."""

import fcntl
import os
import stat
from pathlib import Path

__all__ = ["DataDirError", "lock_data_dir"]

_REMEDY = "Choose another directory: make start DATA_DIR=PATH"


class DataDirError(Exception):
    """The directory cannot be used or another stack uses it; the message has the reason and a remedy."""


def lock_data_dir(data_dir: Path) -> int:
    """Create and lock the directory; the returned descriptor holds the lock until it is closed.

    Raises `DataDirError`.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = data_dir.stat().st_mode
        if mode & stat.S_ISVTX:
            raise DataDirError(f"DATA_DIR {data_dir} is shared with other users. {_REMEDY}")
        if stat.S_IMODE(mode) != 0o700:
            data_dir.chmod(0o700)
        descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DataDirError(f"DATA_DIR {data_dir} cannot be used: {_reason(error)}. {_REMEDY}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise DataDirError(
            f"Another `make start`{f' (process {owner})' if owner else ''} uses {data_dir}. "
            "Stop it, or start this one with its own DATA_DIR and PORT."
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _reason(error: OSError) -> str:
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "it is not a directory"
    return (error.strerror or type(error).__name__).lower()
