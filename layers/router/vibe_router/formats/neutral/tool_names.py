"""Tool names for formats that allow 64 characters: longer ones are shortened in requests and restored in answers."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from vibe_router.formats.neutral.model import (
    AllowedTools,
    NamedTool,
    NeutralRequest,
    Part,
    Tool,
    ToolCall,
)

__all__ = [
    "MAX_TOOL_NAME",
    "original_tool_names",
    "short_tool_name",
    "with_short_tool_names",
]

MAX_TOOL_NAME = 64  # characters that OpenAI and Bedrock accept; Anthropic accepts 128
_DIGEST_BYTES = 5


def short_tool_name(name: str) -> str:
    """Return `name`, or if it is too long its beginning with a digest of it: always the same for the same name."""
    if len(name) <= MAX_TOOL_NAME:
        return name
    digest = hashlib.blake2b(name.encode(errors="replace"), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{name[: MAX_TOOL_NAME - len(digest) - 1]}_{digest}"


def original_tool_names(request: NeutralRequest) -> Mapping[str, str]:
    """Return the names of the request's tools by the names sent to the provider."""
    return {short_tool_name(tool.name): tool.name for tool in request.tools if isinstance(tool, Tool)}


def with_short_tool_names(request: NeutralRequest) -> NeutralRequest:
    """Return `request` with the names of its tools, choices and earlier calls shortened; itself if all are short."""

    def shorten(part: Part) -> Part:
        is_long = isinstance(part, ToolCall) and len(part.name) > MAX_TOOL_NAME
        return replace(part, name=short_tool_name(part.name)) if is_long and isinstance(part, ToolCall) else part

    long = [tool for tool in request.tools if isinstance(tool, Tool) and len(tool.name) > MAX_TOOL_NAME]
    if not long and all(shorten(part) is part for message in request.messages for part in message.parts):
        return request
    choice = request.tool_choice
    if isinstance(choice, NamedTool):
        choice = replace(choice, name=short_tool_name(choice.name))
    elif isinstance(choice, AllowedTools):
        choice = replace(choice, names=[short_tool_name(name) for name in choice.names])
    tools = [
        replace(tool, name=short_tool_name(tool.name)) if isinstance(tool, Tool) else tool for tool in request.tools
    ]
    messages = [replace(message, parts=[shorten(part) for part in message.parts]) for message in request.messages]
    return replace(request, tools=tools, tool_choice=choice, messages=messages)
