"""Families of models, by their names: a judge that is related to one of two answers would prefer it."""

import re
from collections.abc import Collection
from dataclasses import replace

from vibe_router.core.models import VirtualModel

__all__ = ["family_of", "without_families"]

_NAME = re.compile("[a-z]+")
_RELATED = {"o": "gpt", "chatgpt": "gpt", "codex": "gpt", "gemma": "gemini", "chatglm": "glm", "qwq": "qwen"}


def family_of(model: str) -> str:
    """Return the family of a provider's model: `anthropic/claude-sonnet-4-6` is of `claude`."""
    last = model.lower().rsplit("/", 1)[-1]
    parts = [part for part in last.split(".") if part]  # Bedrock: eu.anthropic.claude-sonnet-4-6-v1:0
    found = next((name[0] for part in reversed(parts) if (name := _NAME.match(part))), last)
    return _RELATED.get(found, found)


def without_families(model: VirtualModel, models: Collection[str]) -> VirtualModel | None:
    """Return `model` without the deployments that are related to one of `models`; None if none is left."""
    related = {family_of(each) for each in models}
    steps = (tuple(each for each in step if family_of(each.model) not in related) for step in model.steps)
    left = tuple(step for step in steps if step)
    return replace(model, steps=left) if left else None
