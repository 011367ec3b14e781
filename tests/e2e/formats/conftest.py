from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.formats.pairs import PROVIDERS, SPARES, routes, spare
from tests.e2e.stack import Stack, running


@pytest.fixture(scope="session")
def shared_formats_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    data: Path = tmp_path_factory.mktemp("formats")
    with running(data, routes, PROVIDER_KEY="sk-provider") as stack:
        for spoken, provider in PROVIDERS.items():
            stack.standin.speaks(provider, spoken)
        yield stack


@pytest.fixture
def stack(shared_formats_stack: Stack) -> Stack:
    """A router in front of one provider per format, each with spare models that a test can break."""
    shared_formats_stack.standin.forget()
    return shared_formats_stack


@pytest.fixture(scope="session")
def spares() -> dict[str, Iterator[str]]:
    """The spare models that no test has broken yet, by their format."""
    return {spoken: iter([spare(spoken, number) for number in range(SPARES)]) for spoken in PROVIDERS}
