"""Request tags in the body, as LiteLLM's clients send them. They are for the router and not sent to providers."""

from typing import Any

__all__ = ["take_tags"]

_LITELLM_ONLY = "litellm_metadata"  # LiteLLM's field for formats that have a `metadata` of their own


def take_tags(body: dict[str, Any]) -> tuple[str, ...]:
    """Remove the tags from a request's `body` and return them: `tags`, `metadata.tags`, `litellm_metadata.tags`.

    Only lists are taken. Anything else is meant for the provider, whose metadata has only strings; OpenAI and Anthropic
    reject a list there. Metadata that becomes empty is removed too.
    """
    if not ("metadata" in body or "tags" in body or _LITELLM_ONLY in body):
        return ()
    found: list[object] = []
    if isinstance(body.get("tags"), list):
        found += body.pop("tags")
    for name in ("metadata", _LITELLM_ONLY):
        held = body.get(name)
        if isinstance(held, dict) and isinstance(held.get("tags"), list):
            found += held.pop("tags")
            if not held:
                del body[name]
    body.pop(_LITELLM_ONLY, None)
    return tuple(tag for tag in found if isinstance(tag, str))
