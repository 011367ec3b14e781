"""Detect the language of a text by its characters and its commonest words: zh, en or other."""

import re

from vibe_router.routing.complexity.tokens import count_han, words_of
from vibe_router.routing.complexity.words import COMMON, TERMS

__all__ = ["language_of"]

_LEAST_WORDS = 6  # by which a language of Latin letters is detected
_KNOWN_SHARE = 0.25  # of English words that are known, in an English text
_SAMPLE = 600  # characters
_KANA_AND_HANGUL = re.compile("[\u3040-\u30ff\uac00-\ud7af]")
_LETTERS = re.compile(r"[^\W\d_]+")


def language_of(text: str) -> str | None:
    """Return the language of a text, None for a few words that are not Chinese."""
    text = text[:_SAMPLE]
    if not text.isascii() and (found := _language_of_letters(text)):
        return found
    words = words_of(text.lower())
    if (letters := words.total()) < _LEAST_WORDS:
        return None
    known = sum(times for word, times in words.items() if word in COMMON or word in TERMS)
    return "en" if known >= _KNOWN_SHARE * letters else "other"


def _language_of_letters(text: str) -> str | None:
    """Return the language of a text that is mostly of letters other than English ones, None for another text."""
    han = count_han(text)
    if len(_KANA_AND_HANGUL.findall(text)) > han / 4:
        return "other"
    words = [each for each in _LETTERS.findall(text) if not count_han(each[0])]
    if han and han >= len(words):
        return "zh"
    return "other" if sum(not each.isascii() for each in words) > len(words) / 4 else None
