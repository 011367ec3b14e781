"""Prices and costs. Money is whole nano-dollars (1e-9 $) everywhere inside.

Integers keep sums exact. A price counts to the millionth of a dollar per
million tokens, that is to the pico-dollar per token; a request's cost is rounded up once, at its end.
"""

from dataclasses import dataclass

from vibe_router.core.usage import Usage

__all__ = ["NANO", "Price", "as_dollars", "cost", "highest_cost"]

NANO = 1_000_000_000  # nano-dollars in a dollar
_PICO_PER_TOKEN = 1_000_000  # of a price of one dollar per million tokens
_PICO_PER_NANO = 1_000


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens. Without a price of their own, cached tokens and audio cost what other tokens cost."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    audio_input: float | None = None
    audio_output: float | None = None
    source: str | None = None  # the price list it came from; None for a price set by a person


def cost(price: Price | None, usage: Usage) -> int | None:
    """Return the cost of `usage` in nano-dollars; None if the price or the tokens are unknown."""
    if price is None or not usage.known:
        return None
    cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
    audio_in, audio_out = usage.audio_prompt_tokens or 0, usage.audio_completion_tokens or 0
    plain_in = max((usage.prompt_tokens or 0) - cached - written - audio_in, 0)
    plain_out = max((usage.completion_tokens or 0) - audio_out, 0)
    return _nano(
        (plain_in, price.input),
        (cached, _or(price.cache_read, price.input)),
        (written, _or(price.cache_write, price.input)),
        (audio_in, _or(price.audio_input, price.input)),
        (plain_out, price.output),
        (audio_out, _or(price.audio_output, price.output)),
    )


def highest_cost(price: Price, prompt_tokens: int, completion_tokens: int) -> int:
    """Return the highest cost of a text request in nano-dollars: no cache hit, and all tokens written to it."""
    dearest_in = max(price.input, price.cache_write or 0)
    return _nano((max(prompt_tokens, 0), dearest_in), (max(completion_tokens, 0), price.output))


def as_dollars(nano: int | None) -> float | None:
    """Return `nano` nano-dollars in dollars, for people."""
    return None if nano is None else nano / NANO


def _or(price: float | None, otherwise: float) -> float:
    return otherwise if price is None else price


def _nano(*parts: tuple[int, float]) -> int:
    """Return the sum of tokens times price, rounded up."""
    pico = sum(tokens * round(price * _PICO_PER_TOKEN) for tokens, price in parts)
    return -(-pico // _PICO_PER_NANO)
