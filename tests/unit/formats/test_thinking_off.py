"""A caller that turns thinking off, in every format, for providers of every format."""

import json
from typing import Any

import pytest

from vibe_router.core.models import Deployment, Provider
from vibe_router.formats import registry
from vibe_router.upstream.exchange import open_exchange

MESSAGES = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9000}
CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
CALLERS = [
    pytest.param("messages", {**MESSAGES, "thinking": {"type": "disabled"}}, id="messages: disabled"),
    pytest.param("messages", {**MESSAGES, "thinking": {"type": "enabled", "budget_tokens": 0}}, id="messages: 0"),
    pytest.param(
        "messages",
        {**MESSAGES, "thinking": {"type": "disabled"}, "output_config": {"effort": "high"}},
        id="messages: disabled beside an effort",
    ),
    pytest.param("chat", {**CHAT, "reasoning_effort": "none"}, id="chat: an effort of none"),
    pytest.param("chat", {**CHAT, "thinking": {"type": "disabled"}}, id="chat: DeepSeek's switch"),
    pytest.param("chat", {**CHAT, "enable_thinking": False, "reasoning_effort": "high"}, id="chat: Qwen's switch"),
    pytest.param("chat", {**CHAT, "reasoning": {"max_tokens": 0}}, id="chat: OpenRouter's budget"),
    pytest.param("responses", {"input": "Hi", "reasoning": {"effort": "none"}}, id="responses: an effort of none"),
]


def asked(caller: str, body: dict[str, Any], spoken: str, model: str) -> dict[str, Any]:
    """Return the body that a deployment which speaks `spoken` gets."""
    request = registry.client(caller).parse(json.dumps({"model": "m", **body}).encode(), {})
    deployment = Deployment(Provider("p", "https://p.example", "KEY", (spoken,)), model, formats=(spoken,))
    made: dict[str, Any] = json.loads(open_exchange(request, deployment, 0, stream=False).body(stream=False))
    return made


@pytest.mark.parametrize(("caller", "body"), CALLERS)
@pytest.mark.parametrize(
    ("spoken", "model", "field", "expected"),
    [
        ("chat", "deepseek-v4-flash", "thinking", {"type": "disabled"}),
        ("chat", "glm-4.7", "thinking", {"type": "disabled"}),
        ("chat", "ark-code-latest", "thinking", {"type": "disabled"}),
        ("chat", "Qwen3-Coder", "enable_thinking", False),
        ("chat", "claude-sonnet-4-6", "reasoning_effort", "none"),
        ("chat", "gemini-2.5-flash", "reasoning_effort", "none"),
        ("chat", "gemini-2.5-pro", "reasoning_effort", "low"),
        ("chat", "gpt-5.1", "reasoning_effort", "none"),
        ("chat", "openai/gpt-5-mini", "reasoning_effort", "minimal"),
        ("chat", "gpt-5.1-codex-mini", "reasoning_effort", "low"),
        ("chat", "o4-mini", "reasoning_effort", "low"),
        ("chat", "gpt-4.1", "reasoning_effort", None),
        ("responses", "gpt-5.2", "reasoning", {"effort": "none"}),
        ("responses", "gpt-5", "reasoning", {"effort": "minimal"}),
        ("responses", "gpt-4o", "reasoning", None),
        ("messages", "claude-sonnet-4-5", "thinking", {"type": "disabled"}),
        ("messages", "claude-opus-4-7", "thinking", {"type": "disabled"}),
        (
            "converse",
            "anthropic.claude-opus-4-7",
            "additionalModelRequestFields",
            {"thinking": {"type": "disabled"}},
        ),
    ],
)
def test_thinking_is_turned_off_in_the_words_of_the_model(
    caller: str, body: dict[str, Any], spoken: str, model: str, field: str, expected: object
) -> None:
    if caller == spoken:
        pytest.skip("passed on as sent")
    made = asked(caller, body, spoken, model)
    assert made.get(field) == expected
    if field != "reasoning_effort":
        assert "reasoning_effort" not in made
