"""The status of a deployment in plain values, for /health and the admin API."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from vibe_router.routing.cooldown import Phase, State, healthy

__all__ = ["at_iso", "deployment_status"]

# The worse of the deployment's and its credential's phase counts.
_SEVERITY = (Phase.HEALTHY, Phase.DUE, Phase.PROBING, Phase.COOLING)


def deployment_status(deployment_id: str, provider: str, states: Mapping[str, State], now: float) -> dict[str, Any]:
    """Return the status of a deployment of `provider` at `now` (epoch seconds), given `states` by id."""
    ids = f"deployment#{deployment_id}", f"credential#{provider}"
    own, credential = (states.get(state_id) or healthy(state_id) for state_id in ids)
    state = max(own, credential, key=lambda each: _SEVERITY.index(each.phase(now)))
    entry: dict[str, Any] = {"deployment": deployment_id, "state": state.phase(now)}
    if state.until:
        entry |= {
            "scope": state.id.partition("#")[0],
            "until": at_iso(state.until),
            "verdict": state.verdict,
            "strikes": state.strikes,
            "evidence": state.evidence,
        }
    return entry


def at_iso(at: float) -> str:
    """Return epoch seconds in ISO 8601, UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
