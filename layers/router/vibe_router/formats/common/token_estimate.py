"""Estimates the tokens of a request without a tokenizer, for the amount reserved before the answer reports usage.

Every provider counts differently, and a tokenizer's tables would weigh more than the router. A token is about four
characters of English or code, or one of Chinese, Japanese or Korean; other scripts are in between. Images count as
large ones, since their pixels are not decoded. Documents and sounds count by their size.
"""

import math
import re

__all__ = ["estimate"]

_CHARACTERS = 4  # of ASCII text in a token
_IMAGE = 1_600  # tokens of a large image, with the providers that count the most
_IMAGES = frozenset({"image", "image_url", "input_image"})
_BASE64_CHARACTERS = 100  # of an encoded document or sound in a token
_DATA_URL = re.compile(r"data:([a-z]*)/[^,]{0,100};base64,", re.ASCII | re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{512}", re.ASCII)  # no text goes on so long without a blank or a full stop


def estimate(value: object) -> int:
    """Return about how many tokens `value`, anything that JSON can say, is: its texts, its names and its numbers."""
    tokens = 0.0
    rest = [value]
    while rest:  # not recursive: callers may nest more deeply than Python's stack
        match rest.pop():
            case str() as text:
                tokens += _of_text(text)
            case dict() as mapping if isinstance(kind := mapping.get("type"), str) and kind in _IMAGES:
                tokens += _IMAGE
            case dict() as mapping:
                rest += mapping
                rest += mapping.values()
            case list() as items:
                rest += items
            case bool() | None:
                tokens += 1
            case number:
                tokens += len(str(number)) / _CHARACTERS
    return math.ceil(tokens)


def _of_text(text: str) -> float:
    if text.isascii():
        if data := _DATA_URL.match(text):
            return _IMAGE if data[1].lower() == "image" else len(text) / _BASE64_CHARACTERS
        if _BASE64.match(text):
            return len(text) / _BASE64_CHARACTERS
        return len(text) / _CHARACTERS
    # UTF-8 takes one byte more for a Greek or Cyrillic letter, two for a Chinese sign, three for an emoji.
    more = (len(text.encode("utf-8", "surrogatepass")) - len(text)) / 2
    return more + max(len(text) - more, 0) / _CHARACTERS
