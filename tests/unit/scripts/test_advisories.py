import pytest

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
