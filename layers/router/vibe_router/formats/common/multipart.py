"""Finds the fields of a multipart form (RFC 7578), strictly: what parsers might read differently is rejected.

A provider's parser may be more lenient than this one. A form in which it could see another part than the router has
checked must not pass, so boundaries and heads have one spelling only: CRLF line ends, no folded lines, no encoded
names, no escaped quotes, one `Content-Disposition` for each part. Everything is linear in the length of the form.
"""

import re
from collections.abc import Iterator
from email.message import Message
from typing import NamedTuple

from vibe_router.core.errors import ApiError, bad_request

__all__ = ["Form", "FormField", "read_form"]

_MAX_HEAD = 8 * 1024  # bytes of the head of a part
_MAX_PARTS = 1_000
_NEEDS_QUOTES = frozenset("()/:=?,")
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=?-]{1,200}", re.ASCII)  # of RFC 2046, which allows fewer characters


class FormField(NamedTuple):
    """A field of a form: its name, and where in the form its value begins and ends."""

    name: str
    start: int
    end: int


class Form(NamedTuple):
    """The fields of a form, and its content type in the one spelling that every parser reads alike."""

    fields: list[FormField]
    content_type: str


def read_form(raw: bytes, content_type: str) -> Form:
    """Return the fields of the form `raw`. Raises ApiError (400) for a form that parsers might read differently."""
    boundary = _boundary(content_type)
    fields = list(_parts(raw, b"--" + boundary.encode()))
    names = [field.name for field in fields]
    if len(set(names)) < len(names):
        repeated = {name for name in names if names.count(name) > 1 and not name.endswith("[]")}
        if repeated:
            raise bad_request(f"The form has the field '{min(repeated)[:100]}' twice.", min(repeated)[:100])
    spelled = f'"{boundary}"' if set(boundary) & _NEEDS_QUOTES else boundary
    return Form(fields, f"multipart/form-data; boundary={spelled}")


def _boundary(content_type: str) -> str:
    """Return the boundary in a Content-Type. Raises ApiError (400) for two, of which parsers take one or the other."""
    header = Message()
    header["content-type"] = " ".join(content_type[:_MAX_HEAD].encode("ascii", "replace").decode().split())
    given = [value for name, value in header.get_params([]) if name.lower().startswith("boundary")]
    if not given:
        raise bad_request("The multipart form has no boundary in its Content-Type.")
    if len(given) > 1 or not isinstance(given[0], str) or not _BOUNDARY.fullmatch(given[0]):
        raise _malformed("the boundary in its Content-Type is repeated, or has characters that no boundary has")
    return given[0]


def _parts(raw: bytes, delimiter: bytes) -> Iterator[FormField]:
    if not raw.startswith(delimiter + b"\r\n"):
        raise _malformed("it does not begin with its boundary")
    at = len(delimiter) + 2
    for _ in range(_MAX_PARTS):
        blank = raw.find(b"\r\n\r\n", at, at + _MAX_HEAD)
        if blank < 0:
            raise _malformed("the head of a part is too long or has no end")
        start = blank + 4
        end = raw.find(b"\n" + delimiter, start - 1) - 1  # a value may be empty
        if end < start - 2 or raw[end : end + 1] != b"\r":
            raise _malformed("a part has no boundary after it")
        yield FormField(_name(raw[at:blank]), start, max(end, start))
        after = end + 2 + len(delimiter)
        if raw[after : after + 2] == b"--":
            if delimiter in raw[after:]:
                raise _malformed("there are parts after its end")
            return
        if raw[after : after + 2] != b"\r\n":
            raise _malformed("a boundary is not on a line of its own")
        at = after + 2
    raise _malformed(f"it has more than {_MAX_PARTS} parts")


def _name(head: bytes) -> str:
    """Return the name of the part with this `head`."""
    name: str | None = None
    for line in head.split(b"\r\n"):
        if line[:1] in (b"", b" ", b"\t") or any(byte in line for byte in (b"\r", b"\n", b"\0")):
            raise _malformed("the head of a part has a folded or broken line")
        key, _, value = line.partition(b":")
        if key.strip().lower() != b"content-disposition":
            continue
        for parameter in _parameters(value.decode("utf-8", "replace")):
            key_of, _, text = parameter.partition("=")
            if '\\"' in text:
                raise _malformed("a part has an escaped quote in its head")
            if key_of.strip().lower().startswith("name"):
                if name is not None or key_of.strip().lower() != "name":
                    raise _malformed("a part has two names or an encoded one")
                name = text.strip()
    if name is None:
        raise _malformed("a part has no name")
    unquoted = name[1:-1] if len(name) > 1 and name[0] == name[-1] == '"' else name
    if '"' in unquoted or "\\" in unquoted:
        raise _malformed("the name of a part has a quote or a backslash")
    return unquoted


def _parameters(value: str) -> Iterator[str]:
    """Yield what is between the semicolons of a header's value, apart from those in quotes."""
    start, quoted, escaped = 0, False, False
    for at, character in enumerate(value):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == ";" and not quoted:
            yield value[start:at]
            start = at + 1
    yield value[start:]


def _malformed(reason: str) -> ApiError:
    return bad_request(f"The multipart form is malformed: {reason}.")
