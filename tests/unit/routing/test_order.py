"""The order of the deployments of a step, and where conversations stay."""

from dataclasses import replace
from typing import Any

import pytest

from vibe_router.core.models import Deployment, Policy, Provider, QuotaPolicy, VirtualModel
from vibe_router.core.price import Price
from vibe_router.routing.cooldown import cleared, healthy
from vibe_router.routing.order import Facts, Observed, choose_order, median_first_token
from vibe_router.routing.quota import QuotaWindow
from vibe_router.routing.stay import Stay, conversation_id, has_earlier_turn, has_recovered, with_stay

NOW = 1_790_000_000.0


def _deployment(name: str, price: Price | None = None, **policy: Any) -> Deployment:
    return Deployment(Provider(name, "http://x/v1", "KEY"), "m", Policy(**policy), price=price)


def _model(*steps: tuple[Deployment, ...]) -> VirtualModel:
    return VirtualModel("auto", "", steps)


def _ids(order: list[Deployment]) -> list[str]:
    return [each.provider.name for each in order]


def _used(share: float) -> Observed:
    return Observed((QuotaWindow("5h", share, NOW + 100),))


def test_the_cheapest_depends_on_prompt_and_answer() -> None:
    cheap_in, cheap_out = Price(1, 100), Price(10, 1)
    step = tuple(
        _deployment(name, price, order="cheapest") for name, price in (("a", cheap_in), ("b", cheap_out), ("c", None))
    )
    long_prompt = Facts(NOW, tokens=lambda: (100_000, 10))
    long_answer = Facts(NOW, tokens=lambda: (10, 100_000))
    assert _ids(choose_order(_model(step), b"", long_prompt)) == ["a", "b", "c"]
    assert _ids(choose_order(_model(step), b"", long_answer)) == ["b", "a", "c"]


def test_the_fastest_has_the_lowest_median_and_an_unmeasured_one_is_tried() -> None:
    step = tuple(_deployment(name, order="fastest") for name in "abc")
    observed = {
        "a/m": Observed(first_tokens=tuple((NOW - 10, 2.0 + each) for each in range(5))),
        "b/m": Observed(first_tokens=((NOW - 5, 1.0), (NOW - 4, 1.0), (NOW - 3, 90.0))),
    }
    assert _ids(choose_order(_model(step), b"", Facts(NOW, observed))) == ["c", "b", "a"]
    assert median_first_token(observed["a/m"], NOW) == 4.0
    assert median_first_token(observed["a/m"], NOW + 3600) is None, "old times say nothing"


def test_the_most_quota_left_comes_first() -> None:
    step = tuple(_deployment(name, order="quota") for name in "abc")
    observed = {"a/m": _used(0.8), "b/m": _used(0.2), "c/m": _used(0.5)}
    assert _ids(choose_order(_model(step), b"", Facts(NOW, observed))) == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("used", "caller", "stays_at", "first"),
    [
        (0.89, "", None, "plan"),
        (0.90, "", None, "paid"),
        (0.95, "", "plan/m", "plan"),
        (0.95, "boss", None, "plan"),
        (0.95, "other", None, "paid"),
    ],
)
def test_the_rest_of_a_quota_is_for_named_keys_and_running_conversations(
    used: float, caller: str, stays_at: str | None, first: str
) -> None:
    quota = QuotaPolicy(90, ("boss",))
    model = _model((_deployment("plan", order="quota", quota=quota),), (_deployment("paid", order="quota"),))
    facts = Facts(NOW, {"plan/m": _used(used)}, caller=frozenset({caller}), stays_at=stays_at)
    assert _ids(choose_order(model, b"", facts))[0] == first


def test_the_order_of_steps_is_preserved() -> None:
    steps = (tuple(_deployment(name, order="cheapest") for name in "ab"), (_deployment("c", Price(0, 0)),))
    assert _ids(choose_order(_model(*steps), b"x", Facts(NOW)))[-1] == "c"


def test_a_conversation_stays_until_its_time_is_over() -> None:
    order = [_deployment(name) for name in "abc"]
    stay = Stay("c/m", NOW + 300)
    assert _ids(with_stay(order, stay, NOW)) == ["c", "a", "b"]
    assert _ids(with_stay(order, stay, NOW + 300)) == ["a", "b", "c"]
    assert _ids(with_stay(order, None, NOW)) == ["a", "b", "c"]
    assert _ids(with_stay(order, Stay("gone/m", NOW + 300), NOW)) == ["a", "b", "c"]


def test_a_stay_is_written_again_after_a_fifth_of_its_time() -> None:
    stay = Stay("c/m", NOW + 300)
    assert not stay.needs_renewal("c/m", NOW + 59, 300)
    assert stay.needs_renewal("c/m", NOW + 61, 300)
    assert stay.needs_renewal("a/m", NOW, 300)


@pytest.mark.parametrize(
    ("body", "has_turn"),
    [
        ({"messages": [{"role": "user", "content": "x"}]}, False),
        ({"messages": [{"role": "user"}, {"role": "assistant"}, {"role": "user"}]}, True),
        ({"input": "x"}, False),
        ({"input": [{"role": "user", "content": "x"}]}, False),
        ({"input": [{"role": "user"}, {"type": "function_call", "call_id": "c"}]}, True),
        ({"contents": [{"role": "user"}, {"role": "model"}]}, True),
        ({"messages": ["odd", None]}, False),
        ({"prompt": "x"}, False),
    ],
)
def test_only_a_conversation_with_an_earlier_turn_stays(body: dict[str, Any], has_turn: bool) -> None:
    assert has_earlier_turn(body) is has_turn


def test_conversations_differ_by_caller_and_model() -> None:
    ids = {conversation_id(*each) for each in (("k", "m", b"a"), ("k", "m", b"b"), ("l", "m", b"a"), ("k", "n", b"a"))}
    assert len(ids) == 4


def test_a_recovery_is_recalled_for_an_hour() -> None:
    state = cleared(replace(healthy("deployment#a/m"), version=3, until=NOW - 1), NOW)
    assert has_recovered([state], NOW + 10)
    assert not has_recovered([state], NOW + 3700)
    assert not has_recovered([healthy("deployment#a/m")], NOW)
