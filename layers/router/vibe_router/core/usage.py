"""The tokens of a request and its answer, in OpenAI's terms for every format.

    prompt_tokens      all of the request, of which:      cached_tokens       read from the provider's cache
                                                          cache_write_tokens  written to it
                                                          audio_prompt_tokens
    completion_tokens  all of the answer, of which:       reasoning_tokens    thought, and mostly not shown
                                                          audio_completion_tokens

Anthropic counts cached tokens beside its `input_tokens`; its reader adds them up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["MOST_TOKENS", "Usage", "count", "read_chat"]

MOST_TOKENS = 1_000_000_000  # beyond any model's; a provider that counts more has not counted


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as a provider counted them; None if it did not."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_prompt_tokens: int | None = None
    audio_completion_tokens: int | None = None

    @property
    def known(self) -> bool:
        """Return whether the provider counted the prompt or the completion."""
        return self.prompt_tokens is not None or self.completion_tokens is not None

    @property
    def total_tokens(self) -> int:
        """All tokens that were counted."""
        return (self.prompt_tokens or 0) + (self.completion_tokens or 0)

    def __add__(self, other: "Usage") -> "Usage":
        """Return the sum of both; what neither counted stays unknown."""
        sums = {}
        for each in fields(self):
            one, two = getattr(self, each.name), getattr(other, each.name)
            sums[each.name] = None if one is None and two is None else (one or 0) + (two or 0)
        return Usage(**sums)


def count(counts: object, *names: str) -> int | None:
    """Return the first of `names` under which `counts`, part of a provider's JSON, holds a number of tokens."""
    if isinstance(counts, Mapping):
        for name in names:
            value = counts.get(name)
            if isinstance(value, float) and value.is_integer():  # 100.0 is a whole number
                value = int(value)
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS:
                return value
    return None


def read_chat(usage: object) -> Usage:
    """Return the usage of a chat completion, a chunk, a completion or embeddings, as any provider reports it.

    Some providers count cached tokens beside the prompt (relays of Anthropic) or reasoning tokens beside the completion
    (xAI, Gemini); `total_tokens` shows which. Tokens that only the total contains count as completion tokens, the
    dearer kind. Zeros all over are no report: every request has a prompt.
    """
    if not isinstance(usage, Mapping):
        return Usage()
    input_details = _first(usage, "prompt_tokens_details", "input_tokens_details", "input_token_details")
    output_details = _first(usage, "completion_tokens_details", "output_tokens_details")
    prompt = count(usage, "prompt_tokens") or count(usage, "input_tokens", "prompt_tokens")
    completion = count(usage, "completion_tokens") or count(usage, "output_tokens", "completion_tokens")
    total = count(usage, "total_tokens")
    if not prompt and not completion:
        if not total:
            return Usage()
        prompt = completion = None
    cached = count(input_details, "cached_tokens")
    if cached is None:  # the names of DeepSeek, Anthropic and Moonshot
        cached = count(usage, "prompt_cache_hit_tokens", "cache_read_input_tokens", "cached_tokens")
    written = count(input_details, "cache_write_tokens", "cache_creation_tokens", "cached_creation_tokens")
    if written is None:
        written = count(usage, "cache_creation_input_tokens")
    reasoning = count(output_details, "reasoning_tokens")
    if reasoning is None:
        reasoning = count(usage, "reasoning_tokens")
    if "input_tokens" in usage and not usage.get("prompt_tokens") and _is_anthropic(usage) and prompt is not None:
        prompt += (cached or 0) + (written or 0)
    if prompt is not None and completion is not None:
        beside_prompt, beside_completion = _uncounted(prompt, completion, total, cached, written, reasoning)
        prompt, completion = prompt + beside_prompt, completion + beside_completion
    elif total:
        if prompt is not None and total > prompt:
            completion = total - prompt
        elif completion is not None and total > completion:
            prompt = total - completion
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
        audio_prompt_tokens=count(input_details, "audio_tokens"),
        audio_completion_tokens=count(output_details, "audio_tokens"),
    )


def _first(usage: Mapping[str, Any], *names: str) -> object:
    return next((usage[name] for name in names if usage.get(name)), None)


def _is_anthropic(usage: Mapping[str, Any]) -> bool:
    """Return whether `usage` has Anthropic's fields, whose `input_tokens` exclude cached tokens."""
    return "cache_read_input_tokens" in usage or "cache_creation_input_tokens" in usage


def _uncounted(
    prompt: int, completion: int, total: int | None, cached: int | None, written: int | None, reasoning: int | None
) -> tuple[int, int]:
    """Return the tokens that a provider's prompt count and completion count leave out."""
    cache, thought = (cached or 0) + (written or 0), reasoning or 0
    beside_prompt = cache if cache > prompt else 0  # a part cannot be larger than the whole
    beside_completion = thought if thought > completion else 0
    missing = (total or 0) - prompt - completion
    if missing <= 0:
        return beside_prompt, beside_completion
    read = cached or 0
    for of_prompt, of_completion in ((0, thought), (cache, 0), (cache, thought), (read, 0), (read, thought)):
        if of_prompt + of_completion == missing:
            return of_prompt, of_completion
    return beside_prompt, max(missing - beside_prompt, beside_completion)
