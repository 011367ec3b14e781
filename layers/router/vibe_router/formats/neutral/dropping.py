"""Leave out a parameter of a request that another format cannot express, where the routes allow it."""

from dataclasses import replace
from typing import Any

from vibe_router.formats.neutral.model import NeutralRequest

__all__ = ["without_param"]

# Parameters that tune an answer. A conversation, its tools and the size of the answer are never left out.
_OPTIONAL: tuple[str, ...] = (
    *("parallel_tool_calls", "temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "n", "seed"),
    *("logit_bias", "logprobs", "top_logprobs", "response_format", "effort", "budget", "reasoning_summary"),
    *("verbosity", "metadata", "user", "safety_identifier", "prompt_cache_key", "service_tier", "store"),
)


def without_param(request: NeutralRequest, param: str | None) -> NeutralRequest | None:
    """Return `request` without the caller's `param`; None if there is no such parameter, or it must not be left out."""
    if not param:
        return None
    if param in request.rest:
        return replace(request, rest={name: value for name, value in request.rest.items() if name != param})
    for name in _OPTIONAL:
        if request.caller_name(name) == param and getattr(request, name) is not None:
            nothing: dict[str, Any] = {name: None}
            return replace(request, **nothing)
    if param == request.caller_name("stop") and request.stop:
        return replace(request, stop=())
    return None
