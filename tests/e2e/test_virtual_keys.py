"""Virtual keys as their holders see them: several environments, one set of tables, the real admin function."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.standin import Standin
from tests.e2e.stack import KEY, Stack, eventually, running, shipped_routes

TOKENS = 1_000  # answered at most; at $10 per million tokens that is a cent

Make = Callable[..., str]


def priced_routes(standin: Standin) -> str:
    """Return the shipped routes and one more model, whose price makes sums easy: $10 per million tokens either way."""
    chain = "{provider: ark, model: glm-4.7, price: {input: 10, output: 10}}"
    return shipped_routes(standin).replace("\nmodels:\n", f"\nmodels:\n  auto-priced:\n    chain: [{chain}]\n")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    data: Path = tmp_path_factory.mktemp("keys")
    # Few environments, as the embedded AWS does one thing at a time, and whom it does not answer in time goes on.
    with running(data, priced_routes, LOCAL_CONCURRENCY="3") as stack:
        yield stack


@pytest.fixture
def make(stack: Stack) -> Make:
    """Make a key, as LiteLLM's scripts do."""
    return lambda **more: admin(stack, "/key/generate", **more)["key"]


def admin(stack: Stack, path: str, **body: Any) -> Any:
    answer = httpx.post(stack.root + path, json=body, headers={"authorization": f"Bearer {KEY}"}, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ask(stack: Stack, key: str, model: str = "auto-priced", **more: Any) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": TOKENS, **more}
    return httpx.post(f"{stack.url}/chat/completions", json=body, headers={"x-api-key": key}, timeout=60)


def error_of(answer: httpx.Response) -> tuple[int, str]:
    """Return an error's status and code; no code when it is none."""
    return answer.status_code, "" if answer.status_code == 200 else answer.json()["error"]["code"]


def spend_of(stack: Stack, key: str) -> float:
    headers = {"authorization": f"Bearer {KEY}"}
    answer = httpx.get(f"{stack.root}/key/info", params={"key": key}, headers=headers, timeout=60)
    spent: float = answer.json()["info"]["spend"]
    return spent


def test_a_key_may_use_only_its_models(stack: Stack, make: Make) -> None:
    key = make(models=["auto-chat*"])
    assert ask(stack, key, "auto-chat-mini").status_code == 200
    denied = ask(stack, key, "auto-priced")
    assert error_of(denied) == (403, "key_model_access_denied")
    assert "auto-chat, auto-chat-mini" in denied.json()["error"]["message"]
    listed = httpx.get(f"{stack.url}/models", headers={"authorization": f"Bearer {key}"}, timeout=60).json()["data"]
    assert [each["id"] for each in listed] == ["auto-chat", "auto-chat-mini"]
    assert error_of(httpx.get(f"{stack.root}/health", headers={"x-api-key": key}, timeout=60))[0] == 403


def test_blocking_unblocking_and_deleting_a_key_take_effect_within_ten_seconds(stack: Stack, make: Make) -> None:
    blocked, unblocked, deleted = make(), make(), make()
    admin(stack, "/key/block", key=unblocked)
    assert error_of(ask(stack, unblocked)) == (401, "key_blocked")
    assert [ask(stack, key).status_code for key in (blocked, deleted)] == [200, 200]
    admin(stack, "/key/block", key=blocked)
    admin(stack, "/key/unblock", key=unblocked)
    admin(stack, "/key/delete", keys=[deleted])
    eventually(lambda: error_of(ask(stack, blocked)) == (401, "key_blocked"))
    eventually(lambda: ask(stack, unblocked).status_code == 200)
    eventually(lambda: error_of(ask(stack, deleted)) == (401, "key_deleted"))


def test_concurrent_callers_do_not_overspend_a_budget(stack: Stack, make: Make) -> None:
    key = make(max_budget=0.015)  # each of these may cost a little more than a cent
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: ask(stack, key), range(12)))
    served = [each for each in answers if each.status_code == 200]
    rejected = [each for each in answers if each.status_code != 200]
    assert {error_of(each) for each in rejected} <= {(402, "budget_exceeded")}
    assert served
    cost = sum(stack.decision(each.headers["x-vibe-request-id"])["cost"] for each in served)
    assert 0 < cost < 0.015
    assert eventually(lambda: spend_of(stack, key) or None) == pytest.approx(cost)


def test_a_request_over_the_remaining_budget_is_a_402(stack: Stack, make: Make) -> None:
    key = make(max_budget=0.0105)  # one answer of a thousand tokens, and a bit
    assert ask(stack, key).status_code == 200
    eventually(lambda: spend_of(stack, key) or None)
    rejected = ask(stack, key)
    assert error_of(rejected) == (402, "budget_exceeded")
    assert "The budget of this API key is $0.0105" in rejected.json()["error"]["message"]
    assert ask(stack, key, max_tokens=100).status_code == 200, "a smaller one fits"


def test_an_unused_reservation_returns_to_the_budget(stack: Stack, make: Make) -> None:
    """An answer costs far less than was reserved for it; what is over comes back, so that the next one fits."""
    key = make(max_budget=0.0115)
    costs = []
    for _ in range(3):
        answer = eventually(lambda: one if (one := ask(stack, key)).status_code == 200 else None)
        costs.append(stack.decision(answer.headers["x-vibe-request-id"])["cost"])
    assert eventually(lambda: spent if (spent := spend_of(stack, key)) >= sum(costs) * 0.999 else None) < 0.0115


def test_a_request_over_the_rate_is_a_429_with_retry_after(stack: Stack, make: Make) -> None:
    key = make(rpm_limit=3)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: ask(stack, key, stream=True), range(8)))
    served = [each for each in answers if each.status_code == 200]
    assert len(served) == 3
    assert sorted(each.headers["x-ratelimit-remaining-requests"] for each in served) == ["0", "1", "2"]
    for each in answers:
        if each.status_code != 200:
            assert error_of(each) == (429, "rate_limit_exceeded")
            assert 0 < int(each.headers["retry-after"]) <= 60


def test_sequential_requests_fit_a_parallel_limit_of_one(stack: Stack, make: Make) -> None:
    key = make(max_parallel_requests=1)
    assert [ask(stack, key, stream=bool(number % 2)).status_code for number in range(6)] == [200] * 6


def test_keys_of_a_team_share_its_rate(stack: Stack, make: Make) -> None:
    team = admin(stack, "/team/new", team_alias="burst", rpm_limit=3)["team_id"]
    keys = [make(team_id=team, rpm_limit=100) for _ in range(2)]
    answers = [ask(stack, keys[number % 2]) for number in range(6)]
    assert [each.status_code for each in answers] == [200] * 3 + [429] * 3
    assert "the team that this API key belongs to" in answers[-1].json()["error"]["message"]


def test_a_ladder_serves_a_cheaper_model_before_the_budget_is_spent(stack: Stack, make: Make) -> None:
    ladder = {"auto-priced": [{"from": 0.5, "model": "auto-chat-mini"}]}
    key = make(max_budget=1, soft_budget=0.5, budget_ladder=ladder)
    first = ask(stack, key)
    assert first.headers["x-vibe-model"] == "auto-priced"
    assert "x-vibe-soft-budget" not in first.headers
    assert spend_of(stack, key) > 0
    admin(stack, "/key/update", key=key, spend=0.6)

    def stepped_down() -> httpx.Response | None:
        answer = ask(stack, key)
        assert answer.status_code == 200
        return answer if "x-vibe-budget-ladder" in answer.headers else None

    answer = eventually(stepped_down)  # an environment's copy of the ledger is at most ten seconds old
    assert answer.headers["x-vibe-model"] == "auto-chat-mini"
    assert answer.headers["x-vibe-budget-ladder"].startswith("auto-priced; from=0.5; budget=key; used=0.6")
    assert answer.headers["x-vibe-soft-budget"].startswith("key; spent=0.6")
    line = stack.decision(answer.headers["x-vibe-request-id"])
    assert (line["ladder_model"], line["selected_model"], line["soft_budgets"]) == (
        "auto-priced",
        "auto-chat-mini",
        ["key"],
    )


def test_the_budget_of_a_model_holds_against_concurrent_requests(stack: Stack, make: Make) -> None:
    budget = {"budget_limit": 0.0105, "time_period": "1d"}  # one answer of a thousand tokens, and a bit
    key = make(model_max_budget={"auto-priced": budget})
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: ask(stack, key), range(6)))
    served = [each for each in answers if each.status_code == 200]
    assert {error_of(each) for each in answers} == {(200, ""), (402, "budget_exceeded")}
    cost = sum(stack.decision(each.headers["x-vibe-request-id"])["cost"] for each in served)
    rejected = eventually(lambda: one if (one := ask(stack, key)).status_code == 402 else None)
    assert "The budget of this API key for auto-priced is $0.0105" in rejected.json()["error"]["message"]
    assert ask(stack, key, "auto-chat-mini").status_code == 200

    def spent() -> float | None:
        headers = {"authorization": f"Bearer {KEY}"}
        answer = httpx.get(f"{stack.root}/key/info", params={"key": key}, headers=headers, timeout=60)
        amount: float = answer.json()["info"]["model_spend"]["auto-priced"]
        return amount if amount >= cost * 0.999 else None

    assert eventually(spent) < 0.0105
