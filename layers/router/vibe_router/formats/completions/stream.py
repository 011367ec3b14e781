"""A provider's legacy completion, streamed or whole: chat's, with `text` in place of a message or a delta."""

from collections.abc import Mapping
from typing import Any

from vibe_router.formats.chat.stream import DONE, ChatStreamReader, read_choices
from vibe_router.formats.common import sse
from vibe_router.formats.common.json_body import dump

__all__ = ["CompletionsStreamReader", "read_whole", "to_events"]


class CompletionsStreamReader(ChatStreamReader):
    """Reads a provider's stream of completions."""

    def _has_content(self, choice: Mapping[str, Any]) -> bool:
        return bool(choice.get("text"))


def read_whole(raw: bytes) -> dict[str, Any] | None:
    """Parse the completion in `raw`; None if it is not JSON, is an error, or has a choice without text."""
    return read_choices(raw, "text", str)


def to_events(answer: Mapping[str, Any], *, wants_usage: bool) -> list[bytes]:
    """Return a whole completion (from `read_whole`) as the events of a stream."""
    base = {key: value for key, value in answer.items() if key not in ("choices", "usage")}
    events = [sse.encode(dump({**base, "choices": answer["choices"]}))]
    if wants_usage and answer.get("usage"):
        events.append(sse.encode(dump({**base, "choices": [], "usage": answer["usage"]})))
    return [*events, DONE]
