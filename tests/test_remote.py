"""Tests of a deployed router, on top of the six models and the route suite.

VIBE_ROUTER_KEY=… python tests/test_remote.py --url https://….execute-api.….amazonaws.com/prod/v1

As a program it runs all three. Collected by pytest it is skipped unless VIBE_ROUTER_URL is set.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for running it as a program

from vibe_cli.chat_client import ChatClient

pytest_plugins = ["tests.router_options"]
pytestmark = pytest.mark.skipif(
    not os.environ.get("VIBE_ROUTER_URL"),
    reason="needs a deployed router: set VIBE_ROUTER_URL and VIBE_ROUTER_KEY",
)


def test_the_stream_comes_as_it_is_made(router: ChatClient) -> None:
    answer = router.chat(
        "auto-chat", stream=True, messages=[{"role": "user", "content": "Count from one to sixty, in words."}]
    )
    assert not answer.why
    arrivals = sorted({at for at, _ in answer.events})
    # Buffered on the way, all of it would arrive in one instant.
    assert arrivals[-1] - arrivals[0] > 50
    assert len(arrivals) > 3


def test_twenty_streams_at_once_finish_whole(router: ChatClient) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: router.chat("auto-chat-mini", stream=True), range(20)))
    assert [answer.why for answer in answers] == [""] * 20
    assert len({answer.headers["x-vibe-request-id"] for answer in answers}) == 20


def test_a_body_over_the_limit_is_413_in_the_usual_shape(router: ChatClient) -> None:
    answer = router.client.post(f"{router.url}/chat/completions", content=b"x" * (11 * 1024 * 1024))
    assert answer.status_code == 413
    assert json.loads(answer.text)["error"]["message"]


def test_a_long_conversation_gets_through(router: ChatClient) -> None:
    messages = [{"role": "system", "content": "ü" * 20_000}, {"role": "user", "content": "Say hello."}]
    assert not router.chat("auto-chat", stream=False, messages=messages).why


if __name__ == "__main__":
    from tests.router_program import run

    sys.exit(run("Test a deployed router.", "test_all_6_models.py", "test_route.py", "test_remote.py"))
