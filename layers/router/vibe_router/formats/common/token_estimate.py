"""Estimates the tokens of a request without a tokenizer, for the amount reserved before the answer reports usage.

Every provider counts differently, and a tokenizer's tables would weigh more than the router. A token is about four
characters of English or code, or one of Chinese, Japanese or Korean; other scripts are in between. Images count as
large ones, since their pixels are not decoded. Documents and sounds count by their size.

Only what a provider reads as binary data counts as such: base64 from beginning to end, in the field of a content part
that is for it. Anything else is text, whatever it is called or looks like.
"""

import math
import re
from collections.abc import Container, Mapping
from typing import Any

__all__ = ["estimate", "prompt_fields"]

_CHARACTERS = 4  # of ASCII text in a token
_IMAGE = 1_600  # tokens of a large image, with the providers that count the most
_BASE64_CHARACTERS = 100  # of an encoded document or sound in a token
_BASE64_TEXT_CHARACTERS = 5  # of encoded text in a token
_BASE64 = re.compile(r"[A-Za-z0-9+/_\r\n-]*+={0,2}+[\r\n]*+", re.ASCII)
_TEXTUAL = ("text/", "application/json", "application/xml", "application/yaml")
_MAX_HEAD = 100  # characters before the data of a data URL
_PUNCTUATION = 0.5  # of a token, around a member of an object or an element of an array

_IMAGES = frozenset({"image", "image_url", "input_image"})
# By the type of a content part: the path to the field with its binary data, and the name of its media type beside it.
_BINARY: Mapping[str, tuple[str, ...]] = {
    "image_url": ("image_url", "url"),
    "input_image": ("image_url",),
    "image": ("source", "data"),
    "document": ("source", "data"),
    "file": ("file", "file_data"),
    "input_file": ("file_data",),
    "input_audio": ("input_audio", "data"),
    "reasoning": ("encrypted_content",),
    "compaction": ("encrypted_content",),
    "thinking": ("signature",),
    "redacted_thinking": ("data",),
}
# The fields of messages, items and results in which providers read content parts.
_CONTENT = ("content", "output")
# The fields of requests in all formats that are no part of what a model reads.
_NO_PROMPT = frozenset(
    {"model", "metadata", "labels", "user", "safety_identifier", "prompt_cache_key", "previous_response_id", "include",
     "stop", "stop_sequences", "logit_bias", "stream_options", "safetySettings"}
)  # fmt: skip


def prompt_fields(body: Mapping[str, Any], counted: Container[str]) -> list[object]:
    """Return the fields of a request's `body` that a provider may count as the prompt, apart from those `counted`.

    Unknown ones are among them: were they left out, a prompt could be moved to where nothing is reserved for it.
    """
    return [
        value
        for name, value in body.items()
        if name not in counted and name not in _NO_PROMPT and isinstance(value, str | list | dict)
    ]


def estimate(*, content: object = (), text: object = ()) -> int:
    """Return an estimate of the tokens of JSON values: of all strings, names and numbers in them.

    `content`: messages, items or content parts, which may hold binary data. `text`: values that are only text.
    """
    tokens = 0.0
    rest: list[tuple[object, bool]] = [(text, False), (content, True)]
    while rest:  # not recursive: callers may nest more deeply than Python's stack
        value, is_content = rest.pop()
        match value:
            case str():
                tokens += _of_text(value)
            case dict():
                if is_content and isinstance(kind := value.get("type"), str) and kind in _BINARY:
                    counted, value = _take_binary(value, kind)
                    tokens += counted
                tokens += len(value) * _PUNCTUATION
                for name, inner in value.items():
                    tokens += _of_text(name)
                    rest.append((inner, is_content and name in _CONTENT))
            case list() | tuple():
                tokens += len(value) * _PUNCTUATION
                rest += [(inner, is_content) for inner in value]
            case bool() | None:
                tokens += 1
            case _:
                tokens += len(str(value)) / _CHARACTERS
    return math.ceil(tokens)


def _take_binary(part: Mapping[str, Any], kind: str) -> tuple[float, Mapping[str, Any]]:
    """Return the tokens of a content part's binary data, and the part without these data."""
    counted: float = _IMAGE if kind in _IMAGES else 0
    *outer, name = _BINARY[kind]
    holder = part.get(outer[0]) if outer else part
    data = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(holder, dict) or not isinstance(data, str):
        return counted, part
    media_type = holder.get("media_type")
    if data.startswith("data:") and (comma := data.find(",", 0, _MAX_HEAD)) >= 0:
        media_type, data = data[5:comma], data[comma + 1 :]
        if not media_type.endswith(";base64"):
            return counted, part
    if not _BASE64.fullmatch(data):
        return counted, part
    if not counted:
        is_text = isinstance(media_type, str) and media_type.lower().startswith(_TEXTUAL)
        counted = len(data) / (_BASE64_TEXT_CHARACTERS if is_text else _BASE64_CHARACTERS)
    inner = {key: value for key, value in holder.items() if key != name}
    return counted, {**part, outer[0]: inner} if outer else inner


def _of_text(text: str) -> float:
    if text.isascii():
        return len(text) / _CHARACTERS
    # UTF-8 takes one byte more for a Greek or Cyrillic letter, two for a Chinese sign, three for an emoji.
    more = (len(text.encode("utf-8", "surrogatepass")) - len(text)) / 2
    return more + max(len(text) - more, 0) / _CHARACTERS
