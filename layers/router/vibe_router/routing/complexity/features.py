"""Describe a text in about seventy small numbers, each a bucket from 0 to 35.

The buckets are all that is ever kept of a text: they are what the trees split on, and what a usage row stores as one
character each. A Chinese character counts as much as the English letters that say the same. Bounded: callers pass at
most `turns.MAX_CHARACTERS` characters.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence

from vibe_router.routing.complexity.tokens import (
    Shape,
    count_han,
    find_options,
    last_sentence,
    numbers_in,
    words_of,
)
from vibe_router.routing.complexity.words import CHINESE, COMMON, TERMS, Group, split_words

__all__ = ["FEATURES", "NEVER_DECREASING", "decode", "encode", "features_of", "without_options"]

_COUNT_STEPS = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50, 64, 80, 100, 128, 160, 200, 256)
_MOST_COUNTED = _COUNT_STEPS[-1]
_LAST_COUNT_BUCKET = len(_COUNT_STEPS)
_COUNT_BUCKETS = bytes(bisect_right(_COUNT_STEPS, each) for each in range(_MOST_COUNTED))
_LENGTH_STEPS = tuple(round(4 * 2 ** (step / 3)) for step in range(34))
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LETTERS_PER_CHARACTER = 3.2  # of English, for one Chinese character
_WORDS_PER_CHARACTER = 0.62
_LONG_WORD = 9  # letters

_UNIT = re.compile(
    r"\d ?(?:%|％|°|[kmcµ]?[gm]\b|k[gmwvj]\b|[mkg]?hz\b|[mµn]?[sf]\b|ml\b|mm\b|cm\b|mg\b|mcg\b|mol\b|[kmg]b\b|ohm|volt"
    r"|watt|degree|minute|hour|day|week|month|year|mile|feet|foot|inch|pound|dollar|cent\b|meter|metre"
    r"|liter|litre|gallon"
    r"|公斤|千克|克|米|厘米|公里|分钟|小时|秒|天|年|元|度|升|毫升)"
)
_SIGNS = re.compile("[≤≥≠≈±×÷√∑∫∏∞∈⊂∪∩→⇒∀∃]")
_LATEX = re.compile(r"\\[a-z]+|\$")
_ITEM = re.compile(r"(?m)^[ \t]*(?:[-*•]|\d{1,2}[.)、])\s")
_INDENTED = re.compile(r"(?m)^(?: {2,}|\t)\S")
_VARIABLES = frozenset("bcdefghjklmnopqrstuvwxyz")  # "a" and "i" are words
_CODE = split_words(
    """
    def return import class function const var lambda elif assert print public static void select from where
    while async await null none true false int str list dict
    """
)
_CODE_SIGNS = (b"{", b"}", b"[", b"]", b";", b"==", b"::", b"->", b"=>", b"+=")

_SCALARS = (
    "length",
    "words",
    "stem length",
    "sentences",
    "words per sentence",
    "letters per word",
    "lines",
    "longest line",
    "paragraphs",
    "long words",
    "share of long words",
    "share of rare words",
    "variety of words",
    "abstract nouns",
    "Chinese characters",
    "numbers",
    "different numbers",
    "numbers of four digits and more",
    "decimals and fractions",
    "digits",
    "money and percentages",
    "quantities with units",
    "mathematical signs",
    "LaTeX",
    "variables",
    "code words",
    "function calls",
    "punctuation of code",
    "code blocks",
    "indented lines",
    "list items",
    "options",
    "length of options",
    "numbers in options",
    "blanks to fill",
    "question marks",
    "exclamation marks",
    "commas",
    "colons and semicolons",
    "brackets",
    "quotation marks",
    "names in sentences",
    "acronyms",
    "passage before the question",
    "last sentence length",
    "number density",
)
FEATURES: tuple[str, ...] = (*_SCALARS, *(group.label for group in Group))
"""The features' names, in the order of the buckets: part of every model's meaning, so only ever extended."""

NEVER_DECREASING = frozenset(
    {
        "length",
        "words",
        "stem length",
        "sentences",
        "numbers",
        "different numbers",
        "quantities with units",
        "mathematical signs",
        "code words",
        "punctuation of code",
        "list items",
        Group.HARD_WORK.label,
        Group.CONDITION.label,
        Group.CONSTRAINT.label,
        Group.EXPLANATION.label,
        Group.COMPUTING.label,
        Group.MATHEMATICS.label,
    }
)
"""Features of which more never makes a request easier (monotone constraints of training)."""


def features_of(text: str, words: Counter[str] | None = None) -> tuple[int, ...]:
    """Return the buckets of `text`, in the order of FEATURES. `words` is `words_of` its small letters."""
    lower = text.lower()
    words = words_of(lower) if words is None else words
    is_ascii = text.isascii()
    han = count_han(text)
    latin_words = words.total()
    word_count = latin_words + han * _WORDS_PER_CHARACTER
    length = len(text) + han * (_LETTERS_PER_CHARACTER - 1)
    weight = length / max(len(text), 1)  # of a character

    shape = Shape(text)
    digits = shape.digits
    long, rare, abstract, groups = _count_words(words)
    if han:
        _count_chinese(text, groups)
    options = find_options(text)
    stem = text[: options[0]] if options else text
    stem_length = weight * len(stem)
    numbers = numbers_in(text) if digits else []
    stem_numbers = numbers_in(stem) if options and digits else numbers
    last = last_sentence(stem)
    lines = text.split("\n")
    sentences = max(shape.sentence_ends + (0 if is_ascii else sum(map(text.count, "。！？；"))), 1)
    count = shape.bytes.count

    counts = (
        sentences,
        len(lines),
        text.count("\n\n"),
        long,
        abstract,
        len(stem_numbers),
        len(set(stem_numbers)),
        sum(1 for each in stem_numbers if len(each) > 3),
        sum(1 for each in stem_numbers if "." in each) + stem.count("/"),
        digits,
        count(b"$") + count(b"%") + (0 if is_ascii else sum(map(text.count, "€£¥％"))),
        len(_UNIT.findall(lower)) if digits else 0,
        sum(map(count, (b"=", b"<", b">", b"^"))) + shape.calculations + (0 if is_ascii else len(_SIGNS.findall(text))),
        len(_LATEX.findall(text)) if "\\" in text or "$" in text else 0,
        max(sum(words[each] for each in words.keys() & _VARIABLES) - len(options), 0),
        sum(words[each] for each in words.keys() & _CODE),
        shape.calls if "(" in text else 0,
        sum(map(count, _CODE_SIGNS)),
        count(b"```") + lower.count("[python]"),
        len(_INDENTED.findall(text)) if len(lines) > 1 or text[:1].isspace() else 0,
        len(_ITEM.findall(text)),
        len(options),
        len(numbers) - len(stem_numbers),
        count(b"__") + count(b" _ "),
        count(b"?") + (0 if is_ascii else text.count("？")),
        count(b"!") + (0 if is_ascii else text.count("！")),
        count(b",") + (0 if is_ascii else text.count("，") + text.count("、")),
        count(b":") + count(b";") + (0 if is_ascii else text.count("：") + text.count("；")),
        count(b"(") + (0 if is_ascii else text.count("（")),
        count(b'"') + (0 if is_ascii else sum(map(text.count, "“”「」《"))),
        shape.names,
        shape.acronyms,
    )
    c = [_COUNT_BUCKETS[each] if each < _MOST_COUNTED else _LAST_COUNT_BUCKET for each in counts]
    lengths = (
        length,
        word_count * 4,
        stem_length,
        word_count / sentences * 4,
        max(map(len, lines)) * weight,
        (length - stem_length) / len(options) if options else 0,
        stem_length - len(last) if len(last) < stem_length else 0,
        len(last) * weight,
    )
    m = [bisect_right(_LENGTH_STEPS, each) for each in lengths]
    return (
        *m[:3],
        c[0],
        m[3],
        _share(shape.letters, latin_words, 2.5),
        c[1],
        m[4],
        c[2],
        c[3],
        _share(long, latin_words, 40),
        _share(rare, latin_words, 30),
        _share(len(words), latin_words, 30),
        c[4],
        _share(han, han + latin_words, 30),
        *c[5:22],
        m[5],
        *c[22:],
        m[6],
        m[7],
        _share(len(stem_numbers), word_count, 60),
        *[_COUNT_BUCKETS[min(each, _MOST_COUNTED - 1)] for each in groups],
    )


def _count_words(words: Counter[str]) -> tuple[int, int, int, list[int]]:
    """Return how many words are long, rare and abstract nouns, and how many belong to each group."""
    long = rare = abstract = 0
    groups = [0] * len(Group)
    for word, times in words.items():
        found = _KNOWN.get(word)
        if len(word) >= _LONG_WORD and word not in COMMON:
            long += times
            if word.endswith(_ABSTRACT):
                abstract += times
        if found is None and len(word) > 4 and word[-1] in "sdg":
            found = TERMS.get(_stem(word))
        if found is None:
            rare += times
        else:
            for group in found:
                groups[group] += times
    return long, rare, abstract, groups


def _count_chinese(text: str, groups: list[int]) -> None:
    """Count the Chinese words of a text in their groups."""
    characters = set(text)
    for first in characters & CHINESE.keys():
        for term, group in CHINESE[first]:
            if characters.issuperset(term):
                groups[group] += text.count(term)


_KNOWN = {**dict.fromkeys(COMMON, ()), **TERMS}
_ABSTRACT = ("tion", "tions", "sion", "ism", "ity", "ness", "ment", "ments", "ance", "ence", "ology", "ical")


def _share(part: float, whole: float, scale: float) -> int:
    """Return `part / whole` in buckets of 1/`scale`; 0 without a whole."""
    return min(int(part * scale / whole), 35) if whole else 0


def _stem(word: str) -> str:
    """Return the likely singular or infinitive of a word that ends in s, d or g."""
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith("s"):
        return word[:-1]
    if word.endswith("ing"):
        return word[:-3]
    return word[:-2] if word.endswith("ed") else word


def without_options(text: str) -> str | None:
    """Return a multiple choice without its options; None for a text that has none."""
    options = find_options(text)
    return text[: options[0]].strip() if options else None


def encode(buckets: Sequence[int]) -> str:
    """Return buckets as one character each, as a usage row stores them."""
    return "".join(map(_DIGITS.__getitem__, buckets))


def decode(text: str) -> tuple[int, ...]:
    """Return the buckets of an encoded text. Raises ValueError for another number of features or another character."""
    if len(text) != len(FEATURES):
        raise ValueError("features of another version")
    return tuple(int(each, 36) for each in text)
