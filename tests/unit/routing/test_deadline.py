import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.models import Timeouts
from vibe_router.routing.deadline import BEFORE_COMMIT, Deadline, lease_seconds

STARTED = 5_000.0
ROOM = 30.0

seconds = st.floats(0.01, 1_000)
timeouts = st.builds(
    Timeouts,
    connect=seconds,
    first_byte=seconds,
    first_token=seconds,
    idle=seconds,
    response=seconds,
    probe=seconds,
    total=seconds,
)
deadlines = st.builds(Deadline.of, st.just(STARTED), st.floats(0, 900), st.floats(0.1, 900))
remaining_deployments = st.integers(0, 8)


@pytest.mark.parametrize(
    ("left", "total", "commit", "end"),
    [
        pytest.param(900, 840, 280, 840, id="a fresh invocation has its total, and 280 s to the commit"),
        pytest.param(300, 840, 280, 290, id="Lambda's time bounds the end, with room to settle"),
        pytest.param(60, 840, 50, 50, id="Lambda's time bounds the commit"),
        pytest.param(900, 20, 20, 20, id="a short total bounds both"),
        pytest.param(5, 840, 0, 0, id="with no time left everything ends at once"),
        pytest.param(0, 840, 0, 0, id="an invocation that is over"),
    ],
)
def test_a_deadline(left: float, total: float, commit: float, end: float) -> None:
    assert Deadline.of(STARTED, left, total) == Deadline(STARTED + commit, STARTED + end)


@pytest.mark.parametrize(
    ("now", "remaining", "share"),
    [
        pytest.param(0, 0, 280, id="alone it has everything"),
        pytest.param(0, 2, 220, id="30 s are reserved for each of two remaining deployments"),
        pytest.param(220, 1, 30, id="a short time is shared equally"),
        pytest.param(250, 2, 10, id="three share 30 s"),
        pytest.param(280, 0, 0, id="nothing is left"),
        pytest.param(400, 3, 0, id="late is not negative"),
    ],
)
def test_a_share(now: float, remaining: int, share: float) -> None:
    assert Deadline.of(STARTED, 900, 840).share(STARTED + now, remaining) == pytest.approx(share)


@given(
    deadline=deadlines, timeouts=timeouts, now=st.floats(0, 900), remaining=remaining_deployments, stream=..., probe=...
)
def test_an_attempts_bounds_never_exceed_the_requests(
    deadline: Deadline, timeouts: Timeouts, now: float, remaining: int, stream: bool, probe: bool
) -> None:
    now += STARTED
    bounds = deadline.bounds(timeouts, now, remaining=remaining, stream=stream or probe, probe=probe)
    last = max(now, deadline.commit)
    assert now <= bounds.first_byte <= bounds.commit <= last + 1e-9
    assert 0 < bounds.connect <= timeouts.connect
    assert bounds.connect <= max(last - now, 0.001) + 1e-9
    assert deadline.commit <= deadline.end
    assert deadline.commit <= STARTED + BEFORE_COMMIT


@given(
    deadline=deadlines, timeouts=timeouts, spent=st.floats(0, 1), remaining=remaining_deployments, stream=..., probe=...
)
def test_time_is_reserved_for_each_remaining_deployment(
    deadline: Deadline, timeouts: Timeouts, spent: float, remaining: int, stream: bool, probe: bool
) -> None:
    now = STARTED + spent * (deadline.commit - STARTED)
    left = deadline.commit - now
    bounds = deadline.bounds(timeouts, now, remaining=remaining, stream=stream or probe, probe=probe)
    room = min(ROOM, left / (remaining + 1))
    assert deadline.commit - bounds.commit >= remaining * room - 1e-6


@given(
    remaining_deployments=st.integers(1, 9),
    left=st.floats(0, 900),
    total=st.floats(0.1, 900),
    timeouts=timeouts,
    stream=...,
)
def test_a_chain_of_silent_deployments_ends_in_time_and_tries_each(
    remaining_deployments: int, left: float, total: float, timeouts: Timeouts, stream: bool
) -> None:
    deadline = Deadline.of(STARTED, left, total)
    now = STARTED
    for remaining in range(remaining_deployments - 1, -1, -1):
        bounds = deadline.bounds(timeouts, now, remaining=remaining, stream=stream, probe=False)
        own = timeouts.first_token if stream else timeouts.response
        fair = (deadline.commit - STARTED) / remaining_deployments
        assert bounds.commit - now >= min(own, ROOM, fair) - 1e-6
        now = bounds.commit
    assert now - STARTED <= min(BEFORE_COMMIT, total) + 1e-6


def _waits(timeouts: Timeouts, *, stream: bool, probe: bool) -> tuple[float, float]:
    bounds = Deadline.of(STARTED, 900, 840).bounds(timeouts, STARTED, remaining=0, stream=stream, probe=probe)
    return bounds.first_byte - STARTED, bounds.commit - STARTED


@pytest.mark.parametrize(
    ("timeouts", "stream", "probe", "waits"),
    [
        pytest.param(Timeouts(), True, False, (30, 60), id="a stream: first byte and first token"),
        pytest.param(Timeouts(), False, False, (280, 280), id="a whole answer: its last byte"),
        pytest.param(Timeouts(), True, True, (10, 70), id="a probe: its first byte comes soon"),
        pytest.param(Timeouts(first_token=20), True, False, (20, 20), id="the first byte is never after the token"),
        pytest.param(Timeouts(first_token=300), True, False, (30, 280), id="280 s to the commit, whatever is set"),
    ],
)
def test_the_time_limits_of_an_attempt(
    timeouts: Timeouts, stream: bool, probe: bool, waits: tuple[float, float]
) -> None:
    assert _waits(timeouts, stream=stream, probe=probe) == pytest.approx(waits)


@given(deadline=deadlines, timeouts=timeouts, remaining=remaining_deployments)
def test_a_probes_first_byte_comes_within_probe(deadline: Deadline, timeouts: Timeouts, remaining: int) -> None:
    bounds = deadline.bounds(timeouts, STARTED, remaining=remaining, stream=True, probe=True)
    assert bounds.first_byte - STARTED <= timeouts.probe + 1e-6


@given(deadline=deadlines, timeouts=timeouts, remaining=remaining_deployments)
def test_a_lease_outlives_its_probe(deadline: Deadline, timeouts: Timeouts, remaining: int) -> None:
    bounds = deadline.bounds(timeouts, STARTED, remaining=remaining, stream=True, probe=True)
    assert lease_seconds(timeouts) > bounds.commit - STARTED
    assert math.isfinite(lease_seconds(timeouts))
