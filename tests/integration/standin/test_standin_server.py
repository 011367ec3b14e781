"""Healthy stand-ins: what OpenAI's own package makes of them, and the edges of HTTP."""

import asyncio
import json
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, AuthenticationError, BadRequestError, NotFoundError, OpenAI, RateLimitError
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from local.standin import Standin
from local.standin.server import MODELS, Server, Service

TLS = ssl.create_default_context()
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello there"}]


@pytest.fixture(scope="module")
def standin() -> Iterator[Standin]:
    with Standin() as standin:
        yield standin


def sdk(standin: Standin, provider: str = "cliproxyapi", key: str = "any") -> OpenAI:
    return OpenAI(base_url=standin.base_url(provider), api_key=key, max_retries=0)


@pytest.mark.parametrize("provider", [*MODELS, "somebody-else"])
def test_the_sdk_gets_the_same_answer_streamed_and_not(standin: Standin, provider: str) -> None:
    with sdk(standin, provider) as client:
        whole = client.chat.completions.create(model="m", messages=HELLO)
        chunks = list(
            client.chat.completions.create(
                model="m", messages=HELLO, stream=True, stream_options={"include_usage": True}
            )
        )
    content = whole.choices[0].message.content
    assert content
    assert provider in content
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == content
    assert chunks[-1].usage == whole.usage
    assert {chunk.id for chunk in chunks} != {whole.id}
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_sdk_lists_models(standin: Standin) -> None:
    with sdk(standin, "ark") as client:
        assert [model.id for model in client.models.list()] == ["glm-4.7", "ark-code-latest"]
        assert client.models.retrieve("glm-4.7").owned_by == "ark"
        with pytest.raises(NotFoundError):
            client.models.retrieve("gpt-5")


def test_new_api_reports_an_unknown_model_with_200(standin: Standin) -> None:
    answer = httpx.get(f"{standin.base_url('new-api')}/models/nobody", headers={"x-api-key": "k"}, verify=TLS)
    assert (answer.status_code, answer.json()["error"]["code"]) == (200, "model_not_found")


def test_the_sdk_goes_two_rounds_with_a_tool(standin: Standin) -> None:
    tools: list[Any] = [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
            },
        }
    ]
    messages: list[Any] = [{"role": "user", "content": "Use the tool to tell me the weather"}]
    with sdk(standin) as client:
        first = client.chat.completions.create(model="m", messages=messages, tools=tools).choices[0]
        assert first.finish_reason == "tool_calls"
        [call] = first.message.tool_calls or []
        assert call.type == "function"
        assert "city" in json.loads(call.function.arguments)
        messages += [first.message, {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]
        second = client.chat.completions.create(model="m", messages=messages, tools=tools).choices[0]
    assert second.finish_reason == "stop"
    assert "get_weather returned 21 degrees." in (second.message.content or "")


class Step(BaseModel):
    """One step of a plan."""

    title: str
    minutes: int


class Plan(BaseModel):
    """A model that the SDK turns into a strict schema."""

    goal: str
    steps: list[Step]


def test_the_sdk_parses_structured_output(standin: Standin) -> None:
    with sdk(standin) as client:
        whole = client.chat.completions.parse(model="m", messages=HELLO, response_format=Plan)
        with client.chat.completions.stream(model="m", messages=HELLO, response_format=Plan) as stream:
            final = stream.get_final_completion()
    assert whole.choices[0].message.parsed is not None
    assert whole.choices[0].message.parsed.steps[0].minutes == 1
    assert final.choices[0].message.parsed == whole.choices[0].message.parsed


def test_the_sdk_sees_typed_errors(standin: Standin) -> None:
    with Standin(key="the-key") as locked, sdk(locked) as client, pytest.raises(AuthenticationError):
        client.chat.completions.create(model="m", messages=HELLO)
    with sdk(standin) as client:
        with pytest.raises(BadRequestError, match="messages"):
            client.chat.completions.create(model="m", messages=[])
        standin.fault("cliproxyapi", "rate_limit", times=1)
        with pytest.raises(RateLimitError):
            client.chat.completions.create(model="m", messages=HELLO)


async def _fifty(standin: Standin) -> list[str]:
    async with AsyncOpenAI(base_url=standin.base_url("ark"), api_key="k", max_retries=0) as client:

        async def one(number: int) -> str:
            stream = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": f"number {number}"}], stream=True
            )
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

        return await asyncio.gather(*(one(number) for number in range(50)))


def test_many_at_once_are_all_served(standin: Standin) -> None:
    texts = asyncio.run(_fifty(standin))
    assert all(f"number {number}”" in text for number, text in enumerate(texts))


def test_a_pace_makes_an_answer_last_streamed_or_not() -> None:
    with Standin(pace=0.2) as slow, sdk(slow) as client:
        begun = time.monotonic()
        for chunk in client.chat.completions.create(model="m", messages=HELLO, stream=True):
            if chunk.choices[0].delta.content:
                last = time.monotonic()
        assert last - begun >= 0.15
        begun = time.monotonic()
        client.chat.completions.create(model="m", messages=HELLO)
        assert time.monotonic() - begun >= 0.2


# --- keys and paths ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "headers", "error"),
    [
        ("cliproxyapi", {}, "Missing API key"),
        ("cliproxyapi", {"authorization": "Bearer wrong"}, "Invalid API key"),
        ("new-api", {"authorization": "Bearer wrong"}, {"code": "", "type": "new_api_error"}),
        ("ark", {"x-api-key": "wrong"}, {"code": "AuthenticationError", "type": "Unauthorized"}),
        ("somebody-else", {"authorization": "Bearer wrong"}, {"code": "invalid_api_key"}),
    ],
)
def test_a_bad_key_is_rejected_in_the_providers_words(provider: str, headers: dict[str, str], error: object) -> None:
    with Standin(key="right") as locked:
        url = f"{locked.base_url(provider)}/models"
        answer = httpx.get(url, headers=headers, verify=TLS)
        assert httpx.get(url, headers={"authorization": "Bearer right"}, verify=TLS).status_code == 200
    assert answer.status_code == 401
    reported = answer.json()["error"]
    assert reported == error if isinstance(error, str) else error.items() <= reported.items()  # type: ignore[attr-defined] # a dict


@pytest.mark.parametrize("provider", [*MODELS, "somebody-else"])
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/nowhere", 404),
        ("GET", "/elsewhere/v1/models", 404),
        ("POST", "/chat/completions", 400),
        ("GET", "/models", 200),
    ],
)
def test_paths_and_methods(standin: Standin, provider: str, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, f"{standin.url}/{provider}{path}", headers={"authorization": "Bearer k"}, verify=TLS)
    assert answer.status_code == status


def test_a_path_without_a_provider_gets_a_hint(standin: Standin) -> None:
    answer = httpx.get(standin.url, verify=TLS)
    assert answer.status_code == 404
    assert "/_control" in answer.json()["error"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"model":"m","messages":' + b"[" * 100_000,
        b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}],"stream":"yes"}',
        b'{"model":"m","messages":[{"role":"user"}],"n":' + b"9" * 10_000 + b"}",
    ],
    ids=lambda content: repr(content[:30]),
)
def test_bodies_that_are_no_request_are_rejected(standin: Standin, content: bytes) -> None:
    url = f"{standin.base_url('ark')}/chat/completions"
    answer = httpx.post(url, content=content, headers={"authorization": "Bearer k"}, verify=TLS)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "InvalidParameter"


@pytest.mark.parametrize("stream", [True, False])
def test_a_lone_surrogate_does_no_harm(standin: Standin, stream: bool) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "\ud800"}], "stream": stream}
    url = f"{standin.base_url('ark')}/chat/completions"
    answer = httpx.post(url, content=json.dumps(body), headers={"authorization": "Bearer k"}, verify=TLS)
    assert answer.status_code == 200
    assert ("[DONE]" in answer.text) == stream
    assert "stand-in" in answer.text


# --- connections ------------------------------------------------------------------------------------------------------


def _connect(standin: Standin) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(standin.url.rsplit(":", 1)[1])), timeout=20)


def _request(extra: str = "") -> bytes:
    return f"GET /ark/v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n{extra}\r\n".encode()


def _read_until(sock: socket.socket, count: int) -> bytes:
    """Read until so many lists of models have come, or the connection ends."""
    got, lists = bytearray(), 0
    while lists < count and (data := sock.recv(65536)):
        seen = max(0, len(got) - 16)
        got += data
        lists += got.count(b'"object": "list"', seen)
    return bytes(got)


def test_pipelined_requests_on_a_persistent_connection_are_answered_in_order(standin: Standin) -> None:
    with _connect(standin) as sock:
        sock.sendall(_request() * 3)
        assert _read_until(sock, 3).count(b"HTTP/1.1 200 OK") == 3
        sock.sendall(_request(extra="connection: close\r\n"))
        assert _read_until(sock, 1).count(b"HTTP/1.1 200 OK") == 1
        assert sock.recv(1) == b""


def test_requests_wait_while_one_is_answered(standin: Standin) -> None:
    standin.fault("ark", "slow", seconds=0.02, times=1)
    body = json.dumps({"model": "m", "messages": HELLO})
    first = (
        "POST /ark/v1/chat/completions HTTP/1.1\r\nauthorization: Bearer k\r\n"
        f"content-length: {len(body)}\r\n\r\n{body}"
    ).encode()
    with _connect(standin) as sock, ThreadPoolExecutor(1) as sender:
        # More than is read ahead, so that reading has to pause and to go on.
        sent = sender.submit(sock.sendall, first + _request() * 8_000)
        got = _read_until(sock, 8_000)
        sent.result(timeout=20)
    assert got.index(b"chat.completion") < got.index(b'"object": "list"')
    assert got.count(b"HTTP/1.1 200 OK") == 8_001


def test_expect_100_continue_is_answered(standin: Standin) -> None:
    body = json.dumps({"model": "m", "messages": HELLO}).encode()
    head = (
        "POST /ark/v1/chat/completions HTTP/1.1\r\nauthorization: Bearer k\r\nexpect: 100-continue\r\n"
        f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with _connect(standin) as sock:
        sock.sendall(head.encode())
        assert sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        got = b""
        while data := sock.recv(65536):
            got += data
    assert got.startswith(b"HTTP/1.1 200 OK")


def test_malformed_http_is_rejected_and_closed(standin: Standin) -> None:
    with _connect(standin) as sock:
        sock.sendall(b"hello\r\n\r\n")
        got = b""
        while data := sock.recv(65536):
            got += data
    assert got.startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_reader_that_is_slow_gets_everything(standin: Standin) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "write 50000 words"}], "stream": True}
    url = f"{standin.base_url('ark')}/chat/completions"
    headers = {"authorization": "Bearer k"}
    with httpx.stream("POST", url, json=body, headers=headers, verify=TLS, timeout=10) as answer:
        parts = answer.iter_raw()
        first = next(parts)
        got = first + b"".join(parts)
    assert got.count(b'"content": ') == 50_001
    assert got.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    "sent", [b"", b"GET /ark/v1/models HT", b"POST /ark/v1/x HTTP/1.1\r\ncontent-length: 9\r\n\r\n{"]
)
def test_half_open_connection_is_closed(sent: bytes) -> None:
    async def run() -> bytes:
        server = Server(Service(), receive_seconds=0.05)
        port = await server.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        try:
            return await asyncio.wait_for(reader.read(), 10)
        except ConnectionError:
            return b""
        finally:
            writer.close()
            await server.close()

    assert asyncio.run(run()) == b""


def test_an_idle_connection_is_reused_for_the_next_request() -> None:
    async def run() -> bytes:
        server = Server(Service(), receive_seconds=0.05)
        reader, writer = await asyncio.open_connection("127.0.0.1", await server.start())
        statuses = b""
        for _ in range(2):
            writer.write(b"GET /ark/v1/nothing HTTP/1.1\r\nauthorization: Bearer x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            statuses += head[9:12]
            await asyncio.sleep(0.1)
        writer.close()
        await server.close()
        return statuses

    assert asyncio.run(run()) == b"404404"
