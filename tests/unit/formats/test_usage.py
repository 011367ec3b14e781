"""The tokens in a chat completion's usage, by whatever names providers give them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.usage import MOST_TOKENS, Usage, read_chat


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        pytest.param({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}, Usage(7, 3), id="plain"),
        pytest.param(
            {
                "prompt_tokens": 100,
                "completion_tokens": 30,
                "prompt_tokens_details": {"cached_tokens": 80, "audio_tokens": 5},
                "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 2},
            },
            Usage(100, 30, 80, None, 20, 5, 2),
            id="OpenAI's details",
        ),
        pytest.param(
            {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 4}},
            Usage(9, cached_tokens=0, cache_write_tokens=4),
            id="OpenRouter's cache writes",
        ),
        pytest.param(
            {"prompt_tokens": 9, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2},
            Usage(9, cached_tokens=5, cache_write_tokens=2),
            id="Anthropic's names, passed on by a relay",
        ),
        pytest.param(
            {"prompt_tokens": 9, "prompt_cache_hit_tokens": 5}, Usage(9, cached_tokens=5), id="DeepSeek's name"
        ),
        pytest.param({"prompt_tokens": True, "completion_tokens": -1}, Usage(), id="no numbers of tokens"),
        pytest.param({"prompt_tokens": MOST_TOKENS + 1}, Usage(), id="more than can be"),
        pytest.param({"prompt_tokens": 1, "prompt_tokens_details": [7]}, Usage(1), id="details that are none"),
        pytest.param(None, Usage(), id="null"),
        pytest.param("many", Usage(), id="a text"),
    ],
)
def test_tokens_are_found_under_their_names(usage: object, counted: Usage) -> None:
    assert read_chat(usage) == counted


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
NAMES = st.sampled_from(["prompt_tokens", "completion_tokens", "prompt_tokens_details", "cache_read_input_tokens"])


@given(st.dictionaries(NAMES, JSON))
def test_any_usage_of_a_provider_is_read(usage: dict[str, Any]) -> None:
    read = read_chat(usage)
    assert read.total_tokens >= 0
    assert read.known == (read.prompt_tokens is not None or read.completion_tokens is not None)
