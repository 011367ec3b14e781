"""The tools of a request in Responses. Namespaces are flattened for other formats, and restored in the answer.

The tool `spawn` in `{"type": "namespace", "name": "many", "tools": [{"type": "function", "name": "spawn"}]}` is sent
to other formats as the function `many__spawn`. A call of `many__spawn` is returned to the caller as a call of `spawn`
in the namespace `many`.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from zlib import crc32

from vibe_router.formats.common.fields import entries

__all__ = ["as_namespace", "flat_name", "namespaced_names", "tools_of"]

_MAX_NAME = 64  # characters of a function name, by OpenAI's and Anthropic's rules


def flat_name(namespace: str, name: str) -> str:
    """Return the name of a namespaced tool for other formats. A name that would be too long ends in a checksum."""
    flat = f"{namespace}__{name}"
    return flat if len(flat) <= _MAX_NAME else f"{flat[: _MAX_NAME - 9]}_{crc32(flat.encode('utf-8', 'replace')):08x}"


def as_namespace(tool: object) -> Mapping[str, Any] | None:
    """Return `tool` if it is a namespace of tools, else None."""
    match tool:
        case {"type": "namespace", "name": str(), "tools": [*inside]} if all(isinstance(each, dict) for each in inside):
            return tool  # type: ignore[return-value] # the pattern matches mappings alone
    return None


def namespaced_names(body: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the (namespace, name) of each namespaced tool of a request, by its flat name."""
    return {flat_name(namespace, name): (namespace, name) for namespace, name in _pairs(body)}


# Items that add tools to the request.
_TOOL_ITEMS = frozenset({"additional_tools", "tool_search_output"})


def tools_of(body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the tools of a request with their places in it, those that items of the input add included."""
    input_ = body.get("input")
    items = enumerate(input_) if isinstance(input_, list) else ()
    added = [
        (f"input[{i}].", item) for i, item in items if isinstance(item, dict) and str(item.get("type")) in _TOOL_ITEMS
    ]
    for prefix, holder in [("", body), *added]:
        yield from ((f"{prefix}tools[{i}]", tool) for i, tool in enumerate(entries(holder, "tools", prefix)))


def _pairs(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for _, tool in tools_of(body):
        if (namespace := as_namespace(tool)) is not None:
            names = (each.get("name") for each in namespace["tools"] if each.get("type") in ("function", "custom"))
            yield from ((namespace["name"], name) for name in names if isinstance(name, str))
