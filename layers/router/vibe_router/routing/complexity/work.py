"""Recognise requests for demanding work by their words: prove, design, refactor, 证明, 设计.

A longer text with terms of a profession counts as well, unless it is a multiple choice, which the trees know best.

Public outcomes say little about open-ended work, so trees trained on them would call it easy. Words alone do not show
difficulty; they only keep such requests on the standard chain. A text is read in linear time.
"""

from collections.abc import Collection

from vibe_router.routing.complexity.specialist import is_specialist
from vibe_router.routing.complexity.tokens import find_options
from vibe_router.routing.complexity.work_chinese import asks_in_chinese
from vibe_router.routing.complexity.work_english import asks_in_english

__all__ = ["asks_for_work"]


def asks_for_work(text: str, lower: str, words: Collection[str]) -> bool:
    """Return whether a text asks for demanding work. `lower` is `text` in small letters, `words` its English words."""
    if words and asks_in_english(lower, words):
        return True
    if not text.isascii() and asks_in_chinese(text):
        return True
    return is_specialist(text, words) and not find_options(text)
