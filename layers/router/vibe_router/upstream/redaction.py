"""Redact the provider's key from a provider's answer, before anything parses it.

A provider may repeat the key that it was sent, or the beginning of it, anywhere: in an error's message, code or type,
in a header, in the middle of a stream, split across two reads, or with JSON's escapes. The cost is linear, and a read
without the beginning of the key costs two searches.

Errors are complete when they are redacted, and quote requests: there, other spellings are redacted as well (in
base64, in hexadecimal, encoded for URLs or HTML, in another case, backwards), and any long part of the key.
"""

import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache

__all__ = ["KeyRedactor", "redactor_for"]

_REDACTED = b"***"
_MIN_PREFIX = 8  # bytes; a beginning of the key of this length is redacted
_MIN_KEY = 4  # bytes; a shorter text is not a key and occurs by chance
# The public beginning of a provider's keys reveals nothing, and a healthy answer may be about it.
_PUBLIC = (b"sk-proj-", b"sk-svcacct-", b"sk-admin-", b"sk-ant-api03-", b"sk-ant-oat01-", b"sk-or-v1-", b"github_pat_")
_MIN_SECRET = 4  # bytes beyond the public beginning
_MIN_PART = 10  # bytes; a part of the key of this length is redacted in errors
_REST = rb"[\w+/=.~-]*+"  # of a text that the key began
_KEY_HEADERS = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key"})
_ESCAPE = re.compile(rb"\\{1,8}(?:u00([0-9a-fA-F]{2})|(/))")  # also inside quoted JSON
_CUT_ESCAPE = re.compile(rb"\\{1,8}(?:u(?:0(?:0[0-9a-fA-F]?)?)?)?\Z")


def redactor_for(headers: Mapping[str, str]) -> "KeyRedactor | None":
    """Return the redactor of the key in the headers of a call; None for a call without a key."""
    for name, value in headers.items():
        if name.lower() in _KEY_HEADERS:
            return _of_key(value.removeprefix("Bearer ").strip())
    return None


@lru_cache(64)
def _of_key(key: str) -> "KeyRedactor | None":
    if len(key) < _MIN_KEY or key.startswith("AWS4-HMAC-SHA256"):  # a signature is no key
        return None
    return KeyRedactor(key.encode("latin-1", "replace"))


class KeyRedactor:
    """Redacts one key. It is stateless: `stream` returns a redactor for the reads of one answer."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        public = max((len(each) for each in _PUBLIC if key.startswith(each)), default=0)
        self.shortest = min(len(key), max(_MIN_PREFIX, public + _MIN_SECRET if public else 0))
        self.prefix = key[: self.shortest]
        self.redacts_answers = len(key) >= _MIN_PREFIX  # a shorter key may be a word of a healthy answer
        self._may_end = frozenset(key + b"\\u0123456789abcdefABCDEF")
        self._escaped = re.compile(b"".join(map(_spellings, self.prefix)))
        # Few answers escape a character that keys have: most escape line ends, quotes or what is not ASCII.
        self._escape_of_key = re.compile(rb"\\(?:%s)" % b"|".join(map(_escape, frozenset(key))))

    def redact(self, data: bytes) -> bytes:
        """Return `data`, which is complete, without the key and long beginnings of it."""
        return self.split(data, final=True)[0]

    def redact_error(self, error: bytes) -> bytes:
        """Return `error`, which is complete, without the key in any usual spelling, and without long parts of it."""
        error = self._respelled.sub(_REDACTED, self.redact(error))
        at_least = max(_MIN_PART, self.shortest)
        for first in range(len(self.key) - at_least + 1):
            part = self.key[first : first + at_least]
            if part in error:
                error = re.sub(re.escape(part) + _REST, _REDACTED, error)
        return error

    @cached_property
    def _respelled(self) -> re.Pattern[bytes]:
        """The key in the spellings of errors, and what follows its beginning."""
        return re.compile(b"|".join(_respellings(self.prefix, self.key)), re.IGNORECASE)

    def redact_headers(self, headers: dict[str, str]) -> dict[str, str]:
        """Return `headers` without the key in their values."""
        if self.prefix not in "\n".join(headers.values()).encode("latin-1", "replace"):
            return headers
        return {
            name: self.redact(value.encode("latin-1", "replace")).decode("latin-1") for name, value in headers.items()
        }

    def stream(self) -> "StreamRedactor":
        """Return a redactor for one answer, read by read."""
        return StreamRedactor(self)

    def split(self, data: bytes, *, final: bool) -> tuple[bytes, bytes]:
        """Return `data` redacted, and the end of it that may be the beginning of a key; empty if `final`."""
        done: list[bytes] = []
        at = 0
        is_escaped = b"\\" in data and self._escape_of_key.search(data)
        find = self._find_escaped if is_escaped else self._find_plain
        while (start := find(data, at)) >= 0:
            count, end = self._match(data, start)
            if not final and count < len(self.key) and self._runs_out(data, end):
                return b"".join((*done, data[at:start])), data[start:]
            done += (data[at:start], _REDACTED)
            at = end
        rest = data[at:] if at else data
        if final or not rest or rest[-1] not in self._may_end:
            return (b"".join((*done, rest)) if done else rest), b""
        keep = self._begins_at(rest)
        return b"".join((*done, rest[:keep])), rest[keep:]

    def _find_plain(self, data: bytes, at: int) -> int:
        return data.find(self.prefix, at)

    def _find_escaped(self, data: bytes, at: int) -> int:
        found = self._escaped.search(data, at)
        return found.start() if found else -1

    def _match(self, data: bytes, start: int) -> tuple[int, int]:
        """Return how many bytes of the key are at `start` in `data`, and the index after them."""
        at = start
        for count, expected in enumerate(self.key):
            if at < len(data) and data[at] == expected:
                at += 1
                continue
            escape = _ESCAPE.match(data, at)
            if not escape or (int(escape[1], 16) if escape[1] else ord("/")) != expected:
                return count, at
            at = escape.end()
        return len(self.key), at

    def _runs_out(self, data: bytes, at: int) -> bool:
        return at == len(data) or _CUT_ESCAPE.match(data, at) is not None

    def _begins_at(self, data: bytes) -> int:
        """Return the index from which `data` may be the beginning of a key; its length if there is none."""
        for start in range(max(0, len(data) - 7 * self.shortest), len(data)):
            if data[start] == self.key[0] or data[start] == ord("\\"):
                _, end = self._match(data, start)
                if self._runs_out(data, end):
                    return start
        return len(data)


class StreamRedactor:
    """Redacts one answer that comes in several reads, holding back an end that may be the beginning of the key."""

    def __init__(self, redactor: KeyRedactor) -> None:
        self._redactor = redactor
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what can be passed on; empty while all of it may be the beginning of the key."""
        done, self._held = self._redactor.split(self._held + data if self._held else data, final=False)
        return done

    def flush(self) -> bytes:
        """Return the bytes held back, at the end of the answer."""
        held, self._held = self._held, b""
        return self._redactor.redact(held) if held else b""


def _spellings(byte: int) -> bytes:
    """Return an expression for every way in which JSON may spell a byte of ASCII, also inside quoted JSON."""
    return rb"(?:%s|\\{1,8}(?:%s))" % (re.escape(bytes((byte,))), _escape(byte))


def _respellings(prefix: bytes, key: bytes) -> Iterator[bytes]:
    """Yield expressions for the beginning of the key as errors may spell it, each with the text that continues it."""
    for text, rest in ((prefix, rb"[\w+/=.~%&#;\\-]*+"), (key[: -len(prefix) - 1 : -1], _REST)):
        yield b"".join(map(_any_spelling, text)) + rest
    yield rb"[ :,]{0,2}".join(b"(?:0x)?%02x" % byte for byte in prefix) + rb"(?:[ :,]{0,2}(?:0x)?[0-9a-f]{2})*+"
    for encode in (b64encode, urlsafe_b64encode):
        for offset in range(3):  # the key may begin at any byte of three
            begin, end = -(-offset * 8 // 6), (offset + len(prefix)) * 8 // 6
            yield re.escape(encode(bytes(offset) + prefix + bytes(3))[begin:end]) + rb"[\w+/=-]*+"


def _any_spelling(byte: int) -> bytes:
    """Return an expression for a byte as it is, or as JSON, a program, a URL or HTML may escape it."""
    escapes = rb"\\{1,8}(?:u00|x)%02x|%%(?:25)?%02x|&#(?:0*%d|x0*%02x);" % (byte, byte, byte, byte)
    return b"(?:%s|%s)" % (re.escape(bytes((byte,))), escapes)


def _escape(byte: int) -> bytes:
    """Return an expression for what follows the backslash where JSON escapes a byte of ASCII."""
    digits = b"".join(b"[%c%c]" % (digit, ord(chr(digit).upper())) for digit in b"%02x" % byte)
    return b"u00" + digits + (b"|/" if byte == ord("/") else b"")
