"""The trace of one request through a chain, for headers, errors and the log."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vibe_router.core.errors import ApiError
from vibe_router.core.models import Deployment
from vibe_router.core.usage import Usage
from vibe_router.routing.chain import Skipped
from vibe_router.routing.outcome import Attempt

__all__ = ["AttemptTrace", "BilledPart", "Unfit"]


@dataclass(frozen=True, slots=True)
class Unfit:
    """A deployment that cannot carry the request, and the 400 that explains it."""

    deployment: Deployment
    error: ApiError


@dataclass(frozen=True, slots=True)
class BilledPart:
    """The part of a continued answer that one deployment wrote before it broke off, and what that used."""

    deployment: Deployment
    usage: Usage


@dataclass(slots=True)
class AttemptTrace:
    """The attempts of one request, and the deployments that it was not sent to."""

    attempts: list[Attempt] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    unfit: list[Unfit] = field(default_factory=list)
    served_by: Deployment | None = None
    provider_format: str | None = None  # the format in which the provider was called
    reasoning_left_out: int = 0  # proofs of earlier reasoning that were not sent
    parts: list[BilledPart] = field(default_factory=list)  # of a continued answer, except for the last
    reported: dict[str, Mapping[str, str]] = field(default_factory=dict)  # headers with a quota, by deployment
    client_headers: Mapping[str, str] = field(default_factory=dict)  # of the caller, in lower case
    dropped_params: tuple[str, ...] = ()  # parameters and beta flags that were not sent to the deployment
    stayed: bool = False  # whether the conversation was kept where it is although another deployment is first
    losers: list[BilledPart] = field(default_factory=list)  # cancelled, since another deployment answered first
    written: Sequence[Mapping[str, Any]] = ()  # by which deployment: as in the record's `parts`, without usage
    ended_by: Deployment | None = None  # the deployment that wrote the last part
    origin: Callable[[], str] = str  # returns the caller and the conversation, as in `State.origin`

    @property
    def fallbacks(self) -> int:
        """The number of deployments passed over, tried or not, before the one that served."""
        first = self.attempts[0].deployment if self.attempts else None
        is_first = self.served_by is not None and self.served_by.id == first
        # A backup that lost was not passed over.
        others = {each.deployment for each in self.attempts if not (each.is_cancelled and is_first)}
        others |= {each.deployment.id for each in self.skipped} | {each.deployment.id for each in self.unfit}
        return len(others - ({self.served_by.id} if self.served_by else set()))
