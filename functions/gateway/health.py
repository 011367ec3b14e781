"""GET /health and its kin: whether the router is up, and how every deployment is."""

from datetime import UTC, datetime
from typing import Any

from environment import Environment
from proxy_event import Request, json_answer
from streaming_runtime import Context, StreamingResponse
from vibe_router.access.keys import admit
from vibe_router.routing.cooldown import Phase, State, unknown
from vibe_router.routing.models import Deployment

__all__ = ["deployments", "liveness", "readiness"]

# The worse one of a deployment's and its credential's phases is the one that counts.
_SEVERITY = (Phase.HEALTHY, Phase.DUE, Phase.PROBING, Phase.COOLING)


def liveness(_request: Request, _context: Context, _environment: Environment) -> StreamingResponse:
    """Answer that the function runs."""
    return json_answer({"status": "alive"})


def readiness(_request: Request, _context: Context, environment: Environment) -> StreamingResponse:
    """Answer 200 once there is something to route to, else 503."""
    models = len(environment.routes().models)
    return json_answer({"status": "ready" if models else "no models", "models": models}, 200 if models else 503)


def deployments(request: Request, _context: Context, environment: Environment) -> StreamingResponse:
    """Answer with the state of every deployment; for the holder of the master key."""
    admit(request.headers, environment.master_key())
    catalogue = environment.routes()
    known = catalogue.deployments
    states = environment.states.read(catalogue.state_ids)
    now = environment.clock.now()
    listed = []
    for deployment in known.values():
        state, credential = (states.get(state_id) or unknown(state_id) for state_id in deployment.state_ids)
        listed.append(
            _entry(deployment, max(state, credential, key=lambda each: _SEVERITY.index(each.phase(now))), now)
        )
    counts = {phase.value: sum(1 for each in listed if each["state"] == phase) for phase in Phase}
    return json_answer({"deployments": listed, "counts": counts, "state_table": _reachable(environment)})


def _entry(deployment: Deployment, state: State, now: float) -> dict[str, Any]:
    entry: dict[str, Any] = {"deployment": deployment.id, "state": state.phase(now)}
    if state.until:
        entry |= {
            "scope": state.id.partition("#")[0],
            "until": datetime.fromtimestamp(state.until, UTC).isoformat(timespec="milliseconds"),
            "verdict": state.verdict,
            "strikes": state.strikes,
            "evidence": state.evidence,
        }
    return entry


def _reachable(environment: Environment) -> str:
    return (
        "unreachable: cooldowns are kept in this environment's memory" if environment.states.degraded else "reachable"
    )
