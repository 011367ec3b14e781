"""GET /health, liveness and readiness: the state of the router and of every deployment."""

from gateway.environment import Environment
from gateway.proxy_event import Request, json_response
from streaming_runtime import Context, StreamingResponse
from vibe_router.pipeline.status import deployment_status
from vibe_router.routing.cooldown import Phase

__all__ = ["deployments", "liveness", "readiness"]


def liveness(_request: Request, _context: Context, _environment: Environment) -> StreamingResponse:
    """Answer that the function runs."""
    return json_response({"status": "alive"})


def readiness(_request: Request, _context: Context, environment: Environment) -> StreamingResponse:
    """Answer 200 once there is something to route to, else 503."""
    models = len(environment.routes().models)
    return json_response({"status": "ready" if models else "no models", "models": models}, 200 if models else 503)


def deployments(request: Request, _context: Context, environment: Environment) -> StreamingResponse:
    """Answer with the state of every deployment; for the holder of the master key."""
    environment.admission.check_master(request.headers)
    catalogue = environment.routes()
    known = catalogue.deployments
    states = environment.states.read(catalogue.state_ids)
    now = environment.clock.now()
    observed = environment.observations.read(known)
    listed = [deployment_status(each.id, each.provider.name, states, now, observed) for each in known.values()]
    counts = {phase.value: sum(1 for each in listed if each["state"] == phase) for phase in Phase}
    return json_response({"deployments": listed, "counts": counts, "state_table": _reachable(environment)})


def _reachable(environment: Environment) -> str:
    return (
        "unreachable: cooldowns are kept in this environment's memory" if environment.states.degraded else "reachable"
    )
