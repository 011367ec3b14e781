"""Failover as a caller sees it: through API Gateway's and Lambda's stand-ins, several environments, one table."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from local.standin.steps import Close, Send
from tests.e2e.stack import KEY, Stack, eventually

L1, L2 = "cliproxyapi/claude-sonnet-4-6", "new-api/gpt-5"
FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("503", {}, "transient"),
    ("model_cooldown", {"reset_in": 1}, "quota"),
    ("reset", {}, "transient"),
    ("cut_after_role", {}, "transient"),
    ("stream_overloaded", {}, "transient"),
]


def _ask(stack: Stack, *, stream: bool = True, client: httpx.Client | None = None, **more: object) -> httpx.Response:
    body = {"model": "auto-chat", "stream": stream, "messages": [{"role": "user", "content": "Hello"}], **more}
    send = client.post if client else httpx.post
    return send(f"{stack.url}/chat/completions", json=body, headers={"authorization": f"Bearer {KEY}"}, timeout=60)


@pytest.mark.parametrize(("fault", "options", "verdict"), FAULTS, ids=[fault for fault, _, _ in FAULTS])
def test_a_failed_first_step_is_skipped_until_it_recovers(
    stack: Stack, fault: str, options: dict[str, Any], verdict: str
) -> None:
    stack.fault("cliproxyapi", fault, **options)
    answer = _ask(stack)
    assert answer.status_code == 200
    assert answer.headers["x-vibe-deployment"] == L2
    assert answer.headers["x-vibe-fallbacks"] == "1"
    assert answer.text.endswith("data: [DONE]\n\n")
    record = stack.decision(answer.headers["x-vibe-request-id"])
    assert record["deployment"] == L2
    first, last = record["attempts"][0], record["attempts"][-1]
    assert (first["deployment"], first["verdict"]) == (L1, verdict)
    assert (last["deployment"], last["verdict"]) == (L2, "ok")
    assert stack.health()[L1]["verdict"] == verdict
    stack.rested()
    calls = len(stack.standin.requests("cliproxyapi"))
    with ThreadPoolExecutor(8) as pool:
        served = [each.headers["x-vibe-deployment"] for each in pool.map(lambda _: _ask(stack), range(8))]
    assert L1 in served, "the recovered deployment serves the probe's caller"
    # Other environments learn of it within a second.
    eventually(lambda: {_ask(stack).headers["x-vibe-deployment"] for _ in range(3)} == {L1})
    eventually(lambda: stack.health()[L1]["state"] == "healthy")
    assert calls < len(stack.standin.requests("cliproxyapi"))


def test_one_caller_at_a_time_probes_a_failed_deployment(stack: Stack) -> None:
    stack.fault("cliproxyapi", "503")
    _ask(stack)
    eventually(lambda: stack.health()[L1]["state"] == "due")
    stack.standin.forget()
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: _ask(stack, stream=False), range(12)))
    assert {answer.headers["x-vibe-deployment"] for answer in answers} == {L2}
    assert len(stack.standin.requests("cliproxyapi")) == 1


def test_concurrent_failures_are_one_strike(stack: Stack) -> None:
    stack.fault("cliproxyapi", "model_cooldown", reset_in=600)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: _ask(stack, stream=False), range(48)))
    assert {answer.status_code for answer in answers} == {200}
    assert stack.health()[L1]["strikes"] == 1


def test_the_error_lists_every_attempt_and_no_secret(stack: Stack) -> None:
    for provider in ("cliproxyapi", "new-api", "ark"):
        stack.fault(provider, "bad_key")
    answer = _ask(stack, stream=False)
    assert answer.status_code == 502
    error = answer.json()["error"]
    assert error["code"] == "all_deployments_failed"
    assert [each["verdict"] for each in error["attempts"]] == ["auth"] * 3
    assert not any(f"sk-{provider}" in answer.text for provider in ("cliproxyapi", "new-api", "ark"))


def test_a_repeated_provider_key_reaches_no_caller_log_or_health(stack: Stack) -> None:
    for provider in ("cliproxyapi", "new-api", "ark"):
        leak = f"sk-{provider}"
        error = {"message": f"bad key {leak}", "type": leak, "code": leak, "param": f"{leak[:-1]}****"}
        stack.fault(provider, "401", body={"error": error})
    answer = _ask(stack, stream=False)
    assert answer.status_code == 502
    stack.decision(answer.headers["x-vibe-request-id"])
    seen = answer.text + "\n".join(stack.lines) + repr(stack.health())
    assert not any(f"sk-{provider}"[:8] in seen for provider in ("cliproxyapi", "new-api", "ark"))


def test_a_hundred_concurrent_streams_are_complete(stack: Stack) -> None:
    with httpx.Client(limits=httpx.Limits(max_connections=100)) as client, ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: _ask(stack, client=client), range(100)))
    assert [answer.status_code for answer in answers] == [200] * 100
    assert all(answer.text.endswith("data: [DONE]\n\n") for answer in answers)
    assert len({answer.headers["x-vibe-request-id"] for answer in answers}) == 100


def test_no_log_line_contains_a_prompt_an_answer_or_a_key(stack: Stack) -> None:
    answer = _ask(stack, messages=[{"role": "user", "content": "unmistakable-prompt"}])
    stack.decision(answer.headers["x-vibe-request-id"])
    printed = "\n".join(stack.lines)
    assert "unmistakable-prompt" not in printed
    assert "speaking as" not in printed
    assert "sk-cliproxyapi" not in printed


def test_a_deployment_with_a_reset_time_is_not_called_before_it(stack: Stack) -> None:
    head = b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nretry-after: 600\r\n"
    error = b'{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}'
    stack.broken = True
    stack.standin.script("new-api", [Send(head + b"connection: close\r\n\r\n" + error), Close()])
    first = _ask(stack, model="auto-codex")
    assert first.status_code == 429
    calls = len(stack.standin.requests("new-api"))
    time.sleep(1.1)  # other environments read the states once a second
    answers = [_ask(stack, model="auto-codex") for _ in range(4)]
    assert {each.status_code for each in answers} == {429}
    assert all(int(each.headers["retry-after"]) > 60 for each in answers)
    assert len(stack.standin.requests("new-api")) == calls


def test_one_caller_s_repeated_failures_cool_a_deployment_once(stack: Stack) -> None:
    master = {"authorization": f"Bearer {KEY}"}
    ann, bob = (
        httpx.post(f"{stack.root}/key/generate", json={}, headers=master, timeout=60).json()["key"] for _ in range(2)
    )

    def ask(key: str) -> httpx.Response:
        body = {"model": "auto-chat", "messages": [{"role": "user", "content": f"I am {key}"}]}
        return httpx.post(f"{stack.url}/chat/completions", json=body, headers={"x-api-key": key}, timeout=60)

    stack.broken = True
    for _ in range(3):
        stack.standin.fault("cliproxyapi", "503", times=2)  # a call and its retry
        assert ask(ann).headers["x-vibe-deployment"] == L2
        stack.standin.heal("cliproxyapi")
        eventually(lambda: stack.health()[L1]["state"] != "cooling")
        assert stack.health()[L1]["strikes"] <= 1
    eventually(lambda: ask(bob).headers["x-vibe-deployment"] == L1)
