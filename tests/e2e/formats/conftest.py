from collections.abc import Iterator

import pytest

from tests.e2e.formats.pairs import PROVIDERS, SPARES, spare
from tests.e2e.stack import Stack


@pytest.fixture
def stack(formats_stack: Stack) -> Stack:
    """A router in front of one provider per format, each with spare models that a test can break."""
    return formats_stack


@pytest.fixture(scope="session")
def spares() -> dict[str, Iterator[str]]:
    """The spare models that no test has broken yet, by their format."""
    return {spoken: iter([spare(spoken, number) for number in range(SPARES)]) for spoken in PROVIDERS}
