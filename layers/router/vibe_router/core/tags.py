"""Tags that a caller or an administrator attaches to requests, and the bounds of any text that is recorded."""

from collections.abc import Iterable, Mapping

__all__ = ["bounded_tags", "bounded_text", "header_tags"]

_HEADERS = ("x-vibe-tags", "x-litellm-tags")
_MAX_TAGS = 20
_MAX_TAG_CHARACTERS = 100
_MAX_TEXT_CHARACTERS = 200


def bounded_tags(*groups: Iterable[str]) -> tuple[str, ...]:
    """Merge groups of tags: without duplicates or surrounding blanks, bounded in number and length."""
    merged: dict[str, None] = {}
    for tag in (tag for group in groups for tag in group):
        if (cut := bounded_text(tag.strip(), _MAX_TAG_CHARACTERS)) and len(merged) < _MAX_TAGS:
            merged[cut] = None
    return tuple(merged)


def header_tags(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the comma-separated tags of `x-vibe-tags` and `x-litellm-tags`."""
    return bounded_tags(*(headers.get(name, "").split(",") for name in _HEADERS))


def bounded_text(value: str, characters: int = _MAX_TEXT_CHARACTERS) -> str:
    """Return the first `characters` of `value`; lone surrogates, which neither log nor table can hold, become `?`."""
    return value[:characters].encode(errors="replace").decode()
