"""Tags in a request's body: the router's, whatever the format, and no provider's."""

import json
from typing import Any

import pytest

from vibe_router.formats import registry
from vibe_router.formats.common.tags import take_tags

ASKED: dict[str, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "Hi"}]},
    "completions": {"prompt": "Hi"},
    "responses": {"input": "Hi"},
    "messages": {"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]},
    "embeddings": {"input": "Hi"},
    "rerank": {"query": "Hi", "documents": ["a", "b"]},
}
TAGS = ["job:1", "nightly"]


@pytest.mark.parametrize(
    ("fields", "tags", "left"),
    [
        ({}, (), {}),
        ({"metadata": {"tags": TAGS}}, ("job:1", "nightly"), {}),
        ({"metadata": {"tags": TAGS, "user_id": "u"}}, ("job:1", "nightly"), {"metadata": {"user_id": "u"}}),
        ({"metadata": {"user_id": "u"}}, (), {"metadata": {"user_id": "u"}}),
        ({"metadata": {}}, (), {"metadata": {}}),
        ({"metadata": {"tags": "a,b"}}, (), {"metadata": {"tags": "a,b"}}),
        ({"metadata": {"tags": []}}, (), {}),
        ({"metadata": {"tags": ["a", 1, None, ["b"]]}}, ("a",), {}),
        ({"metadata": None}, (), {"metadata": None}),
        ({"metadata": ["tags"]}, (), {"metadata": ["tags"]}),
        ({"tags": ["root"]}, ("root",), {}),
        ({"tags": "root"}, (), {"tags": "root"}),
        ({"litellm_metadata": {"tags": ["own"], "x": 1}, "metadata": {"u": "v"}}, ("own",), {"metadata": {"u": "v"}}),
        ({"litellm_metadata": "x"}, (), {}),
        ({"tags": ["a"], "metadata": {"tags": ["b"]}, "litellm_metadata": {"tags": ["c"]}}, ("a", "b", "c"), {}),
    ],
)  # fmt: skip
def test_lists_of_tags_are_taken_and_all_else_is_left(fields: dict[str, Any], tags: Any, left: Any) -> None:
    body = {"model": "m", **fields}
    assert take_tags(body) == tags
    assert body == {"model": "m", **left}


@pytest.mark.parametrize("name", ASKED)
def test_a_provider_gets_metadata_but_no_tags(name: str) -> None:
    body = {
        "model": "m",
        **ASKED[name],
        "metadata": {"user_id": "u", "tags": TAGS},
        "litellm_metadata": {"tags": ["x"]},
    }
    request = registry.client(name).parse(json.dumps(body).encode(), {})
    assert request.tags == ("job:1", "nightly", "x")
    sent = json.loads(request.for_provider("other", stream=False))
    assert sent["metadata"] == {"user_id": "u"}
    assert "litellm_metadata" not in sent
    if name in ("chat", "responses", "messages"):  # and in another format
        assert "nightly" not in repr(request.neutral())


@pytest.mark.parametrize("name", ASKED)
def test_who_sends_none_has_none(name: str) -> None:
    assert registry.client(name).parse(json.dumps({"model": "m", **ASKED[name]}).encode(), {}).tags == ()


def test_a_response_that_is_gone_on_from_keeps_its_own() -> None:
    raw = json.dumps({"model": "m", "input": "And?", "metadata": {"tags": TAGS}}).encode()
    request: Any = registry.client("responses").parse(raw, {})
    assert request.with_history([], {}).tags == ("job:1", "nightly")
