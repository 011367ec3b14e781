"""What only its issuer can read, on its way through a format that is not the issuer's.

A provider proves to itself what it thought: Anthropic with a signature, OpenAI with encrypted content. A caller sends
that back with the next turn, but the next turn may go to another provider, and in another format. So a proof that is
told in a format other than its own travels inside one of these: its kind, the credential that issued it, and, for a
signature, the words that it signs, since not every caller gives these back.

    vibe1.<base64url of {"k": kind, "i": issuer, "v": value, "d": id, "t": text}>
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Literal

__all__ = ["Kind", "Seal", "unwrap", "wrap"]

Kind = Literal["signature", "redacted", "encrypted"]

_MARK = "vibe1."


@dataclass(frozen=True, slots=True)
class Seal:
    """A proof of `kind` and the name of the provider whose credential issued it."""

    kind: Kind
    issuer: str
    value: str
    id: str | None = None
    text: str = ""


def wrap(seal: Seal) -> str:
    """Return `seal` as one word, to stand where a caller's format keeps a proof of its own."""
    held = {"k": seal.kind, "i": seal.issuer, "v": seal.value, "d": seal.id, "t": seal.text}
    packed = json.dumps({key: value for key, value in held.items() if value}, separators=(",", ":"))
    return _MARK + base64.urlsafe_b64encode(packed.encode()).decode()


def unwrap(word: str) -> Seal | None:
    """Return the seal in `word`, None where it is a provider's own proof (or anything else)."""
    if not word.startswith(_MARK):
        return None
    try:
        held = json.loads(base64.urlsafe_b64decode(word.removeprefix(_MARK)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    match held:
        case {"k": "signature" | "redacted" | "encrypted" as kind, "i": str(issuer), "v": str(value), **rest}:
            id_, text = rest.get("d"), rest.get("t")
            return Seal(
                kind, issuer, value, id_ if isinstance(id_, str) else None, text if isinstance(text, str) else ""
            )
    return None
