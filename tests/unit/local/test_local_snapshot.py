import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from local.data_dir import DataDirError, lock_data_dir
from local.master_key import stored_master_key
from local.snapshot import Debounce, read_items, set_aside, write_atomically


@dataclass
class Clock:
    """Time that passes when it is told to."""

    now: float = 0.0
    due: list["Call"] = field(default_factory=list)

    def call_later(self, delay: float, action: Callable[[], None]) -> "Call":
        call = Call(self.now + delay, action)
        self.due.append(call)
        return call

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for call in [call for call in self.due if call.at <= self.now]:
            self.due.remove(call)
            if not call.cancelled:
                call.action()


@dataclass
class Call:
    at: float
    action: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


def test_many_writes_are_one_save_and_a_busy_time_puts_it_off_no_longer() -> None:
    clock, saves = Clock(), list[float]()
    debounce = Debounce(lambda: saves.append(clock.now), 0.5, clock.call_later)
    for _ in range(4):
        debounce.schedule()
        clock.advance(0.2)
    assert saves == [pytest.approx(0.6)]
    clock.advance(10)
    assert len(saves) == 2, "the write after the save is saved too"


def test_nothing_to_do_is_not_done() -> None:
    clock, saves = Clock(), list[float]()
    debounce = Debounce(lambda: saves.append(clock.now), 0.5, clock.call_later)
    debounce.flush()
    clock.advance(10)
    assert saves == []


def test_a_flush_does_it_now_and_once() -> None:
    clock, saves = Clock(), list[float]()
    debounce = Debounce(lambda: saves.append(clock.now), 0.5, clock.call_later)
    debounce.schedule()
    debounce.flush()
    clock.advance(10)
    assert saves == [0.0]


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "tables" / "a.json"
    write_atomically(path, b'{"items": [{"id": {"S": "1"}}]}')
    write_atomically(path, b'{"items": []}')
    assert read_items(path) == []
    assert [entry.name for entry in path.parent.iterdir()] == ["a.json"], "no temporary file is left"


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_atomically(path, b'{"items": []}')

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"half")
    assert read_items(path) == []


def test_no_file_is_nothing_saved(tmp_path: Path) -> None:
    assert read_items(tmp_path / "a.json") is None


@pytest.mark.parametrize("content", [b"", b'{"items": [', b"[]", b'{"items": [1]}', b"\xff\xfe"])
def test_a_file_with_anything_else_is_told_apart(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds, all of which mean this
        read_items(tmp_path / "a.json")


def test_what_is_set_aside_stays_to_be_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"broken")
    kept = set_aside(path, now=0)
    assert kept.name == "a.json.unreadable-19700101T000000Z"
    assert kept.read_bytes() == b"broken"
    assert not path.exists()


@pytest.mark.parametrize("mode", [None, 0o755], ids=["new", "readable by others before"])
def test_the_data_dir_and_its_files_are_the_owners_alone(tmp_path: Path, mode: int | None) -> None:
    data = tmp_path / "data"
    if mode is not None:
        data.mkdir(mode=mode)
    os.close(lock_data_dir(data))
    write_atomically(data / "tables" / "a.json", b"{}")
    stored_master_key(data)
    modes = {path.name: path.stat().st_mode & 0o777 for path in [data, *data.rglob("*")]}
    assert modes == {"data": 0o700, "lock": 0o600, "tables": 0o700, "a.json": 0o600, "master-key": 0o600}


def test_a_generated_master_key_is_random_and_lasts(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    key = stored_master_key(first)
    assert re.fullmatch(r"sk-vibe-[\w-]{32}", key)
    assert stored_master_key(first) == key
    assert stored_master_key(second) != key


def test_a_data_dir_that_is_a_file_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")
    for path in (tmp_path / "data", tmp_path / "data" / "below"):
        with pytest.raises(DataDirError, match=r"it is not a directory\. .*make start DATA_DIR=PATH"):
            lock_data_dir(path)


def test_a_directory_shared_by_all_users_is_refused_and_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    with pytest.raises(DataDirError, match="shared with other users"):
        lock_data_dir(tmp_path)
    assert tmp_path.stat().st_mode & 0o7777 == 0o1777


def test_one_stack_at_a_time_uses_a_data_dir(tmp_path: Path) -> None:
    held = lock_data_dir(tmp_path / "data")
    with pytest.raises(DataDirError, match=rf"process {os.getpid()}\).*DATA_DIR"):
        lock_data_dir(tmp_path / "data")
    os.close(held)
    os.close(lock_data_dir(tmp_path / "data"))
