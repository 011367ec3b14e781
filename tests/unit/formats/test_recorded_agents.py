"""Successive requests of coding agents, as they were recorded, differ by the new turn only in every provider's format.

`recorded/` has, by agent and by the format of the deployment that served, the first requests of a session in which the
agent called two tools. Long texts are replaced by their digests, and all tools but two are left out.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.unit.formats.test_prompt_prefix import without_marks
from vibe_router.core.models import Deployment, Provider
from vibe_router.formats import registry
from vibe_router.formats.gemini.format import GeminiCall
from vibe_router.formats.interfaces import ClientRequest
from vibe_router.upstream.exchange import open_exchange

RECORDED = Path(__file__).parent / "recorded"
# The provider of each format in the recordings: proofs of reasoning are sent to their issuer only.
ISSUERS = {"chat": "chats", "responses": "responds", "messages": "messages-on", "converse": "bedrock"}
AGENTS = {"codex": "responses", "claude": "messages", "gemini": "gemini", "opencode": "chat"}


def parsed(caller: str, body: Any) -> ClientRequest:
    raw = json.dumps(body).encode()
    if caller == "gemini":
        return GeminiCall("m", stream=True, events=True).parse(raw, {})
    return registry.client(caller).parse(raw, {})


def plain(value: Any) -> Any:
    """Return `value` without cache breakpoints, and a single text as Claude Code writes it without one."""
    value = without_marks(value)
    for message in value if isinstance(value, list) else ():
        content = message.get("content")
        if isinstance(content, list) and len(content) == 1 and content[0].keys() == {"type", "text"}:
            message["content"] = content[0]["text"]
    return value


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("spoken", ISSUERS)
def test_a_turn_of_an_agent_adds_only_itself(agent: str, spoken: str) -> None:
    bodies = json.loads((RECORDED / f"{agent}.json").read_text(encoding="utf-8"))[spoken]
    assert len(bodies) == 3
    deployment = Deployment(Provider(ISSUERS[spoken], "http://127.0.0.1", "KEY"), "claude-haiku-4-5", formats=(spoken,))
    sent = []
    for body in bodies:
        exchange = open_exchange(parsed(AGENTS[agent], body), deployment, 0, stream=True)
        fields = json.loads(exchange.body(stream=True))
        messages = plain(fields.pop("input" if spoken == "responses" else "messages"))
        assert exchange.left_out == 0
        sent.append((without_marks(fields), messages))
    for (fields, messages), (later_fields, later_messages) in pairwise(sent):
        assert later_fields == fields
        assert later_messages[: len(messages)] == messages
        assert len(later_messages) > len(messages)
