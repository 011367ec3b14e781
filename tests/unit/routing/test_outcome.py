from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.models import Deployment, Provider
from vibe_router.routing.chain import Skipped
from vibe_router.routing.outcome import Attempt, ChainError, chain_error
from vibe_router.routing.verdict import Classification, Scope, Verdict

NOW = 1_800_000_000.0
PROVIDER = Provider("ark", "https://ark.example/v3", "ARK_API_KEY")


def failed(
    verdict: Verdict, *, timeout: bool = False, until: float | None = None, message: str = "", param: str | None = None
) -> Attempt:
    classification = Classification(verdict, Scope.DEPLOYMENT, timeout=timeout, message=message, param=param)
    return Attempt("ark/glm-4.7", classification, None if timeout else 500, 12.5, NOW + until if until else None)


def cooling(verdict: Verdict, free_in: float) -> Skipped:
    return Skipped(Deployment(PROVIDER, "glm-4.7"), verdict, NOW + free_in)


def end_of(attempts: Sequence[Attempt], skipped: Sequence[Skipped] = ()) -> ChainError:
    return chain_error(attempts, skipped, "auto-chat", NOW)


TRANSIENT = failed(Verdict.TRANSIENT)
TIMED_OUT = failed(Verdict.TRANSIENT, timeout=True)
TOO_LONG = failed(Verdict.CONTEXT_LENGTH)
UNSUPPORTED = failed(Verdict.UNSUPPORTED)
REJECTED = failed(Verdict.CLIENT)
LIMITED = failed(Verdict.RATE_LIMITED, until=7)
USED_UP = failed(Verdict.QUOTA, until=1800)
BAD_KEY = failed(Verdict.AUTH, until=5)
MISCONFIGURED = failed(Verdict.MISCONFIGURED, until=5)


@pytest.mark.parametrize(
    ("attempts", "skipped", "status", "code"),
    [
        pytest.param([TOO_LONG], [], 400, "context_length_exceeded", id="the caller can fix it"),
        pytest.param([TOO_LONG, LIMITED, TIMED_OUT], [], 400, "context_length_exceeded", id="wins over limits"),
        pytest.param([TRANSIENT, TOO_LONG], [], 400, "context_length_exceeded", id="anywhere in the chain"),
        pytest.param([UNSUPPORTED, UNSUPPORTED], [], 400, "unsupported", id="what no deployment supports"),
        pytest.param([REJECTED, TOO_LONG], [], 400, "client", id="the first refusal when all refuse"),
        pytest.param([TOO_LONG, REJECTED], [], 400, "context_length_exceeded", id="a context first of two refusals"),
        pytest.param([REJECTED, TRANSIENT], [], 502, "all_deployments_failed", id="one refusal and one failure"),
        pytest.param(
            [UNSUPPORTED, TRANSIENT], [], 502, "all_deployments_failed", id="a failed deployment may support it"
        ),
        pytest.param(
            [UNSUPPORTED],
            [cooling(Verdict.QUOTA, 60)],
            502,
            "all_deployments_failed",
            id="a cooling deployment may support it",
        ),
        pytest.param([LIMITED], [], 429, "all_deployments_failed", id="a rate limit"),
        pytest.param([USED_UP], [], 429, "all_deployments_failed", id="a quota"),
        pytest.param([TIMED_OUT, LIMITED, TRANSIENT], [], 429, "all_deployments_failed", id="one limit among others"),
        pytest.param([TIMED_OUT], [], 504, "all_deployments_failed", id="a timeout"),
        pytest.param([TIMED_OUT, TIMED_OUT], [], 504, "all_deployments_failed", id="nothing but timeouts"),
        pytest.param([TIMED_OUT, TRANSIENT], [], 502, "all_deployments_failed", id="timeouts and something else"),
        pytest.param([TRANSIENT], [], 502, "all_deployments_failed", id="a broken provider"),
        pytest.param([BAD_KEY, MISCONFIGURED], [], 502, "all_deployments_failed", id="mistakes of the operator"),
        pytest.param([], [cooling(Verdict.QUOTA, 60)], 429, "all_deployments_failed", id="all cooling after a quota"),
        pytest.param([], [cooling(Verdict.AUTH, 60)], 502, "all_deployments_failed", id="all cooling after a bad key"),
        pytest.param(
            [TRANSIENT], [cooling(Verdict.QUOTA, 60)], 502, "all_deployments_failed", id="attempts before cooldowns"
        ),
        pytest.param(
            [TIMED_OUT], [cooling(Verdict.TRANSIENT, 60)], 504, "all_deployments_failed", id="a timeout and a cooldown"
        ),
    ],
)
def test_the_most_actionable_reason_is_returned(
    attempts: list[Attempt], skipped: list[Skipped], status: int, code: str
) -> None:
    end = end_of(attempts, skipped)
    assert (end.status, end.code) == (status, code)
    assert (end.retry_after is not None) is (status == 429)


@pytest.mark.parametrize(
    ("attempts", "skipped", "retry_after"),
    [
        pytest.param([LIMITED, USED_UP], [], 7, id="the soonest of the attempts"),
        pytest.param([USED_UP], [cooling(Verdict.TRANSIENT, 3.2)], 4, id="or of the cooling ones, rounded up"),
        pytest.param([failed(Verdict.RATE_LIMITED, until=0.001)], [], 1, id="never 0"),
        pytest.param([failed(Verdict.RATE_LIMITED, until=-30)], [], 1, id="never in the past"),
        pytest.param([failed(Verdict.RATE_LIMITED)], [], 1, id="1 s by default"),
    ],
)
def test_a_limit_has_a_retry_after(attempts: list[Attempt], skipped: list[Skipped], retry_after: int) -> None:
    assert end_of(attempts, skipped).retry_after == retry_after


def test_a_context_length_error_has_the_providers_message() -> None:
    end = end_of([failed(Verdict.CONTEXT_LENGTH, message="maximum context length is 8192 tokens", param="messages[3]")])
    assert (end.message, end.param) == ("maximum context length is 8192 tokens", "messages[3]")
    assert end.type == "invalid_request_error"


def test_a_context_length_error_without_a_message_gets_one() -> None:
    end = end_of([TOO_LONG])
    assert "too long" in end.message
    assert end.param == "messages"


def test_a_request_that_all_refuse_gets_the_first_refusal() -> None:
    first = failed(Verdict.UNSUPPORTED, message="This model doesn't support tool use.", param="tools")
    end = end_of([first, failed(Verdict.UNSUPPORTED, message="Model do not support image input.")])
    assert (end.message, end.param) == ("This model doesn't support tool use.", "tools")
    assert end.type == "invalid_request_error"


attempts = st.lists(
    st.builds(
        failed,
        st.sampled_from(Verdict),
        timeout=st.booleans(),
        until=st.none() | st.floats(-10, 5000),
        message=st.text(),
    ),
    max_size=6,
)
rests = st.lists(st.builds(cooling, st.sampled_from(Verdict), st.floats(0, 5000)), max_size=4)


@given(attempts=attempts, skipped=rests)
def test_no_error_of_a_chain_is_a_401_or_403_and_only_a_limit_has_a_retry_after(
    attempts: list[Attempt], skipped: list[Skipped]
) -> None:
    end = end_of(attempts, skipped)
    assert end.status in (400, 429, 502, 504)
    assert (end.retry_after or 0) >= (1 if end.status == 429 else 0)
    if end.status != 400:
        assert all(attempt.deployment in end.message and attempt.verdict in end.message for attempt in attempts)
        assert all(each.deployment.id in end.message for each in skipped)


def test_an_attempt_that_served_is_called_ok() -> None:
    assert Attempt("ark/glm-4.7", None, 200, 3.0).verdict == "ok"
    assert TIMED_OUT.verdict == "transient"
