"""How the tests are shared out among processes: those that need the same running router stay together.

And no property is false because a machine was slow.
"""

import os

import pytest
from hypothesis import settings

STACKS = ("shared_stack", "shared_formats_stack", "used_stack", "_called")
"""Fixtures that start a router for a whole session: it would be started again in every process that needs it."""

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_xdist_auto_num_workers() -> int:
    """Start more processes than there are processors: those with a running router mostly wait for it."""
    return 2 * (os.cpu_count() or 1)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        stack = next((each for each in STACKS if each in getattr(item, "fixturenames", ())), None)
        item.add_marker(pytest.mark.xdist_group(stack or item.nodeid.partition("::")[0]))
