"""Split a text into what features count: words, a string of its shapes, numbers, options. Linear and fast.

Bytes are translated by tables and counted, since that takes a few microseconds a page and regular expressions take
hundreds. Characters beyond ASCII are several bytes of no letter, digit or space.
"""

import re
from collections import Counter

__all__ = ["Shape", "count_han", "find_options", "last_sentence", "numbers_in", "words_of"]

_WORD_BYTES = bytes(each if each in b"abcdefghijklmnopqrstuvwxyz'" else ord(" ") for each in range(256))
_NOT_HAN = bytes(each for each in range(256) if not (0x34 <= each <= 0x9F or 0xF9 <= each <= 0xFA))
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_OPTION = re.compile(r"([A-J])[.)．、:：]\)?\s*(?=\S)")
_OPTION_SIGNS = ("B.", "B)", "B:", "B、", "B．", "B：")
_SENTENCE_ENDS = (". ", "? ", "! ", ".\n", "?\n", "!\n")
_CHINESE_SENTENCE_ENDS = "。！？；"


def _shape_of(byte: int) -> int:
    character = chr(byte)
    if byte >= 128:
        shape = "#"
    elif character.isalpha():
        shape = "a" if character.islower() else "A"
    elif character.isdigit():
        shape = "0"
    elif character.isspace():
        shape = " "
    else:
        shape = {".": ".", "!": ".", "?": ".", ",": ",", ";": ",", "(": "(", **dict.fromkeys("-+*/", "+")}.get(
            character, "#"
        )
    return ord(shape)


_SHAPES = bytes(map(_shape_of, range(256)))


class Shape:
    """A text with each character replaced by its kind, for counting what stands next to what."""

    def __init__(self, text: str) -> None:
        self.bytes = text.encode("utf-8", "surrogatepass")
        self._kinds = self.bytes.translate(_SHAPES)

    @property
    def letters(self) -> int:
        """The number of its English letters."""
        return self._kinds.count(b"a") + self._kinds.count(b"A")

    @property
    def digits(self) -> int:
        """The number of its digits."""
        return self._kinds.count(b"0")

    @property
    def sentence_ends(self) -> int:
        """The number of full stops, question and exclamation marks that end a sentence."""
        return self._kinds.count(b". ") + self._kinds.endswith(b".")

    @property
    def names(self) -> int:
        """The number of capitalised words within sentences."""
        return self._kinds.count(b"a Aa") + self._kinds.count(b", Aa")

    @property
    def acronyms(self) -> int:
        """The number of words that begin with two capital letters, or with one and a digit."""
        kinds = self._kinds
        return kinds.count(b" AA") + kinds.count(b" A0") + kinds.startswith((b"AA", b"A0"))

    @property
    def calls(self) -> int:
        """The number of words followed by a bracket, as in function calls."""
        return self._kinds.count(b"a(") + self._kinds.count(b"A(") + self._kinds.count(b"0(")

    @property
    def calculations(self) -> int:
        """The number of arithmetic signs between digits."""
        return self._kinds.count(b"0+0") + self._kinds.count(b"0 + 0")


def words_of(lower: str) -> Counter[str]:
    """Return how often each English word occurs in a text of small letters."""
    if not lower.isascii():
        lower = lower.replace("’", "'")
    found = lower.encode("utf-8", "surrogatepass").translate(_WORD_BYTES)
    if b"'" in found:  # within a word it stays
        found = b" %b " % found
        while b" '" in found:
            found = found.replace(b" '", b" ")
        while b"' " in found:
            found = found.replace(b"' ", b" ")
    return Counter(found.decode("ascii").split())


def count_han(text: str) -> int:
    """Return how many Chinese characters a text has, by the first byte of each: U+3400 to U+9FFF, U+F900 to U+FAFF."""
    if text.isascii():
        return 0
    return len(text.encode("utf-16-le", "surrogatepass")[1::2].translate(None, _NOT_HAN))


def numbers_in(text: str) -> list[str]:
    """Return the numbers of a text, in their order."""
    return _NUMBER.findall(text)


def find_options(text: str) -> list[int]:
    """Return where the options A, B, C … of a multiple choice begin; empty for less than three in a row."""
    if not any(sign in text for sign in _OPTION_SIGNS):
        return []
    expected, starts = "ABCDEFGHIJ", list[int]()
    for match in _OPTION.finditer(text):
        start, letter = match.start(), match[1]
        if start and not text[start - 1].isspace() and text[start - 1] != "(":
            continue
        if letter == "A" and len(starts) < 3:
            starts = [start]
        elif starts and len(starts) < len(expected) and letter == expected[len(starts)]:
            starts.append(start)
    return starts if len(starts) >= 3 else []


def last_sentence(text: str) -> str:
    """Return the last sentence of a text, without the mark at its end."""
    stripped = text.rstrip(" .!?。！？；\n")
    start = max(stripped.rfind(end) for end in _SENTENCE_ENDS) + 2
    if not stripped.isascii():
        start = max(start, *(stripped.rfind(end) + 1 for end in _CHINESE_SENTENCE_ENDS))
    return stripped[start if start > 1 else 0 :]
