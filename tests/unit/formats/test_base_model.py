"""Deployments whose model name does not identify the model."""

import json
from typing import Any

import pytest

from vibe_router.core.errors import ApiError
from vibe_router.core.models import Deployment, Provider
from vibe_router.formats import registry
from vibe_router.upstream.exchange import open_exchange

PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3"


def asked(spoken: str, model: str, base_model: str | None, **fields: Any) -> dict[str, Any]:
    """Return the body that a deployment gets for a Messages request."""
    body = {"model": "m", "max_tokens": 9000, "messages": [{"role": "user", "content": "Hi"}], **fields}
    request = registry.client("messages").parse(json.dumps(body).encode(), {})
    provider = Provider("p", "https://p.example", "KEY", (spoken,))
    deployment = Deployment(provider, model, formats=(spoken,), base_model=base_model)
    made: dict[str, Any] = json.loads(open_exchange(request, deployment, 0, stream=False).body(stream=False))
    return made


def test_base_model_makes_a_bedrock_profile_claude() -> None:
    thinking = {"type": "enabled", "budget_tokens": 2048}
    marked = [{"type": "text", "text": "Be.", "cache_control": {"type": "ephemeral"}}]
    plain = asked("converse", PROFILE, None, thinking=thinking, system=marked)
    claude = asked("converse", PROFILE, "claude-sonnet-4-5", thinking=thinking, system=marked)
    assert "additionalModelRequestFields" not in plain
    assert claude["additionalModelRequestFields"]["thinking"] == {"type": "enabled", "budget_tokens": 2048}
    assert (len(plain["system"]), len(claude["system"])) == (1, 2)
    assert asked("converse", PROFILE, "claude-sonnet-4-5", top_k=5)["additionalModelRequestFields"] == {"top_k": 5}
    with pytest.raises(ApiError, match="top_k"):
        asked("converse", PROFILE, None, top_k=5)


@pytest.mark.parametrize(("base_model", "word"), [(None, "max_tokens"), ("gpt-5", "max_completion_tokens")])
def test_base_model_decides_the_name_of_max_tokens(base_model: str | None, word: str) -> None:
    body = asked("chat", "ours", base_model)
    assert (body["model"], body[word]) == ("ours", 9000)


def test_base_model_decides_how_a_model_thinks() -> None:
    effort = {"effort": "low"}
    request = registry.client("chat").parse(
        json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "reasoning_effort": "low"}).encode(),
        {},
    )
    deployment = Deployment(
        Provider("p", "https://p.example", "KEY", ("messages",)),
        "ours",
        formats=("messages",),
        base_model="claude-opus-4-7",
    )
    body = json.loads(open_exchange(request, deployment, 0, stream=False).body(stream=False))
    assert (body["model"], body["thinking"], body["output_config"]) == ("ours", {"type": "adaptive"}, effort)
