"""The tokens that an answer took, in OpenAI's terms, whatever format told of them.

    prompt_tokens      all that went in, and of these:    cached_tokens       read from the provider's cache
                                                          cache_write_tokens  written to it
                                                          audio_prompt_tokens
    completion_tokens  all that came out, and of these:   reasoning_tokens    thought, and mostly not shown
                                                          audio_completion_tokens

Anthropic counts what is cached beside its `input_tokens` and not within: whoever reads that format adds it up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["MOST_TOKENS", "Usage", "count", "read_chat"]

MOST_TOKENS = 1_000_000_000  # beyond any model's; a provider that counts more has not counted


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a provider counted; None where it did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_prompt_tokens: int | None = None
    audio_completion_tokens: int | None = None

    @property
    def known(self) -> bool:
        """Whether the provider said how much went in or came out."""
        return self.prompt_tokens is not None or self.completion_tokens is not None

    @property
    def total_tokens(self) -> int:
        """All that went in and came out, as far as it is known."""
        return (self.prompt_tokens or 0) + (self.completion_tokens or 0)


def count(counts: object, *names: str) -> int | None:
    """Return the first of `names` under which `counts`, part of a provider's JSON, holds a number of tokens."""
    if isinstance(counts, Mapping):
        for name in names:
            value = counts.get(name)
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS:
                return value
    return None


def read_chat(usage: object) -> Usage:
    """Return what the `usage` of a chat completion, a chunk, a completion or embeddings counts."""
    if not isinstance(usage, Mapping):
        return Usage()
    into: Any = usage.get("prompt_tokens_details")
    out: Any = usage.get("completion_tokens_details")
    cached = count(into, "cached_tokens")
    if cached is None:  # DeepSeek's and Anthropic's names for it, as relays pass them on
        cached = count(usage, "prompt_cache_hit_tokens", "cache_read_input_tokens")
    written = count(into, "cache_write_tokens", "cache_creation_tokens", "cached_creation_tokens")
    return Usage(
        prompt_tokens=count(usage, "prompt_tokens"),
        completion_tokens=count(usage, "completion_tokens"),
        cached_tokens=cached,
        cache_write_tokens=count(usage, "cache_creation_input_tokens") if written is None else written,
        reasoning_tokens=count(out, "reasoning_tokens"),
        audio_prompt_tokens=count(into, "audio_tokens"),
        audio_completion_tokens=count(out, "audio_tokens"),
    )
