"""Join two pieces of one text: what one model has written, and what another one writes to continue it.

The second model gets the known text as the beginning of its answer, and writes what follows; or it does not, and writes
the answer again from its start. Either way the caller must get each character once:

    known       The quick brown fox ju
    continues                         mps over the lazy dog.      all of it is new
    repeats     The quick brown fox jumps over the lazy dog.      new from "mps" on
    diverges    The slow …                                        nothing is new: the texts do not fit

Pure. A joiner is fed the second text in any pieces and returns what is new of each.
"""

from typing import Protocol

__all__ = ["ContinuationJoiner", "DivergedError", "Joiner", "RepetitionJoiner", "as_prefill"]

# A continuation that repeats this much of the beginning of the known text is an answer that began again. Shorter
# repetitions are ordinary: a list goes on with the word that it began with.
_REPETITION = 20


class DivergedError(Exception):
    """The second text does not continue the known one."""


class Joiner(Protocol):
    """Joins a text that is fed in pieces to the known one."""

    def feed(self, text: str) -> str:
        """Return what is new in `text`, empty while that is undecided. Raises DivergedError."""

    def end(self) -> str:
        """Return the new text that was held back, at the end of the second text. Raises DivergedError."""


class RepetitionJoiner:
    """Joins an answer that began again: the known text is skipped while it matches."""

    def __init__(self, known: str) -> None:
        self._known = known
        self._matched = 0

    def feed(self, text: str) -> str:
        """Return what is new in `text`. Raises DivergedError."""
        if self._matched == len(self._known):
            return text
        length = min(len(text), len(self._known) - self._matched)
        if not self._known.startswith(text[:length], self._matched):
            raise DivergedError
        self._matched += length
        return text[length:]

    def end(self) -> str:
        """Return nothing. Raises DivergedError if the second text is shorter than the known one."""
        if self._matched < len(self._known):
            raise DivergedError
        return ""


class ContinuationJoiner:
    """Joins the continuation of a prefill, `as_prefill(known)`.

    White space that the prefill lacks is skipped where the continuation repeats it. A model that ignores the prefill
    and begins again is detected: its text is joined as a repetition.
    """

    def __init__(self, known: str) -> None:
        self._known = known
        self._space = known[len(as_prefill(known)) :]
        self._held = ""  # equals the beginning of the known text so far
        self._decided: RepetitionJoiner | None = None
        self._continues = False

    def feed(self, text: str) -> str:
        """Return what is new in `text`, empty while that is undecided. Raises DivergedError."""
        if self._continues:
            return self._without_space(text)
        if self._decided:
            return self._decided.feed(text)
        self._held += text
        if self._known.startswith(self._held):
            if len(self._held) < len(self._known):
                return ""
        elif not (self._held.startswith(self._known) or _common_length(self._held, self._known) >= _REPETITION):
            return self._continue()
        if len(self._known) < _REPETITION:
            return self._continue()
        self._decided = RepetitionJoiner(self._known)
        return self._decided.feed(self._held)

    def end(self) -> str:
        """Return the new text that was held back. Raises DivergedError."""
        if self._decided:
            return self._decided.end()
        if self._continues:
            return ""
        if len(self._held) >= _REPETITION:
            raise DivergedError  # it began again, and ended early
        return self._continue()

    def _continue(self) -> str:
        self._continues = True
        return self._without_space(self._held)

    def _without_space(self, text: str) -> str:
        """Return `text` without the white space that the caller has, which ends at the first other character."""
        length = _common_length(text, self._space)
        self._space = self._space[length:] if length == len(text) else ""
        return text[length:]


def as_prefill(known: str) -> str:
    """Return `known` as the beginning of an answer: Anthropic rejects white space at its end."""
    return known.rstrip()


def _common_length(one: str, other: str) -> int:
    """Return the length of the beginning that two texts share."""
    length = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        length += 1
    return length
