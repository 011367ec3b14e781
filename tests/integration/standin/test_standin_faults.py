"""Every fault as a client meets it, over real sockets."""

import contextlib
import gzip
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from local.standin import BadFault, Close, Pause, Reset, Send, Standin, Wait, find_case, refused_url
from local.standin.faults import FAULTS

TLS = ssl.create_default_context()  # never used, but httpx would make one for every call, which is slow
SHORT = 0.05  # seconds without a byte that count as silence


@pytest.fixture(scope="module")
def running() -> Iterator[Standin]:
    with Standin() as standin:
        yield standin


@pytest.fixture
def standin(running: Standin) -> Iterator[Standin]:
    yield running
    running.heal()
    running.forget()


def body(*, stream: bool, **fields: Any) -> dict[str, Any]:
    return {"model": "glm-4.7", "stream": stream, "messages": [{"role": "user", "content": "Hello"}], **fields}


@dataclass
class Raw:
    """The data of a connection: every byte, and how it ended (`fin`, `rst`, or `open` when it fell silent)."""

    data: bytes
    end: str

    @property
    def payload(self) -> bytes:
        """The body, with chunks taken apart as far as they came."""
        head, _, rest = self.data.partition(b"\r\n\r\n")
        if b"transfer-encoding: chunked" not in head:
            return rest
        parts = []
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            parts.append(rest[:length])
            rest = rest[length + 2 :]
        return b"".join(parts)

    @property
    def finished(self) -> bool:
        return self.data.endswith(b"\r\n0\r\n\r\n")


def send(standin: Standin, *, stream: bool) -> socket.socket:
    """Send one request over a bare socket, and return the socket once the request has arrived."""
    url = urlsplit(standin.base_url("ark"))
    payload = json.dumps(body(stream=stream)).encode()
    head = (
        f"POST {url.path}/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n"
        f"connection: close\r\ncontent-length: {len(payload)}\r\n\r\n"
    )
    sock = socket.create_connection((str(url.hostname), int(url.port or 0)), timeout=5)
    sock.sendall(head.encode() + payload)
    standin.wait_for(1)
    return sock


def raw(standin: Standin, *, stream: bool = True) -> Raw:
    """Send one request and read until the connection ends."""
    got = bytearray()
    with send(standin, stream=stream) as sock:
        try:
            while data := sock.recv(65536):
                got += data
        except ConnectionResetError:
            return Raw(bytes(got), "rst")
    return Raw(bytes(got), "fin")


def silent(standin: Standin, *, stream: bool = True, until: bytes = b"") -> Raw:
    """Send one request, read until `until` has come and then until nothing more comes."""
    got = bytearray()
    with send(standin, stream=stream) as sock:
        try:
            while until not in got:
                got += sock.recv(65536) or b"(the connection ended)" + until
            sock.settimeout(SHORT)
            while data := sock.recv(65536):
                got += data
        except TimeoutError:
            assert standin.requests()[-1].outcome == "answering"
            return Raw(bytes(got), "open")
    return Raw(bytes(got), "fin")


def events(payload: bytes) -> list[str]:
    return [line.removeprefix("data: ") for line in payload.decode().split("\n") if line.startswith("data: ")]


def post(standin: Standin, *, stream: bool, provider: str = "ark", **fields: Any) -> httpx.Response:
    return httpx.post(
        f"{standin.base_url(provider)}/chat/completions",
        json=body(stream=stream, **fields),
        headers={"authorization": "Bearer k"},
        timeout=5,
        verify=TLS,
    )


def text_of(payload: bytes) -> str:
    """The content of a stream, as a client puts it together; broken events are skipped."""
    words = []
    for event in events(payload):
        with contextlib.suppress(ValueError):
            chunk = json.loads(event)
            words += [choice["delta"].get("content") or "" for choice in chunk.get("choices", [])]
    return "".join(words)


def healthy_text(standin: Standin) -> str:
    content = post(standin, stream=False, provider="healthy-ark").json()["choices"][0]["message"]["content"]
    assert isinstance(content, str)
    standin.forget()
    return content.replace("healthy-ark", "ark")


# --- before an answer -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    ("fault", "options", "end", "begins"),
    [
        pytest.param("reset", {}, "rst", b"", id="reset before any byte"),
        pytest.param("refuse", {}, "rst", b"", id="reset once the head is read"),
        pytest.param("disconnect", {}, "fin", b"", id="closed before any byte"),
        pytest.param("garbage", {}, "fin", b"\x16\x03", id="no HTTP"),
        pytest.param("cut_headers", {}, "fin", b"HTTP/1.1 200", id="closed in the headers"),
        pytest.param("cut_headers", {"by": "rst"}, "rst", b"HTTP/1.1 200", id="reset in the headers"),
        pytest.param("cut_after_headers", {}, "fin", b"HTTP/1.1 200", id="closed after the headers"),
        pytest.param("cut_after_headers", {"by": "rst"}, "rst", b"HTTP/1.1 200", id="reset after the headers"),
        pytest.param("cut_after_role", {}, "fin", b"HTTP/1.1 200", id="closed after the role"),
        pytest.param("cut_after_role", {"by": "rst"}, "rst", b"HTTP/1.1 200", id="reset after the role"),
        pytest.param("cut", {}, "fin", b"HTTP/1.1 200", id="closed in the content"),
        pytest.param("cut", {"by": "rst"}, "rst", b"HTTP/1.1 200", id="reset in the content"),
        pytest.param("cut_in_chunk", {}, "fin", b"HTTP/1.1 200", id="closed in a chunk"),
        pytest.param("cut_in_chunk", {"by": "rst"}, "rst", b"HTTP/1.1 200", id="reset in a chunk"),
        pytest.param("short_body", {}, "fin", b"HTTP/1.1 200", id="a body that is too short"),
    ],
)
def test_connections_end_as_the_fault_demands(
    standin: Standin, fault: str, options: dict[str, Any], end: str, begins: bytes, stream: bool
) -> None:
    standin.fault("ark", fault, **options)
    got = raw(standin, stream=stream)
    assert got.end == end
    assert got.data.startswith(begins)
    assert bool(got.data) == bool(begins)
    [record] = standin.wait_for(1, ended=True)
    assert (record.outcome, record.fault) == ("cut", fault)
    with pytest.raises(httpx.TransportError):
        post(standin, stream=stream)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    ("fault", "until", "reply"),
    [
        pytest.param("silence", b"", "", id="no byte"),
        pytest.param("silent_headers", b"\r\n\r\n", "", id="after the headers"),
        pytest.param("silent_role", b'"role"', "", id="after the role"),
        pytest.param("stall", b'" the"', "This is the", id="in the content"),
    ],
)
def test_connections_fall_silent_as_the_fault_demands(
    standin: Standin, fault: str, until: bytes, reply: str, stream: bool
) -> None:
    standin.fault("ark", fault)
    got = silent(standin, stream=stream, until=until if stream or not until else b"\r\n\r\n")
    assert got.end == "open"
    assert got.data.startswith(b"HTTP/1.1 200 OK\r\n") == bool(until)
    if stream:
        assert text_of(got.payload) == reply
        assert (b'"role"' in got.payload) == (fault in ("silent_role", "stall"))


def test_a_client_that_leaves_is_noticed(standin: Standin) -> None:
    standin.fault("ark", "silence")
    silent(standin)
    [record] = standin.wait_for(1, ended=True)
    assert record.outcome == "left"


def test_a_stall_can_go_on_with_comments(standin: Standin) -> None:
    standin.fault("ark", "stall", after=1, comments=0.001)
    url = f"{standin.base_url('ark')}/chat/completions"
    headers = {"authorization": "Bearer k"}
    with httpx.stream("POST", url, json=body(stream=True), headers=headers, timeout=5, verify=TLS) as answer:
        lines = answer.iter_lines()
        comments = 0
        while comments < 3:
            comments += next(lines) == ": PING"
    assert comments == 3


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    ("fault", "options"),
    [
        pytest.param("slow", {"seconds": 0.03}, id="a slow first byte"),
        pytest.param("header_drip", {"interval": 0.0}, id="headers byte by byte"),
        pytest.param("drip", {"interval": 0.0, "size": 7}, id="everything in sevens"),
        pytest.param("gzip", {}, id="compressed"),
        pytest.param("wrong_type", {}, id="a wrong type"),
        pytest.param("comments", {}, id="comments"),
        pytest.param("comments", {"text": ":"}, id="bare comments"),
        pytest.param("split", {}, id="split at every byte"),
        pytest.param("split", {"size": 5}, id="split in fives"),
        pytest.param("together", {}, id="all in one write"),
        pytest.param("together", {"events": 2}, id="two in a write"),
        pytest.param("named_events", {}, id="named events"),
        pytest.param("no_usage", {}, id="no usage"),
        pytest.param("usage_everywhere", {}, id="usage on every chunk"),
        pytest.param("huge_event", {"size": 200_000}, id="a huge event"),
        pytest.param("slow_stream", {"seconds": 0.0}, id="a slow stream"),
        pytest.param("no_done", {}, id="no done"),
        pytest.param("no_finish", {}, id="no finish reason"),
    ],
)
def test_odd_answers_still_say_everything(standin: Standin, fault: str, options: dict[str, Any], stream: bool) -> None:
    expected = healthy_text(standin)
    standin.fault("ark", fault, **options)
    answer = post(standin, stream=stream)
    assert answer.status_code == 200
    if stream:
        assert text_of(answer.content) == expected
    else:
        assert answer.json()["choices"][0]["message"]["content"] == expected
    [record] = standin.wait_for(1, "ark", ended=True)
    assert record.outcome == "answered"


def test_a_slow_first_byte_is_late(standin: Standin) -> None:
    standin.fault("ark", "slow", seconds=0.1)
    begun = time.monotonic()
    post(standin, stream=False)
    assert time.monotonic() - begun >= 0.1


def test_line_ends_can_be_crlf(standin: Standin) -> None:
    standin.fault("ark", "crlf")
    content = post(standin, stream=True).content
    assert content.count(b"\n") == content.count(b"\r\n") > 6
    assert content.endswith(b"data: [DONE]\r\n\r\n")


def test_the_space_after_data_can_be_missing(standin: Standin) -> None:
    standin.fault("ark", "no_space")
    content = post(standin, stream=True).content
    assert content.startswith(b"data:{")
    assert content.endswith(b"data:[DONE]\n\n")


def test_compression_is_real(standin: Standin) -> None:
    standin.fault("ark", "gzip")
    got = raw(standin, stream=True)
    assert b"content-encoding: gzip" in got.data
    assert gzip.decompress(got.payload).endswith(b"data: [DONE]\n\n")


def test_splitting_makes_one_chunk_of_each_part(standin: Standin) -> None:
    standin.fault("ark", "split", size=3)
    got = raw(standin, stream=True)
    assert got.finished
    _, _, rest = got.data.partition(b"\r\n\r\n")
    assert rest.count(b"3\r\n") >= len(got.payload) // 3
    assert got.payload.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("fault", "has"),
    [
        pytest.param(None, ["finish", "done"], id="healthy"),
        pytest.param("no_done", ["finish"], id="no done"),
        pytest.param("no_finish", ["done"], id="no finish reason"),
        pytest.param("truncated", [], id="neither"),
        pytest.param("cut_in_event", [], id="cut in an event"),
    ],
)
def test_streams_end_as_the_fault_demands(standin: Standin, fault: str | None, has: list[str]) -> None:
    if fault:
        standin.fault("ark", fault)
    got = raw(standin, stream=True)
    assert got.finished
    assert ("done" in has) == ("[DONE]" in events(got.payload))
    assert ("finish" in has) == (b'"finish_reason": "stop"' in got.payload)


def test_an_event_can_be_cut_in_its_middle(standin: Standin) -> None:
    standin.fault("ark", "cut_in_event", after=2)
    got = raw(standin, stream=True)
    assert not got.payload.endswith(b"\n\n")
    assert text_of(got.payload) == "This is"


@pytest.mark.parametrize("after", [0, 2, 10_000])
def test_content_before_a_cut_can_be_counted(standin: Standin, after: int) -> None:
    expected = healthy_text(standin)
    standin.fault("ark", "cut", after=after)
    got = raw(standin, stream=True)
    assert text_of(got.payload) == ("".join(["This", " is"][:after]) if after < 100 else expected)
    assert b'"finish_reason": "stop"' not in got.payload


def test_a_malformed_event_is_between_good_ones(standin: Standin) -> None:
    expected = healthy_text(standin)
    standin.fault("ark", "malformed")
    payload = post(standin, stream=True).content
    broken = [event for event in events(payload) if not event.endswith(("}", "]"))]
    assert len(broken) == 1
    assert text_of(payload) == expected


def test_a_malformed_body_is_no_json(standin: Standin) -> None:
    standin.fault("ark", "malformed")
    with pytest.raises(ValueError, match=r"property name|delimiter|value"):
        post(standin, stream=False).json()


def test_usage_can_be_missing_or_everywhere(standin: Standin) -> None:
    request: dict[str, Any] = {"stream_options": {"include_usage": True}}
    standin.fault("ark", "no_usage", times=2)
    assert b'"usage"' not in post(standin, stream=True, **request).content
    assert "usage" not in post(standin, stream=False).json()
    standin.fault("ark", "usage_everywhere")
    chunks = [json.loads(event) for event in events(post(standin, stream=True, **request).content)[:-1]]
    assert all(chunk["usage"]["prompt_tokens"] for chunk in chunks)
    counts = [chunk["usage"]["completion_tokens"] for chunk in chunks]
    assert counts == sorted(counts)


# --- errors that look like successes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_an_error_can_come_with_200(standin: Standin, stream: bool) -> None:
    standin.fault("ark", "error_in_200", case="overloaded")
    answer = post(standin, stream=stream)
    assert answer.status_code == 200
    assert answer.json()["error"]["code"] == "ServerOverloaded"


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    ("fault", "kind", "begins"),
    [
        ("html", "text/html; charset=utf-8", b"<!DOCTYPE html>"),
        ("only_done", "text/event-stream", b"data: [DONE]"),
    ],
)
def test_a_200_can_be_something_else(standin: Standin, fault: str, kind: str, begins: bytes, stream: bool) -> None:
    standin.fault("ark", fault)
    answer = post(standin, stream=stream)
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert answer.content.startswith(begins)


def test_a_200_can_be_empty(standin: Standin) -> None:
    standin.fault("ark", "empty_body")
    for stream in (True, False):
        answer = post(standin, stream=stream)
        assert (answer.status_code, answer.content) == (200, b"")


def test_a_200_can_have_no_choices(standin: Standin) -> None:
    standin.fault("ark", "no_choices")
    assert "choices" not in post(standin, stream=False).json()
    reported = events(post(standin, stream=True).content)
    assert json.loads(reported[0])["choices"] == []
    assert reported[1:] == ["[DONE]"]


def test_the_form_can_be_the_other_one(standin: Standin) -> None:
    expected = healthy_text(standin)
    standin.fault("ark", "whole_for_stream")
    assert post(standin, stream=True).json()["choices"][0]["message"]["content"] == expected
    standin.fault("ark", "stream_for_whole")
    answer = post(standin, stream=False)
    assert answer.headers["content-type"] == "text/event-stream"
    assert text_of(answer.content) == expected


@pytest.mark.parametrize(
    ("fault", "options", "code", "content"),
    [
        pytest.param("stream_overloaded", {}, "server_is_overloaded", "", id="overloaded"),
        pytest.param("stream_rate_limit", {}, "RateLimitExceeded.FoundationModelRPMExceeded", "", id="rate limit"),
        pytest.param("stream_context_length", {}, "context_length_exceeded", "", id="context length"),
        pytest.param("stream_error", {"case": "overdue"}, "AccountOverdueError", "", id="any case"),
        pytest.param("stream_error", {"shape": "event"}, "InternalServiceError", "", id="with an event line"),
        pytest.param("stream_error", {"opening": False}, "InternalServiceError", "", id="before the role"),
        pytest.param("stream_error_late", {}, "InternalServiceError", "This is the", id="after content"),
        pytest.param("stream_error", {"after": 1}, "InternalServiceError", "This", id="after the first content"),
    ],
)
def test_an_error_can_come_in_the_stream(
    standin: Standin, fault: str, options: dict[str, Any], code: str, content: str
) -> None:
    standin.fault("ark", fault, **options)
    answer = post(standin, stream=True)
    assert answer.status_code == 200
    reported = events(answer.content)
    assert json.loads(reported[-1])["error"]["code"] == code
    assert "[DONE]" not in reported
    assert (b'"role"' in answer.content) == options.get("opening", True)
    assert (b"event: error\ndata: " in answer.content) == (options.get("shape") == "event")
    assert text_of(answer.content) == content


@pytest.mark.parametrize(("shape", "kind"), [("string", str), ("bare", None)])
def test_an_error_event_can_have_other_shapes(standin: Standin, shape: str, kind: type | None) -> None:
    standin.fault("ark", "stream_error", shape=shape)
    reported = json.loads(events(post(standin, stream=True).content)[-1])
    if kind is None:
        assert reported["code"] == "InternalServiceError"
    else:
        assert isinstance(reported["error"], kind)


def test_an_error_of_the_stream_has_its_own_status_when_nothing_is_streamed(standin: Standin) -> None:
    standin.fault("ark", "stream_overloaded")
    answer = post(standin, stream=False)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "server_is_overloaded"


# --- statuses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["cliproxyapi", "new-api", "ark", "somebody-else"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529])
def test_any_status_comes_in_the_providers_shape(standin: Standin, provider: str, status: int) -> None:
    standin.fault(provider, str(status))
    answer = post(standin, stream=True, provider=provider)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_a_status_can_have_any_body_and_headers(standin: Standin) -> None:
    standin.fault("ark", "429", body={"oops": 1}, headers={"Retry-After": "7"})
    answer = post(standin, stream=False)
    assert (answer.status_code, answer.json(), answer.headers["retry-after"]) == (429, {"oops": 1}, "7")
    standin.fault("ark", "500", body="<p>", content_type="text/html")
    answer = post(standin, stream=False)
    assert (answer.text, answer.headers["content-type"]) == ("<p>", "text/html")


def test_a_429_can_be_empty(standin: Standin) -> None:
    standin.fault("ark", "empty")
    answer = post(standin, stream=True)
    assert (answer.status_code, answer.content) == (429, b"")


def test_a_redirect_leads_elsewhere(standin: Standin) -> None:
    standin.fault("ark", "redirect", to="http://127.0.0.1:9/x")
    answer = post(standin, stream=True)
    assert (answer.status_code, answer.headers["location"]) == (307, "http://127.0.0.1:9/x")


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("cliproxyapi", "model_cooldown"),
        ("cliproxyapi", "no_account"),
        ("new-api", "no_channel"),
        ("new-api", "rate_limit_empty"),
        ("ark", "quota_reset"),
        ("ark", "wrong_base_url"),
        ("somebody-else", "insufficient_quota"),
        ("ark", "anthropic:overloaded"),
    ],
)
def test_a_case_of_the_dialects_comes_as_it_is_written(standin: Standin, provider: str, name: str) -> None:
    case = find_case(provider, name)
    assert case is not None
    standin.fault(provider, name)
    answer = post(standin, stream=True, provider=provider)
    assert answer.status_code == case.status
    assert answer.headers["content-type"] == case.content_type
    assert bool(answer.content) == bool(case.render().body)


def test_a_reset_time_can_be_given(standin: Standin) -> None:
    standin.fault("cliproxyapi", "quota_reset", reset_in=7)
    answer = post(standin, stream=True, provider="cliproxyapi")
    assert answer.headers["retry-after"] == "7"
    assert answer.json()["error"]["reset_seconds"] == 7


# --- which requests meet a fault --------------------------------------------------------------------------------------


def statuses(standin: Standin, count: int, model: str = "glm-4.7") -> list[int]:
    return [post(standin, stream=False, model=model).status_code for _ in range(count)]


def test_a_fault_lasts_until_it_is_healed(standin: Standin) -> None:
    standin.fault("ark", "503")
    assert statuses(standin, 3) == [503, 503, 503]
    standin.heal("ark")
    assert statuses(standin, 1) == [200]


def test_counted_faults_come_in_order_and_before_lasting_ones(standin: Standin) -> None:
    standin.fault("ark", "500")
    standin.fault("ark", "502", times=2)
    standin.fault("ark", "504", times=1)
    assert statuses(standin, 5) == [502, 502, 504, 500, 500]


def test_a_lasting_fault_replaces_the_one_before(standin: Standin) -> None:
    standin.fault("ark", "500")
    standin.fault("ark", "503")
    assert statuses(standin, 2) == [503, 503]
    standin.heal("ark")
    assert statuses(standin, 1) == [200]


def test_a_fault_can_be_one_models(standin: Standin) -> None:
    standin.fault("ark", "500", model="glm-4.7")
    standin.fault("ark", "503")
    assert statuses(standin, 1, "glm-4.7") == [500]
    assert statuses(standin, 1, "ark-code-latest") == [503]
    standin.heal("ark", "glm-4.7")
    assert statuses(standin, 1, "glm-4.7") == [503]


def test_a_fault_is_one_providers(standin: Standin) -> None:
    standin.fault("cliproxyapi", "500")
    assert statuses(standin, 1) == [200]


def test_refusing_waits_for_its_turn(standin: Standin) -> None:
    standin.fault("ark", "500", times=1)
    standin.fault("ark", "refuse", times=1)
    assert statuses(standin, 1) == [500]
    with pytest.raises(httpx.TransportError):
        statuses(standin, 1)
    assert statuses(standin, 1) == [200]


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("no_such_fault", {}, "stall"),
        ("999", {}, "not an HTTP status"),
        ("cut", {"whereabouts": 1}, "its options are: after, by"),
        ("cut", {"by": "magic"}, "one of fin, rst"),
        ("cut", {"after": "three"}, "must have the type of 3"),
        ("cut", {"after": True}, "must have the type of 3"),
        ("slow", {"seconds": float("nan")}, "must have the type of 2.0"),
        ("stream_error", {"case": "no_such_case"}, "server_error"),
        ("503", {"headers": "x"}, "'headers' must be an object"),
        ("cut", {"times": 0}, "'times' must be"),
    ],
)
def test_an_unknown_fault_or_option_lists_the_alternatives(
    standin: Standin, name: str, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadFault, match=says):
        standin.fault("ark", name, **options)
    assert statuses(standin, 1) == [200]


def test_every_fault_can_be_met_streamed_and_not(standin: Standin) -> None:
    """No fault fails in a way of its own: each is met, and the next request is served."""
    endless = {"silence", "silent_headers", "silent_role", "stall"}
    quick: dict[str, dict[str, Any]] = {
        "slow": {"seconds": 0.0},
        "slow_stream": {"seconds": 0.0},
        "header_drip": {"interval": 0.0},
        "drip": {"interval": 0.0},
    }
    for name in FAULTS.keys() - endless:
        for stream in (True, False):
            standin.fault("ark", name, times=1, **quick.get(name, {}))
            with contextlib.suppress(httpx.TransportError, httpx.DecodingError):
                post(standin, stream=stream)
            assert standin.requests("ark")[-1].fault == name
            assert statuses(standin, 1) == [200]


# --- scripts and closing ----------------------------------------------------------------------------------------------


def test_a_script_is_sent_byte_by_byte(standin: Standin) -> None:
    gate = threading.Event()
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"
    standin.script("ark", [Send(head + b"on"), Wait(gate), Send(b"ce"), Close()])
    url = f"{standin.base_url('ark')}/chat/completions"
    with httpx.stream(
        "POST", url, json=body(stream=True), headers={"authorization": "Bearer k"}, timeout=5, verify=TLS
    ) as answer:
        parts = answer.iter_bytes()
        assert next(parts) == b"on"
        gate.set()
        assert next(parts) == b"ce"
    assert standin.requests("ark")[-1].fault == "script"
    assert statuses(standin, 1) == [200]


def test_a_script_keeps_the_connection_when_it_does_not_close_it(standin: Standin) -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    standin.script("ark", [Send(answer)])
    standin.script("ark", [Pause(0.001), Send(answer)])
    url = f"{standin.base_url('ark')}/chat/completions"
    with httpx.Client(headers={"authorization": "Bearer k"}, timeout=5, verify=TLS) as client:
        for _ in range(2):
            assert client.post(url, json=body(stream=False)).text == "ok"
        assert client.post(url, json=body(stream=False)).json()["object"] == "chat.completion"


def test_a_script_can_reset_after_what_it_sent(standin: Standin) -> None:
    standin.script("ark", [Send(b"x" * 3_000_000), Reset()])
    got = raw(standin, stream=True)
    assert got.end == "rst"


@pytest.mark.parametrize("fault", ["silence", "stall", "silent_headers"])
def test_closing_never_waits_for_what_never_ends(fault: str) -> None:
    with Standin() as standin:
        standin.fault("ark", fault)
        standin.script("new-api", [Wait(threading.Event())])
        threads = [
            threading.Thread(target=_ignore_failure, args=(standin, provider)) for provider in ("ark", "new-api")
        ]
        for thread in threads:
            thread.start()
        standin.wait_for(2)
    for thread in threads:
        thread.join(timeout=5)
        assert not thread.is_alive()
    standin.close()  # again: no harm


def _ignore_failure(standin: Standin, provider: str) -> None:
    with contextlib.suppress(httpx.TransportError):
        post(standin, stream=True, provider=provider)


def test_rejected_means_rejected() -> None:
    with refused_url() as url, pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_waiting_for_requests_that_do_not_come_ends(standin: Standin) -> None:
    with pytest.raises(TimeoutError, match="0 of 1 requests"):
        standin.wait_for(1, within=0.01)
