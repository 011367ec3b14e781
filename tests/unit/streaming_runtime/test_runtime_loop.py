import base64
import json
import logging
import os
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from streaming_runtime import Context, Heartbeat, StreamingResponse
from streaming_runtime.client import Invocation, RuntimeApi
from streaming_runtime.errors import RuntimeApiError, RuntimeApiLostError
from streaming_runtime.heartbeat import HeartbeatSender
from streaming_runtime.logs import Log, StandardSink
from streaming_runtime.loop import Handler, Loop
from tests.unit.streaming_runtime.fake_runtime_api import (
    ACCEPTED,
    HANG_UP,
    FakeRuntimeApi,
    Reply,
    Request,
    Reset,
    Step,
    event,
    reply,
)


def loop_on(
    api: FakeRuntimeApi, handler: Handler, *, buffered: bool = False, heartbeats: HeartbeatSender | None = None
) -> Loop:
    return Loop(handler, api.client, Log(StandardSink()), buffered=buffered, heartbeats=heartbeats)


def answer_of(handler: Handler, *, buffered: bool = False, first: Step | None = None) -> Request:
    """The calls of the Runtime API for one event."""
    with FakeRuntimeApi([first or event(), ACCEPTED]) as api:
        loop_on(api, handler, buffered=buffered).serve_next()
    return api.requests[1]


class Body:
    """A body that notes whether it was closed."""

    def __init__(self, *items: bytes | Exception, on_close: Callable[[], None] | None = None) -> None:
        self.items = list(items)
        self.closed = 0
        self.on_close = on_close

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if not self.items:
            raise StopIteration
        item = self.items.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        self.closed += 1
        if self.on_close:
            self.on_close()


@pytest.fixture
def trace_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "from the last invocation")


def test_a_stream_is_framed_byte_for_byte() -> None:
    body = Body(b"one", b"", b"x" * 17)
    with FakeRuntimeApi([event(), ACCEPTED]) as api:
        loop_on(api, lambda event, context: StreamingResponse(200, {"a": "b"}, body)).serve_next()
    request = api.requests[1]
    assert request.head.decode() == (
        "POST /2018-06-01/runtime/invocation/req-1/response HTTP/1.1\r\n"
        f"Host: {api.address}\r\n"
        "User-Agent: streaming-runtime\r\n"
        "Content-Type: application/vnd.awslambda.http-integration-response\r\n"
        "Lambda-Runtime-Function-Response-Mode: streaming\r\n"
        "Transfer-Encoding: chunked\r\n"
        "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n"
        "\r\n"
    )
    prelude = b'{"statusCode":200,"headers":{"a":"b"}}' + bytes(8)
    assert request.body == b"2e\r\n" + prelude + b"\r\n3\r\none\r\n11\r\n" + b"x" * 17 + b"\r\n0\r\n\r\n"
    assert body.closed == 1


def test_the_next_event_is_requested_on_the_same_connection() -> None:
    with FakeRuntimeApi([event(1, "a"), ACCEPTED, event(2, "b"), ACCEPTED]) as api:
        seen: list[object] = []
        loop = loop_on(api, lambda event, context: seen.append((event, context.aws_request_id)))
        loop.serve_next()
        loop.serve_next()
    assert seen == [(1, "a"), (2, "b")]
    assert api.connections == 1
    assert api.requests[2].head.decode() == (
        "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n"
        f"Host: {api.address}\r\n"
        "User-Agent: streaming-runtime\r\n"
        "\r\n"
    )


def test_each_chunk_is_sent_when_it_is_produced() -> None:
    with FakeRuntimeApi([event(), ACCEPTED]) as api:

        def body() -> Iterator[bytes]:
            yield b"first"
            api.wait_for(b"5\r\nfirst\r\n")
            yield b"second"
            api.wait_for(b"6\r\nsecond\r\n")

        loop_on(api, lambda event, context: StreamingResponse(200, {}, body())).serve_next()
    assert api.requests[1].payload == b"firstsecond"


def test_an_empty_first_item_sends_status_and_headers_early() -> None:
    with FakeRuntimeApi([event(), ACCEPTED]) as api:

        def body() -> Iterator[bytes]:
            yield b""
            api.wait_for(b'{"statusCode":202')
            yield b"late"

        loop_on(api, lambda event, context: StreamingResponse(202, {}, body())).serve_next()
    assert api.requests[1].payload == b"late"


def test_a_proxy_result_is_sent_in_the_streaming_format() -> None:
    result = {"statusCode": 404, "headers": {"content-type": "text/plain"}, "body": "none such"}
    request = answer_of(lambda event, context: result)
    assert request.headers["lambda-runtime-function-response-mode"] == "streaming"
    assert request.prelude == {"statusCode": 404, "headers": {"content-type": "text/plain"}}
    assert request.payload == b"none such"
    assert request.body.endswith(b"\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "result",
    [
        pytest.param({"statusCode": 204, "body": ""}, id="a proxy result"),
        pytest.param(StreamingResponse(204, {}, []), id="a stream"),
    ],
)
def test_an_answer_without_a_body_is_only_a_prelude(result: object) -> None:
    request = answer_of(lambda event, context: result)
    assert request.prelude == {"statusCode": 204, "headers": {}}
    assert request.payload == b""


@pytest.mark.parametrize("result", [None, "text", [1], {"no": "status"}])
def test_other_results_are_sent_as_json(result: object) -> None:
    request = answer_of(lambda event, context: result)
    assert request.headers["content-type"] == "application/json"
    assert "lambda-runtime-function-response-mode" not in request.headers
    assert json.loads(request.body) == result


def test_the_context_holds_the_invocations_headers() -> None:
    headers = (
        "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-west-1:1:function:f\r\n"
        'Lambda-Runtime-Client-Context: {"custom":{"k":"v"},"client":{"app_title":"A"},'
        '"w3c":{"traceparent":"00-1","x":"y"}}\r\n'
        'Lambda-Runtime-Cognito-Identity: {"cognitoIdentityId":"id","cognitoIdentityPoolId":"pool"}\r\n'
        "Lambda-Runtime-Aws-Tenant-Id: tenant\r\n"
    )
    seen: list[Context] = []
    answer_of(lambda event, context: seen.append(context), first=event(headers=headers))
    [context] = seen
    assert context.aws_request_id == "req-1"
    assert context.invoked_function_arn == "arn:aws:lambda:eu-west-1:1:function:f"
    assert context.tenant_id == "tenant"
    assert (context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id) == ("id", "pool")
    assert context.client_context is not None
    assert context.client_context.custom == {"k": "v"}
    assert vars_of(context.client_context.client) == {"app_title": "A", "installation_id": None}
    assert context.w3c() == {"traceparent": "00-1"}
    assert context.get_remaining_time_in_millis() > 0
    assert Context("id", 1).get_remaining_time_in_millis() == 0


def vars_of(client: object) -> dict[str, object]:
    return {name: getattr(client, name) for name in ("app_title", "installation_id")}


@pytest.mark.usefixtures("trace_variable")
def test_the_trace_variable_is_set_per_invocation() -> None:
    seen: list[str | None] = []
    with FakeRuntimeApi([event(headers="Lambda-Runtime-Trace-Id: Root=1-a\r\n"), ACCEPTED, event(), ACCEPTED]) as api:
        loop = loop_on(api, lambda event, context: seen.append(os.environ.get("_X_AMZN_TRACE_ID")))
        loop.serve_next()
        loop.serve_next()
    assert seen == ["Root=1-a", None]


def fails(event: object, context: Context) -> object:
    raise KeyError("nope")


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(lambda event, context: StreamingResponse(200, {}, [b"x"]), id="a streamed response"),
        pytest.param(lambda event, context: {"statusCode": 200}, id="a proxy result"),
        pytest.param(lambda event, context: None, id="plain JSON"),
        pytest.param(fails, id="an error"),
    ],
)
def test_the_invocation_id_is_echoed_if_present(handler: Handler) -> None:
    request = answer_of(handler, first=event(headers="Lambda-Runtime-Invocation-Id: inv-7\r\n"))
    assert request.headers["lambda-runtime-invocation-id"] == "inv-7"
    assert "lambda-runtime-invocation-id" not in answer_of(handler).headers


def test_an_error_before_the_first_byte_is_posted_as_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    request = answer_of(fails)
    assert request.line == "POST /2018-06-01/runtime/invocation/req-1/error HTTP/1.1"
    assert request.headers["lambda-runtime-function-error-type"] == "KeyError"
    assert (
        json.loads(request.headers["lambda-runtime-function-xray-error-cause"])["exceptions"][0]["type"] == "KeyError"
    )
    error = request.json
    stack = error.pop("stackTrace")
    assert error == {"errorMessage": "'nope'", "errorType": "KeyError", "requestId": "req-1"}
    assert isinstance(stack, list)
    assert [", in fails" in frame for frame in stack] == [True], "the runtime's own frames are left out"
    assert "[ERROR] KeyError: 'nope'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("result", "error_type"),
    [
        pytest.param(
            StreamingResponse(200, {"x": "y" * 16_384}, Body(b"x")), "Runtime.MarshalError", id="a long prelude"
        ),
        pytest.param(StreamingResponse(200, {"x": "y\r\nz: 1"}, Body(b"x")), "Runtime.MarshalError", id="a line break"),
        pytest.param(
            StreamingResponse(200, {}, Body(ValueError("early"))), "ValueError", id="an early error of the body"
        ),
        pytest.param({"statusCode": 200, "body": 5}, "Runtime.MarshalError", id="a body that is not text"),
        pytest.param({"statusCode": 200, "headers": {"x": "y" * 16_384}}, "Runtime.MarshalError", id="long headers"),
        pytest.param(object(), "Runtime.MarshalError", id="a value that JSON cannot hold"),
    ],
)
def test_an_invalid_answer_is_an_error_and_not_a_corrupt_stream(result: object, error_type: str) -> None:
    request = answer_of(lambda event, context: result)
    assert request.line.startswith("POST /2018-06-01/runtime/invocation/req-1/error ")
    assert request.json["errorType"] == error_type
    if isinstance(result, StreamingResponse):
        assert isinstance(result.body, Body)
        assert result.body.closed == 1


def test_an_event_that_is_not_json_is_an_error() -> None:
    broken = reply(200, b"{", "Lambda-Runtime-Aws-Request-Id: req-1\r\n")
    request = answer_of(lambda event, context: pytest.fail("the handler must not see it"), first=broken)
    assert request.json["errorType"] == "Runtime.UnmarshalError"


def test_an_error_in_mid_stream_is_reported_in_trailers() -> None:
    body = Body(b"one", ValueError("boom"))
    request = answer_of(lambda event, context: StreamingResponse(200, {}, body))
    assert request.line.endswith("/response HTTP/1.1")
    assert request.payload == b"one"
    assert request.trailers["Lambda-Runtime-Function-Error-Type"] == "ValueError"
    error = request.trailing_error
    assert (error["errorType"], error["errorMessage"], error["requestId"]) == ("ValueError", "boom", "req-1")
    assert body.closed == 1


def test_trailers_stay_within_the_runtime_apis_limit() -> None:
    class Größe(Exception):  # noqa: N818 - a name that no header line can hold is the point
        pass

    body = Body(b"one", Größe("boom\r\n" * 10_000))
    request = answer_of(lambda event, context: StreamingResponse(200, {}, body))
    assert len(request.body[request.body.rindex(b"\r\n0\r\n") :]) < 4096
    assert request.trailers["Lambda-Runtime-Function-Error-Type"] == "Gr??e"
    assert str(request.trailing_error["errorMessage"]).startswith("boom\r\n")


def test_a_body_of_text_is_an_error_with_the_reason() -> None:
    body: list[object] = [b"bytes", "text"]
    request = answer_of(lambda event, context: StreamingResponse(200, {}, body))  # type: ignore[arg-type] # the point
    assert request.payload == b"bytes"
    assert "str" in str(request.trailing_error["errorMessage"])


def test_a_failing_close_does_not_break_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    def on_close() -> None:
        raise OSError("already gone")

    body = Body(b"one", on_close=on_close)
    assert answer_of(lambda event, context: StreamingResponse(200, {}, body)).payload == b"one"
    assert "Closing the body failed" in caplog.text


@pytest.mark.parametrize("outcome", ["response", "error"])
@pytest.mark.parametrize(("status", "logged"), [(410, "timed out"), (413, "rejected")])
def test_a_rejected_answer_is_logged_and_the_loop_continues(
    outcome: str, status: int, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    refusal = reply(status, b'{"errorType":"Gone","errorMessage":"too late"}')
    with FakeRuntimeApi([event(), refusal, event(), ACCEPTED]) as api:
        loop = loop_on(api, fails if outcome == "error" else lambda event, context: {"statusCode": 200})
        loop.serve_next()
        loop.serve_next()
    assert logged in caplog.text
    assert len(api.requests) == 4


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([reply(403)], id="next is rejected"),
        pytest.param([event(), reply(500)], id="the container is broken"),
    ],
)
def test_a_fatal_status_of_the_runtime_api_ends_the_loop(script: list[Step]) -> None:
    with FakeRuntimeApi(script) as api, pytest.raises(RuntimeApiError):
        loop_on(api, lambda event, context: None).run()


def test_an_unreachable_runtime_api_ends_the_loop() -> None:
    with FakeRuntimeApi([event(), reply(202, drop=True)]) as api:
        loop = loop_on(api, lambda event, context: None)
        loop.serve_next()
    with pytest.raises(RuntimeApiLostError):
        loop.run()


def test_callbacks_run_in_order_before_the_next_event() -> None:
    done: list[str] = []
    with FakeRuntimeApi([event(), ACCEPTED, event(), ACCEPTED]) as api:

        def handler(event: object, context: Context) -> object:
            done.append(f"handler, {len(api.requests)} requests")
            context.after_response(lambda: done.append(f"first, {len(api.requests)} requests"))
            context.after_response(lambda: done.append("second"))
            return StreamingResponse(200, {}, [b"x"])

        loop = loop_on(api, handler)
        loop.serve_next()
        assert done == ["handler, 1 requests", "first, 2 requests", "second"]
        assert api.requests[1].payload == b"x"
        loop.serve_next()
    assert len(done) == 6


def test_a_failing_callback_is_logged_and_the_others_run(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    def handler(event: object, context: Context) -> object:
        context.after_response(lambda: done.remove("what is not there"))
        context.after_response(lambda: context.after_response(lambda: done.append("late")))
        raise ValueError("the answer failed as well")

    assert answer_of(handler).line.endswith("/error HTTP/1.1")
    assert done == ["late"]
    assert "Work after the response failed" in caplog.text


def test_a_connection_broken_in_mid_stream_ends_only_that_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    done: list[str] = []

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield b"again"
        finally:
            done.append("closed")

    def handler(event: object, context: Context) -> object:
        context.after_response(lambda: done.append("work"))
        return StreamingResponse(200, {}, endless()) if event == "endless" else None

    with FakeRuntimeApi([event("endless"), Reset(b"again"), event("next"), ACCEPTED]) as api:
        loop = loop_on(api, handler)
        loop.serve_next()
        assert done == ["closed", "work"]
        assert "The response was cut" in caplog.text
        loop.serve_next()
    assert api.connections == 2
    assert api.requests[-1].line.endswith("/response HTTP/1.1")


def test_a_connection_closed_between_requests_is_reopened() -> None:
    script: list[Step] = [event(1), reply(202, drop=True), event(2), ACCEPTED]
    seen: list[object] = []
    with FakeRuntimeApi(script) as api:
        loop = loop_on(api, lambda event, context: seen.append(event))
        loop.serve_next()
        loop.serve_next()
    assert seen == [1, 2]
    assert api.connections == 2


def test_a_connection_that_the_server_closes_is_not_reused() -> None:
    script: list[Step] = [event(1), reply(202, headers="Connection: close\r\n", drop=True), event(2), ACCEPTED]
    with FakeRuntimeApi(script) as api:
        loop = loop_on(api, lambda event, context: None)
        loop.serve_next()
        loop.serve_next()
    assert api.connections == 2


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([HANG_UP, event(1), ACCEPTED], id="next"),
        pytest.param([event(1), HANG_UP, ACCEPTED], id="a plain response"),
        pytest.param(
            [Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[", drop=True), event(1), ACCEPTED], id="half"
        ),
    ],
)
def test_a_request_whose_answer_is_lost_is_retried_once(script: list[Step]) -> None:
    seen: list[object] = []
    with FakeRuntimeApi(script) as api:
        loop_on(api, lambda event, context: seen.append(event)).serve_next()
    assert seen == [1]
    assert api.connections == 2


def test_every_framing_of_answers_is_read() -> None:
    head = "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: r\r\nLambda-Runtime-Deadline-Ms: 1\r\n"
    chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n2;x=y\r\n[1\r\n3\r\n,2]\r\n0\r\nTrailer: t\r\n\r\n"
    until_close = f"{head}\r\n[3]"
    seen: list[object] = []
    script: list[Step] = [
        Reply(chunked.encode()),
        ACCEPTED,
        Reply(until_close.encode(), drop=True),
        ACCEPTED,
    ]
    with FakeRuntimeApi(script) as api:
        loop = loop_on(api, lambda event, context: seen.append(event))
        loop.serve_next()
        loop.serve_next()
    assert seen == [[1, 2], [3]]


def test_a_silent_body_sends_heartbeats_between_chunks() -> None:
    with FakeRuntimeApi([event(), ACCEPTED]) as api:

        def body() -> Iterator[bytes]:
            yield b"one"
            api.wait_for(b": beat", times=2)
            yield b"two"

        heartbeat = Heartbeat(0.05, b": beat\n\n")
        loop_on(api, lambda event, context: StreamingResponse(200, {}, body(), heartbeat)).serve_next()
    chunks = api.requests[1].chunks[1:]
    beats = chunks.count(b": beat\n\n")
    assert beats >= 2
    assert [chunk for chunk in chunks if chunk != b": beat\n\n"] == [b"one", b"two"]
    assert chunks[1:3] == [b": beat\n\n"] * 2


def test_a_heartbeat_before_the_first_chunk_sends_the_head() -> None:
    with FakeRuntimeApi([event(), ACCEPTED]) as api:

        def body() -> Iterator[bytes]:
            api.wait_for(b": beat")
            yield from Body(ValueError("after the first byte"))

        heartbeat = Heartbeat(0.05, b": beat\n\n")
        loop_on(api, lambda event, context: StreamingResponse(200, {}, body(), heartbeat)).serve_next()
    request = api.requests[1]
    assert request.prelude["statusCode"] == 200
    assert request.payload.startswith(b": beat\n\n")
    assert request.trailing_error["errorType"] == "ValueError"


@pytest.mark.parametrize(
    ("payload", "body", "encoded"),
    [
        pytest.param([b"caf", b"\xc3", b"\xa9"], "café", False, id="text"),
        pytest.param([b"\xff\xfe"], base64.b64encode(b"\xff\xfe").decode(), True, id="bytes"),
    ],
)
def test_a_host_without_streaming_gets_a_whole_proxy_result(payload: list[bytes], body: str, encoded: bool) -> None:
    response = StreamingResponse(200, {"content-type": "text/event-stream"}, Body(*payload), Heartbeat(15, b": x"))
    request = answer_of(lambda event, context: response, buffered=True)
    assert "lambda-runtime-function-response-mode" not in request.headers
    assert request.json == {
        "statusCode": 200,
        "headers": {"content-type": "text/event-stream"},
        "multiValueHeaders": {},
        "body": body,
        "isBase64Encoded": encoded,
    }
    assert isinstance(response.body, Body)
    assert response.body.closed == 1


def test_a_host_without_streaming_gets_an_error_for_a_failing_body() -> None:
    body = Body(b"one", ValueError("boom"))
    request = answer_of(lambda event, context: StreamingResponse(200, {}, body), buffered=True)
    assert request.line.endswith("/error HTTP/1.1")
    assert body.closed == 1


def test_a_host_without_streaming_gets_a_buffered_result() -> None:
    result = {"statusCode": 200, "body": "/w==", "isBase64Encoded": True}
    assert answer_of(lambda event, context: result, buffered=True).json["body"] == "/w=="


def test_one_chunk_is_one_send(monkeypatch: pytest.MonkeyPatch) -> None:
    """Head, prelude and first chunk leave together; each later chunk and the end leave alone."""
    sent: list[bytes] = []
    api = RuntimeApi("127.0.0.1:1")
    monkeypatch.setattr(api, "connection", lambda: SimpleNamespace(sendall=sent.append))
    monkeypatch.setattr(api, "read_outcome", lambda kind, request_id: None)
    invocation = Invocation(b"{}", "r", 0, None, None, None, None, None, None)
    stream = api.stream(invocation, b"PRELUDE")
    started = [stream.started]
    for chunk in (b"a", b"", b"bc"):
        stream.send(chunk)
        started.append(stream.started)
    stream.end()
    assert started == [False, True, True, True]
    assert sent[0].endswith(b"\r\n\r\n7\r\nPRELUDE\r\n1\r\na\r\n")
    assert sent[1:] == [b"2\r\nbc\r\n", b"0\r\n\r\n"]
    sent.clear()
    api.stream(invocation, b"PRELUDE").end(b"whole")
    assert len(sent) == 1
    assert sent[0].endswith(b"\r\n\r\n7\r\nPRELUDE\r\n5\r\nwhole\r\n0\r\n\r\n")
