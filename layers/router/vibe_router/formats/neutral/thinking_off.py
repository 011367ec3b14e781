"""The ways to switch off thinking, by model: most think by default."""

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["chat_fields", "lowest_effort"]

# By model: the lowest effort of those that cannot stop reasoning, "" for those that do not reason. The first match
# counts; every other model accepts "none".
_LOWEST_EFFORT = (
    (re.compile(r"(?:^|/)(?:gpt-[34]|chatgpt)"), ""),
    (re.compile(r"(?:^|/)o\d|codex|gemini-(?:2\.5-pro|3)"), "low"),
    (re.compile(r"(?:^|/)gpt-5(?!\.\d)"), "minimal"),
)
# Chat providers whose models have a switch of their own.
_SWITCHES: tuple[tuple[re.Pattern[str], Mapping[str, Any]], ...] = (
    (re.compile(r"deepseek|glm|kimi|moonshot|doubao|seed|(?:^|/)ark-|mimo"), {"thinking": {"type": "disabled"}}),
    (re.compile(r"qwen|qwq"), {"enable_thinking": False}),
)


def lowest_effort(model: str) -> str | None:
    """Return the effort with which `model` reasons least; None where an effort must not be sent."""
    return next((effort for pattern, effort in _LOWEST_EFFORT if pattern.search(model)), "none") or None


def chat_fields(model: str) -> dict[str, Any]:
    """Return the fields of a chat request that keep `model` from thinking."""
    for pattern, fields in _SWITCHES:
        if pattern.search(model.lower()):
            return dict(fields)
    effort = lowest_effort(model)
    return {"reasoning_effort": effort} if effort else {}
