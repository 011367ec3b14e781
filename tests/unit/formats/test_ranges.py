"""Numbers that no provider accepts are refused before any call, whichever format they come in."""

import json
from collections.abc import Callable

import pytest

from vibe_router.core.errors import ApiError
from vibe_router.formats import registry

BODIES: dict[str, dict[str, object]] = {
    "chat": {"messages": [{"role": "user", "content": "Hello"}]},
    "messages": {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 9},
    "responses": {"input": "Hello"},
    "completions": {"prompt": "Hello"},
}


@pytest.fixture(params=BODIES)
def parse(request: pytest.FixtureRequest) -> Callable[..., object]:
    name = request.param
    return lambda **fields: registry.client(name).parse(
        json.dumps({"model": "m", **BODIES[name], **fields}).encode(), {}
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("top_p", 1.01),
        ("top_p", -1),
        ("frequency_penalty", 2.5),
        ("presence_penalty", -3),
        ("n", 0),
        ("n", -1),
        ("top_logprobs", -1),
    ],
)
def test_a_number_that_no_provider_accepts_is_rejected(parse: Callable[..., object], name: str, value: float) -> None:
    with pytest.raises(ApiError, match=f"^'{name}' must be ") as caught:
        parse(**{name: value})
    assert (caught.value.status, caught.value.param) == (400, name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0),
        ("temperature", 5),
        ("top_p", 0),
        ("top_p", 1),
        ("presence_penalty", -2),
        ("n", 1),
        ("n", None),
    ],
)
def test_a_number_that_some_provider_may_accept_is_not(parse: Callable[..., object], name: str, value: float) -> None:
    parse(**{name: value})
