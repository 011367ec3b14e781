"""Inspect the texts of one request by its guards: count what they find, mask it, and note what must not pass."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from vibe_router.core.models import Guard
from vibe_router.guards.findings import Finding, Search, merged, searches_of, spans
from vibe_router.guards.masking import Masker
from vibe_router.guards.texts import PLACES, Change, Place, rewrite_strings, rewrite_texts

__all__ = ["Blocked", "Inspection", "redact_answer", "redact_texts"]


class Blocked(NamedTuple):
    """The guard that rejects the request, and the kind of what it found."""

    guard: str
    kind: str


class Inspection:
    """The findings of `guards` in one request. `counts` are by kind; `blocked` is the first that blocks."""

    def __init__(self, guards: Iterable[Guard], masker: Masker) -> None:
        self._searches = searches_of(guards)
        self._masker = masker
        self.counts: dict[str, int] = {}
        self.blocked: Blocked | None = None

    def change(self, text: str, place: Place, field: str = "") -> str:
        """Count the findings in `text`; return it with those masked that a guard masks."""
        masked: list[Finding] = []
        for search in self._searches.get(place, ()):
            found = spans(text, search, field)
            if not found:
                continue
            self.counts[search.kind] = self.counts.get(search.kind, 0) + len(found)
            if search.action == "block":
                self.blocked = self.blocked or Blocked(search.guard, search.kind)
            elif search.action == "mask":
                masked += [Finding(start, end, search) for start, end in found]
        return _masked(text, masked, self._masker) if masked else text


def redact_texts(format_name: str, body: Mapping[str, Any], guards: Iterable[Guard]) -> Mapping[str, Any]:
    """Return `body`, a request in the format `format_name`, without anything that `guards` find in it.

    For what is stored of a request, such as an archive: every finding of every guard, also one that it only reports, is
    replaced by its kind in brackets, such as [EMAIL_1], and nothing can put it back. All places are covered, whatever
    the guards name. Guards of Amazon Bedrock find nothing here, as they need a call. For answers see `redact_answer`.

    The same object is returned if nothing is found. Pure, and linear in the size of the body. Raises ApiError (400) if
    the body is nested too deeply.
    """
    return rewrite_texts(format_name, body, _redaction(guards))


def redact_answer(answer: Any, guards: Iterable[Guard]) -> Any:
    """Return the JSON of an answer, in any format, without anything that `guards` find in its texts.

    As `redact_texts` otherwise. The events of a stream may be a list: a value that is cut between two is not found.
    """
    return rewrite_strings(answer, _redaction(guards))


def _redaction(guards: Iterable[Guard]) -> Change:
    """Return what masks every finding of `guards`, wherever it is."""
    everywhere = [each._replace(places=PLACES, action="mask") for each in guards]
    return Inspection(everywhere, Masker(lambda _: False, limit=sys.maxsize)).change


def _masked(text: str, findings: list[Finding], masker: Masker) -> str:
    """Return `text` with placeholders; findings that overlap become one, of the kind that begins first."""
    kinds: dict[int, Search] = {}
    for finding in sorted(findings, key=lambda each: (each.start, -each.end)):
        kinds.setdefault(finding.start, finding.search)
    parts: list[str] = []
    done = 0
    for start, end in merged((each.start, each.end) for each in findings):
        parts += (text[done:start], masker.placeholder(kinds[start].kind, text[start:end]))
        done = end
    return "".join([*parts, text[done:]])
