import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.models import Policy
from vibe_router.routing.retry import (
    REJECTIONS,
    STOPPING,
    rejects_reasoning_proof,
    requires_reasoning,
    requires_stream,
    retry_delay,
)
from vibe_router.routing.verdict import Classification, Scope, Verdict


def classified(
    verdict: Verdict = Verdict.TRANSIENT, *, fast: bool = False, reset: float | None = None, timeout: bool = False
) -> Classification:
    return Classification(verdict, Scope.DEPLOYMENT, reset_after=reset, fast_retry=fast, timeout=timeout)


@pytest.mark.parametrize(
    ("classification", "tried", "waited", "last", "left", "delay"),
    [
        pytest.param(classified(fast=True), 0, False, False, 60, 0.125, id="a fast failure is retried with jitter"),
        pytest.param(classified(fast=True), 1, False, False, 60, None, id="but no more than `retries` times"),
        pytest.param(classified(fast=True), 0, False, False, 0.1, None, id="not without time left"),
        pytest.param(classified(timeout=True), 0, False, True, 60, None, id="never after a silent timeout"),
        pytest.param(classified(), 0, False, True, 60, None, id="not after a slow failure"),
        pytest.param(
            classified(Verdict.RATE_LIMITED, reset=3),
            0,
            False,
            True,
            60,
            3,
            id="the last deployment waits for a Retry-After",
        ),
        pytest.param(
            classified(Verdict.RATE_LIMITED, reset=2), 0, False, False, 60, 2, id="a short Retry-After is waited"
        ),
        pytest.param(classified(Verdict.RATE_LIMITED, reset=3), 0, False, False, 60, None, id="a longer one is not"),
        pytest.param(classified(Verdict.RATE_LIMITED, reset=3), 0, True, True, 60, None, id="only once"),
        pytest.param(
            classified(Verdict.RATE_LIMITED, reset=6), 0, False, True, 60, None, id="no longer than max_last_wait"
        ),
        pytest.param(classified(Verdict.RATE_LIMITED, reset=3), 0, False, True, 2, None, id="not beyond the time left"),
        pytest.param(
            classified(Verdict.RATE_LIMITED), 0, False, True, 60, None, id="a limit without a hint is not retried"
        ),
        pytest.param(classified(fast=True, reset=4), 0, False, True, 60, 4, id="a Retry-After replaces a fast retry"),
        pytest.param(classified(fast=True, reset=90), 0, False, True, 60, None, id="and a long one prevents it"),
        pytest.param(classified(Verdict.QUOTA, reset=1), 0, False, True, 60, None, id="a quota is never awaited"),
        pytest.param(classified(Verdict.AUTH, reset=1), 0, False, True, 60, None, id="nor is a refused key"),
    ],
)
def test_the_delay_before_a_retry(
    classification: Classification, tried: int, waited: bool, last: bool, left: float, delay: float | None
) -> None:
    found = retry_delay(classification, Policy(), tried=tried, waited=waited, last=last, left=left, jitter=0.5)
    assert found == delay


@given(
    classification=st.builds(
        Classification,
        verdict=st.sampled_from(Verdict),
        scope=st.sampled_from(Scope),
        reset_after=st.none() | st.floats(0, 1000),
        fast_retry=st.booleans(),
    ).filter(lambda each: each.verdict is Verdict.TRANSIENT or not each.fast_retry),
    policy=st.builds(
        Policy,
        retries=st.integers(0, 3),
        max_inline_wait=st.floats(0, 60),
        max_last_wait=st.floats(0, 60),
    ),
    tried=st.integers(0, 5),
    waited=st.booleans(),
    last=st.booleans(),
    left=st.floats(0, 300),
    jitter=st.floats(0, 1, exclude_max=True),
)
def test_a_wait_always_fits_its_bounds(
    classification: Classification, policy: Policy, tried: int, waited: bool, last: bool, left: float, jitter: float
) -> None:
    delay = retry_delay(classification, policy, tried=tried, waited=waited, last=last, left=left, jitter=jitter)
    if delay is None:
        return
    assert 0 <= delay < left
    if classification.reset_after is None:
        assert classification.fast_retry
        assert tried < policy.retries
        assert delay <= 0.25
    else:
        assert delay == classification.reset_after, "sooner than the provider says is in vain"
        assert delay <= (policy.max_last_wait if last else policy.max_inline_wait)
        assert not waited


def test_only_content_policy_stops_a_chain_and_no_refusal_of_a_request_cools() -> None:
    assert {Verdict.CONTENT_POLICY} == STOPPING
    assert {*STOPPING, Verdict.CLIENT, Verdict.CONTEXT_LENGTH, Verdict.UNSUPPORTED} == REJECTIONS


@pytest.mark.parametrize(
    ("verdict", "message", "required"),
    [
        (Verdict.CLIENT, "Stream must be set to true", True),
        (Verdict.CLIENT, "This model only support stream mode, please enable the stream parameter.", True),
        (Verdict.CLIENT, "parameter.enable_thinking must be set to false for non-streaming calls", True),
        (Verdict.UNSUPPORTED, "Only streaming is supported for this model", True),
        (Verdict.CLIENT, "Unknown parameter: 'stream_options'", False),
        (Verdict.TRANSIENT, "Stream must be set to true", False),
    ],
)
def test_a_demand_for_a_stream_is_recognised(verdict: Verdict, message: str, required: bool) -> None:
    assert requires_stream(Classification(verdict, Scope.DEPLOYMENT, status=400, message=message)) is required


@pytest.mark.parametrize(
    ("verdict", "message", "required"),
    [
        (Verdict.CLIENT, "The `reasoning_content` in the thinking mode must be passed back to the API.", True),
        (Verdict.CLIENT, "thinking is enabled but reasoning_content is missing in assistant tool call message", True),
        (Verdict.CLIENT, "'messages.2' : property 'reasoning_content' is unsupported", False),
        (Verdict.TRANSIENT, "The `reasoning_content` must be passed back to the API.", False),
    ],
)
def test_a_demand_for_reasoning_is_recognised(verdict: Verdict, message: str, required: bool) -> None:
    assert requires_reasoning(Classification(verdict, Scope.DEPLOYMENT, status=400, message=message)) is required


@pytest.mark.parametrize(
    ("verdict", "message", "rejected"),
    [
        (Verdict.CLIENT, "messages.1.content.0: Invalid `signature` in `thinking` block", True),
        (Verdict.UNSUPPORTED, "This model doesn't support the reasoningContent.reasoningText.signature field.", True),
        (Verdict.UNSUPPORTED, "This model doesn't support tool use.", False),
        (Verdict.TRANSIENT, "Invalid `signature` in `thinking` block", False),
    ],
)
def test_a_rejected_proof_of_reasoning_is_recognised(verdict: Verdict, message: str, rejected: bool) -> None:
    assert rejects_reasoning_proof(Classification(verdict, Scope.DEPLOYMENT, status=400, message=message)) is rejected
