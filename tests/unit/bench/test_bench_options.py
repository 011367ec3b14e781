"""Peers on the command line."""

import pytest

from bench.options import Peer, peers_of


def test_peer_has_a_url_a_command_and_headers() -> None:
    urls = ["a=http://127.0.0.1:1/v1,sk-a,m", "b=http://127.0.0.1:2/v1"]
    commands = ["a=run --port 1 --provider={provider}"]
    headers = ["a=x-provider: openai", "a=x-host: {provider}"]
    assert peers_of(urls, commands, headers, "any") == (
        Peer(
            "a",
            "http://127.0.0.1:1/v1",
            "sk-a",
            "m",
            "run --port 1 --provider={provider}",
            (("x-provider", "openai"), ("x-host", "{provider}")),
        ),
        Peer("b", "http://127.0.0.1:2/v1", "sk-none", "any"),
    )


@pytest.mark.parametrize(
    ("commands", "headers"),
    [(["c=run"], []), (["a"], []), ([], ["c=x: y"]), ([], ["a=no colon"])],
    ids=["command of nobody", "no command", "header of nobody", "no header"],
)
def test_wrong_peer_is_rejected(commands: list[str], headers: list[str]) -> None:
    with pytest.raises(ValueError, match="is not NAME="):
        peers_of(["a=http://127.0.0.1:1/v1"], commands, headers, "any")
