"""Requests are shaped by path, header and beta flag; a request that is not shaped stays as it is."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.errors import ApiError
from vibe_router.core.models import BetaShape, Deployment, HeaderShape, Policy, Provider, RequestShape
from vibe_router.formats import registry
from vibe_router.formats.neutral.dropping import without_param
from vibe_router.upstream.exchange import Exchange, open_exchange
from vibe_router.upstream.shaping import shaped_betas, shaped_body, shaped_headers

BODY = {
    "model": "m",
    "temperature": 1,
    "reasoning": {"effort": "high"},
    "tools": [{"strict": True, "name": "a"}, {"name": "b"}],
    "messages": [{"role": "user", "content": [{"type": "text", "cache_control": {"type": "ephemeral"}}]}],
}
CASES: list[tuple[str, RequestShape, dict[str, Any]]] = [
    ("set", RequestShape(set={"temperature": 0.2}), {**BODY, "temperature": 0.2}),
    ("set a nested field", RequestShape(set={"reasoning.effort": "low"}), {**BODY, "reasoning": {"effort": "low"}}),
    ("create objects", RequestShape(set={"a.b.c": 1}), {**BODY, "a": {"b": {"c": 1}}}),
    ("an object that is a number", RequestShape(set={"temperature.x": 1}), BODY),
    ("default of a given field", RequestShape(default={"temperature": 0}), BODY),
    ("default of a missing field", RequestShape(default={"top_p": 0.5}), {**BODY, "top_p": 0.5}),
    (
        "set in every item",
        RequestShape(set={"tools.*.strict": False}),
        {**BODY, "tools": [{"strict": False, "name": "a"}, {"name": "b", "strict": False}]},
    ),
    (
        "default in every item",
        RequestShape(default={"tools.*.strict": False}),
        {**BODY, "tools": [{"strict": True, "name": "a"}, {"name": "b", "strict": False}]},
    ),
    (
        "drop",
        RequestShape(drop=("temperature", "nothing", "reasoning.other")),
        {k: v for k, v in BODY.items() if k != "temperature"},
    ),
    (
        "drop in depth",
        RequestShape(drop=("messages.*.content.*.cache_control",)),
        {**BODY, "messages": [{"role": "user", "content": [{"type": "text"}]}]},
    ),
    ("drop an item", RequestShape(drop=("tools.1",)), {**BODY, "tools": [{"strict": True, "name": "a"}]}),
    ("drop all items", RequestShape(drop=("tools.*",)), {**BODY, "tools": []}),
    ("an index beyond", RequestShape(drop=("tools.7", "tools.x")), BODY),
    ("drop and set anew", RequestShape(drop=("reasoning",), set={"reasoning.x": 1}), {**BODY, "reasoning": {"x": 1}}),
]


@pytest.mark.parametrize(("shape", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_fields_by_path(shape: RequestShape, expected: dict[str, Any]) -> None:
    assert json.loads(shaped_body(json.dumps(BODY).encode(), shape)) == expected


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
)
PATHS = st.lists(st.sampled_from(["a", "b", "*", "0", "9"]), max_size=3).map(lambda rest: ".".join(["a", *rest]))


@given(body=st.dictionaries(st.sampled_from("ab"), VALUES, max_size=2), path=PATHS)
def test_any_path_fits_any_body(body: dict[str, Any], path: str) -> None:
    shape = RequestShape(set={path: 1}, default={path: 2}, drop=(path,))
    assert isinstance(json.loads(shaped_body(json.dumps(body).encode(), shape)), dict)


def test_a_deployment_with_a_shape_can_be_in_a_set() -> None:
    shape = RequestShape({"a": [1]}, {"b": {}}, headers=HeaderShape({"x-a": "1"}))
    one, two = (Deployment(Provider("p", "http://x", "KEY"), "m", Policy(shape=shape)) for _ in range(2))
    assert len({one, two}) == 1


def test_headers() -> None:
    shape = RequestShape(
        headers=HeaderShape({"x-a": "1"}, {"x-b": "2", "x-c": "3"}, ("x-d",)),
        forward_headers=("x-session-id", "x-d", "x-e"),
    )
    client = {"x-session-id": "s", "x-d": "d", "authorization": "Bearer caller", "x-e": "line\nbreak"}
    assert shaped_headers({"x-b": "own"}, client, shape) == {"x-a": "1", "x-b": "own", "x-c": "3", "x-session-id": "s"}


@pytest.mark.parametrize(
    ("sent", "shape", "rejected", "flags"),
    [
        (["a", "b"], BetaShape(), (), ["a", "b"]),
        (["a", "b"], BetaShape(drop=("a",)), (), ["b"]),
        (["a"], BetaShape(set=("c", "a")), (), ["a", "c"]),
        ([], BetaShape(default=("d",)), (), ["d"]),
        (["a"], BetaShape(default=("d",)), (), ["a"]),
        (["a", "b"], BetaShape(set=("c",)), ("b", "c"), ["a"]),
        (["a"], BetaShape(set=("a",), drop=("a",)), (), ["a"]),
    ],
)
def test_beta_flags(sent: list[str], shape: BetaShape, rejected: tuple[str, ...], flags: list[str]) -> None:
    assert shaped_betas(sent, shape, rejected) == flags


def _exchange(
    caller: str, body: dict[str, Any], shape: RequestShape | None, provider: str, headers: Mapping[str, str] = {}
) -> Exchange:
    request = registry.client(caller).parse(json.dumps(body).encode(), headers)
    deployment = Deployment(Provider("p", "http://x/v1", "KEY"), "m", Policy(shape=shape), formats=(provider,))
    return open_exchange(request, deployment, 0, stream=False, client_headers=headers)


CHAT = {"model": "auto", "messages": [{"role": "user", "content": "Hi."}]}
MESSAGES = {**CHAT, "max_tokens": 9}


def test_a_request_without_a_shape_keeps_its_bytes_and_headers() -> None:
    plain = _exchange("chat", CHAT, None, "chat", {"x-session-id": "s"})
    assert json.loads(plain.body(stream=False)) == {**CHAT, "model": "m", "stream": False}
    assert plain.headers("sk-1") == {"authorization": "Bearer sk-1"}


def test_a_header_of_the_routes_never_replaces_the_key() -> None:
    shape = RequestShape(headers=HeaderShape({"x-a": "1"}))
    exchange = _exchange("chat", CHAT, shape, "chat", {"authorization": "Bearer caller"})
    assert exchange.headers("sk-1") == {"authorization": "Bearer sk-1", "x-a": "1"}


@pytest.mark.parametrize("provider", ["messages", "chat"])
def test_beta_flags_have_the_header_of_the_providers_format(provider: str) -> None:
    shape = RequestShape(betas=BetaShape(set=("new",), drop=("old",)))
    sent = _exchange("messages", MESSAGES, shape, provider, {"anthropic-beta": "old, kept"}).headers("sk-1")
    name, flags = ("anthropic-beta", "kept,new") if provider == "messages" else ("openai-beta", "new")
    assert sent[name] == flags


def test_a_rejected_beta_flag_is_dropped_once() -> None:
    shape = RequestShape(betas=BetaShape(drop_rejected=True))
    exchange = _exchange("messages", MESSAGES, shape, "messages", {"anthropic-beta": "good-1,bad-2"})
    refusal = "Unexpected value(s) `bad-2` for the `anthropic-beta` header."
    assert exchange.drop_betas(refusal)
    assert exchange.headers("sk-1")["anthropic-beta"] == "good-1"
    assert exchange.dropped == ("bad-2",)
    assert not exchange.drop_betas(refusal)
    fixed = _exchange("messages", MESSAGES, RequestShape(drop=("x",)), "messages", {"anthropic-beta": "bad-2"})
    assert not fixed.drop_betas(refusal), "only where the routes say so"


DROPPED: list[tuple[str, dict[str, Any], str, tuple[str, ...]]] = [
    ("chat", {**CHAT, "logit_bias": {"1": 2}, "seed": 7, "n": 2}, "messages", ("logit_bias", "seed", "n")),
    ("chat", {**CHAT, "temperature": 1.5}, "messages", ("temperature",)),
    ("messages", {**MESSAGES, "top_k": 5}, "chat", ("top_k",)),
    ("messages", {**MESSAGES, "top_k": 5}, "responses", ("top_k",)),
    ("chat", {**CHAT, "presence_penalty": 1, "stop": ["x"]}, "responses", ("presence_penalty", "stop")),
    ("completions", {"model": "auto", "prompt": "Hi.", "logit_bias": {"1": 2}}, "messages", ("logit_bias",)),
]


@pytest.mark.parametrize(("caller", "body", "provider", "dropped"), DROPPED)
def test_parameters_that_a_format_lacks_are_dropped_on_request(
    caller: str, body: dict[str, Any], provider: str, dropped: tuple[str, ...]
) -> None:
    with pytest.raises(ApiError):
        _exchange(caller, body, None, provider)
    exchange = _exchange(caller, body, RequestShape(drop_params=True), provider)
    sent = json.loads(exchange.body(stream=False))
    assert set(exchange.dropped) == set(dropped)
    assert not set(dropped) & sent.keys()


def test_unknown_fields_are_never_dropped() -> None:
    audio = {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]}
    with pytest.raises(ApiError):
        _exchange("chat", {**CHAT, "messages": [audio]}, RequestShape(drop_params=True), "messages")
    neutral = registry.client("chat").parse(json.dumps(CHAT).encode(), {}).neutral()
    for param in (None, "", "messages", "tools", "nothing", "max_tokens"):
        assert without_param(neutral, param) is None


@pytest.mark.parametrize("caller", ["chat", "messages"])
def test_the_body_is_shaped_in_the_providers_format(caller: str) -> None:
    body = CHAT if caller == "chat" else MESSAGES
    shape = RequestShape(set={"reasoning.effort": "low"}, drop=("messages.*.name",))
    sent = json.loads(_exchange(caller, body, shape, "responses").body(stream=True))
    assert sent["reasoning"] == {"effort": "low"}
    assert sent["model"] == "m"
