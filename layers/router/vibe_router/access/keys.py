"""The key that a caller shows, and whether it is one of ours."""

import hashlib
import hmac
from collections.abc import Mapping

from vibe_router.formats.errors import invalid_key

__all__ = ["admit", "key_of"]

# In the order of looking; the names that clients of OpenAI, Anthropic, Azure, LiteLLM and Gemini use.
_HEADERS = ("x-api-key", "api-key", "x-litellm-api-key", "x-goog-api-key")


def key_of(headers: Mapping[str, str]) -> str | None:
    """Return the key in `headers` (lower-case names), or None."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    for name in _HEADERS:
        if value := headers.get(name, "").strip():
            return value.removeprefix("Bearer ").strip()
    return None


def admit(headers: Mapping[str, str], master_key: str | None) -> None:
    """Let the holder of the master key through. Raises ApiError (401)."""
    shown = key_of(headers)
    if shown is None:
        raise invalid_key("No API key was sent. Send it as 'Authorization: Bearer <key>' (or as 'x-api-key').")
    if not master_key or not _same(shown, master_key):
        raise invalid_key("The API key sent is not valid.")


def _same(shown: str, expected: str) -> bool:
    """Compare in constant time, whatever the lengths."""
    digests = [hashlib.sha256(each.encode("utf-8", "surrogatepass")).digest() for each in (shown, expected)]
    return hmac.compare_digest(*digests)
