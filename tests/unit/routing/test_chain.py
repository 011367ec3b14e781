from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.models import Deployment, Provider, VirtualModel
from vibe_router.routing.chain import Mode, Skipped, in_order, last_resort, plan
from vibe_router.routing.cooldown import Phase, State
from vibe_router.routing.verdict import Verdict

NOW = 1_800_000_000.0

RESTED = State("", version=3, verdict=Verdict.TRANSIENT)
IN = {
    Phase.HEALTHY: State("", version=3),
    Phase.COOLING: replace(RESTED, until=NOW + 30),
    Phase.DUE: replace(RESTED, until=NOW - 1),
    Phase.PROBING: replace(RESTED, until=NOW - 1, lease_until=NOW + 20),
}


def deployment(name: str, weight: float = 1) -> Deployment:
    provider, _, model = name.partition("/")
    return Deployment(Provider(provider, f"https://{provider}.example/v1", "KEY"), model, weight=weight)


def virtual(*steps: tuple[Deployment, ...]) -> VirtualModel:
    return VirtualModel("auto-chat", "", steps)


def in_phase(state_id: str, phase: Phase) -> State:
    return replace(IN[phase], id=state_id)


@st.composite
def chains(draw: st.DrawFn) -> VirtualModel:
    """Chains of up to six different deployments at up to three providers, cut into steps anywhere."""
    names = draw(
        st.lists(
            st.builds("{}/{}".format, st.sampled_from(["a", "b", "c"]), st.sampled_from(["x", "y", "z"])),
            min_size=1,
            max_size=6,
            unique=True,
        )
    )
    steps: list[list[Deployment]] = []
    for name in names:
        if not steps or draw(st.booleans()):
            steps.append([])
        steps[-1].append(deployment(name, draw(st.sampled_from([0.5, 1, 3]))))
    return virtual(*map(tuple, steps))


def drawn_states(data: st.DataObject, model: VirtualModel) -> dict[str, State]:
    ids = {state_id for each in model.chain for state_id in each.state_ids}
    phases = data.draw(st.dictionaries(st.sampled_from(sorted(ids)), st.sampled_from(Phase)))
    return {state_id: in_phase(state_id, phase) for state_id, phase in phases.items()}


@given(model=chains(), data=st.data(), affinity=st.binary(max_size=16))
def test_every_deployment_is_a_candidate_or_skipped_exactly_once(
    model: VirtualModel, data: st.DataObject, affinity: bytes
) -> None:
    route = plan(model, drawn_states(data, model), NOW, affinity)
    planned = [each.deployment.id for each in route.candidates] + [each.deployment.id for each in route.skipped]
    assert Counter(planned) == Counter(each.id for each in model.chain)


@given(model=chains(), data=st.data(), affinity=st.binary(max_size=16))
def test_candidates_are_in_the_order_of_the_steps(model: VirtualModel, data: st.DataObject, affinity: bytes) -> None:
    step_of = {each.id: at for at, step in enumerate(model.steps) for each in step}
    route = plan(model, drawn_states(data, model), NOW, affinity)
    steps = [step_of[each.deployment.id] for each in route.candidates]
    assert steps == sorted(steps)


@given(model=chains(), data=st.data())
def test_a_cooling_or_probed_deployment_is_no_candidate_and_a_due_one_is_a_probe(
    model: VirtualModel, data: st.DataObject
) -> None:
    states = drawn_states(data, model)
    route = plan(model, states, NOW)
    for candidate in route.candidates:
        phases = {states[each].phase(NOW) for each in candidate.deployment.state_ids if each in states}
        assert not phases & {Phase.COOLING, Phase.PROBING}
        assert candidate.mode is (Mode.PROBE if Phase.DUE in phases else Mode.NORMAL)
        assert bool(candidate.due(NOW)) is (candidate.mode is Mode.PROBE)
    for skipped in route.skipped:
        phases = {states[each].phase(NOW) for each in skipped.deployment.state_ids if each in states}
        assert phases & {Phase.COOLING, Phase.PROBING}
        assert skipped.free_at > NOW


@pytest.mark.parametrize("scope", [0, 1], ids=["the deployment", "its credential"])
@pytest.mark.parametrize(
    ("phase", "mode"),
    [
        pytest.param(Phase.HEALTHY, Mode.NORMAL, id="healthy is called"),
        pytest.param(Phase.DUE, Mode.PROBE, id="due is probed"),
        pytest.param(Phase.COOLING, None, id="cooling is skipped"),
        pytest.param(Phase.PROBING, None, id="probed by another is skipped"),
    ],
)
def test_either_state_of_a_deployment_decides(scope: int, phase: Phase, mode: Mode | None) -> None:
    one = deployment("ark/glm-4.7")
    state = in_phase(one.state_ids[scope], phase)
    route = plan(virtual((one,)), {state.id: state}, NOW)
    assert [each.mode for each in route.candidates] == ([mode] if mode else [])
    if mode is Mode.PROBE:
        assert route.candidates[0].due(NOW) == (state,), "only what is due needs a lease"


def test_a_credential_that_cools_takes_all_its_deployments_out_and_no_other() -> None:
    model = virtual((deployment("ark/x"),), (deployment("ark/y"),), (deployment("new-api/x"),))
    state = in_phase("credential#ark", Phase.COOLING)
    route = plan(model, {state.id: state}, NOW)
    assert [each.deployment.id for each in route.candidates] == ["new-api/x"]


def test_a_skipped_deployment_has_the_later_end_of_its_two_cooldowns() -> None:
    one = deployment("ark/x")
    states = [
        State(one.state_id, until=NOW + 10, verdict=Verdict.TRANSIENT),
        State(one.provider.state_id, until=NOW + 600, verdict=Verdict.QUOTA),
    ]
    route = plan(virtual((one,)), {state.id: state for state in states}, NOW)
    assert route.skipped == (Skipped(one, Verdict.QUOTA, NOW + 600),)


def test_a_probed_deployment_is_free_when_the_lease_ends() -> None:
    one = deployment("ark/x")
    state = in_phase(one.state_id, Phase.PROBING)
    assert plan(virtual((one,)), {state.id: state}, NOW).skipped == (Skipped(one, Verdict.TRANSIENT, NOW + 20),)


# --- Sharing a step ---------------------------------------------------------------------------------------------------

CONVERSATIONS = [f"conversation {number}".encode() for number in range(4_000)]


def shares(*step: Deployment) -> dict[str, float]:
    firsts = Counter(in_order(virtual(step), each)[0].id for each in CONVERSATIONS)
    return {each.id: firsts[each.id] / len(CONVERSATIONS) for each in step}


@pytest.mark.parametrize(
    "weights",
    [
        pytest.param((1, 1), id="halves"),
        pytest.param((3, 1), id="three to one"),
        pytest.param((0.1, 0.2, 0.7), id="weights below one"),
        pytest.param((1_000_000, 1_000_000), id="the largest weights"),
    ],
)
def test_shares_are_proportional_to_weights(weights: tuple[float, ...]) -> None:
    step = [deployment(f"ark/model-{at}", weight) for at, weight in enumerate(weights)]
    for share, weight in zip(shares(*step).values(), weights, strict=True):
        assert share == pytest.approx(weight / sum(weights), abs=0.03)


def test_long_names_that_begin_alike_share_too() -> None:
    profile = "bedrock/arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-"
    for share in shares(deployment(f"{profile}sonnet"), deployment(f"{profile}opus")).values():
        assert share == pytest.approx(0.5, abs=0.03)


@given(affinity=st.binary(max_size=32), gone=st.integers(0, 3))
def test_a_conversation_stays_when_another_deployment_of_its_step_is_removed(affinity: bytes, gone: int) -> None:
    step = tuple(deployment(f"{provider}/m", 1 + at) for at, provider in enumerate("abcd"))
    order = in_order(virtual(step), affinity)
    left = in_order(virtual(tuple(each for each in step if each is not step[gone])), affinity)
    assert left == [each for each in order if each is not step[gone]]


@given(affinity=st.binary(max_size=32), data=st.data())
def test_the_order_in_which_a_step_is_written_down_does_not_matter(affinity: bytes, data: st.DataObject) -> None:
    step = [deployment(f"{provider}/m") for provider in "abcd"]
    again = data.draw(st.permutations(step))
    assert in_order(virtual(tuple(step)), affinity) == in_order(virtual(tuple(again)), affinity)


def test_a_raised_weight_draws_conversations_only_to_its_deployment() -> None:
    before = (deployment("a/m"), deployment("b/m"), deployment("c/m"))
    after = (*before[:2], deployment("c/m", 4))
    for each in CONVERSATIONS[:500]:
        old, new = (in_order(virtual(step), each)[0].id for step in (before, after))
        assert new in (old, "c/m")


# --- When everything is cooling ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("skipped", "picked"),
    [
        pytest.param([], None, id="nothing was skipped"),
        pytest.param([("a/m", Verdict.TRANSIENT, 30), ("b/m", Verdict.RATE_LIMITED, 20)], "b/m", id="the soonest free"),
        pytest.param([("a/m", Verdict.QUOTA, 5), ("b/m", Verdict.TRANSIENT, 900)], "b/m", id="quota is not tried"),
        pytest.param([("a/m", Verdict.AUTH, 5), ("b/m", Verdict.MISCONFIGURED, 9)], "b/m", id="auth is not tried"),
        pytest.param([("a/m", Verdict.QUOTA, 5), ("b/m", Verdict.AUTH, 9)], None, id="nothing that time heals"),
        pytest.param([("a/m", Verdict.TRANSIENT, 5), ("b/m", Verdict.TRANSIENT, 5)], "a/m", id="a tie goes by order"),
    ],
)
def test_the_last_resort_is_the_next_to_come_free(
    skipped: list[tuple[str, Verdict, float]], picked: str | None
) -> None:
    found = last_resort([Skipped(deployment(name), verdict, NOW + free) for name, verdict, free in skipped])
    assert (found.id if found else None) == picked
