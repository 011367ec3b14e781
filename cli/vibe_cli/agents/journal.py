"""Write an agent's files with a backup of each, and undo that.

Every write is an entry: a folder with the old files and a manifest. Undoing takes the last entry back.

    …/vibe-router/agents/codex/1/manifest.json    key, router, and files, each with path, backup, mode, sha256
    …/vibe-router/agents/codex/1/0                a file as it was; `backup` is null if there was none
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

__all__ = ["Entry", "Journal", "WrittenFile"]


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One file of an entry: `before` and `mode` are its old text and permissions (None: there was none).

    `sha256` is the digest of what was written.
    """

    path: Path
    before: str | None
    mode: int | None
    sha256: str

    @property
    def is_unchanged(self) -> bool:
        """Return whether the file is still as it was written."""
        try:
            return _digest(self.path.read_bytes()) == self.sha256
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class Entry:
    """One write: the id of the key that it created, its router, and its files."""

    folder: Path
    key: str
    router: str
    files: Sequence[WrittenFile]


class Journal:
    """The writes of one agent, in the user's state folder. Raises OSError."""

    def __init__(self, client: str, environ: Mapping[str, str]) -> None:
        home = Path(environ.get("HOME") or Path.home())
        state = Path(environ.get("XDG_STATE_HOME") or home / ".local" / "state")
        self._folder = state / "vibe-router" / "agents" / client

    def write(self, texts: Mapping[Path, str], key: str, router: str) -> Path:
        """Write `texts`, after a backup of each file; return the backups' folder. An error leaves all as it was."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = self._folder / str(max(self._numbers(), default=0) + 1)
        folder.mkdir(mode=0o700)
        files = []
        for number, (path, text) in enumerate(texts.items()):
            backup = str(number) if path.exists() else None
            if backup:
                _write(folder / backup, path.read_bytes(), 0o600)
            mode = path.stat().st_mode & 0o777 if backup else None
            files.append({"path": str(path), "backup": backup, "mode": mode, "sha256": _digest(text.encode())})
        manifest = {"key": key, "router": router, "files": files}
        _write(folder / "manifest.json", json.dumps(manifest, indent=2).encode(), 0o600)
        try:
            for path, text in texts.items():
                _write(path, text.encode(), 0o600)  # it holds a key
        except BaseException:
            entry = self._read(folder)
            self.undo(replace(entry, files=[file for file in entry.files if file.is_unchanged]))
            raise
        return folder

    def last(self) -> Entry | None:
        """Return the last entry; None without any. Raises ValueError for a damaged one."""
        number = max(self._numbers(), default=None)
        return None if number is None else self._read(self._folder / str(number))

    def undo(self, entry: Entry) -> None:
        """Restore the files of `entry`, which is then gone. A file that was changed since keeps a copy beside it."""
        for file in entry.files:
            if file.path.exists() and not file.is_unchanged:
                _write(file.path.with_name(f"{file.path.name}.before-undo"), file.path.read_bytes(), 0o600)
            if file.before is None:
                file.path.unlink(missing_ok=True)
            else:
                _write(file.path, file.before.encode(), file.mode or 0o600)
        shutil.rmtree(entry.folder)

    def _numbers(self) -> list[int]:
        try:
            return [int(each.name) for each in self._folder.iterdir() if each.name.isdigit()]
        except FileNotFoundError:
            return []

    def _read(self, folder: Path) -> Entry:
        try:
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            files = [
                WrittenFile(
                    Path(each["path"]),
                    None if each["backup"] is None else (folder / each["backup"]).read_bytes().decode(),
                    each["mode"],
                    str(each["sha256"]),
                )
                for each in manifest["files"]
            ]
            return Entry(folder, str(manifest["key"]), str(manifest["router"]), files)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{folder} is damaged") from error


def _write(path: Path, content: bytes, mode: int) -> None:
    """Replace a file at once."""
    path = path.resolve()  # a link stays a link
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
