"""What commands add to the audit log."""

from pathlib import Path

from vibe_cli.audit_log import audit_table_of, digest_of_folder, os_user


def test_the_table_is_named_after_the_stack() -> None:
    assert audit_table_of("router-dev-routes") == "router-dev-audit"


def test_a_digest_changes_with_names_and_contents(tmp_path: Path) -> None:
    assert digest_of_folder(tmp_path) == ""
    (tmp_path / "hooks.py").write_text("a = 1")
    (tmp_path / "__pycache__").mkdir()
    first = digest_of_folder(tmp_path)
    (tmp_path / "__pycache__" / "hooks.pyc").write_bytes(b"1")
    assert digest_of_folder(tmp_path) == first
    (tmp_path / "hooks.py").write_text("a = 2")
    second = digest_of_folder(tmp_path)
    (tmp_path / "hooks.py").rename(tmp_path / "other.py")
    assert len({first, second, digest_of_folder(tmp_path)}) == 3


def test_somebody_runs_a_command() -> None:
    assert os_user()
