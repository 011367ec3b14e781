"""Seals: proofs of reasoning on their way through a format other than their issuer's.

A provider proves its earlier reasoning to itself: Anthropic with a signature, OpenAI with encrypted content. A caller
returns the proof with the next turn, which may go to another provider, in another format. In any format but its own a
proof travels in a seal: its kind, its issuer, and for a signature also the signed text, since not every caller returns
it.

    vibe1.<base64url of {"k": kind, "i": issuer, "v": value, "d": id, "t": text}>
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Literal

__all__ = ["Kind", "Seal", "unwrap", "wrap"]

Kind = Literal["signature", "redacted", "encrypted", "chat"]

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
    """Return `seal` as one word, for the field in which the caller's format has proofs of its own."""
    held = {"k": seal.kind, "i": seal.issuer, "v": seal.value, "d": seal.id, "t": seal.text}
    packed = json.dumps({key: value for key, value in held.items() if value}, separators=(",", ":"))
    return _MARK + base64.urlsafe_b64encode(packed.encode()).decode()


def unwrap(word: str) -> Seal | None:
    """Return the seal in `word`; None for a provider's own proof or anything else."""
    if not word.startswith(_MARK):
        return None
    try:
        held = json.loads(base64.urlsafe_b64decode(word.removeprefix(_MARK)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    match held:
        case {"k": "signature" | "redacted" | "encrypted" | "chat" as kind, "i": str(issuer), "v": str(value), **rest}:
            id_, text = rest.get("d"), rest.get("t")
            return Seal(
                kind, issuer, value, id_ if isinstance(id_, str) else None, text if isinstance(text, str) else ""
            )
    return None
