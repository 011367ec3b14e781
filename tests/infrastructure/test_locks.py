"""The locks agree, so that one environment can contain them all, and the tested versions are those that run."""

import re

import pytest

from tests.infrastructure.expanded import ROOT


def _pins(name: str) -> set[tuple[str, str]]:
    """Return names and versions. A package may have one version for older Pythons and another for newer ones."""
    text = (ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8")
    return set(re.findall(r"^([A-Za-z0-9._-]+(?:\[[a-z,]+\])?)==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize(("smaller", "larger"), [("build", "dev"), ("runtime", "local"), ("local", "dev")])
def test_larger_lock_contains_the_smaller(smaller: str, larger: str) -> None:
    pins = _pins(smaller)
    assert pins
    assert pins <= _pins(larger)


@pytest.mark.parametrize("name", ["build", "runtime", "local", "dev"])
def test_every_pin_has_hashes(name: str) -> None:
    text = (ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8")
    entries = [entry for entry in text.replace("\\\n", " ").splitlines() if "==" in entry.split("--hash")[0]]
    assert len(entries) == len(_pins(name))
    assert all("--hash=sha256:" in entry for entry in entries)
