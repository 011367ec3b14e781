"""The key that a caller shows, and who that makes it."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Protocol

from vibe_router.access.keys import MASTER, Caller, require_active
from vibe_router.core.errors import ApiError, invalid_key

__all__ = ["KeyLookup", "authenticate", "authenticate_master", "find_key", "hash_key"]

# In the order of looking; the names that clients of OpenAI, Anthropic, Azure, LiteLLM and Gemini use.
_HEADERS = ("x-api-key", "api-key", "x-litellm-api-key", "x-goog-api-key")


class KeyLookup(Protocol):
    """What admission needs of the KeysTable (store.keys.KeyDirectory)."""

    def find(self, key_hash: str, /) -> Caller | None:
        """Return who holds the key with this hash, None for nobody."""


def find_key(headers: Mapping[str, str]) -> str | None:
    """Return the key in `headers` (lower-case names), or None."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    for name in _HEADERS:
        if value := headers.get(name, "").strip():
            return value.removeprefix("Bearer ").strip()
    return None


def authenticate(headers: Mapping[str, str], master_key: str | None, keys: KeyLookup, now: float) -> Caller:
    """Return who calls: the holder of the master key, for whom nothing is read, or of a virtual one.

    Raises ApiError (401), and what `keys` raises when it can't be asked.
    """
    shown = _shown(headers)
    if _is_master(shown, master_key):
        return MASTER
    caller = keys.find(shown.hex())
    if caller is None:
        raise _unknown()
    require_active(caller, now)
    return caller


def authenticate_master(headers: Mapping[str, str], master_key: str | None, keys: KeyLookup, now: float) -> None:
    """Let the holder of the master key through. Raises ApiError (401; 403 for a virtual key), as `admit` does."""
    if not authenticate(headers, master_key, keys, now).is_master:
        message = "This is for the holder of the master key; the API key sent is a virtual one."
        raise ApiError(403, message, type="auth_error", code="master_key_required")


def hash_key(key: str) -> str:
    """Return the hash that a key is known by, in hex."""
    return _digest(key).hex()


def _shown(headers: Mapping[str, str]) -> bytes:
    """Return the digest of the key that was sent. Raises ApiError (401)."""
    shown = find_key(headers)
    if shown is None:
        raise invalid_key("No API key was sent. Send it as 'Authorization: Bearer <key>' (or as 'x-api-key').")
    return _digest(shown)


def _is_master(shown: bytes, master_key: str | None) -> bool:
    """Compare in constant time, whatever the lengths."""
    return bool(master_key) and hmac.compare_digest(shown, _digest(master_key or ""))


def _unknown() -> ApiError:
    return invalid_key("The API key sent is not valid.")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
