"""Helpers to read a request into the neutral form, shared by all formats."""

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from vibe_router.core.errors import bad_request
from vibe_router.formats.common.fields import Shape
from vibe_router.formats.neutral.model import Part, Text

__all__ = ["allowed_names", "contents", "sorted_fields"]


def sorted_fields(
    body: Mapping[str, Any],
    plain: Mapping[str, Shape],
    apart: Container[str],
    is_harmless: Callable[[str, Any], bool],
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Sort the fields of a request into three: `plain` ones, each of its shape; harmless ones; unread ones.

    Other formats may leave out harmless fields and must reject unread ones. Fields in `apart` are skipped: the caller
    of this function reads them. Raises ApiError (400).
    """
    held = {name: value for name, value in body.items() if value is not None and name not in apart}
    read = {name: shape(body, name) for name, shape in plain.items() if name in held}
    unread = {name: value for name, value in held.items() if name not in plain}
    harmless = {name: unread.pop(name) for name, value in tuple(unread.items()) if is_harmless(name, value)}
    return read, harmless, unread


def contents(content: object, at: str, read_part: Callable[[Any, str], Part]) -> list[Part]:
    """Return the parts of a message's content: a string or an array. Raises ApiError (400) for anything else."""
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(content, at=at)]
    if not isinstance(content, list):
        raise bad_request(f"'{at}' must be a string or an array.", at)
    return [read_part(part, f"{at}[{i}]") for i, part in enumerate(content)]


def allowed_names(tools: Sequence[Any]) -> Sequence[str] | None:
    """Return the names of allowed functions, each written flat or as chat writes it; None where one has no name."""
    flat = [each.get("function", each) if isinstance(each, dict) else None for each in tools]
    names = [each.get("name") if isinstance(each, dict) else None for each in flat]
    return [name for name in names if isinstance(name, str)] if all(isinstance(n, str) for n in names) else None
