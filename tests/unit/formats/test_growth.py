"""Readers of callers' and providers' bytes take time in proportion to them."""

import contextlib
import gc
import json
import time
from collections.abc import Callable

import pytest

from gateway.content_encoding import decode
from gateway.paths import target_of
from tests.unit.upstream.test_event_stream import framed
from vibe_router.access.authentication import find_keys
from vibe_router.core.errors import ApiError
from vibe_router.core.patterns import matches
from vibe_router.core.tags import header_tags
from vibe_router.formats import registry
from vibe_router.formats.common.json_body import parse_object
from vibe_router.formats.common.sse import EventDecoder
from vibe_router.formats.common.token_estimate import estimate
from vibe_router.upstream.event_stream import BrokenStreamError, Decoder
from vibe_router.upstream.redaction import KeyRedactor

Work = Callable[[int], Callable[[], object]]
"""Makes an input of about so many bytes, and returns the work to be timed."""


def _many_commas_then(unit: bytes) -> Work:
    def make(size: int) -> Callable[[], object]:
        raw = b'{"a":[' + b"1," * 200_000 + b'"' + unit * (size // len(unit))
        return lambda: parse_object(raw)

    return make


def _base64(unit: str) -> Work:
    def make(size: int) -> Callable[[], object]:
        data = unit * (size // len(unit)) + "!"
        part = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
        link = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
        return lambda: estimate(content=[{"role": "user", "content": [part, link]}])

    return make


def _chat(unit: bytes, name: str) -> Work:
    def make(size: int) -> Callable[[], object]:
        items = b",".join([unit] * (size // len(unit)))
        content = b'{"model":"m","max_tokens":1,"input":[%b],"messages":[%b]}' % (items, items)

        def read() -> object:
            request = registry.client(name).parse(content, {})
            request.affinity()
            return request.prompt_tokens_estimate()

        return read

    return make


def _events(unit: bytes, chunk: int) -> Work:
    def make(size: int) -> Callable[[], object]:
        raw = unit * (size // len(unit))

        def read() -> None:
            decoder = EventDecoder()
            for at in range(0, len(raw), chunk):
                decoder.feed(raw[at : at + chunk])
            decoder.flush()

        return read

    return make


def _event_stream(size: int) -> Callable[[], object]:
    raw = framed(b"", bytes(size))

    def read() -> None:
        decoder = Decoder()
        for at in range(0, len(raw), 16):
            decoder.feed(raw[at : at + 16])

    return read


def _calls_then_results(name: str, call: Callable[[int], object], result: Callable[[int], object]) -> Work:
    """Translate as many calls, and their results in the reverse order."""

    def make(size: int) -> Callable[[], object]:
        count = size // 100
        calls = [call(number) for number in range(count)]
        results = [result(number) for number in reversed(range(count))]
        bodies: dict[str, dict[str, object]] = {
            "chat": {"messages": [ASKED, {"role": "assistant", "tool_calls": calls}, *results]},
            "messages": {
                "max_tokens": 1,
                "messages": [ASKED, {"role": "assistant", "content": calls}, {"role": "user", "content": results}],
            },
            "responses": {"input": [ASKED, *calls, *results]},
            "gemini": {
                "contents": [
                    {"role": "user", "parts": [{"text": "hi"}]},
                    {"role": "model", "parts": calls},
                    {"role": "user", "parts": results},
                ]
            },
        }
        raw = json.dumps({"model": "m", **bodies[name]}).encode()
        return lambda: registry.conversation("messages").body(
            registry.client(name).parse(raw, {}).neutral(), "m", stream=False
        )

    return make


REDACTOR = KeyRedactor(b"sk-secret-0123456789abcdef")
ASKED = {"role": "user", "content": "hi"}
PATHS: dict[str, Work] = {
    "JSON: escaped quotes in an open string": _many_commas_then(b'\\"'),
    "JSON: quotes": _many_commas_then(b'"'),
    "JSON: backslashes": _many_commas_then(b"\\"),
    "base64: line ends": _base64("\n"),
    "base64: letters": _base64("A"),
    "base64: padding": _base64("="),
    "chat: messages": _chat(b'{"role":"user","content":"hi"}', "chat"),
    "chat: calls without results": _chat(
        b'{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{"}}]}',
        "chat",
    ),
    "Messages: blocks": _chat(b'{"role":"user","content":[{"type":"text","text":"hi"}]}', "messages"),
    "Responses: items": _chat(b'{"role":"user","content":"hi"}', "responses"),
    "Responses: calls": _chat(b'{"type":"function_call","call_id":"a","name":"f","arguments":"{}"}', "responses"),
    "chat: results in reverse": _calls_then_results(
        "chat",
        lambda i: {"id": f"c{i}", "type": "function", "function": {"name": f"f{i}", "arguments": "{}"}},
        lambda i: {"role": "tool", "tool_call_id": f"c{i}", "content": "x"},
    ),
    "Messages: results in reverse": _calls_then_results(
        "messages",
        lambda i: {"type": "tool_use", "id": f"c{i}", "name": f"f{i}", "input": {}},
        lambda i: {"type": "tool_result", "tool_use_id": f"c{i}", "content": "x"},
    ),
    "Responses: results in reverse": _calls_then_results(
        "responses",
        lambda i: {"type": "function_call", "call_id": f"c{i}", "name": f"f{i}", "arguments": "{}"},
        lambda i: {"type": "function_call_output", "call_id": f"c{i}", "output": "x"},
    ),
    "Gemini: results in reverse": _calls_then_results(
        "gemini",
        lambda i: {"functionCall": {"name": f"f{i}", "args": {}}},
        lambda i: {"functionResponse": {"name": f"f{i}", "response": {}}},
    ),
    "Gemini: results of no call": _calls_then_results(
        "gemini",
        lambda i: {"functionCall": {"name": "f", "args": {}}},
        lambda i: {"functionResponse": {"name": f"g{i}", "id": f"i{i}", "response": {}}},
    ),
    "stream: an event in small chunks": _events(b"data: xxxxxxxxxx", 16),
    "stream: carriage returns": lambda size: _events(b"\r", 16)(size // 10),
    "stream: empty lines": lambda size: _events(b"\n", 64)(size // 20),
    "stream: fields": _events(b"data:\n", 16),
    "stream: lines of JSON": _events(b"{\n", 16),
    "event stream: a message in small chunks": _event_stream,
    "headers: tags": lambda size: lambda: header_tags({"x-vibe-tags": "a," * (size // 2)}),
    "headers: codings": lambda size: lambda: decode(b"", "gzip," * (size // 5)),
    "patterns: many wildcards": lambda size: lambda: matches("*a" * 100 + "b", "a" * size),
    "patterns: two wildcards": lambda size: lambda: matches("*a*b", "a" * size),
    "forms: parts": lambda size: (
        lambda: registry.client("transcriptions").parse(
            b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n' * (size // 50),
            {"content-type": "multipart/form-data; boundary=b"},
        )
    ),
    "keys: many in a header": lambda size: lambda: find_keys({"authorization": "Bearer " * (size // 7)}),
    "errors: a key's beginning": lambda size: lambda: REDACTOR.redact_error(b"sk-secret-" * (size // 20)),
    "errors: backslashes": lambda size: lambda: REDACTOR.redact_error(b"\\" * (size // 4)),
    "errors: digits": lambda size: lambda: REDACTOR.redact_error(b"73 6b 2d " * (size // 20)),
    "paths: versions": lambda size: lambda: target_of("/" + "v1/" * (size // 3)),
    "paths: versions and slashes": lambda size: lambda: target_of("/openai//" + "v1//" * (size // 4)),
    "paths: slashes": lambda size: lambda: target_of("/v1" + "/" * size),
}


@pytest.mark.parametrize("path", PATHS)
def test_time_grows_with_the_length(path: str) -> None:
    def seconds(size: int) -> float:
        work = PATHS[path](size)
        before = time.process_time()
        gc.disable()  # its time depends on what other tests have left in memory
        try:
            with contextlib.suppress(ApiError, BrokenStreamError):
                work()
        finally:
            gc.enable()
        return time.process_time() - before

    once = min(seconds(250_000) for _ in range(2))
    assert min(seconds(1_000_000) for _ in range(2)) < 10 * once + 0.1
