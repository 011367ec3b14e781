from collections.abc import Iterator
from functools import cache

import pytest

from vibe_router.upstream import client


@pytest.fixture(scope="session", autouse=True)
def one_trust() -> Iterator[None]:
    """Read the machine's certificates once: every gateway and failover checks providers by them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "trusted_ssl_context", cache(client.trusted_ssl_context))
        yield
