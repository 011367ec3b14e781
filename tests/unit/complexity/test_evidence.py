"""Evidence after the answer: bad events, rollbacks, feedback, repeated turns and dual runs, over a table in memory."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gateway import app
from streaming_runtime import StreamingResponse
from tests.embedded_aws import embedded_dynamodb
from tests.unit.gateway.fake_environment import FakeEnvironment, context, event, refusal, virtual, whole
from tests.unit.store.hooks import create_table
from vibe_router.core.clock import Clock
from vibe_router.core.models import ComplexityRule, Deployment, VirtualModel
from vibe_router.core.price import Price
from vibe_router.core.record import Record
from vibe_router.pipeline.complexity import ComplexityRouter
from vibe_router.pipeline.dual_runs import DualRunner, text_of_answer, verdict_of
from vibe_router.pipeline.evidence import EvidenceRecorder
from vibe_router.routing.complexity.families import family_of
from vibe_router.store.complexity import BadEvents, ComplexityStore, RolloutChangedError

CANARY = "canary-77c2"
EASY = f"hello {CANARY}"


class FakeStore(ComplexityStore):
    """The store as dictionaries."""

    def __init__(self, environment: FakeEnvironment) -> None:
        self.environment = environment
        self.items: dict[str, dict[str, Any]] = {}
        self.events: dict[tuple[str, int], dict[str, int]] = {}
        self.feedback: dict[str, int] = {}
        self.judged: dict[str, float] = {}
        self.turns: dict[str, tuple[float, dict[str, Any]]] = {}
        self.spent = 0
        self.noise: list[bool] = []

    def change(self, model: str, current: Any, **changes: Any) -> dict[str, Any]:
        if (self.items.get(model) or {}).get("number", 0) != (current or {}).get("number", 0):
            raise RolloutChangedError
        self.items[model] = {**(current or {}), **changes, "number": (current or {}).get("number", 0) + 1}
        return self.items[model]

    def count_bad_event(self, model: str, number: int, arm: str) -> BadEvents:
        counted = self.events.setdefault((model, number), {"mini": 0, "standard": 0})
        counted[arm] += 1
        return BadEvents(**counted)

    def find_request(self, request_id: str) -> Record | None:
        return next((each for each in self.environment.books.booked if each.request_id == request_id), None)

    def set_feedback(self, record: Record, value: int) -> bool:
        before = self.feedback.get(record.request_id)
        self.feedback[record.request_id] = value
        return value < 0 and before is None

    def set_judged(self, record: Record, judged: float) -> None:
        self.judged[record.request_id] = judged

    def replace_turn(self, turn: str, values: Any, seconds: int) -> dict[str, Any] | None:
        now = self.environment.now
        before = self.turns.get(turn)
        self.turns[turn] = now + seconds, dict(values)
        return before[1] if before and before[0] > now else None

    def find_turn(self, turn: str) -> dict[str, Any] | None:
        before = self.turns.get(turn)
        return before[1] if before and before[0] > self.environment.now else None

    def secret_of_day(self, day: str) -> bytes:
        return day.encode()

    def spend(self, model: str, day: str, amount: int, most: int | None = None) -> bool:
        if most is not None and self.spent + amount > most:
            return False
        self.spent += amount
        return True

    def count_judge_noise(self, model: str, *, differs: bool) -> None:
        self.noise.append(differs)


class Chance(random.Random):
    """Gives the same number always."""

    def __init__(self, value: float) -> None:
        super().__init__(1)
        self.value = value

    def random(self) -> float:
        return self.value


def priced(model: VirtualModel) -> VirtualModel:
    def with_price(deployment: Deployment) -> Deployment:
        return replace(deployment, price=Price(input=1, output=2))

    return replace(model, steps=tuple(tuple(map(with_price, step)) for step in model.steps))


@pytest.fixture
def store(environment: FakeEnvironment) -> FakeStore:
    """The model `auto` at 50 %: one/mini or two/standard, judged by three/judge."""
    mini, standard, judge = (
        virtual("mini", "one/mini"),
        virtual("standard", "two/standard"),
        virtual("judge", "three/j"),
    )
    rule = ComplexityRule(
        priced(mini), priced(standard), "complexity", 50, evidence=True, judge=priced(judge), dual_budget=1
    )
    environment.models |= {"mini": mini, "standard": standard}
    environment.models["auto"] = replace(standard, name="auto", routing=rule)
    store = FakeStore(environment)
    environment.complexity = ComplexityRouter(lambda: store.items)
    environment.evidence = EvidenceRecorder(store, lambda: store.items, lambda *_: None, environment.clock)
    return store


def send(text: str, number: int = 0, **more: Any) -> StreamingResponse:
    body = {
        "model": "auto",
        "messages": [{"role": "system", "content": f"{number}"}, {"role": "user", "content": text}],
    }
    sent = event("POST", "/v1/chat/completions", {**body, **more})
    sent["requestContext"] = {"requestId": f"request-{number}-{random.getrandbits(60)}", "stage": "prod"}
    invocation = context()
    response = app.handler(sent, invocation)
    list(response.body)
    invocation.run_work()
    return response


def feed_back(request_id: str, value: object) -> tuple[int, Any]:
    response = app.handler(event("POST", "/v1/feedback", {"request_id": request_id, "value": value}), context())
    return response.status, json.loads(b"".join(response.body))


def conversations(arm: str, environment: FakeEnvironment) -> Iterator[int]:
    """Yield the numbers of conversations of one arm, after a request in each."""
    for number in range(10_000):
        send(EASY, number)
        if environment.books.booked[-1].routing_arm == arm:
            yield number


def test_a_worse_mini_is_rolled_back(environment: FakeEnvironment, store: FakeStore, capsys: Any) -> None:
    for _ in conversations("mini", environment):
        status, _ = feed_back(environment.books.booked[-1].request_id, -1)
        assert status == 200
        if store.items:
            break
    item = store.items["auto"]
    assert (item["mode"], item["share"], item["number"]) == ("manual", 0, 1)
    assert "bad events were mini's" in item["reason"]
    assert "ComplexityRollbacks" in capsys.readouterr().out
    send(EASY, 1)
    assert environment.books.booked[-1].routing_choice == "standard"


def test_equal_arms_are_left_alone(environment: FakeEnvironment, store: FakeStore) -> None:
    for number in range(80):
        send(EASY, number)
        feed_back(environment.books.booked[-1].request_id, "down")
    assert not store.items
    assert sum(store.events["auto", 0].values()) == 80


def test_feedback_is_idempotent_and_of_the_own_key(environment: FakeEnvironment, store: FakeStore) -> None:
    next(conversations("mini", environment))
    request_id = environment.books.booked[-1].request_id
    for _ in range(3):
        assert feed_back(request_id, -1)[0] == 200
    assert store.events["auto", 0]["mini"] == 1
    environment.books.booked[-1] = replace(environment.books.booked[-1], key="another")
    assert feed_back(request_id, 1)[0] == 404
    assert feed_back("nothing", 1)[0] == 404


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"request_id": "a"},
        {"request_id": 1, "value": 1},
        {"request_id": "a", "value": 2},
        {"request_id": "a", "value": True},
        {"request_id": "a", "value": [1]},
        {"request_id": "a", "value": 1, "text": "x"},
    ],
)
def test_other_feedback_is_rejected(body: dict[str, Any]) -> None:
    response = app.handler(event("POST", "/v1/feedback", body), context())
    assert response.status == 400
    assert json.loads(b"".join(response.body))["error"]["param"]


def test_a_turn_asked_again_counts_against_its_arm(environment: FakeEnvironment, store: FakeStore) -> None:
    number = next(conversations("mini", environment))
    assert ("auto", 0) not in store.events
    send(EASY, number)
    assert store.events["auto", 0] == {"mini": 1, "standard": 0}
    environment.now += 601
    send(EASY, number)
    assert store.events["auto", 0]["mini"] == 1
    assert CANARY not in str(store.turns)


def test_a_turn_asked_again_of_the_standard_model_counts_once(environment: FakeEnvironment, store: FakeStore) -> None:
    environment.models["standard"] = replace(environment.models["standard"], standard_of=("auto",))
    number = next(conversations("mini", environment))
    for _ in range(2):
        send(EASY, number, model="standard")
    assert store.events["auto", 0] == {"mini": 1, "standard": 0}
    assert environment.books.booked[-1].routing_mode is None


def test_errors_count_against_their_arm(environment: FakeEnvironment, store: FakeStore) -> None:
    number = next(conversations("mini", environment))
    for provider in ("one", "two"):
        environment.upstream.script[provider] = [refusal(500, {})]
    assert send(f"{EASY}!", number).status >= 500
    assert store.events["auto", 0] == {"mini": 1, "standard": 0}


def answering(text: str) -> Any:
    return whole({"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
                  "usage": {"prompt_tokens": 10, "completion_tokens": 5}})  # fmt: skip


@pytest.fixture
def dual(environment: FakeEnvironment, store: FakeStore) -> FakeEnvironment:
    auto = environment.models["auto"]
    assert auto.routing
    environment.models["auto"] = replace(auto, routing=replace(auto.routing, dual=0.05))
    chance = Chance(0.04)
    runner = DualRunner(store, environment.failover, environment.books, environment.clock, chance)
    environment.dual_runs = runner
    return environment


def test_both_models_answer_and_the_judge_decides_blindly(dual: FakeEnvironment, store: FakeStore) -> None:
    """With 0.04 every draw is made: a dual run, of the same model, in both orders."""
    send(EASY, 3)
    assert store.noise == []  # the judge's answer was no verdict
    dual.upstream.script["three"] = [answering("A"), answering("A")]  # whichever is shown first
    send(EASY, 4)
    assert store.noise == [False]
    assert all(each.key in ("router", "master") for each in dual.books.booked)


@pytest.mark.parametrize(("verdict", "judged"), [("A", 0.0), ("B", 1.0), ("T", 0.5)])
@pytest.mark.parametrize("stream", [False, True])
def test_a_verdict_is_stored_with_the_request(
    dual: FakeEnvironment, store: FakeStore, verdict: str, judged: float, stream: bool
) -> None:
    draws = iter([0.0, 0.9, 0.9, 0.9])  # sampled, the other model, answer A first, one order
    chance = Chance(0)
    chance.random = lambda: next(draws)  # type: ignore[method-assign]
    dual.dual_runs = DualRunner(store, dual.failover, dual.books, dual.clock, chance)
    dual.upstream.script["three"] = [answering(verdict)]
    send("hello", 5, stream=stream, model="auto")
    served = next(each for each in dual.books.booked if each.key == "master")
    expected = judged if served.routing_choice == "standard" else 1 - judged
    assert store.judged == {served.request_id: expected}
    others = [each for each in dual.books.booked if each.key == "router"]
    assert {each.model for each in others} >= {"judge"}
    assert len(others) == (3 if stream else 2)
    assert store.spent == sum(each.cost or 0 for each in others)
    [prompt] = [sent for name, sent in dual.upstream.calls if name == "three"]
    assert "mini" not in json.dumps(prompt).replace("j", "")


def test_the_budget_of_a_day_holds(dual: FakeEnvironment, store: FakeStore) -> None:
    store.spent = 10**9
    send("hello", 5)
    assert [each.key for each in dual.books.booked] == ["master"]


def test_orders_are_random_both_are_judged_for_a_quarter_and_some_pairs_are_of_one_model(
    dual: FakeEnvironment, store: FakeStore
) -> None:
    """A judge that always prefers what it reads first: what it says of one order says nothing."""
    auto = dual.models["auto"]
    assert auto.routing
    dual.models["auto"] = replace(auto, routing=replace(auto.routing, dual=1, dual_budget=10**6))
    dual.dual_runs = DualRunner(store, dual.failover, dual.books, dual.clock, random.Random(6))  # noqa: S311
    runs = 240
    for number in range(runs):
        for provider, text in (("one", "of mini"), ("two", "of standard"), ("three", "A")):
            dual.upstream.script[provider] = [answering(text) for _ in range(3)]
        send(EASY, number)
    prompts = [sent["messages"][0]["content"] for name, sent in dual.upstream.calls if name == "three"]
    first = [prompt.partition("<answer_a>\n")[2].partition("\n")[0] for prompt in prompts]
    assert 0.4 < sum(text == "of mini" for text in first) / len(first) < 0.6
    assert 0.17 < (len(prompts) - runs) / runs < 0.33
    assert 0.05 < len(store.noise) / runs < 0.16
    assert len(store.judged) + len(store.noise) == runs
    undecided = sum(judged == 0.5 for judged in store.judged.values())
    assert undecided == len(prompts) - runs - sum(not differs for differs in store.noise)
    assert 0.35 < sum(judged == 1 for judged in store.judged.values()) / (len(store.judged) - undecided) < 0.65
    own = [each for each in dual.books.booked if each.key == "master"]
    assert len(own) == runs
    assert {each.key for each in dual.books.booked} == {"master", "router"}
    assert {each.tags for each in dual.books.booked if each.key == "router"} == {("complexity-dual-run",)}
    assert store.spent == sum(each.cost or 0 for each in dual.books.booked if each.key == "router")


def test_a_judge_of_the_family_of_an_answer_is_not_asked(dual: FakeEnvironment, store: FakeStore) -> None:
    auto = dual.models["auto"]
    assert auto.routing
    related = priced(virtual("judge", "three/standard-large"))
    dual.models["auto"] = replace(auto, routing=replace(auto.routing, judge=related))
    dual.dual_runs = DualRunner(store, dual.failover, dual.books, dual.clock, Chance(0.04))
    send(EASY, 4)
    assert "three" not in dual.upstream.called
    assert not store.judged


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("claude-sonnet-4-6", "claude"),
        ("anthropic/claude-haiku-4-5", "claude"),
        ("eu.anthropic.claude-sonnet-4-6-v1:0", "claude"),
        ("o3-mini", "gpt"),
        ("gpt-5.2-codex", "gpt"),
        ("gemini-2.5-flash", "gemini"),
        ("4o", "4o"),
    ],
)
def test_models_have_a_family(model: str, family: str) -> None:
    assert family_of(model) == family


def test_the_budget_of_a_day_holds_for_the_whole_fleet() -> None:
    client = embedded_dynamodb()
    create_table(
        client,
        TableName="usage",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("id", "at")],
        BillingMode="PAY_PER_REQUEST",
    )
    fleet = [ComplexityStore(client, "routes", "usage", Clock()) for _ in range(4)]
    assert sum(store.spend("auto", "2026-11-28", 7, 100) for _ in range(10) for store in fleet) == 14
    store = fleet[0]
    store.spend("auto", "2026-11-28", -7)
    assert store.spend("auto", "2026-11-28", 9, 100)
    assert not store.spend("auto", "2026-11-28", 1, 100)
    assert store.spend("auto", "2026-11-29", 100, 100)
    assert not store.spend("auto", "2026-11-30", 101, 100)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("A", 1),
        ("B.", 0),
        ("**T**", 0.5),
        ("I think\n\nB", 0),
        ("", None),
        ("both fail", None),
        ("x " * 300 + "A", None),
    ],
)
def test_a_verdict_is_one_letter(text: str, verdict: float | None) -> None:
    assert verdict_of(text) == verdict


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"choices": [{"message": {"content": "a"}}]}, "a"),
        ({"choices": [{"message": {"content": None}}]}, None),
        ({"choices": [{"text": "a"}]}, "a"),
        ({"content": [{"type": "text", "text": "a"}, {"type": "tool_use"}]}, "a"),
        (
            {"content": [{"type": "text", "text": "a"}, {"type": "tool_use", "name": "f", "input": {"x": 1}}]},
            'a\n[calls f with {"x": 1}]',
        ),
        (
            {
                "choices": [
                    {"message": {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}}
                ]
            },
            "[calls f with {}]",
        ),
        ({"output": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "[calls f with {}]"),
        ({"candidates": [{"content": {"parts": [{"text": "a"}, {"text": "b"}]}}]}, "ab"),
        ({"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {}}}]}}]}, "[calls f with {}]"),
        ({"output": [{"type": "reasoning"}, {"type": "message", "content": [{"text": "a"}]}]}, "a"),
        ({"choices": []}, None),
        ([], None),
    ],
)
def test_the_text_of_an_answer_is_read_in_any_format(answer: Any, text: str | None) -> None:
    assert text_of_answer(json.dumps(answer).encode()) == text
