import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts import advisories
from scripts.advisories import LOCKS, ROOT, findings, pins

LOCKED = pins("Some_Package==1.2.3 ; python_version < '4' \\\n    --hash=sha256:aa\nother[extra]==2.0\n# three==1\n")


def test_pins_of_a_lock_are_read_with_canonical_names() -> None:
    assert sorted(LOCKED) == [("other", "2.0"), ("some-package", "1.2.3")]


@pytest.mark.parametrize("name", LOCKS)
def test_every_lock_has_pins(name: str) -> None:
    assert pins((ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("database", "found"),
    [
        ({"some.package": ["<1.2.4"]}, ["some-package 1.2.3 is vulnerable: <1.2.4"]),
        ({"some-package": [">=1.0,<1.2.3", ">2"]}, []),
        ({"other": ["<2.0", "==2.0"], "$meta": ["x"]}, ["other 2.0 is vulnerable: ==2.0"]),
        ({"other": ["a range that nobody can read"]}, ["other 2.0 is vulnerable: a range that nobody can read"]),
        ({}, []),
    ],
)
def test_a_locked_version_in_a_vulnerable_range_is_found(database: dict[str, list[str]], found: list[str]) -> None:
    assert findings(LOCKED, database) == found


def test_a_missing_database_is_reported_instead_of_passed_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(advisories, "find_spec", lambda _: None)
    assert advisories.main() == 0
    assert capsys.readouterr().out.startswith("NOT CHECKED: the locked versions, because the package")


@pytest.mark.parametrize(
    ("database", "status", "reported"),
    [
        (None, 0, "NOT CHECKED: the locked versions, because the advisories cannot be read (FileNotFoundError)"),
        ("{", 0, "NOT CHECKED: the locked versions, because the advisories cannot be read (JSONDecodeError)"),
        ("[]", 0, "NOT CHECKED: the locked versions, because the advisories cannot be read (TypeError)"),
        ({"$meta": {"timestamp": 1_600_000_000}}, 0, "NOT CHECKED: advisories since September 2020"),
        ({"$meta": {"timestamp": datetime.now(UTC).timestamp()}}, 0, "none is among the advisories of"),
        ({"$meta": {"timestamp": 1_600_000_000}, "pytest": [">0"]}, 1, "is vulnerable: >0"),
    ],
    ids=["no file", "no JSON", "no object", "an old one", "a new one", "a finding"],
)
def test_the_report_says_how_old_the_advisories_are(
    database: object,
    status: int,
    reported: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if database is not None:
        text = database if isinstance(database, str) else json.dumps(database)
        (tmp_path / "insecure.json").write_text(text)
    monkeypatch.setattr(advisories, "find_spec", lambda _: SimpleNamespace(origin=str(tmp_path / "__init__.py")))
    assert advisories.main() == status
    assert reported in capsys.readouterr().out
