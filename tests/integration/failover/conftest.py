from collections.abc import Iterator

import pytest

from local.standin import Standin
from tests.integration.failover.rig import Rig


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Standin() as standin:
        rig = Rig(standin)
        yield rig
        rig.upstream.close()
