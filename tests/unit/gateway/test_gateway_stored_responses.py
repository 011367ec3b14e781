"""Stored responses through the handler: continued, retrieved, listed and deleted, by their owners."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import app
from tests.unit.gateway.fake_environment import COMPLETION, FakeEnvironment, context, event, refusal, streamed, whole
from tests.unit.gateway.test_gateway_formats import RESPONSE, SAID, chained, member
from vibe_router.access.keys import Caller, Key, Limits, Team
from vibe_router.formats.common import sse
from vibe_router.formats.responses import stream as responses
from vibe_router.formats.responses.ids import item_id, new_response_id
from vibe_router.formats.responses.request import ResponsesRequest
from vibe_router.formats.responses.stored import StoredResponse, build_stored_response, from_record, to_record
from vibe_router.routing.verdict import Failure, FailureKind

HELLO = {"role": "user", "content": "Say hello."}
UNPROVEN = {"id": "rs_2", "type": "reasoning", "summary": []}
UNPROVEN_WORDS = {"id": "rs_3", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}


@pytest.fixture
def over_chat(environment: FakeEnvironment) -> FakeEnvironment:
    chained(environment, member("one/gpt-5", "chat"))
    return environment


@pytest.fixture
def over_responses(environment: FakeEnvironment) -> FakeEnvironment:
    chained(environment, member("one/gpt-5", "responses"))
    environment.upstream.script["one"] = [whole(RESPONSE)]
    return environment


def call(method: str, path: str, body: object = None, key: str | None = None, **more: object) -> tuple[int, Any]:
    made = event(method, f"/v1/responses{path}", body, **more)
    if key:
        made["headers"] = {"Authorization": f"Bearer {key}"}
    answer = app.handler(made, context())
    raw = b"".join(answer.body)
    if answer.headers["content-type"].startswith("text/event-stream"):
        return answer.status, [json.loads(each.data) for each in sse.EventDecoder().feed(raw) if each.data]
    return answer.status, json.loads(raw)


def create(key: str | None = None, **more: object) -> tuple[int, Any]:
    return call("POST", "", {"model": "auto-chat", "input": "Say hello.", **more}, key)


@pytest.mark.parametrize("stream", [False, True])
def test_a_translated_response_is_stored_under_the_callers_id(over_chat: FakeEnvironment, stream: bool) -> None:
    _, answer = create(stream=stream)
    response = answer[-1]["response"] if stream else answer
    assert call("GET", f"/{response['id']}") == (200, response)
    assert response["store"] is True


@pytest.mark.parametrize("stream", [False, True])
def test_a_native_response_is_stored_under_its_own_id(over_responses: FakeEnvironment, stream: bool) -> None:
    if stream:
        over_responses.upstream.script["one"] = [streamed(*responses.to_events(RESPONSE))]
    create(stream=stream)
    status, found = call("GET", "/resp_up")
    assert (status, found["output"]) == (200, RESPONSE["output"])


def test_output_that_the_final_event_omits_is_stored(over_responses: FakeEnvironment) -> None:
    events = responses.to_events(RESPONSE)
    last = json.loads(events[-1].partition(b"data: ")[2])
    last["response"]["output"] = []
    events[-1] = sse.encode(json.dumps(last).encode(), b"response.completed")
    over_responses.upstream.script["one"] = [streamed(*events)]
    create(stream=True)
    assert call("GET", "/resp_up")[1]["output"] == RESPONSE["output"]


def test_a_stream_is_stored_before_its_final_event_is_sent(over_responses: FakeEnvironment) -> None:
    over_responses.upstream.script["one"] = [streamed(*responses.to_events(RESPONSE))]
    body = {"model": "auto-chat", "input": "Say hello.", "stream": True}
    sent = app.handler(event("POST", "/v1/responses", body), context()).body
    assert ["resp_up" in over_responses.response_store.table for raw in sent if b"response.completed" in raw] == [True]


@pytest.mark.parametrize("stream", [False, True])
def test_store_false_stores_nothing(over_chat: FakeEnvironment, stream: bool) -> None:
    create(store=False, stream=stream)
    assert not over_chat.response_store.table


def test_a_broken_stream_is_not_stored(over_responses: FakeEnvironment) -> None:
    events = responses.to_events(RESPONSE)
    broken = Failure(FailureKind.TIMEOUT, 200, detail="reset")
    over_responses.upstream.script["one"] = [streamed(*events[:-2], broken)]
    _, sent = create(stream=True)
    assert sent[-1]["type"] == "response.failed"
    assert not over_responses.response_store.table


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_cannot_be_stored_is_sent_with_store_false(
    over_responses: FakeEnvironment, lines: Callable[[], list[dict[str, Any]]], stream: bool
) -> None:
    over_responses.response_store.outage = True
    if stream:
        over_responses.upstream.script["one"] = [streamed(*responses.to_events(RESPONSE))]
    status, answer = create(stream=stream)
    response = answer[-1]["response"] if stream else answer
    assert (status, response) == (200, {**RESPONSE, "store": False})
    assert any(line["message"] == "RESPONSE NOT STORED" for line in lines())


def test_a_conversation_continues_on_a_deployment_of_another_format(over_chat: FakeEnvironment) -> None:
    _, first = create(instructions="Be brief.")
    _, second = create(input="And again.", previous_response_id=first["id"])
    assert second["previous_response_id"] == first["id"]
    asked = [(each["role"], each["content"]) for each in over_chat.upstream.calls[-1][1]["messages"]]
    assert asked == [("user", "Say hello."), ("assistant", "Hello."), ("user", "And again.")]
    _, third = create(input="Once more.", previous_response_id=second["id"])
    assert len(over_chat.upstream.calls[-1][1]["messages"]) == 5
    listed = call("GET", f"/{third['id']}/input_items", queryStringParameters={"order": "asc"})[1]
    assert [each["content"][0]["text"] for each in listed["data"]] == [
        "Say hello.",
        "Hello.",
        "And again.",
        "Hello.",
        "Once more.",
    ]


def test_a_responses_provider_gets_the_items_without_foreign_ids(over_responses: FakeEnvironment) -> None:
    over_responses.upstream.script["one"] = [
        whole({**RESPONSE, "output": [UNPROVEN, UNPROVEN_WORDS, *RESPONSE["output"]]}),
        whole({**RESPONSE, "id": "resp_2"}),
    ]
    create()
    create(input=[{"role": "user", "content": "And again."}], previous_response_id="resp_up")
    sent = over_responses.upstream.calls[-1][1]
    assert "previous_response_id" not in sent
    assert [each.get("type") for each in sent["input"]] == ["message", "reasoning", "message", None]
    assert sent["input"][1] == RESPONSE["output"][0]
    assert sent["input"][2] == {name: value for name, value in SAID.items() if name != "id"}
    assert call("GET", "/resp_2")[1]["previous_response_id"] == "resp_up"


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_a_native_answer_echoes_the_previous_response(
    over_responses: FakeEnvironment, stream: bool, store: bool
) -> None:
    create()
    second = {**RESPONSE, "id": "resp_2"}
    over_responses.upstream.script["one"] = [streamed(*responses.to_events(second)) if stream else whole(second)]
    _, answer = create(input="And again.", previous_response_id="resp_up", stream=stream, store=store)
    sent = [each["response"] for each in answer if "response" in each] if stream else [answer]
    assert [each["previous_response_id"] for each in sent] == ["resp_up"] * (3 if stream else 1)
    assert sent[-1] == {**second, "previous_response_id": "resp_up"}


def test_a_broken_stream_echoes_the_previous_response(over_responses: FakeEnvironment) -> None:
    create()
    broken = Failure(FailureKind.TIMEOUT, 200, detail="reset")
    over_responses.upstream.script["one"] = [streamed(*responses.to_events(RESPONSE)[:-2], broken)]
    _, sent = create(previous_response_id="resp_up", stream=True)
    assert sent[-1]["type"] == "response.failed"
    assert sent[-1]["response"]["previous_response_id"] == "resp_up"


def referring(*ids: str) -> list[dict[str, str]]:
    return [*({"type": "item_reference", "id": id_} for id_ in ids), {"role": "user", "content": "And again."}]


def test_referenced_items_are_filled_in(over_chat: FakeEnvironment) -> None:
    _, first = create()
    _, second = create(input=[*referring(first["output"][0]["id"]), HELLO])
    # The latest response holds the whole conversation, so one lookup is enough.
    over_chat.response_store.reads.clear()
    _, third = create(input=referring(first["output"][0]["id"], second["output"][0]["id"]))
    assert over_chat.response_store.reads == [second["id"]]
    asked = [(each["role"], each["content"]) for each in over_chat.upstream.calls[-1][1]["messages"]]
    assert asked[1:] == [("user", "And again.")]
    assert asked[0][1] == "Hello.\n\nHello."
    listed = call("GET", f"/{third['id']}/input_items", queryStringParameters={"order": "asc"})[1]
    assert listed["data"][:2] == [first["output"][0], second["output"][0]]


def test_items_of_the_previous_response_can_be_referenced(over_responses: FakeEnvironment) -> None:
    create(input=[{**HELLO, "id": "msg_mine"}])
    create(input=referring("msg_mine"), previous_response_id="resp_up")
    sent = over_responses.upstream.calls[-1][1]["input"]
    assert [each["content"] for each in sent if each.get("role") == "user"] == [
        [{"type": "input_text", "text": "Say hello."}],
        [{"type": "input_text", "text": "Say hello."}],
        "And again.",
    ]


def test_another_keys_items_cannot_be_referenced(over_chat: FakeEnvironment) -> None:
    _holders(over_chat)
    _, first = create("sk-a")
    status, answer = create("sk-other", input=referring(first["output"][0]["id"]))
    assert (status, answer["error"]["param"]) == (400, "input[0]")
    assert create("sk-mate", input=referring(first["output"][0]["id"]))[0] == 200


def test_an_unknown_reference_is_passed_to_a_responses_provider(over_responses: FakeEnvironment) -> None:
    create(input=referring("msg_of_the_provider"))
    assert over_responses.upstream.calls[-1][1]["input"] == referring("msg_of_the_provider")


def test_lookups_of_references_are_bounded(over_chat: FakeEnvironment) -> None:
    ids = [item_id("msg", new_response_id(), 1) for _ in range(30)]
    assert create(input=referring(*ids))[0] == 400
    assert len(over_chat.response_store.reads) == 20


def test_reasoning_is_resent_within_a_tool_turn(environment: FakeEnvironment) -> None:
    chained(environment, member("one/glm-4.7", "chat"), member("two/gpt-5", "responses"))
    call_ = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "reasoning_content": "Let me look.", "tool_calls": [call_]}
    environment.upstream.script["one"] = [
        whole({**COMPLETION, "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}),
        refusal(503, {"error": {"message": "busy"}}),
    ]
    environment.upstream.script["two"] = [whole(RESPONSE)]
    _, first = create()
    create(
        previous_response_id=first["id"],
        input=[{"type": "function_call_output", "call_id": "call_1", "output": "A cat."}],
    )
    (_, again), (_, over) = environment.upstream.calls[1:]
    assert again["messages"][1]["reasoning_content"] == "Let me look."
    assert [each.get("type") for each in over["input"]] == ["message", "function_call", "function_call_output"]


def test_an_image_in_the_history_needs_vision(environment: FakeEnvironment) -> None:
    chained(environment, member("one/gpt-5", "responses"))
    environment.upstream.script["one"] = [whole(RESPONSE)]
    shown = {"type": "input_image", "image_url": "https://example.com/a.png"}
    create(input=[{"role": "user", "content": [shown]}])
    chained(environment, member("one/gpt-5", "responses", vision=False))
    status, answer = create(previous_response_id="resp_up")
    assert (status, answer["error"]["code"]) == (400, "unsupported_images")


def test_a_conversation_continues_after_a_failover(environment: FakeEnvironment) -> None:
    chained(environment, member("one/gpt-5", "responses"), member("two/glm-4.7", "chat"))
    environment.upstream.script["one"] = [whole(RESPONSE), refusal(503, {"error": {"message": "busy"}})]
    create()
    status, _ = create(input="And again.", previous_response_id="resp_up")
    assert status == 200
    assert [each["role"] for each in environment.upstream.calls[-1][1]["messages"]] == ["user", "assistant", "user"]


@pytest.mark.parametrize("id_", ["resp_unknown", "x" * 5_000, "resp_ü"])
def test_an_unknown_previous_response_is_a_400(over_chat: FakeEnvironment, id_: str) -> None:
    status, answer = create(previous_response_id=id_)
    assert (status, answer["error"]["code"]) == (400, "previous_response_not_found")
    assert answer["error"]["param"] == "previous_response_id"
    assert not over_chat.upstream.calls


def _holders(environment: FakeEnvironment) -> None:
    blue = Team("blue")
    environment.callers.callers = {
        "sk-a": Caller(Key("a", "a", team_id="blue"), blue),
        "sk-mate": Caller(Key("b", "b", team_id="blue"), blue),
        "sk-other": Caller(Key("c", "c")),
    }


@pytest.mark.parametrize(
    ("key", "status"),
    [
        pytest.param("sk-a", 200, id="its own key"),
        pytest.param("sk-mate", 200, id="a teammate"),
        pytest.param(None, 200, id="the master key"),
        pytest.param("sk-other", 404, id="any other key"),
    ],
)
def test_the_owner_its_team_and_the_master_key_may_read(
    over_responses: FakeEnvironment, key: str | None, status: int
) -> None:
    _holders(over_responses)
    create("sk-a")
    assert call("GET", "/resp_up", key=key)[0] == status
    assert call("GET", "/resp_up/input_items", key=key)[0] == status
    assert call("POST", "/resp_up/cancel", key=key)[0] == {200: 400, 404: 404}[status]
    assert create(key, previous_response_id="resp_up")[0] == {200: 502, 404: 400}[status]
    assert call("DELETE", "/resp_up", key=key)[0] == status


def test_the_master_keys_responses_are_private(over_responses: FakeEnvironment) -> None:
    _holders(over_responses)
    create()
    assert call("GET", "/resp_up", key="sk-a")[0] == 404


def test_a_deleted_response_does_not_exist(over_responses: FakeEnvironment) -> None:
    create()
    deleted = {"id": "resp_up", "object": "response.deleted", "deleted": True}
    assert call("DELETE", "/resp_up") == (200, deleted)
    status, answer = call("GET", "/resp_up")
    assert (status, answer["error"]["type"]) == (404, "invalid_request_error")
    assert call("DELETE", "/resp_up")[0] == 404


@pytest.mark.parametrize(
    ("query", "texts", "more"),
    [
        pytest.param(None, ["3", "2", "1"], False, id="newest first"),
        pytest.param({"order": "asc", "limit": "2"}, ["1", "2"], True, id="ascending, limited"),
        pytest.param({"order": "asc", "after": "msg_2"}, ["3"], False, id="after an item"),
    ],
)
def test_input_items_are_listed_in_pages(
    over_responses: FakeEnvironment, query: object, texts: list[str], more: bool
) -> None:
    create(input=[{**HELLO, "id": f"msg_{each}", "content": str(each)} for each in (1, 2, 3)])
    status, listed = call("GET", "/resp_up/input_items", queryStringParameters=query)
    assert (status, listed["has_more"]) == (200, more)
    assert [each["content"] for each in listed["data"]] == [[{"type": "input_text", "text": each}] for each in texts]
    assert (listed["first_id"], listed["last_id"]) == (f"msg_{texts[0]}", f"msg_{texts[-1]}")


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "x"}, {"order": "up"}, {"after": "msg_9"}])
def test_an_invalid_page_is_a_400(over_responses: FakeEnvironment, query: dict[str, str]) -> None:
    create()
    status, answer = call("GET", "/resp_up/input_items", queryStringParameters=query)
    assert (status, answer["error"]["param"]) == (400, next(iter(query)))


def test_a_stored_response_can_be_replayed_as_a_stream(over_responses: FakeEnvironment) -> None:
    create()
    _, events = call("GET", "/resp_up", queryStringParameters={"stream": "true"})
    assert events[-1]["response"]["output"] == RESPONSE["output"]
    _, rest = call("GET", "/resp_up", queryStringParameters={"stream": "true", "starting_after": "1"})
    assert rest == events[2:]
    for wrong in ("x", "-2", "9" * 4300):
        status, _ = call("GET", "/resp_up", queryStringParameters={"stream": "true", "starting_after": wrong})
        assert status == 400


def test_a_replay_after_the_last_event_sends_the_final_event(over_responses: FakeEnvironment) -> None:
    create()
    _, events = call("GET", "/resp_up", queryStringParameters={"stream": "true"})
    _, rest = call("GET", "/resp_up", queryStringParameters={"stream": "true", "starting_after": "500"})
    assert rest == [{**events[-1], "sequence_number": 501}]


def test_input_tokens_include_the_history(over_chat: FakeEnvironment) -> None:
    _, first = create(input="word " * 1000)
    over_chat.upstream.calls.clear()
    status, alone = call("POST", "/input_tokens", {"model": "auto-chat", "input": "Go on."})
    assert (status, alone["object"]) == (200, "response.input_tokens")
    body = {"model": "auto-chat", "input": "Go on.", "previous_response_id": first["id"]}
    assert call("POST", "/input_tokens", body)[1]["input_tokens"] > alone["input_tokens"] + 700
    assert not over_chat.upstream.calls
    assert call("POST", "/input_tokens", {"model": "nobody", "input": "Go on."})[0] == 404
    assert call("GET", "/input_tokens")[0] == 405


CONVERSATION = [
    {"role": "user", "content": "Look at a.txt."},
    {"type": "reasoning", "id": "rs_1", "summary": []},
    {"type": "function_call", "call_id": "c", "name": "read", "arguments": '{"path": "a.txt"}'},
    {"type": "function_call_output", "call_id": "c", "output": "It says 4."},
    {"type": "web_search_call", "id": "ws_1", "status": "completed"},
]


@pytest.mark.parametrize("format_", ["chat", "responses", "messages", "converse"])
def test_a_compacted_conversation_continues_on_every_format(environment: FakeEnvironment, format_: str) -> None:
    chained(environment, member("one/gpt-5", "chat"))
    status, compacted = call(
        "POST", "/compact", {"model": "auto-chat", "input": CONVERSATION, "tools": [{"type": "x"}]}
    )
    assert (status, compacted["object"]) == (200, "response.compaction")
    assert compacted["usage"]["total_tokens"] == 10
    [item] = compacted["output"]
    assert (item["type"], item["id"][:4]) == ("compaction", "cmp_")
    assert "Hello" not in item["encrypted_content"]
    asked = environment.upstream.calls[-1][1]
    assert "tools" not in asked
    shown = json.dumps(asked["messages"])
    assert all(each in shown for each in ("Look at a.txt.", "read", "It says 4.", "Summarize this conversation"))

    chained(environment, member("one/claude", format_))
    environment.upstream.script["one"] = [refusal(503, {"error": {"message": "busy"}})]
    create(input=[item, {"role": "user", "content": "Go on."}])
    continued = json.dumps(environment.upstream.calls[-1][1])
    assert "Summary of the conversation so far" in continued
    assert "Hello." in continued
    assert "compaction" not in continued


def test_a_stored_conversation_is_compacted_with_its_history(over_chat: FakeEnvironment) -> None:
    _, first = create(input="My name is Ada.")
    stored = len(over_chat.response_store.table)
    status, compacted = call("POST", "/compact", {"model": "auto-chat", "previous_response_id": first["id"]})
    assert (status, len(over_chat.response_store.table)) == (200, stored)
    messages = over_chat.upstream.calls[-1][1]["messages"]
    assert [each["role"] for each in messages] == ["user", "assistant", "user"]
    assert "Ada" in json.dumps(messages[0])
    _, continued = create(input=[*compacted["output"], HELLO])
    assert create(previous_response_id=continued["id"])[0] == 200


@pytest.mark.parametrize(
    ("message", "finish"),
    [({"content": "Half"}, "length"), ({"content": ""}, "stop"), ({"content": None, "refusal": "No."}, "stop")],
    ids=["truncated", "empty", "a refusal"],
)
def test_an_incomplete_summary_is_an_error(over_chat: FakeEnvironment, message: dict[str, Any], finish: str) -> None:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    over_chat.upstream.script["one"] = [whole({**COMPLETION, "choices": [choice]})]
    status, answer = call("POST", "/compact", {"model": "auto-chat", "input": "Hello"})
    assert (status, answer["error"]["code"]) == (502, "compaction_failed")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({"model": "auto-chat"}, 400, id="nothing to compact"),
        pytest.param({"model": "auto-chat", "previous_response_id": "resp_unknown"}, 400, id="an unknown response"),
        pytest.param({"model": "auto-chat", "input": [1]}, 400, id="an invalid item"),
        pytest.param({"model": "nobody", "input": "Hello"}, 404, id="an unknown model"),
    ],
)
def test_an_invalid_compaction_is_rejected(over_chat: FakeEnvironment, body: dict[str, Any], status: int) -> None:
    assert call("POST", "/compact", body)[0] == status
    assert not over_chat.upstream.calls


def test_an_outage_of_the_table_is_a_503(over_chat: FakeEnvironment) -> None:
    over_chat.response_store.outage = True
    assert call("GET", "/resp_up")[0] == 503
    assert create(previous_response_id="resp_up")[0] == 503


OPERATIONS = [
    pytest.param("GET", "/resp_up", id="retrieve"),
    pytest.param("GET", "/resp_up/input_items", id="list the input"),
    pytest.param("POST", "/resp_up/cancel", id="cancel"),
    pytest.param("POST", "/input_tokens", id="count tokens"),
    pytest.param("DELETE", "/resp_up", id="delete"),
]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_operations_on_stored_responses_count_against_the_rate_limit(
    over_responses: FakeEnvironment, method: str, path: str
) -> None:
    over_responses.callers.callers = {"sk-a": Caller(Key("a", "a", limits=Limits(rpm=2)))}
    create("sk-a")
    body = {"model": "auto-chat", "input": "Hello"} if path == "/input_tokens" else None
    assert call(method, path, body, "sk-a")[0] != 429
    status, answer = call(method, path, body, "sk-a")
    assert (status, answer["error"]["code"]) == (429, "rate_limit_exceeded")
    over_responses.now += 60
    assert call(method, path, body, "sk-a")[0] != 429


def test_a_parallel_limit_is_not_used_up_by_stored_responses(over_responses: FakeEnvironment) -> None:
    over_responses.callers.callers = {"sk-a": Caller(Key("a", "a", limits=Limits(rpm=9, parallel=1)))}
    assert [call("GET", "/resp_up", key="sk-a")[0] for _ in range(3)] == [404] * 3


def test_references_cannot_multiply_a_large_item(over_chat: FakeEnvironment) -> None:
    _, first = create(input=[{"role": "user", "content": "x" * 3_000_000, "id": "msg_large"}])
    body = {"previous_response_id": first["id"], "input": referring(*["msg_large"] * 4)}
    status, answer = create(**body)
    assert (status, answer["error"]["code"]) == (400, "request_too_large")
    assert create(**{**body, "input": referring("msg_large")})[0] == 200


ITEMS = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": st.text()})
    | st.fixed_dictionaries({"type": st.sampled_from(["reasoning", "function_call", "web_search_call"])}),
    max_size=3,
)


@given(input_=st.text(min_size=1) | ITEMS, history=st.none() | ITEMS, output=ITEMS)
def test_a_record_is_read_back_equal(input_: object, history: Any, output: Any) -> None:
    body = {"model": "m", "input": input_, **({"previous_response_id": "resp_0"} if history is not None else {})}
    request = ResponsesRequest("m", False, body).with_history(history, {})
    made = build_stored_response(request, {"id": "resp_1", "output": output})
    assert made is not None
    assert from_record(to_record(made)) == StoredResponse(dict(made.response), list(made.input))
    proven = [each for each in made.history() if each.get("type") != "reasoning"]  # these have no words
    assert len(request.with_history(made.history(), {}).body["input"]) == len(proven) + len(request.body["input"])
