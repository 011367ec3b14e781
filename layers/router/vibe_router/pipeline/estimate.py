"""Estimate what a request will use, before it is sent: its cost and the tokens of its answers."""

from collections.abc import Iterable

from vibe_router.core.models import Deployment
from vibe_router.core.price import highest_cost

__all__ = ["MAX_COST", "MAX_TOKENS", "estimate_cost", "plausible_answer_tokens"]

# A caller can send any number. Larger ones exceed every limit, and DynamoDB cannot store them.
MAX_TOKENS = 10**12
MAX_COST = 10**18  # nano-dollars


def estimate_cost(chain: Iterable[Deployment], prompt_tokens: int, answer_tokens: int) -> int:
    """Return the cost of a request at the highest price in `chain`, in nano-dollars.

    A deployment without a price counts as free. Audio is priced as text.
    """
    costs = (highest_cost(each.price, prompt_tokens, answer_tokens) for each in chain if each.price)
    return min(max(costs, default=0), MAX_COST)


def plausible_answer_tokens(chain: Iterable[Deployment], limit: int | None, answers: int) -> int:
    """Return the tokens that `answers` plausibly take: the routes' `reserve_tokens` each, or `limit` if it is lower.

    Agents send the highest limit that a model has (Claude Code 64,000) and use a few thousand tokens of it. Were the
    limit reserved, a small budget would reject requests that it can pay for.
    """
    reserve = max(each.policy.reserve_tokens for each in chain)
    each_answer = reserve if limit is None else max(min(limit, reserve), 0)
    return min(max(answers, 1) * each_answer, MAX_TOKENS)
