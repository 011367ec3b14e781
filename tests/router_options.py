"""Choose the router that the route tests call: one that the environment names, or one started for them.

VIBE_ROUTER_URL        its base URL, local or remote, with a stage or without
VIBE_ROUTER_KEY        its key
VIBE_ROUTER_STANDINS   the control API of its stand-ins, if it has some (`make start` prints it)
"""

import os
from collections.abc import Iterator

import pytest

from tests.e2e.stack import KEY, running
from vibe_cli.chat_client import ChatClient, choose_router

__all__ = ["router", "standins"]

URL, STANDINS = "VIBE_ROUTER_URL", "VIBE_ROUTER_STANDINS"


@pytest.fixture(scope="session")
def _called(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ChatClient, str | None]]:
    if url := os.environ.get(URL):
        with ChatClient(*choose_router(url)) as router:
            yield router, os.environ.get(STANDINS)
    else:
        with running(tmp_path_factory.mktemp("routes")) as stack, ChatClient(stack.url, KEY) as router:
            yield router, stack.standin.control_url


@pytest.fixture
def router(_called: tuple[ChatClient, str | None]) -> ChatClient:
    return _called[0]


@pytest.fixture
def standins(_called: tuple[ChatClient, str | None]) -> str:
    if _called[1] is None:
        pytest.skip(f"a provider can only be broken where it is a stand-in: {STANDINS} is not set")
    return _called[1]
