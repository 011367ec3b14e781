"""The status of a deployment in plain values, for /health and the admin API."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from vibe_router.routing.cooldown import Phase, State, healthy
from vibe_router.routing.order import Observed, median_first_token
from vibe_router.routing.quota import used_share

__all__ = ["at_iso", "deployment_status"]

# The worse of the deployment's and its credential's phase counts.
_SEVERITY = (Phase.HEALTHY, Phase.DUE, Phase.PROBING, Phase.COOLING)


def deployment_status(
    deployment_id: str,
    provider: str,
    states: Mapping[str, State],
    now: float,
    observed: Mapping[str, Observed] | None = None,
) -> dict[str, Any]:
    """Return the status of a deployment of `provider` at `now` (epoch seconds), given `states` by id.

    `observed` are the observations by deployment, of all environments.
    """
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
    if observed and (seen := observed.get(deployment_id)):
        entry |= _observations(seen, now)
    return entry


def _observations(observed: Observed, now: float) -> dict[str, Any]:
    """Return the quota of a deployment, as shares from 0 to 1, and its median time to first token."""
    found: dict[str, Any] = {}
    if (used := used_share(observed.windows, now)) is not None:
        windows = [
            {
                "name": each.name,
                "used": 0.0 if 0 < each.resets_at <= now else each.used,
                "resets_at": at_iso(each.resets_at) if each.resets_at > now else None,
            }
            for each in observed.windows
        ]
        found["quota"] = {"used": used, "windows": windows}
    if (seconds := median_first_token(observed, now)) is not None:
        found["ttft_ms"] = round(seconds * 1000)
    return found


def at_iso(at: float) -> str:
    """Return epoch seconds in ISO 8601, UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
