from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.formats.pairs import OTHERS, PROVIDERS, routes
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


@pytest.fixture(scope="session")
def shared_formats_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    data: Path = tmp_path_factory.mktemp("formats")
    with running(data, routes, PROVIDER_KEY="sk-provider") as stack:
        for spoken, provider in PROVIDERS.items():
            stack.standin.speaks(provider, spoken)
        for provider, formats in OTHERS.items():
            stack.standin.speaks(provider, *formats)
        yield stack


@pytest.fixture
def formats_stack(shared_formats_stack: Stack) -> Stack:
    """A router in front of one provider per format, which has forgotten what it was asked."""
    shared_formats_stack.standin.forget()
    return shared_formats_stack
