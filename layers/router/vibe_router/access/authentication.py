"""Authenticate a caller by the key in its headers."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Protocol

from vibe_router.access.keys import MASTER, Caller, require_active
from vibe_router.core.errors import ApiError, invalid_key

__all__ = ["KEY_HEADERS", "KeyLookup", "TokenLookup", "authenticate", "authenticate_master", "find_keys", "hash_key"]

# In the order in which they are tried: the router's own (LiteLLM's), then Anthropic's, Azure's and Gemini's. The
# Authorization header comes last: an agent may send the OAuth token of its own subscription there.
KEY_HEADERS = ("x-litellm-api-key", "x-api-key", "api-key", "x-goog-api-key", "authorization")


class KeyLookup(Protocol):
    """Finds callers in the KeysTable (store.keys.KeyDirectory)."""

    def find(self, key_hash: str, /) -> Caller | None:
        """Return the caller of the key with this hash, None for an invalid key."""


class TokenLookup(Protocol):
    """Finds the callers of an OpenID Connect provider's tokens (pipeline.token_callers.TokenCallers)."""

    def find(self, token: str, /) -> Caller:
        """Return the caller of `token`. Raises ApiError."""


def find_keys(headers: Mapping[str, str]) -> list[str]:
    """Return every key in `headers` (lower-case names), each once, in the order in which they are to be tried."""
    found: dict[str, None] = {}
    for name in KEY_HEADERS:
        scheme, _, token = headers.get(name, "").strip().partition(" ")
        if scheme.lower() == "bearer":
            scheme = token.strip()
        elif token or (name == "authorization" and not scheme.startswith("sk-")):
            continue  # another scheme, such as Basic
        if scheme:
            found[scheme] = None
    return list(found)


def authenticate(
    headers: Mapping[str, str],
    master_key: str | None,
    keys: KeyLookup,
    now: float,
    tokens: TokenLookup | None = None,
) -> Caller:
    """Return the caller: the first key in `headers` that is valid decides. The master key takes no lookup.

    `tokens` finds the callers of signed tokens, if those are accepted. Raises ApiError (401), and what `keys` raises
    if it is unavailable, unless another key is valid.
    """
    shown = find_keys(headers)
    if not shown:
        raise invalid_key("No API key was sent. Send it as 'Authorization: Bearer <key>' (or as 'x-api-key').")
    digests = [_digest(key) for key in shown]
    if any(_is_master(digest, master_key) for digest in digests):
        return MASTER
    failure: Exception | None = None
    for key, digest in zip(shown, digests, strict=True):
        try:
            caller = tokens.find(key) if tokens and _is_token(key) else keys.find(digest.hex())
            if caller:
                require_active(caller, now)
                return caller
        except Exception as error:  # noqa: BLE001 - raised below, unless another key is valid
            failure = failure or error
    raise failure or invalid_key("The API key sent is not valid.")


def authenticate_master(headers: Mapping[str, str], master_key: str | None, keys: KeyLookup, now: float) -> None:
    """Require the master key. Raises ApiError (401; 403 for a virtual key), as `authenticate` does."""
    if not authenticate(headers, master_key, keys, now).is_master:
        message = "This requires the master key; the API key sent is a virtual one."
        raise ApiError(403, message, type="auth_error", code="master_key_required")


def hash_key(key: str) -> str:
    """Return the sha256 of a key in hex, under which it is stored."""
    return _digest(key).hex()


def _is_token(key: str) -> bool:
    """Return whether a key may be a signed token: three parts, of which the first is a JSON object in base64."""
    return key.startswith("ey") and key.count(".") == 2


def _is_master(digest: bytes, master_key: str | None) -> bool:
    """Compare in constant time, whatever the lengths."""
    return bool(master_key) and hmac.compare_digest(digest, _digest(master_key or ""))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
