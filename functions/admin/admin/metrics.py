"""GET /metrics: counters and histograms from the totals, and the health of deployments, for Prometheus.

It is served by this function and not by the gateway, because this one may read totals and has the code for it; the
gateway's start would pay for both.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from aws_lambda_powertools.event_handler import Response

from admin.call import Call, call_of
from admin.exposition import CONTENT_TYPE, Family, HistogramSample, Labels, exposition
from admin.fields import dollars
from admin.router import Router
from admin.routes_logic import catalogue, states_of
from vibe_router.core.errors import ApiError
from vibe_router.core.histogram import BOUNDS_MS, FIRST_TOKEN, TOTAL_TIME, Histogram
from vibe_router.pipeline.status import deployment_status
from vibe_router.routing.cooldown import State
from vibe_router.routing.spec import RoutesSpec
from vibe_router.store.lifetime_totals import Lifetimes
from vibe_router.store.usage import TooMuchError

__all__ = ["router"]

router = Router()

_KINDS = ("", "model", "deployment", "team")  # "" is all requests
_COUNTERS = {
    "requests": "Requests with a valid key, including rejected ones",
    "errors": "Requests whose caller got an error, or an answer that broke off",
    "failovers": "Requests that a later deployment of the chain served",
    "unpriced": "Requests of unknown cost",
    "cache_hits": "Requests that a stored answer was replayed for",
}
_TOKENS = {
    "input": "prompt_tokens",
    "input_cached": "cached_tokens",
    "output": "completion_tokens",
    "output_reasoning": "reasoning_tokens",
}
_HISTOGRAMS = {
    "time_to_first_token_seconds": (FIRST_TOKEN, "Time to the first token"),
    "duration_seconds": (TOTAL_TIME, "Total time of requests that were answered"),
}
_EPOCH = date(1970, 1, 1)
_BOUNDS = [ms / 1000 for ms in BOUNDS_MS]


@router.get(
    "/metrics",
    tags=["Metrics"],
    responses={200: {"description": "Prometheus text.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics() -> Response[Any]:
    """Return counters and histograms of usage, and the health of deployments, as Prometheus text.

    For the master key, or the key METRICS_KEY of the router's secret, which may do nothing else.
    """
    call = call_of(router)
    families: list[Family] = []
    try:
        lifetimes = {kind: call.environment.lifetimes.read(kind or "all") for kind in _KINDS}
    except TooMuchError:
        message = "There are more totals than one scrape may read. Use the admin API instead."
        raise ApiError(503, message, type="server_error", code="too_many_totals") from None
    for kind, found in lifetimes.items():
        families += _families(kind, found)
    since = {kind: _midnight(found) for kind, found in lifetimes.items()}
    samples: list[tuple[Labels, float]] = [({"of": kind or "all"}, at) for kind, at in since.items()]
    about = "The beginning of the day, in epoch seconds, from which the counters count"
    families.append(Family("vibe_counters_start_time_seconds", "gauge", about, samples))
    families += _health(call)
    return Response(200, CONTENT_TYPE, exposition(families))


def _families(kind: str, found: Lifetimes) -> list[Family]:
    """Return the metrics of a kind, named after it: vibe_requests_total, vibe_model_requests_total{model=…}."""
    prefix = f"vibe_{kind}_" if kind else "vibe_"
    per = f", by {kind}" if kind else ""
    of: list[tuple[Labels, Mapping[str, int]]] = [
        ({kind: name} if kind else {}, counters) for name, counters in sorted(found.counters.items())
    ]
    families = [
        Family(
            f"{prefix}{_noun(name)}_total", "counter", f"{about}{per}.", [(labels, each[name]) for labels, each in of]
        )
        for name, about in _COUNTERS.items()
    ]
    tokens: list[tuple[Labels, float]] = [
        ({**labels, "type": name}, each[counter]) for labels, each in of for name, counter in _TOKENS.items()
    ]
    about = f"Tokens{per}. Those of input_cached are among input, and those of output_reasoning among output."
    families.append(Family(f"{prefix}tokens_total", "counter", about, tokens))
    costs: list[tuple[Labels, float]] = [(labels, dollars(each["cost"])) for labels, each in of]
    families.append(Family(f"{prefix}cost_dollars_total", "counter", f"Cost in US dollars{per}.", costs))
    families += (
        Family(
            f"{prefix}request_{name}" if name.startswith("duration") else f"{prefix}{name}",
            "histogram",
            f"{about}{per}.",
            histograms=[_histogram(labels, histogram, each) for labels, each in of],
        )
        for name, (histogram, about) in _HISTOGRAMS.items()
    )
    return families


def _noun(counter: str) -> str:
    return "unpriced_requests" if counter == "unpriced" else counter


def _histogram(labels: Labels, histogram: Histogram, counters: Mapping[str, int]) -> HistogramSample:
    return HistogramSample(labels, _BOUNDS, histogram.counts(counters), counters[histogram.sum] / 1000)


def _midnight(found: Lifetimes) -> float:
    return (found.since - _EPOCH).days * 86_400


def _health(call: Call) -> list[Family]:
    """Return the health of every deployment in a chain: from the routes and the states, which take few reads."""
    spec, _ = catalogue(call)
    states = states_of(call, spec)
    healthy = Family("vibe_deployment_healthy", "gauge", "Whether a deployment is in no cooldown: 1, else 0.")
    seconds = Family("vibe_deployment_cooldown_seconds", "gauge", "Seconds left of a deployment's cooldown.")
    for provider, model in _deployments(spec):
        labels = {"deployment": f"{provider}/{model}", "provider": provider}
        left = _cooldown_left(provider, model, states, call.now)
        healthy.samples.append((labels, int(left is None)))
        seconds.samples.append((labels, round(left or 0, 3)))
    return [healthy, seconds]


def _deployments(spec: RoutesSpec) -> list[tuple[str, str]]:
    members = {(each.provider, each.model) for model in spec.models.values() for step in model.chain for each in step}
    return sorted(members)


def _cooldown_left(provider: str, model: str, states: Mapping[str, State], now: float) -> float | None:
    """Return the seconds that a deployment still cools, 0 if it is due or probed; None if it is healthy."""
    status = deployment_status(f"{provider}/{model}", provider, states, now)
    if status["state"] == "healthy":
        return None
    state = states[
        f"deployment#{provider}/{model}" if status.get("scope") == "deployment" else f"credential#{provider}"
    ]
    return max(state.until - now, 0)
