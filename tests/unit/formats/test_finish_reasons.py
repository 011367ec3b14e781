"""Why a model stopped, whatever the provider calls it."""

import pytest

from vibe_router.formats.common.finish_reasons import finish_reason, is_failure


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("end_turn", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("tool_use", "tool_calls"),
        ("function_call", "tool_calls"),
        ("sensitive", "content_filter"),
        ("SAFETY", "content_filter"),
        ("guardrail_intervened", "content_filter"),
        ("refusal", "refusal"),
        ("a reason of next year", "length"),
        (3, "length"),
    ],
)
def test_reasons_of_every_provider(word: object, reason: str) -> None:
    assert finish_reason(word) == reason
    assert not is_failure(word)


@pytest.mark.parametrize(
    "word",
    ["error", "ERROR", "network_error", "abort", "insufficient_system_resource", "MALFORMED_FUNCTION_CALL"],
)
def test_reasons_that_mean_a_failure(word: str) -> None:
    assert is_failure(word)
    assert finish_reason(word) != "stop"
