"""Check the regular expressions that guards search texts with: a bad one would let a caller's text stall the router.

Imported where guards are written, never where they are used.
"""

import re
import warnings

from vibe_router.routing.backtracking import TooComplexError, reasons, ways

__all__ = ["checked_pattern"]

_MOST_STEPS = 300_000  # of the check: about half a second
_MOST_WAYS = 4096  # at one place of a text
_LONGEST_FREE = 65  # repetitions that a search may try again from every place of a text
_SHORT = 4  # repetitions that may share their text with those beside them
_HINT = "begin it with a fixed text or \\b, and let no two repetitions match the same text"


def checked_pattern(pattern: str) -> str:
    """Return a pattern that takes time proportional to the text. Raises ValueError with the reason."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            compiled = re.compile(pattern)
        except (re.error, OverflowError, RecursionError, Warning) as error:
            raise ValueError(f"is not a regular expression of Python: {error}") from None
    if compiled.fullmatch(""):
        raise ValueError("matches an empty text; it must match at least one character")
    try:
        found = reasons(pattern, 0, searches=True, unbounded=_LONGEST_FREE, most_steps=_MOST_STEPS)
        found += reasons(pattern, 0, searches=False, unbounded=_SHORT, most_steps=_MOST_STEPS)
        if not found and ways(pattern) > _MOST_WAYS:
            found = ["exponential: its optional parts can be combined in too many ways"]
    except (TooComplexError, RecursionError):
        raise ValueError("is too complex to be checked; split it into several patterns") from None
    if any("not modelled" in reason for reason in found):
        raise ValueError("must not refer back to an earlier group, which may take too long on some text")
    if found:
        raise ValueError(f"may take too long on some text ({found[0]}); {_HINT}")
    return pattern
