"""What a caller is told when no deployment answered: the reason that says the most, not the last one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vibe_router.routing.chain import Skipped
from vibe_router.routing.verdict import Classification, Verdict

__all__ = ["Attempt", "Exhausted", "exhausted"]

_LIMITS = frozenset({Verdict.RATE_LIMITED, Verdict.QUOTA})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to one deployment, as log and errors tell it. `classification` is None for the one that served."""

    deployment: str
    classification: Classification | None
    status: int | None
    ms: float
    cooldown_until: float | None = None  # epoch seconds

    @property
    def verdict(self) -> str:
        """The verdict's name; `ok` for the attempt that served."""
        return self.classification.verdict.value if self.classification else "ok"


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The end of a chain without an answer. `retry_after` is in whole seconds, rounded up."""

    status: int
    code: str
    type: str
    message: str
    retry_after: int | None = None
    param: str | None = None


def exhausted(attempts: Sequence[Attempt], skipped: Sequence[Skipped], model: str, now: float) -> Exhausted:
    """Sum up a chain whose `attempts` all failed and whose `skipped` deployments were cooling, at `now` (epoch s).

    What the caller can mend wins: a request that is too long, or that no model does, where all were asked. Then limits,
    with the soonest time that one of them ends; then timeouts; then 502.
    """
    classifications = [attempt.classification for attempt in attempts if attempt.classification]
    for classification in classifications:
        if classification.verdict is Verdict.CONTEXT_LENGTH:
            return Exhausted(
                status=400,
                code="context_length_exceeded",
                type="invalid_request_error",
                message=classification.message or f"The request is too long for every deployment of {model}.",
                param=classification.param or "messages",
            )
    if classifications and not skipped and all(each.verdict is Verdict.UNSUPPORTED for each in classifications):
        first = classifications[0]
        message = first.message or f"No deployment of {model} does what is asked."
        return Exhausted(400, first.code or "unsupported", "invalid_request_error", message, param=first.param)
    free_at = [each.free_at for each in skipped]
    free_at += [attempt.cooldown_until for attempt in attempts if attempt.cooldown_until]
    retry_after = max(1, math.ceil(min(free_at) - now)) if free_at else None
    told = "; ".join(f"{attempt.deployment}: {attempt.verdict}{_status(attempt.status)}" for attempt in attempts)
    kept = "; ".join(f"{each.deployment.id}: cooling after {each.verdict}" for each in skipped)
    message = f"No deployment of {model} could answer ({'; '.join(filter(None, (told, kept)))})."
    verdicts = [classification.verdict for classification in classifications] or [each.verdict for each in skipped]
    if any(verdict in _LIMITS for verdict in verdicts):
        return Exhausted(429, "all_deployments_failed", "rate_limit_error", message, retry_after or 1)
    if classifications and all(classification.timeout for classification in classifications):
        return Exhausted(504, "all_deployments_failed", "timeout_error", message)
    return Exhausted(502, "all_deployments_failed", "upstream_error", message)


def _status(status: int | None) -> str:
    return f" ({status})" if status else ""
