"""Read the finish reasons of every provider and relay.

Sources: the API references of OpenAI, Anthropic, Google (Gemini), Amazon (Converse), Mistral, DeepSeek, Zhipu and
OpenRouter. Relays pass these words on untranslated, in any format and any case.
"""

from typing import Literal

__all__ = ["FAILURES", "REASONS", "FinishReason", "finish_reason", "is_absent", "is_failure"]

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "refusal"]

_STOP = ("stop", "end_turn", "stop_sequence", "pause_turn", "complete", "completed", "end", "eos", "eos_token")
_LENGTH = ("length", "max_tokens", "max_output_tokens", "max_length", "model_length", "model_context_window_exceeded")
_CALLS = ("tool_calls", "tool_call", "tool_use", "function_call")
_FILTER = (
    *("content_filter", "content_filtered", "guardrail_intervened", "sensitive", "safety", "recitation", "blocklist"),
    *("prohibited_content", "spii", "image_safety", "language"),
)
REASONS: dict[str, FinishReason] = {
    **dict.fromkeys(_STOP, "stop"),
    **dict.fromkeys(_LENGTH, "length"),
    **dict.fromkeys(_CALLS, "tool_calls"),
    **dict.fromkeys(_FILTER, "content_filter"),
    "refusal": "refusal",
}
# The provider failed, although it reports that as a reason to stop.
FAILURES = frozenset(
    {
        *("error", "network_error", "server_error", "internal_error", "upstream_error", "timeout", "overloaded"),
        *("abort", "aborted", "cancelled", "canceled", "insufficient_system_resource", "rate_limit"),
        *("malformed_function_call", "malformed_model_output", "malformed_tool_use", "unexpected_tool_call"),
    }
)


def finish_reason(word: object) -> FinishReason:
    """Return what a provider's `word` means. An unknown one is a length: an answer that may be incomplete."""
    return REASONS.get(str(word).lower(), "length")


def is_failure(word: object) -> bool:
    """Return whether a provider's `word` means that the provider failed."""
    return isinstance(word, str) and word.lower() in FAILURES


def is_absent(word: object) -> bool:
    """Return whether a provider's `word` means that the answer goes on: some write null as a string."""
    return not word or (isinstance(word, str) and word.lower() in ("null", "none"))
