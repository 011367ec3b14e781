from collections.abc import Iterator

import pytest

from local.standin import Standin
from tests.integration.failover.rig import Rig
from tests.integration.failover.served import Server, ServingEnvironment


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Standin() as standin:
        rig = Rig(standin)
        yield rig
        rig.upstream.close()


@pytest.fixture
def server() -> Iterator[Server]:
    with Standin() as standin:
        server = Server(ServingEnvironment(standin))
        yield server
        server.close()
