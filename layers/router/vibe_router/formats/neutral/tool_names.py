"""Tool names for formats that allow 64 characters: longer ones are shortened in requests and restored in answers."""

import hashlib
from collections.abc import Mapping

from vibe_router.formats.neutral.model import NeutralRequest, Tool

__all__ = ["MAX_TOOL_NAME", "original_tool_names", "short_tool_name"]

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
