"""Cooldowns, probes, retries and waits: who is called when, and who is left alone."""

import threading
from dataclasses import replace
from typing import Any

import pytest

from local.standin import Pause, Send, Standin, Wait
from tests.integration.failover.harness import KEY, L1, L2, L3, Harness
from vibe_router.routing.cooldown import Phase, cooled, healthy
from vibe_router.routing.verdict import Classification, Scope, Verdict


def test_a_recovered_deployment_serves_again_after_one_probe(harness: Harness) -> None:
    harness.standin.fault("cliproxyapi", "503")
    assert harness.ask().deployment == L2
    calls = harness.calls()
    harness.standin.heal()
    assert harness.ask().deployment == L2, "still cooling"
    assert harness.calls() == calls
    harness.now += 5.1
    probe = harness.ask()
    assert probe.deployment == L1
    assert harness.calls() == calls + 1
    assert harness.cooldown().phase(harness.now) is Phase.HEALTHY
    assert harness.cooldown().strikes == 0
    assert harness.ask().deployment == L1


def test_a_failing_probe_costs_one_call_and_doubles_the_cooldown(harness: Harness) -> None:
    harness.standin.fault("cliproxyapi", "503")
    harness.ask()
    calls = harness.calls()
    for strikes, rest in ((2, 10), (3, 20), (4, 40)):
        harness.now = harness.cooldown().until + 0.1
        assert harness.ask().deployment == L2
        calls += 1
        assert harness.calls() == calls
        assert harness.cooldown().strikes == strikes
        assert harness.cooldown().until == pytest.approx(harness.now + rest)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("fault", ["silence", "silent_headers", "silent_role"])
def test_a_probe_of_a_silent_deployment_is_bounded(harness: Harness, fault: str, stream: bool) -> None:
    """Also for a caller who wants a whole answer, which alone would be waited for much longer."""
    harness.policy = replace(harness.policy, timeouts=replace(harness.policy.timeouts, response=60, first_byte=60))
    harness.standin.fault("cliproxyapi", "503", times=2)
    harness.ask(stream=stream)
    harness.standin.fault("cliproxyapi", fault)
    harness.now += 6
    outcome = harness.ask(stream=stream)
    assert outcome.verdicts == [(L1, "transient"), (L2, "ok")]
    assert outcome.trace.attempts[0].ms < 10_000


def test_a_whole_answer_through_a_probe_is_the_same(harness: Harness) -> None:
    plain = harness.ask(stream=False)
    harness.standin.fault("cliproxyapi", "503", times=2)
    assert harness.ask(stream=False).deployment == L2
    harness.now += 6
    probe = harness.ask(stream=False)
    assert (probe.deployment, probe.text) == (L1, plain.text)
    assert harness.standin.requests("cliproxyapi")[-1].body["stream"] is True


def test_only_the_holder_of_the_lease_probes(harness: Harness) -> None:
    """Another environment that wins the lease in between keeps this one away."""
    harness.standin.fault("cliproxyapi", "503", times=2)
    harness.ask()
    harness.now += 6
    rival = Harness(harness.standin, states=harness.states, now=harness.now)
    seen = harness.states.read
    stale = dict(harness.states.items)
    harness.states.read = lambda ids: {each: stale.get(each, seen([each])[each]) for each in ids}  # type: ignore[method-assign]  # what this environment has cached
    calls = harness.calls()
    harness.states.replace(
        stale[harness.cooldown().id], replace(stale[harness.cooldown().id], version=99, lease_until=harness.now + 60)
    )
    outcome = harness.ask()
    assert outcome.deployment == L2
    assert [each.deployment.id for each in outcome.trace.skipped] == [L1]
    assert harness.calls() == calls
    rival.upstream.close()


def test_a_retry_that_helps_leaves_no_cooldown(harness: Harness) -> None:
    harness.standin.fault("cliproxyapi", "503", times=1)
    outcome = harness.ask()
    assert outcome.verdicts == [(L1, "transient"), (L1, "ok")]
    assert outcome.trace.fallbacks == 0
    assert [state.phase(harness.now) for state in harness.states.writes] == [Phase.COOLING, Phase.HEALTHY]
    assert harness.slept == [0.125], "full jitter"


def test_the_cooldown_is_written_before_the_next_attempt(harness: Harness) -> None:
    seen_by_l2: list[Phase] = []
    harness.standin.fault("cliproxyapi", "model_cooldown")
    post = harness.upstream.post

    def spy(url: str, *args: object, **options: object) -> object:
        if "new-api" in url:
            seen_by_l2.append(harness.cooldown().phase(harness.now))
        return post(url, *args, **options)  # type: ignore[arg-type]  # passed on as it came

    harness.upstream.post = spy  # type: ignore[method-assign,assignment]  # looks on, and calls the real one
    harness.ask()
    assert seen_by_l2 == [Phase.COOLING]


def test_a_reset_time_is_honoured_up_to_the_cap(harness: Harness) -> None:
    harness.standin.fault("cliproxyapi", "model_cooldown", reset_in=600)
    harness.ask()
    assert harness.cooldown().until == pytest.approx(harness.now + 600, abs=2)
    harness.now += 601
    harness.standin.heal()
    harness.standin.fault("cliproxyapi", "model_cooldown", reset_in=495_669)
    harness.ask()
    assert harness.cooldown().until == pytest.approx(harness.now + 1800)


def test_a_rejected_credential_cools_all_its_deployments_and_never_reaches_the_caller(harness: Harness) -> None:
    harness.standin.fault("new-api", "bad_key")
    harness.standin.fault("cliproxyapi", "503")
    outcome = harness.ask()
    assert outcome.deployment == L3
    assert harness.credential("new-api").phase(harness.now) is Phase.COOLING
    assert harness.cooldown("new-api").phase(harness.now) is Phase.HEALTHY
    alone = harness.ask(chain=("new-api",))
    assert alone.error is not None
    assert alone.error.status == 502
    assert alone.trace.attempts == []


def test_a_renewed_secret_is_tried_at_once(harness: Harness) -> None:
    with Standin(key="sk-new") as strict:
        harness.base_urls["cliproxyapi"] = strict.base_url("cliproxyapi")
        harness.secrets.fresh = "sk-new"
        outcome = harness.ask()
    assert outcome.verdicts == [(L1, "auth"), (L1, "ok")]
    assert harness.states.writes == []
    assert harness.secrets.invalidated == 1


@pytest.mark.parametrize("fault", ["disconnect", "reset"])
def test_a_connection_closed_while_idle_is_not_the_providers_failure(
    harness: Harness, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vibe_router.upstream.client.TRUSTED_IDLE_SECONDS", 0.0)  # any rest counts
    assert harness.ask(stream=False).deployment == L1
    harness.standin.fault("cliproxyapi", fault, times=1)
    assert harness.ask(stream=False).verdicts == [(L1, "ok")]
    assert harness.states.writes == []


def test_a_new_connection_that_breaks_is_the_providers_failure(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vibe_router.upstream.client.TRUSTED_IDLE_SECONDS", 0.0)
    harness.standin.fault("cliproxyapi", "disconnect", times=1)
    assert harness.ask(stream=False).verdicts == [(L1, "transient"), (L1, "ok")]


def test_a_missing_secret_skips_the_deployment_without_a_call(harness: Harness) -> None:
    harness.secrets.current = harness.secrets.fresh = None
    outcome = harness.ask()
    assert outcome.error is not None
    assert {verdict for _, verdict in outcome.verdicts} == {"misconfigured"}
    assert harness.standin.requests() == []


def test_a_short_retry_after_is_awaited_when_no_other_deployment_is_left(harness: Harness) -> None:
    harness.standin.fault("ark", "429", times=1, headers={"retry-after": "3"})
    outcome = harness.ask(chain=("ark",))
    assert outcome.verdicts == [(L3, "rate_limited"), (L3, "ok")]
    assert harness.slept == [3.0]


def test_a_retry_after_up_to_two_seconds_is_awaited_although_another_deployment_is_free(harness: Harness) -> None:
    harness.standin.fault("cliproxyapi", "429", times=1, headers={"retry-after": "2"})
    assert harness.ask().verdicts == [(L1, "rate_limited"), (L1, "ok")]
    assert harness.slept == [2.0]
    harness.standin.fault("cliproxyapi", "429", headers={"retry-after": "3"})
    assert harness.ask().verdicts == [(L1, "rate_limited"), (L2, "ok")]
    assert harness.slept == [2.0]


REFUSAL = {"message": "Extra inputs are not permitted", "type": "invalid_request_error", "param": "tools[0]"}


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    ("fault", "options", "verdict"),
    [
        ("400", {"body": {"error": REFUSAL}}, "client"),
        ("413", {"body": "<html>413 Request Entity Too Large</html>"}, "client"),
        ("422", {"body": {"detail": [{"loc": ["body"], "msg": "Field required"}]}}, "client"),
        ("context_length", {}, "context_length"),
        ("unsupported", {}, "unsupported"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_request_that_one_deployment_rejects_fails_over_without_a_cooldown(
    harness: Harness, fault: str, options: dict[str, Any], verdict: str, stream: bool
) -> None:
    harness.standin.fault("cliproxyapi", fault, **options)
    outcome = harness.ask(stream=stream)
    assert outcome.verdicts == [(L1, verdict), (L2, "ok")]
    assert harness.states.writes == []


def test_when_every_deployment_rejects_the_first_rejection_is_returned(harness: Harness) -> None:
    harness.standin.fault("cliproxyapi", "400", body={"error": REFUSAL})
    harness.standin.fault("new-api", "context_length")
    harness.standin.fault("ark", "unsupported")
    outcome = harness.ask()
    assert outcome.error is not None
    assert (outcome.error.status, outcome.error.param) == (400, "tools[0]")
    assert outcome.error.message == "Extra inputs are not permitted"
    assert harness.states.writes == []


def test_a_content_policy_stops_the_chain_with_the_providers_reason(harness: Harness) -> None:
    body = {"error": {"message": "flagged", "type": "invalid_request_error", "code": "content_filter"}}
    harness.standin.fault("cliproxyapi", "400", body=body)
    outcome = harness.ask()
    assert outcome.error is not None
    assert (outcome.error.status, outcome.error.code, outcome.error.message) == (400, "content_filter", "flagged")
    assert harness.calls("new-api") == 0
    assert harness.states.writes == []


def test_a_relays_rejected_account_cools_its_deployment_alone(harness: Harness) -> None:
    harness.standin.fault("cliproxyapi", "401", headers={"x-cpa-trace-id": "t1"})
    assert harness.ask().verdicts == [(L1, "auth"), (L2, "ok")]
    assert harness.cooldown().phase(harness.now) is Phase.COOLING
    assert harness.credential().phase(harness.now) is Phase.HEALTHY
    assert harness.secrets.invalidated == 0, "our own key was accepted"


STREAM_REQUIRED = {"error": {"message": "Stream must be set to true", "type": "bad_response_status_code"}}


def test_a_provider_that_demands_a_stream_is_asked_for_one_at_once_and_from_then_on(harness: Harness) -> None:
    plain = harness.ask(stream=False)
    harness.standin.forget()
    harness.standin.fault("cliproxyapi", "400", times=1, body=STREAM_REQUIRED)
    assembled = harness.ask(stream=False)
    assert assembled.verdicts == [(L1, "client"), (L1, "ok")]
    assert assembled.text == plain.text
    assert harness.ask(stream=False).verdicts == [(L1, "ok")]
    assert [call.body["stream"] for call in harness.standin.requests("cliproxyapi")] == [False, True, True]
    assert harness.states.writes == []


REASONING_REQUIRED = {"error": {"message": "reasoning_content is missing in assistant message", "code": "invalid"}}
TURNS = [
    {"role": "user", "content": "list"},
    {
        "role": "assistant",
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "1", "content": "a.txt"},
]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_provider_that_demands_reasoning_is_sent_it_at_once_and_from_then_on(harness: Harness, stream: bool) -> None:
    harness.standin.fault("cliproxyapi", "400", times=1, body=REASONING_REQUIRED)
    assert harness.ask(stream=stream, messages=TURNS).verdicts == [(L1, "client"), (L1, "ok")]
    assert harness.ask(stream=stream, messages=TURNS).verdicts == [(L1, "ok")]
    sent = [call.body["messages"][1].get("reasoning_content") for call in harness.standin.requests("cliproxyapi")]
    assert sent == [None, "", ""]
    assert harness.states.writes == []


def test_a_deployment_that_only_streams_answers_whole(harness: Harness) -> None:
    plain = harness.ask(stream=False)
    harness.standin.forget()
    harness.streams_only = True
    assembled = harness.ask(stream=False)
    assert (assembled.deployment, assembled.text) == (L1, plain.text)
    assert [call.body["stream"] for call in harness.standin.requests("cliproxyapi")] == [True]


@pytest.mark.parametrize("fault", ["cut", "stream_error_late", "cut_after_role"])
def test_a_whole_answer_whose_stream_breaks_fails_over(harness: Harness, fault: str) -> None:
    harness.streams_only = True
    harness.standin.fault("cliproxyapi", fault)
    outcome = harness.ask(stream=False)
    assert (outcome.deployment, outcome.error) == (L2, None)
    assert outcome.verdicts[0] == (L1, "transient")


LEAKS = {
    "whole": KEY,
    "its beginning": f"{KEY[:10]}****",
    "escaped": "".join(f"\\u{ord(each):04x}" for each in KEY),
}


@pytest.mark.parametrize("place", ["message", "code", "type", "param"])
@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
def test_a_key_that_the_provider_repeats_is_redacted(harness: Harness, leak: str, place: str) -> None:
    body = f'{{"error": {{"{place}": "bad {leak}"}}}}'
    for provider, status in (("cliproxyapi", "503"), ("new-api", "400"), ("ark", "400")):
        harness.standin.fault(provider, status, body=body)
    outcome = harness.ask()
    alone = harness.ask(chain=("new-api",))
    seen = repr([outcome.error, vars(outcome.error), vars(alone.error), outcome.trace, harness.states.items])
    assert KEY[:8] not in seen
    assert "***" in seen


def test_a_key_in_the_middle_of_a_stream_is_redacted_although_it_is_split(harness: Harness) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    begin = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"Hello."}}]}\n\n'
    error = b'data: {"error":{"message":"no %s","code":"%s"}}\n\n' % (KEY.encode(), KEY.encode())
    pieces = [error[at : at + 9] for at in range(0, len(error), 9)]
    steps = [Send(head + begin), *(step for piece in pieces for step in (Pause(0.02), Send(piece)))]
    harness.standin.script("cliproxyapi", steps)
    outcome = harness.ask()
    assert outcome.text == "Hello."
    assert outcome.relay is not None
    assert outcome.relay.failure is not None
    seen = repr([outcome.body, outcome.relay.failure, outcome.trace, harness.states.items])
    assert KEY[:8] not in seen
    assert "***" in seen


ENDS = [
    (("503", "503", "503"), 502, "all_deployments_failed"),
    (("silence", "silence", "silence"), 504, "all_deployments_failed"),
    (("silence", "503", "silence"), 502, "all_deployments_failed"),
    (("model_cooldown", "503", "503"), 429, "all_deployments_failed"),
    (("503", "context_length", "429"), 400, "context_length_exceeded"),
    (("bad_key", "bad_key", "bad_key"), 502, "all_deployments_failed"),
    (("unsupported", "unsupported", "unsupported"), 400, "unsupported_value"),
    (("503", "unsupported", "unsupported"), 502, "all_deployments_failed"),
]


@pytest.mark.parametrize(("faults", "status", "code"), ENDS, ids=[", ".join(faults) for faults, _, _ in ENDS])
def test_a_failed_chain_returns_the_most_actionable_error(
    harness: Harness, faults: tuple[str, str, str], status: int, code: str
) -> None:
    for provider, fault in zip(("cliproxyapi", "new-api", "ark"), faults, strict=True):
        harness.standin.fault(provider, fault)
    outcome = harness.ask()
    assert outcome.error is not None
    assert (outcome.error.status, outcome.error.code) == (status, code)
    if code == "all_deployments_failed":
        tried = outcome.error.details["attempts"]
        assert {each["deployment"] for each in tried} == {L1, L2, L3}
        assert set(tried[0]) == {"deployment", "verdict", "status"}
    assert ("retry-after" in outcome.error.headers) is (status == 429)


def _cool_all(harness: Harness, rests: dict[str, tuple[Verdict, float]], *, hinted: bool = False) -> None:
    for provider, (verdict, rest) in rests.items():
        classification = Classification(verdict, Scope.DEPLOYMENT, reset_after=rest)
        state = harness.cooldown(provider)
        successor = cooled(state, classification, harness.policy.cooldown, harness.now, evidence="test")
        harness.states.replace(state, replace(successor, hinted=hinted))


RESTS = {"cliproxyapi": (Verdict.TRANSIENT, 50.0), "new-api": (Verdict.TRANSIENT, 20.0), "ark": (Verdict.QUOTA, 5.0)}


def test_when_all_are_cooling_the_next_to_come_free_is_tried_once(harness: Harness) -> None:
    _cool_all(harness, RESTS)
    assert harness.ask().verdicts == [(L2, "ok")]
    assert harness.cooldown("new-api").phase(harness.now) is Phase.HEALTHY, "it has just answered"


def test_a_last_resort_that_fails_is_no_further_strike(harness: Harness) -> None:
    _cool_all(harness, RESTS)
    harness.standin.fault("new-api", "503")
    outcome = harness.ask()
    assert outcome.verdicts == [(L2, "transient")]
    assert outcome.error is not None
    assert outcome.error.status == 502
    assert harness.cooldown("new-api").strikes == 1


def test_a_last_resort_is_called_once_a_second_in_the_whole_fleet(harness: Harness) -> None:
    _cool_all(harness, RESTS)
    harness.standin.fault("new-api", "503")
    others = [Harness(harness.standin, states=harness.states, now=harness.now) for _ in range(3)]
    outcomes = [each.ask() for each in (harness, *others, harness)]
    assert [len(outcome.trace.attempts) for outcome in outcomes] == [1, 0, 0, 0, 0]
    assert all(outcome.error and outcome.error.code == "all_deployments_failed" for outcome in outcomes)
    harness.now += 1.1
    assert len(harness.ask().trace.attempts) == 1
    for other in others:
        other.upstream.close()


def test_two_environments_at_once_call_one_last_resort(harness: Harness) -> None:
    _cool_all(harness, RESTS)
    stale = dict(harness.states.items)
    assert harness.ask().verdicts == [(L2, "ok")]
    harness.states.read = lambda ids: {each: stale.get(each, healthy(each)) for each in ids}  # type: ignore[method-assign]  # what another environment has cached
    assert harness.ask().trace.attempts == []


def test_a_deployment_with_a_reset_time_is_no_last_resort(harness: Harness) -> None:
    _cool_all(harness, dict.fromkeys(("cliproxyapi", "new-api", "ark"), (Verdict.RATE_LIMITED, 40.0)), hinted=True)
    outcome = harness.ask()
    assert outcome.error is not None
    assert (outcome.error.status, outcome.error.headers["retry-after"]) == (429, "40")
    assert harness.standin.requests() == []


@pytest.mark.parametrize("fault", ["503", "only_done", "cut"])
def test_repeated_failures_of_one_conversation_cool_a_deployment_once(harness: Harness, fault: str) -> None:
    for _ in range(6):
        harness.standin.fault("cliproxyapi", fault, times=2 if fault == "503" else 1)
        harness.ask(caller="mallory")
        harness.standin.heal()
        harness.now += 6
    assert harness.cooldown().strikes <= 1
    assert harness.ask(caller="ann").deployment == L1
    assert harness.calls() < 12, "the conversation itself is kept away for longer and longer"


def test_a_failure_of_a_second_caller_cools_a_deployment_for_all(harness: Harness) -> None:
    harness.standin.fault("cliproxyapi", "503")
    for caller in ("ann", "bob", "carl"):
        harness.ask(caller=caller)
        harness.now = max(harness.now, harness.cooldown().until) + 0.1
    assert harness.cooldown().strikes == 3


def test_when_all_wait_for_a_reset_no_deployment_is_called(harness: Harness) -> None:
    _cool_all(
        harness, {each: (Verdict.QUOTA, rest) for each, rest in (("cliproxyapi", 90), ("new-api", 70), ("ark", 80))}
    )
    outcome = harness.ask()
    assert outcome.error is not None
    assert (outcome.error.status, outcome.error.headers["retry-after"]) == (429, "70")
    assert harness.standin.requests() == []


def test_a_slow_first_deployment_leaves_the_others_their_time(harness: Harness) -> None:
    harness.policy = replace(
        harness.policy, timeouts=replace(harness.policy.timeouts, first_byte=60, first_token=60, response=60)
    )
    harness.standin.fault("cliproxyapi", "silence")
    outcome = harness.ask(left=10.9)  # 0.9 s to spend: a third for each layer
    assert outcome.verdicts == [(L1, "transient"), (L2, "ok")]


def test_comments_do_not_lengthen_a_probe(harness: Harness) -> None:
    """A provider that keeps its connection alive and its model silent is found out within `probe`, too."""
    harness.policy = replace(harness.policy, timeouts=replace(harness.policy.timeouts, first_token=60, first_byte=60))
    harness.standin.fault("cliproxyapi", "503", times=2)
    harness.ask()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n: PING\n\n"
    harness.standin.script("cliproxyapi", [Send(head), Wait(threading.Event())])
    harness.now += 6
    outcome = harness.ask()
    assert outcome.verdicts == [(L1, "transient"), (L2, "ok")]
    assert outcome.trace.attempts[0].ms < 30_000


def test_a_rejected_credential_is_no_last_resort(harness: Harness) -> None:
    _cool_all(harness, dict.fromkeys(("cliproxyapi", "new-api", "ark"), (Verdict.TRANSIENT, 900)))
    rejected = Classification(Verdict.AUTH, Scope.CREDENTIAL, reset_after=60)
    for provider in ("cliproxyapi", "new-api", "ark"):
        state = harness.credential(provider)
        harness.states.replace(state, cooled(state, rejected, harness.policy.cooldown, harness.now, evidence="test"))
    outcome = harness.ask()
    assert outcome.error is not None
    assert harness.standin.requests() == []
