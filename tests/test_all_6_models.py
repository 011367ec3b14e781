"""The quick test: all six virtual models, streamed and whole.

python tests/test_all_6_models.py                                    the router that `make start` runs
VIBE_ROUTER_KEY=… python tests/test_all_6_models.py --url https://…  any other
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for running it as a program

from vibe_cli.chat_client import ChatClient

pytest_plugins = ["tests.router_options"]

MODELS = ["auto-chat", "auto-chat-mini", "auto-claude", "auto-claude-mini", "auto-codex", "auto-codex-mini"]


def test_all_six_are_listed(router: ChatClient) -> None:
    assert set(MODELS) <= set(router.models())


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("model", MODELS)
def test_it_answers(router: ChatClient, model: str, stream: bool) -> None:
    answer = router.chat(model, stream=stream)
    assert not answer.why
    assert answer.headers["x-vibe-model"] == model
    assert answer.finish_reason == "stop"
    assert answer.completion_tokens


if __name__ == "__main__":
    from vibe_cli.app import main

    sys.exit(main(["smoke", *sys.argv[1:], "--models", ",".join(MODELS)]))
