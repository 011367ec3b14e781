"""Estimate what a request may use, before it is sent: its cost and the tokens of its answers."""

from collections.abc import Iterable

from vibe_router.core.models import Deployment
from vibe_router.core.price import highest_cost

__all__ = ["estimate_cost", "max_answer_tokens"]


def estimate_cost(chain: Iterable[Deployment], prompt_tokens: int, answer_tokens: int) -> int:
    """Return the cost of a request at the highest price in `chain`, in nano-dollars.

    A deployment without a price counts as free. Audio is priced as text.
    """
    return max((highest_cost(each.price, prompt_tokens, answer_tokens) for each in chain if each.price), default=0)


def max_answer_tokens(chain: Iterable[Deployment], limit: int | None, answers: int) -> int:
    """Return the most tokens that `answers` may take, each within `limit` or, without one, the routes' reserve."""
    return answers * (max(each.policy.reserve_tokens for each in chain) if limit is None else limit)
