"""Find what guards look for in a text: the kinds of findings, and what several guards together do with each.

A finding is a span of the text and the kind of what is there; nothing here stores the text itself.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from vibe_router.core.models import Guard
from vibe_router.guards.personal import card_spans, email_spans, phone_spans
from vibe_router.guards.secrets import is_secret_value, names_a_secret, secret_spans
from vibe_router.guards.texts import Place

__all__ = ["Finding", "Search", "searches_of", "spans"]

Span = tuple[int, int]

_BUILT_IN: Mapping[str, Callable[[str], Iterable[Span]]] = {
    "secrets": secret_spans,
    "emails": email_spans,
    "phones": phone_spans,
    "cards": card_spans,
}
_STRENGTH = {"report": 0, "mask": 1, "block": 2}


class Search(NamedTuple):
    """A search: for `kind`, by `pattern` (None for a built-in kind), and what `guard` does with it."""

    kind: str
    pattern: str | None
    action: str
    guard: str


class Finding(NamedTuple):
    """A span of a text, and by which search it was found."""

    start: int
    end: int
    search: Search


def searches_of(guards: Iterable[Guard]) -> dict[Place, list[Search]]:
    """Return what `guards` together look for in each place: of several actions for one kind, the strongest."""
    found: dict[Place, dict[tuple[str, str | None], Search]] = {}
    for guard in guards:
        wanted = [*((kind, None) for kind in guard.kinds), *guard.patterns]
        for place in guard.places:
            known = found.setdefault(place, {})
            for kind, pattern in wanted:
                search = Search(kind, pattern, guard.action, guard.name)
                before = known.get((kind, pattern))
                if before is None or _STRENGTH[before.action] < _STRENGTH[guard.action]:
                    known[kind, pattern] = search
    return {place: list(searches.values()) for place, searches in found.items()}


def spans(text: str, search: Search, field: str = "") -> list[Span]:
    """Return the spans that `search` finds in `text`, in order and merged where they overlap.

    `field` is the name of the field whose value the text is, in tool arguments.
    """
    if search.pattern is not None:
        return [match.span() for match in _compiled(search.pattern).finditer(text) if match.end() > match.start()]
    if search.kind == "secrets" and field and names_a_secret(field) and is_secret_value(field, text):
        return [(0, len(text))]
    return list(merged(_BUILT_IN[search.kind](text)))


def merged(found: Iterable[Span]) -> Iterator[Span]:
    """Yield spans in order; those that overlap become one."""
    start = end = -1
    for begin, last in sorted(found):
        if begin >= end:
            if end > start:
                yield start, end
            start, end = begin, last
        else:
            end = max(end, last)
    if end > start:
        yield start, end


@lru_cache(200)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
