"""The base of the writers of chat and legacy completions, whose chunks all repeat the id, date and model."""

import secrets
from collections.abc import Mapping
from typing import Any

from vibe_router.core.errors import ApiError
from vibe_router.core.usage import Usage
from vibe_router.formats.chat.stream import DONE, error_event
from vibe_router.formats.common import sse
from vibe_router.formats.common.json_body import dump, without_none
from vibe_router.formats.neutral.model import Event, Started, UsageReport

__all__ = ["ChunkWriter", "usage_fields"]


class ChunkWriter:
    """A `StreamWriter` of chunks. `prefix` begins the id, `kind` is the chunks' `object`."""

    def __init__(self, prefix: str, kind: str, *, wants_usage: bool, created: int) -> None:
        self._wants_usage = wants_usage
        self._base: dict[str, Any] = {
            "id": f"{prefix}-{secrets.token_hex(12)}",
            "object": kind,
            "created": created,
            "model": None,
        }
        self._usage = Usage()

    def write(self, event: Event) -> bytes:
        """Return the bytes of the chunk for `event`, empty for none."""
        chunk = self.chunk(event)
        return sse.encode(dump(chunk)) if chunk is not None else b""

    def chunk(self, event: Event) -> dict[str, Any] | None:
        """Return the chunk for `event`, None if the format has none."""
        match event:
            case Started():
                self._base["model"] = event.model
                if event.created:
                    self._base["created"] = event.created
            case UsageReport():
                self._usage = event.usage
            case _:
                pass
        return None

    def usage_chunk(self) -> dict[str, Any]:
        """Return the last chunk, which reports the usage."""
        return {**self._base, "choices": [], "usage": usage_fields(self._usage)}

    def end(self) -> bytes:
        """Return the usage chunk, if requested, and `[DONE]`."""
        return (sse.encode(dump(self.usage_chunk())) if self._wants_usage else b"") + DONE

    def fail(self, error: ApiError) -> bytes:
        """Return the error event; no `[DONE]` follows it."""
        return error_event(error)

    def _of(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._base, "choices": [choice]}


def usage_fields(usage: Usage) -> dict[str, Any] | None:
    """Return `usage` in chat's fields; None if the provider did not report it."""
    if not usage.known:
        return None
    prompt, completion = usage.prompt_tokens or 0, usage.completion_tokens or 0
    fields: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    input_details = {
        "cached_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "audio_tokens": usage.audio_prompt_tokens,
    }
    output_details = {"reasoning_tokens": usage.reasoning_tokens, "audio_tokens": usage.audio_completion_tokens}
    if details := without_none(input_details):
        fields["prompt_tokens_details"] = details
    if details := without_none(output_details):
        fields["completion_tokens_details"] = details
    return fields
