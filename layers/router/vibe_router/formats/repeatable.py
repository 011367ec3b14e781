"""Detect requests that have the same answer every time, and bring two of them into a comparable form. Pure.

Repeatable are embeddings, and conversations with temperature 0. One is not repeatable if the provider acts on it (runs
tools, stores the answer) or reads a state of its own (a conversation, a prompt template): the same body then means
something else the next time.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from vibe_router.formats.interfaces import ClientRequest

__all__ = ["canonical_json", "comparable_body", "is_repeatable"]

# They change neither what is asked nor what is answered, except for their own echo in Responses.
_WITHOUT_EFFECT = frozenset(
    {"model", "stream", "stream_options", "store", "temperature"}
    | {"user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"}
)
_STATES = ("conversation", "prompt", "cachedContent", "container", "mcp_servers", "web_search_options")
# Tools that callers run themselves; those of all other types run at the provider.
_FUNCTIONS = ("function", "custom", "namespace", "local_shell", "apply_patch")
_ANTHROPIC_CLIENT_TOOLS = ("bash_", "text_editor_", "computer_", "memory_")


def is_repeatable(request: ClientRequest) -> bool:
    """Return whether `request` has the same answer every time."""
    body = request.body
    if request.format == "embeddings":
        return bool(body)
    has_own_tools = _TOOLS.get(request.format)
    if has_own_tools is None or not _is_zero(_settings(request).get("temperature")):
        return False
    if request.format == "chat" and body.get("store"):
        return False
    states = _STATES if request.format != "completions" else ()  # there, `prompt` is the text
    tools = body.get("tools") or ()
    return not any(body.get(name) for name in states) and all(
        isinstance(tool, Mapping) and has_own_tools(tool) for tool in tools
    )


def comparable_body(request: ClientRequest) -> Any:
    """Return the part of a repeatable request's body that decides on its answer."""
    body = {name: value for name, value in request.body.items() if name not in _WITHOUT_EFFECT}
    if request.format == "gemini":
        body["generationConfig"] = {
            name: value for name, value in _settings(request).items() if name not in _WITHOUT_EFFECT
        }
    return body


def canonical_json(value: object) -> bytes:
    """Return the same JSON for equal values, whatever the order of their members. Raises ValueError."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _settings(request: ClientRequest) -> Mapping[str, Any]:
    """Return the object that holds the temperature."""
    settings = request.body.get("generationConfig") if request.format == "gemini" else request.body
    return settings if isinstance(settings, Mapping) else {}


def _is_zero(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0


def _is_function(tool: Mapping[str, Any]) -> bool:
    return tool.get("type") in (None, *_FUNCTIONS)


def _is_anthropic_function(tool: Mapping[str, Any]) -> bool:
    kind = tool.get("type")
    return kind in (None, "custom") or (isinstance(kind, str) and kind.startswith(_ANTHROPIC_CLIENT_TOOLS))


def _is_gemini_function(tool: Mapping[str, Any]) -> bool:
    return tool.keys() <= {"functionDeclarations", "function_declarations"}


# By format: whether a tool is the caller's own.
_TOOLS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "chat": _is_function,
    "completions": _is_function,
    "responses": _is_function,
    "messages": _is_anthropic_function,
    "gemini": _is_gemini_function,
}
