"""Create, rotate and delete keys: pure functions from a `Key` to its successor.

A deleted key leaves a tombstone. A regenerated key has a successor with the same key_id, and stays valid for a grace
period, or ends at once.
"""

import secrets
from dataclasses import replace

from vibe_router.access.authentication import hash_key
from vibe_router.access.keys import Key

__all__ = ["generate_key", "make_successor", "make_tombstone", "mask_key", "retire", "validate_custom_key"]

_PREFIX = "sk-"
_SHORTEST = 24  # characters: a shorter key, or one with fewer different ones, could be guessed
_LONGEST = 256
_DIFFERENT = 10


def generate_key() -> str:
    """Return a new key: 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(32)


def validate_custom_key(secret: str) -> str:
    """Return a key of the caller's own choice. Raises ValueError, without its text, for a weak one."""
    if not secret.startswith(_PREFIX):
        raise ValueError(f"must begin with {_PREFIX}")
    if not secret.isascii() or not all("!" <= character <= "~" for character in secret):
        raise ValueError("must be printable ASCII without blanks")
    if not _SHORTEST <= len(secret) <= _LONGEST:
        raise ValueError(f"must be {_SHORTEST} to {_LONGEST} characters long")
    if len(set(secret.removeprefix(_PREFIX))) < _DIFFERENT:
        raise ValueError(f"must have {_DIFFERENT} different characters or more: this one could be guessed")
    return secret


def mask_key(secret: str) -> str:
    """Return the masked form of a key."""
    return f"{_PREFIX}...{secret[-4:]}"


def make_successor(key: Key, secret: str, now: float) -> Key:
    """Return the successor of `key` with a new `secret`; its permissions and spending stay."""
    return replace(
        key, hash=hash_key(secret), name=mask_key(secret), replaced_by=None, created_at=now, updated_at=now, version=1
    )


def retire(key: Key, successor: Key, now: float, grace: float) -> Key:
    """Return `key` as it remains after its replacement: valid for `grace` seconds, if any."""
    if not grace:
        return make_tombstone(replace(key, replaced_by=successor.hash), now)
    ends = now + grace if key.expires is None else min(now + grace, key.expires)
    return replace(key, expires=ends, replaced_by=successor.hash, updated_at=now, version=key.version + 1)


def make_tombstone(key: Key, now: float) -> Key:
    """Return the tombstone of `key`: enough to say that it was deleted, and no more."""
    return Key(
        hash=key.hash,
        key_id=key.key_id,
        name=key.name,
        deleted_at=now,
        replaced_by=key.replaced_by,
        created_at=key.created_at,
        updated_at=now,
        version=key.version + 1,
    )
