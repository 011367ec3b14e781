import os
import re
from pathlib import Path

import pytest

from local.data_dir import DataDirError, lock_data_dir
from local.files import write_atomically
from local.master_key import stored_master_key
from local.tables import set_aside


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "tables" / "a.json"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.json"], "no temporary file is left"


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_atomically(path, b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"half")
    assert path.read_bytes() == b"old"


def test_set_aside_changes_remain_readable(tmp_path: Path) -> None:
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


def test_a_directory_shared_by_all_users_is_rejected_and_left_alone(tmp_path: Path) -> None:
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
