"""Choose the order of deployments within a step: by weights, price, speed, or what is left of their quota.

    weights    the conversation's hash, in proportion to the weights: a conversation stays where its prompt is cached
    cheapest   the price of the prompt and of a plausible answer; without a price last
    fastest    the recent times to first token; a deployment without any first, so that it gets some
    quota      the share of its limits that is left; unknown limits count as unused

Deployments that are equal in this are in the order of the weights. Pure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vibe_router.core.models import Deployment, VirtualModel
from vibe_router.core.price import highest_cost
from vibe_router.routing.chain import in_order
from vibe_router.routing.hedge import percentile
from vibe_router.routing.quota import QuotaWindow, used_share

__all__ = ["NOTHING", "Facts", "Observed", "choose_order", "is_reserved", "median_first_token"]

_RECENT = 600.0  # seconds


@dataclass(frozen=True, slots=True)
class Observed:
    """The observations of a deployment: its quota, and times to first token (epoch seconds, seconds)."""

    windows: tuple[QuotaWindow, ...] = ()
    first_tokens: tuple[tuple[float, float], ...] = ()
    written_at: float = 0.0


NOTHING = Observed()


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts that an order depends on: the observations by deployment, the request's size, and its caller's names.

    `stays_at` is the id of the deployment that serves the conversation already.
    """

    now: float
    observed: Mapping[str, Observed] = field(default_factory=dict)
    tokens: Callable[[], tuple[int, int]] = lambda: (0, 0)  # of the prompt, and of a plausible answer
    caller: frozenset[str] = frozenset()
    stays_at: str | None = None


def choose_order(model: VirtualModel, affinity: bytes, facts: Facts) -> list[Deployment]:
    """Return the chain of `model` in the order to try it.

    A deployment whose quota is reserved for other keys is last of all.
    """
    by_weight = in_order(model, affinity)
    chosen: list[Deployment] = []
    for step in model.steps:
        members = [each for each in by_weight if each in step]
        chosen += sorted(members, key=_rank(members[0].policy.order, facts)) if len(members) > 1 else members
    reserved = [each for each in chosen if is_reserved(each, facts)]
    return [each for each in chosen if each not in reserved] + reserved


def is_reserved(deployment: Deployment, facts: Facts) -> bool:
    """Return whether the rest of its quota is reserved for others: for named keys, and for running conversations."""
    policy = deployment.policy
    if policy.order != "quota" or facts.stays_at == deployment.id or facts.caller & set(policy.quota.keys):
        return False
    used = used_share(facts.observed.get(deployment.id, NOTHING).windows, facts.now)
    return used is not None and used >= policy.quota.threshold / 100


def median_first_token(observed: Observed, now: float) -> float | None:
    """Return the median of the recent times to first token, None without any."""
    recent = [seconds for at, seconds in observed.first_tokens if now - at <= _RECENT]
    return percentile(recent, 0.5) if recent else None


def _rank(order: str, facts: Facts) -> Callable[[Deployment], float]:
    def cost(deployment: Deployment) -> float:
        return highest_cost(deployment.price, *facts.tokens()) if deployment.price else float("inf")

    def first_token(deployment: Deployment) -> float:
        return median_first_token(facts.observed.get(deployment.id, NOTHING), facts.now) or 0.0

    def used(deployment: Deployment) -> float:
        return used_share(facts.observed.get(deployment.id, NOTHING).windows, facts.now) or 0.0

    ranks: Mapping[str, Callable[[Deployment], float]] = {"cheapest": cost, "fastest": first_token, "quota": used}
    return ranks.get(order, lambda _: 0.0)
