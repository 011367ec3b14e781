"""The tokens that are charged for cut streams and implausible reports."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.usage import Usage
from vibe_router.pipeline.accounting import bounded_usage, cut_stream_usage


@dataclass
class Request:
    max_output_tokens: int | None = None
    answers: int = 1
    prompt: int = 100

    def prompt_tokens_estimate(self) -> int:
        return self.prompt


@pytest.mark.parametrize(
    ("request_", "usage", "charged"),
    [
        pytest.param(Request(50), Usage(120, 50), Usage(120, 50), id="a plausible report"),
        pytest.param(Request(50), Usage(120, 90), Usage(120, 90), id="a little over the limit"),
        pytest.param(Request(50), Usage(120, 20_000), Usage(120, 20_000), id="reasoning beside the limit, uncounted"),
        pytest.param(
            Request(50),
            Usage(120, 90_000, reasoning_tokens=89_950),
            Usage(120, 90_000, reasoning_tokens=89_950),
            id="reasoning beside the limit, counted",
        ),
        pytest.param(Request(50), Usage(120, 10**9), Usage(120, 50), id="an answer beyond its limit"),
        pytest.param(
            Request(50),
            Usage(120, 10**9, reasoning_tokens=10**9),
            Usage(120, 50, reasoning_tokens=50),
            id="reasoning beyond any model's",
        ),
        pytest.param(Request(50, answers=3), Usage(120, 10**9), Usage(120, 150), id="three answers beyond it"),
        pytest.param(Request(), Usage(120, 10**9), Usage(120, 200_000), id="an answer without a limit"),
        pytest.param(Request(50), Usage(10**9, 5), Usage(100, 5), id="a prompt beyond its text"),
        pytest.param(Request(50), Usage(150_000, 5), Usage(150_000, 5), id="a prompt with a provider's own tools"),
        pytest.param(Request(50), Usage(), Usage(), id="no report"),
        pytest.param(
            Request(50), Usage(10**9, 10**9, 10**9, 7, 10**9), Usage(100, 50, 100, 0, 50), id="parts of the whole"
        ),
    ],
)
def test_implausible_tokens_are_replaced_by_what_was_requested(request_: Request, usage: Usage, charged: Usage) -> None:
    assert bounded_usage(usage, request_) == charged


counts = st.none() | st.integers(0, 10**9)


@given(usage=st.builds(Usage, counts, counts, counts, counts, counts, counts, counts))
def test_bounded_usage_is_bounded_and_its_parts_fit(usage: Usage) -> None:
    bounded = bounded_usage(usage, Request(1_000))
    assert (bounded.prompt_tokens or 0) <= 8 * 100 + 200_000
    assert (bounded.completion_tokens or 0) <= 2 * 1_000 + 32_000 + 200_000
    assert (bounded.completion_tokens or 0) - (bounded.reasoning_tokens or 0) <= 2 * 1_000 + 32_000
    if bounded != usage:
        parts = (bounded.cached_tokens or 0) + (bounded.cache_write_tokens or 0) + (bounded.audio_prompt_tokens or 0)
        assert parts <= (bounded.prompt_tokens or 0)


@pytest.mark.parametrize(
    ("events", "sent", "tokens"),
    [
        pytest.param(0, 0, 0, id="nothing was streamed"),
        pytest.param(40, 40 * 183, 40, id="a token in each event"),
        pytest.param(2, 360 + 8_000, 2_000, id="much text in few events"),
    ],
)
def test_a_cut_stream_is_charged_for_what_was_streamed(events: int, sent: int, tokens: int) -> None:
    request = Request()
    assert cut_stream_usage(Usage(), request, events, sent) == Usage(100, tokens)
    begun = Usage(80, 1, cached_tokens=60)  # as Anthropic reports at the start
    assert cut_stream_usage(begun, request, events, sent) == replace(begun, completion_tokens=max(tokens, 1))
