"""The error for the caller when no deployment answered: the most actionable one, not the last."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vibe_router.routing.chain import Skipped
from vibe_router.routing.retry import REJECTIONS
from vibe_router.routing.verdict import Classification, Verdict

__all__ = ["Attempt", "ChainError", "chain_error", "rejection_error"]

_LIMITS = frozenset({Verdict.RATE_LIMITED, Verdict.QUOTA})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to one deployment, for log and errors. `classification` is None for the call that served."""

    deployment: str
    classification: Classification | None
    status: int | None
    ms: float
    cooldown_until: float | None = None  # epoch seconds
    is_cancelled: bool = False  # another deployment answered first
    started: float = 0.0  # monotonic seconds

    @property
    def verdict(self) -> str:
        """The name of the verdict; `ok` for the attempt that served, `cancelled` for one that lost to it."""
        if self.is_cancelled:
            return "cancelled"
        return self.classification.verdict.value if self.classification else "ok"


@dataclass(frozen=True, slots=True)
class ChainError:
    """The error that a request without an answer ends in. `retry_after` is in whole seconds, rounded up."""

    status: int
    code: str
    type: str
    message: str
    retry_after: int | None = None
    param: str | None = None


def chain_error(attempts: Sequence[Attempt], skipped: Sequence[Skipped], model: str, now: float) -> ChainError:
    """Return the error of a chain whose `attempts` all failed and whose `skipped` deployments were cooling.

    `now` is in epoch seconds.

    If every deployment rejected the request, the first rejection. Else a request that is too long, which the caller can
    shorten; then limits, with the soonest time that one of them ends; then timeouts; then 502.
    """
    classifications = [attempt.classification for attempt in attempts if attempt.classification]
    if classifications and not skipped and all(each.verdict in REJECTIONS for each in classifications):
        return rejection_error(classifications[0])
    for classification in classifications:
        if classification.verdict is Verdict.CONTEXT_LENGTH:
            return rejection_error(classification)
    free_at = [each.free_at for each in skipped]
    free_at += [attempt.cooldown_until for attempt in attempts if attempt.cooldown_until]
    retry_after = max(1, math.ceil(min(free_at) - now)) if free_at else None
    tried = "; ".join(f"{attempt.deployment}: {attempt.verdict}{_status(attempt.status)}" for attempt in attempts)
    cooling = "; ".join(f"{each.deployment.id}: cooling after {each.verdict}" for each in skipped)
    message = f"No deployment of {model} could answer ({'; '.join(filter(None, (tried, cooling)))})."
    verdicts = [classification.verdict for classification in classifications] or [each.verdict for each in skipped]
    if any(verdict in _LIMITS for verdict in verdicts):
        return ChainError(429, "all_deployments_failed", "rate_limit_error", message, retry_after or 1)
    if classifications and all(classification.timeout for classification in classifications):
        return ChainError(504, "all_deployments_failed", "timeout_error", message)
    return ChainError(502, "all_deployments_failed", "upstream_error", message)


def rejection_error(classification: Classification) -> ChainError:
    """Return the error for a request that a provider rejected, with the provider's own reason."""
    status, kind = classification.status or 400, classification.type or "invalid_request_error"
    if classification.verdict is Verdict.CONTEXT_LENGTH:  # clients know this case by its code
        message = classification.message or "The request is too long."
        return ChainError(
            400, "context_length_exceeded", "invalid_request_error", message, param=classification.param or "messages"
        )
    return ChainError(
        status if 400 <= status < 500 else 400,
        classification.code or classification.verdict.value,
        kind,
        classification.message or "The provider rejected the request.",
        param=classification.param,
    )


def _status(status: int | None) -> str:
    return f" ({status})" if status else ""
