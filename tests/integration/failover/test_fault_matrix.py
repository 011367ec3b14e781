"""Every way a first layer can fail before its commit: the caller gets the second layer's full answer, unseen."""

from typing import Any

import pytest

from local.standin import refused_url
from tests.integration.failover.harness import L1, L2, Harness
from vibe_router.routing.cooldown import Phase

# fault, its options, the verdict, how often layer 1 is called (a fast transient failure is retried once)
FAULTS: list[tuple[str, dict[str, Any], str, int]] = [
    ("500", {}, "transient", 2),
    ("502", {}, "transient", 2),
    ("504", {}, "transient", 2),
    ("408", {}, "transient", 1),
    ("reset", {}, "transient", 2),
    ("disconnect", {}, "transient", 2),
    ("garbage", {}, "transient", 2),
    ("silence", {}, "transient", 1),
    ("silent_headers", {}, "transient", 1),
    ("header_drip", {"interval": 0.1}, "transient", 1),
    ("redirect", {}, "misconfigured", 1),
    ("empty", {"status": 429}, "rate_limited", 1),
    ("error_in_200", {}, "transient", 2),
    ("html", {}, "transient", 1),
    ("empty_body", {}, "transient", 1),
    ("model_cooldown", {}, "quota", 1),
    ("usage_limit", {}, "quota", 1),
    ("bad_key", {}, "auth", 1),
    ("unknown_model", {}, "misconfigured", 1),
    ("no_account", {}, "transient", 1),
]
STREAM_FAULTS: list[tuple[str, dict[str, Any], str, int]] = [
    ("silent_role", {}, "transient", 1),
    ("only_done", {}, "transient", 1),
    ("cut_after_headers", {"by": "fin"}, "transient", 1),
    ("cut_after_headers", {"by": "rst"}, "transient", 1),
    ("cut_after_role", {"by": "fin"}, "transient", 1),
    ("cut_after_role", {"by": "rst"}, "transient", 1),
    ("stream_error", {}, "transient", 2),
    ("stream_overloaded", {}, "transient", 2),
    ("stream_rate_limit", {}, "rate_limited", 1),
]
WHOLE_FAULTS: list[tuple[str, dict[str, Any], str, int]] = [
    ("no_choices", {}, "transient", 1),
    ("short_body", {}, "transient", 1),
    ("cut", {"by": "rst"}, "transient", 1),
    ("truncated", {}, "transient", 1),
    ("malformed", {}, "transient", 1),
]


def _ids(cases: list[tuple[str, dict[str, Any], str, int]]) -> list[str]:
    return [" ".join([name, *map(str, options.values())]) for name, options, _, _ in cases]


def _falls_over_unseen(
    harness: Harness, fault: str, options: dict[str, Any], verdict: str, calls: int, *, stream: bool
) -> None:
    harness.standin.fault("cliproxyapi", fault, **options)
    outcome = harness.ask(stream=stream)
    assert outcome.error is None
    assert outcome.deployment == L2
    assert outcome.text.strip()
    assert outcome.relay is None or outcome.whole
    assert outcome.verdicts == [*[(L1, verdict)] * calls, (L2, "ok")]
    assert outcome.trace.fallbacks == 1
    cooling = [each for each in (harness.cooldown(), harness.credential()) if each.phase(harness.now) is Phase.COOLING]
    assert [each.strikes for each in cooling] == [1]
    assert harness.ask(stream=stream).trace.attempts[0].deployment == L2, "a cooling layer is not called"
    assert harness.calls() == calls


@pytest.mark.parametrize(
    ("fault", "options", "verdict", "calls"), FAULTS + STREAM_FAULTS, ids=_ids(FAULTS + STREAM_FAULTS)
)
def test_a_streaming_caller_gets_the_next_deployments_answer(
    harness: Harness, fault: str, options: dict[str, Any], verdict: str, calls: int
) -> None:
    _falls_over_unseen(harness, fault, options, verdict, calls, stream=True)


@pytest.mark.parametrize(
    ("fault", "options", "verdict", "calls"), FAULTS + WHOLE_FAULTS, ids=_ids(FAULTS + WHOLE_FAULTS)
)
def test_a_caller_of_a_whole_answer_gets_the_next_deployments_answer(
    harness: Harness, fault: str, options: dict[str, Any], verdict: str, calls: int
) -> None:
    _falls_over_unseen(harness, fault, options, verdict, calls, stream=False)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_host_that_refuses_connections_is_cooled(harness: Harness, stream: bool) -> None:
    with refused_url() as root:
        harness.base_urls["cliproxyapi"] = f"{root}/v1"
        outcome = harness.ask(stream=stream)
    assert outcome.deployment == L2
    assert outcome.verdicts[0] == (L1, "transient")
    assert harness.cooldown().phase(harness.now) is Phase.COOLING
