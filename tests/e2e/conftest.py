from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stack import Stack, running


@pytest.fixture(scope="session")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    data: Path = tmp_path_factory.mktemp("stack")
    with running(data) as stack:
        yield stack


@pytest.fixture
def stack(shared_stack: Stack) -> Iterator[Stack]:
    """The router with every provider well and nothing cooling."""
    shared_stack.standin.forget()
    yield shared_stack
    if shared_stack.broken:
        shared_stack.heal()
