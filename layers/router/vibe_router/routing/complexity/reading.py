"""Read the user's turns of a conversation from the JSON of any wire format, in bounded time.

System prompts, answers, tool results and tool calls are left out: only what a user wrote says how hard a request is.
Anything of an unexpected shape is passed over, since the format's own parser is what rejects requests.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from vibe_router.routing.complexity.scorer import MAX_TURNS

__all__ = ["Conversation", "read_conversation", "user_turns"]

_MAX_MESSAGES = 4_000  # of a conversation; a longer one has a long context whatever it says
_MAX_PARTS = 64  # of a message
_TEXT_TYPES = frozenset((None, "text", "input_text"))
_ATTACHMENTS = frozenset(
    ("image_url", "image", "input_image", "file", "input_file", "document", "input_audio", "audio", "video_url")
)


@dataclass(frozen=True, slots=True)
class Conversation:
    """The texts of a user's turns, the oldest first, and whether a turn has something else than text.

    `is_complete` is false for a conversation with more turns than are scored.
    """

    turns: tuple[str, ...]
    has_attachment: bool = False
    is_complete: bool = True


def read_conversation(body: Mapping[str, Any]) -> Conversation:
    """Return the user's turns of a request's body: `messages`, `input`, `prompt` or `contents`."""
    messages = body.get("messages")
    if messages is None:
        messages = body.get("input")
    if messages is None:
        messages = body.get("prompt") if "prompt" in body else body.get("contents")
    return user_turns(messages)


def user_turns(messages: object) -> Conversation:
    """Return the user's turns among `messages`: a text, or a list of texts and of messages with a role."""
    turns: list[str] = []
    has_attachment = False
    is_complete = not isinstance(messages, Sequence) or len(messages) <= _MAX_MESSAGES or isinstance(messages, str)
    for message in _messages(messages):
        if len(turns) == MAX_TURNS:
            is_complete = False
            break
        if isinstance(message, str):
            turns.append(message)
        elif isinstance(message, Mapping) and message.get("role") == "user" and not message.get("tool_call_id"):
            text, attached = _content(message.get("parts") if "parts" in message else message.get("content"))
            has_attachment = has_attachment or attached
            if text.strip():
                turns.append(text)
    return Conversation(tuple(turns), has_attachment, is_complete)


def _messages(messages: object) -> Iterator[object]:
    if isinstance(messages, str):
        return iter((messages,))
    return islice(messages, _MAX_MESSAGES) if isinstance(messages, list | tuple) else iter(())


def _content(content: object) -> tuple[str, bool]:
    """Return the text of a message, and whether it has anything else than text and tool results."""
    if isinstance(content, str):
        return content, False
    texts: list[str] = []
    attached = False
    for part in islice(content, _MAX_PARTS) if isinstance(content, list | tuple) else ():
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping):
            kind, text = part.get("type"), part.get("text")
            if not isinstance(kind, str | None):
                continue
            if kind in _TEXT_TYPES and isinstance(text, str):
                texts.append(text)
            elif kind in _ATTACHMENTS or "inlineData" in part or "fileData" in part:
                attached = True
    return "\n".join(texts), attached
