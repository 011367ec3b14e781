from collections.abc import Iterator

import pytest

from local.standin import Standin
from tests.integration.failover.harness import Harness
from tests.integration.failover.served import Server, ServingEnvironment


@pytest.fixture
def harness() -> Iterator[Harness]:
    with Standin() as standin:
        harness = Harness(standin)
        yield harness
        harness.upstream.close()


@pytest.fixture
def server() -> Iterator[Server]:
    with Standin() as standin:
        server = Server(ServingEnvironment(standin))
        yield server
        server.close()
