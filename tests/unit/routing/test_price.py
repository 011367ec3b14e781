"""The cost of answers: whole nano-dollars, never negative, and never less for more."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.models import Deployment, Provider
from vibe_router.core.price import Price, as_dollars, cost
from vibe_router.core.usage import Usage
from vibe_router.pipeline.estimate import estimate_cost

PLAIN = Price(input=3, output=15)
FULL = Price(3, 15, cache_read=0.3, cache_write=3.75, audio_input=10, audio_output=20)
RELAY = Provider("relay", "https://relay.example/v1", "RELAY_KEY")

DOLLARS = st.floats(0, 10_000, allow_nan=False).map(lambda each: round(each, 6))
PRICES = st.builds(Price, DOLLARS, DOLLARS, *[st.none() | DOLLARS] * 4)
TOKENS = st.none() | st.integers(0, 10**9)
USAGES = st.builds(Usage, *[TOKENS] * 7)


@pytest.mark.parametrize(
    ("price", "usage", "nano"),
    [
        pytest.param(PLAIN, Usage(1_000_000, 1_000_000), 18_000_000_000, id="a million each"),
        pytest.param(PLAIN, Usage(1, 0), 3_000, id="one token"),
        pytest.param(PLAIN, Usage(7, None), 21_000, id="nothing came out, as of embeddings"),
        pytest.param(PLAIN, Usage(0, 0), 0, id="none"),
        pytest.param(Price(0.0001, 0), Usage(1, 0), 1, id="a fraction of a nano-dollar is rounded up"),
        pytest.param(Price(0.1, 0.2), Usage(3, 1), 500, id="a sum that floats round wrongly"),
        pytest.param(PLAIN, Usage(100, 10, cached_tokens=90, cache_write_tokens=5), 450_000, id="no price of its own"),
        pytest.param(FULL, Usage(100, 0, cached_tokens=90), 57_000, id="read from the cache"),
        pytest.param(FULL, Usage(100, 0, cached_tokens=90, cache_write_tokens=10), 64_500, id="written to the cache"),
        pytest.param(FULL, Usage(100, 10, audio_prompt_tokens=40, audio_completion_tokens=5), 755_000, id="audio"),
        pytest.param(FULL, Usage(10, 100, reasoning_tokens=80), 1_530_000, id="reasoning tokens are completion tokens"),
        pytest.param(FULL, Usage(10, 0, cached_tokens=90), 27_000, id="counts that contradict each other"),
        pytest.param(None, Usage(10, 10), None, id="no price"),
        pytest.param(PLAIN, Usage(), None, id="no tokens known"),
        pytest.param(PLAIN, Usage(cached_tokens=5), None, id="only a part known"),
        pytest.param(Price(0, 0), Usage(10, 10), 0, id="free is not unknown"),
    ],
)
def test_the_cost_of_an_answer(price: Price | None, usage: Usage, nano: int | None) -> None:
    assert cost(price, usage) == nano


@given(PRICES, USAGES)
def test_a_cost_is_whole_and_never_negative(price: Price, usage: Usage) -> None:
    found = cost(price, usage)
    assert (found is None) == (not usage.known)
    assert found is None or (isinstance(found, int) and found >= 0)


@given(PRICES, USAGES.filter(lambda usage: usage.known), st.integers(0, 10**6), st.integers(0, 10**6))
def test_more_tokens_never_cost_less(price: Price, usage: Usage, more_in: int, more_out: int) -> None:
    more = replace(
        usage,
        prompt_tokens=(usage.prompt_tokens or 0) + more_in,
        completion_tokens=(usage.completion_tokens or 0) + more_out,
    )
    before, after = cost(price, usage), cost(price, more)
    assert before is not None
    assert after is not None
    assert after >= before


@given(PRICES, st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 100), st.integers(0, 100))
def test_an_estimate_is_never_below_the_cost_of_text(
    price: Price, prompt: int, answer: int, cached: int, written: int
) -> None:
    price = replace(price, cache_read=min(price.input, price.cache_read or 0))
    chain = [Deployment(RELAY, "a"), Deployment(RELAY, "b", price=price)]
    parts = {"cached_tokens": prompt * cached // 200, "cache_write_tokens": prompt * written // 200}
    found = cost(price, Usage(prompt, answer, **parts))
    assert found is not None
    assert estimate_cost(chain, prompt, answer) >= found


def test_an_estimate_uses_the_highest_price_of_the_chain() -> None:
    chain = [Deployment(RELAY, "a", price=PLAIN), Deployment(RELAY, "b"), Deployment(RELAY, "c", price=FULL)]
    assert estimate_cost(chain, 100, 10) == 100 * 3_750 + 10 * 15_000
    assert estimate_cost(chain[1:2], 100, 10) == 0, "what is unpriced reserves nothing"
    assert estimate_cost([], 100, 10) == 0


@pytest.mark.parametrize(("nano", "dollars"), [(None, None), (0, 0.0), (1, 1e-9), (1_500_000_000, 1.5)])
def test_nano_dollars_as_dollars(nano: int | None, dollars: float | None) -> None:
    assert as_dollars(nano) == dollars
