"""Alerts of a running router: each arrives once at a receiver on loopback, signed, beside a receiver that is dead."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from local.standin import Standin
from tests.e2e.stack import KEY, Stack, eventually, running, shipped_routes
from tests.integration.alerts.receivers import Message, ReceiverServer, receiving

SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="
CANARY = "a canary that no alert may hold"
ALERTS = """
alerts:
  receivers:
    ops: {type: json, url: OPS_URL, secret: OPS_SECRET}
    dead: {type: slack, url: DEAD_URL}
  budget: [0.01, 0.95]
"""


def routes(standin: Standin) -> str:
    return shipped_routes(standin) + ALERTS


@pytest.fixture(scope="module")
def receiver() -> Iterator[ReceiverServer]:
    with receiving() as server:
        yield server


@pytest.fixture(scope="module")
def stack(receiver: ReceiverServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = {"OPS_URL": f"{receiver.url}/hook", "OPS_SECRET": SECRET, "DEAD_URL": "http://127.0.0.1:9/token"}
    with running(tmp_path_factory.mktemp("alerts"), routes, **settings) as stack:
        yield stack


def ask(stack: Stack, key: str) -> int:
    body = {"model": "auto-chat", "messages": [{"role": "user", "content": CANARY}], "max_tokens": 100}
    return httpx.post(f"{stack.url}/chat/completions", json=body, headers={"x-api-key": key}, timeout=60).status_code


def ask_at_once(stack: Stack, key: str, times: int) -> set[int]:
    with ThreadPoolExecutor(6) as pool:
        return set(pool.map(lambda _: ask(stack, key), range(times)))


def message_about(receiver: ReceiverServer, event: str) -> Message:
    """Return the message about an event once it is there, which must be the only one."""
    (message,) = eventually(lambda: receiver.of(event))
    assert message.is_signed_with(SECRET)
    assert KEY.encode() not in message.body
    assert CANARY.encode() not in message.body
    return message


def test_a_budget_and_a_rejected_credential_are_each_reported_once(stack: Stack, receiver: ReceiverServer) -> None:
    answer = httpx.post(
        f"{stack.root}/key/generate",
        json={"key_alias": "ci", "max_budget": 0.05},
        headers={"authorization": f"Bearer {KEY}"},
        timeout=60,
    )
    key = answer.json()["key"]
    stack.fault("cliproxyapi", "bad_key")
    assert ask_at_once(stack, key, 18) == {200}
    rejected = message_about(receiver, "credential").json()["data"]
    assert rejected["subject"] == "cliproxyapi"
    assert rejected["text"].startswith("cliproxyapi rejects its credential (401).")
    assert rejected["link"] == f"{stack.root}/ui/#/alerts"
    budget = message_about(receiver, "budget").json()["data"]
    assert (budget["subject"], budget["figures"]["threshold"]) == ("ci", 0.01)
    assert key not in str(budget)
