"""Tags that callers give a request in its body, as LiteLLM's do. They are the router's: no provider is told."""

from typing import Any

__all__ = ["take_tags"]

_LITELLM_ONLY = "litellm_metadata"  # where LiteLLM's callers put theirs if the format has a `metadata` of its own


def take_tags(body: dict[str, Any]) -> tuple[str, ...]:
    """Take the tags out of a request's `body`, and return them: of `tags`, `metadata.tags` and `litellm_metadata.tags`.

    They are taken where they are lists. What is no list is meant for a provider, whose metadata has texts alone; a list
    there would be refused by OpenAI and Anthropic. Metadata that held nothing else goes too.
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
