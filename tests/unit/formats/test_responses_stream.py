"""A provider's stream in Responses: its honest end, its numbering, and the output when it breaks."""

import itertools
import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.errors import ApiError
from vibe_router.core.models import Deployment, Provider
from vibe_router.formats import registry
from vibe_router.formats.common import sse
from vibe_router.formats.interfaces import Piece
from vibe_router.formats.responses.stream import ResponsesAssembler, ResponsesStreamReader, read_whole, to_events
from vibe_router.upstream.exchange import open_exchange

USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
TEXT = {"type": "output_text", "text": "Four.", "annotations": [], "logprobs": []}
MESSAGE = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [TEXT]}
CALL = {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "look", "arguments": "{}", "status": "completed"}
THOUGHT = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Two and two."}]}
RESPONSE = {"id": "resp_1", "object": "response", "status": "completed", "output": [THOUGHT, MESSAGE], "usage": USAGE}
OPEN = {"status": "incomplete"}
BROKEN = ApiError(502, "It broke.", type="upstream_error", code="stream_truncated")


def event(kind: str, **fields: Any) -> bytes:
    return sse.encode(json.dumps({"type": kind, **fields}).encode(), kind.encode())


def read(reader: ResponsesStreamReader, events: Iterable[bytes]) -> list[Piece]:
    decoder = sse.EventDecoder()
    return [reader.read(each) for raw in events for each in decoder.feed(raw)]


def parsed(raw: bytes) -> list[dict[str, Any]]:
    return [json.loads(each.data) for each in sse.EventDecoder().feed(raw) if each.data]


ENDS = [
    pytest.param({}, True, id="usage and output"),
    pytest.param({"usage": None}, False, id="no usage"),
    pytest.param({"usage": {}}, False, id="empty usage"),
    pytest.param({"output": []}, False, id="no output"),
    pytest.param({"output": [], "usage": None}, False, id="neither"),
    pytest.param({"status": None, "usage": None}, False, id="no status and no usage"),
    pytest.param({"status": "incomplete", "usage": None}, True, id="incomplete"),
    pytest.param({"status": "failed"}, False, id="failed"),
    pytest.param({"error": {"code": "server_error", "message": "Sorry."}}, False, id="an error"),
]


@pytest.mark.parametrize(("fields", "complete"), ENDS)
def test_a_completed_response_needs_usage_and_output(fields: Mapping[str, Any], complete: bool) -> None:
    response = {**RESPONSE, **fields}
    reader = ResponsesStreamReader()
    created = event(
        "response.created", sequence_number=0, response={**response, "status": "in_progress", "error": None}
    )
    *_, last = read(reader, [created, event("response.completed", sequence_number=1, response=response)])
    assert reader.complete is complete
    assert bool(last.raw) is complete
    assert last.commits is complete
    assert last.error is not None or last.done
    assert (read_whole(json.dumps(response).encode()) is not None) is complete


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_an_unfinished_response_is_not_a_whole_answer(status: str) -> None:
    assert read_whole(json.dumps({**RESPONSE, "status": status}).encode()) is None


@pytest.mark.parametrize("announced", [True, False], ids=["with item events", "with deltas only"])
def test_output_that_the_final_event_omits_is_filled_in(announced: bool) -> None:
    *events, last = to_events(RESPONSE)
    if not announced:
        events = [each for each in events if b"output_item" not in each]
    [end] = parsed(last)
    reader, assembler = ResponsesStreamReader(), ResponsesAssembler()
    pieces = read(reader, [*events, event("response.completed", **{**end, "response": {**RESPONSE, "output": []}})])
    for piece in pieces:
        assembler.add(piece.chunk or {})
    [sent] = parsed(pieces[-1].raw)
    assert reader.complete
    assert sent["response"] == reader.response == assembler.answer()
    texts = [(item["type"], item.get("content") or item["summary"]) for item in sent["response"]["output"]]
    assert texts == [("reasoning", THOUGHT["summary"]), ("message", MESSAGE["content"])]


@given(st.lists(st.none() | st.integers(-5, 20) | st.text(max_size=2), max_size=12))
def test_sequence_numbers_always_increase(numbers: list[object]) -> None:
    reader = ResponsesStreamReader()
    created = event("response.created", sequence_number=0, response={"id": "resp_1"})
    deltas = [
        event("response.output_text.delta", item_id="m", output_index=0, delta="x", sequence_number=number)
        for number in numbers
    ]
    pieces = read(reader, [created, *deltas])
    sent = [each["sequence_number"] for piece in pieces for each in parsed(piece.raw)]
    sent += [each["sequence_number"] for each in parsed(reader.fail(BROKEN))]
    assert len(sent) == len(numbers) + 2
    assert all(earlier < later for earlier, later in itertools.pairwise(sent))


def test_events_in_order_are_sent_unchanged() -> None:
    events = to_events({**RESPONSE, "output": [THOUGHT, MESSAGE, CALL]})
    assert [piece.raw for piece in read(ResponsesStreamReader(), events)] == events


@pytest.mark.parametrize(
    ("deltas", "item"),
    [
        pytest.param(
            [("response.output_text", {"content_index": 0, "delta": each}) for each in ("The ", "quick")],
            {
                "type": "message",
                "role": "assistant",
                "content": [{**TEXT, "text": "The quick"}],
                "status": "incomplete",
            },
            id="text",
        ),
        pytest.param(
            [("response.refusal", {"content_index": 0, "delta": "I can"})],
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "refusal", "refusal": "I can"}],
                "status": "incomplete",
            },
            id="a refusal",
        ),
        pytest.param(
            [("response.reasoning_summary_text", {"summary_index": i, "delta": each}) for i, each in enumerate("ab")],
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": each} for each in "ab"]},
            id="reasoning",
        ),
        pytest.param(
            [("response.function_call_arguments", {"delta": '{"at"'})],
            {"type": "function_call", "arguments": '{"at"', "status": "incomplete"},
            id="a call",
        ),
    ],
)
def test_a_failed_response_contains_the_output_so_far(deltas: list[tuple[str, Any]], item: Mapping[str, Any]) -> None:
    reader = ResponsesStreamReader()
    created = event("response.created", sequence_number=4, response={"id": "resp_1", "status": "in_progress"})
    finished = event("response.output_item.done", sequence_number=5, output_index=0, item=MESSAGE)
    partial = [
        event(f"{kind}.delta", sequence_number=6 + i, item_id="item", output_index=1, **fields)
        for i, (kind, fields) in enumerate(deltas)
    ]
    read(reader, [created, finished, *partial])
    [failed] = parsed(reader.fail(BROKEN))
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert failed["response"]["output"] == [MESSAGE, {"id": "item", **item}]
    assert failed["sequence_number"] == 6 + len(deltas)


@pytest.mark.parametrize("caller", ["chat", "messages", "responses"])
def test_no_caller_sees_a_cut_response_as_complete(caller: str) -> None:
    messages = {"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    body = {"model": "auto", "stream": True, **({"input": "Hi"} if caller == "responses" else messages)}
    request = registry.client(caller).parse(json.dumps(body).encode(), {})
    deployment = Deployment(Provider("one", "https://one.example", "KEY"), "m", formats=("responses",))
    reader = open_exchange(request, deployment, 1.0, stream=True).reader()
    *events, last = to_events(RESPONSE)
    [end] = parsed(last)
    events.append(event("response.completed", **{**end, "response": {**RESPONSE, "usage": None}}))
    sent = b"".join(reader.read(each).raw for raw in events for each in sse.EventDecoder().feed(raw))
    assert not reader.complete
    assert b"Four." in sent
    for ending in (b'"finish_reason":"stop"', b"message_stop", b"end_turn", b"response.completed", b"[DONE]"):
        assert ending not in sent
    assert b"stream_truncated" in reader.fail(BROKEN)
