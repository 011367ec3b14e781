"""S3 on this machine: objects of any bucket as files, for the archive of requests."""

import re
from pathlib import Path

__all__ = ["ObjectStore"]

# A bucket and the names of a key: none of them leads out of the folder.
_PATH = re.compile(r"[a-z0-9][a-z0-9.-]{2,62}(?:/[A-Za-z0-9_-][A-Za-z0-9._-]{0,250}){1,8}", re.IGNORECASE)


class ObjectStore:
    """Objects below `folder`, by bucket and key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, path: str, body: bytes) -> bool:
        """Write the object at `path`, BUCKET/KEY; return False for a path that no bucket would have."""
        if not _PATH.fullmatch(path):
            return False
        file = self._folder / path
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_bytes(body)
        return True

    def get(self, path: str) -> bytes | None:
        """Return the object at `path`, None if there is none."""
        file = self._folder / path
        return file.read_bytes() if _PATH.fullmatch(path) and file.is_file() else None
