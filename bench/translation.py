"""`python -m bench.translation [REQUESTS]`: what it costs to translate a request, and a chunk of its answer.

Prints JSON: a row for each pair of caller's and provider's format, measured in this process, which is given the layer's
code on its path and does nothing else. Measured in processor time, so other processes on the core do not count.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from local.standin.bedrock import message
from vibe_router.core.models import Deployment, Provider
from vibe_router.core.usage import Usage
from vibe_router.formats import registry
from vibe_router.formats.common import sse
from vibe_router.formats.gemini.format import GeminiCall
from vibe_router.formats.interfaces import ClientRequest
from vibe_router.formats.neutral.model import Event, Finish, Started, TextDelta, UsageReport
from vibe_router.upstream.bedrock import EventStreamConverter
from vibe_router.upstream.exchange import Exchange, open_exchange

__all__ = ["CALLERS", "PROVIDERS", "main"]

CALLERS = ("chat", "responses", "messages", "gemini")
PROVIDERS = ("chat", "responses", "messages", "converse")
_TURNS = 10  # of a conversation, each of 200 words
_TOOLS = 15
_CHUNKS = 1000
_REQUESTS = 200  # to each pair
_STREAMS = 12  # of each pair, of which the fastest counts

_SCHEMA = {"type": "object", "properties": {"path": {"type": "string", "description": "where it is"}}}
_WORDS = "word " * 200


def main() -> None:
    """Measure every pair, with at most this many requests and streams each, and print the rows."""
    most = min([_REQUESTS, *map(int, sys.argv[1:])])
    rows = [_pair(caller, provider, most) for caller in CALLERS for provider in PROVIDERS]
    json.dump(rows, sys.stdout)


def _pair(caller: str, provider: str, requests: int) -> dict[str, Any]:
    deployment = Deployment(Provider("bench", "http://127.0.0.1", "KEY"), "model", formats=(provider,))
    raw = json.dumps(_body(caller)).encode()

    def ask() -> Exchange:
        return open_exchange(_parsed(caller, raw), deployment, 0.0, stream=True)

    exchange = ask()
    frames = _frames() if provider == "converse" else []
    events = sse.EventDecoder().feed(EventStreamConverter().feed(b"".join(frames)) or _stream(provider))

    def relay() -> None:
        reader, converter = exchange.reader(), EventStreamConverter()
        for frame in frames:  # one by one, as a model streams
            converter.feed(frame)
        for event in events:
            reader.read(event)
        reader.end()

    asked = sorted(_seconds(ask) for _ in range(requests))[requests // 2]
    relayed = min(_seconds(relay) for _ in range(min(_STREAMS, requests)))
    return {"caller": caller, "provider": provider, "request": asked, "chunk": relayed / len(events)}


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _parsed(caller: str, raw: bytes) -> ClientRequest:
    if caller == "gemini":
        return GeminiCall("auto", stream=True, events=True).parse(raw, {})
    return registry.client(caller).parse(raw, {})


def _body(caller: str) -> Mapping[str, Any]:
    """Return a conversation with tools, as of an agent."""
    roles = ["user", "assistant"] * _TURNS + ["user"]
    turns = [{"role": role, "content": _WORDS} for role in roles]
    tools: list[dict[str, Any]] = [
        {"name": f"tool_{number}", "description": "what it does " * 20} for number in range(_TOOLS)
    ]
    body: dict[str, Any] = {"model": "auto", "stream": True}
    match caller:
        case "chat":
            functions = [{"type": "function", "function": {**tool, "parameters": _SCHEMA}} for tool in tools]
            return body | {"messages": [{"role": "system", "content": _WORDS}, *turns], "tools": functions}
        case "responses":
            functions = [{"type": "function", **tool, "parameters": _SCHEMA} for tool in tools]
            return body | {"instructions": _WORDS, "input": turns, "tools": functions}
        case "gemini":
            roles = ["user", "model"] * _TURNS + ["user"]
            contents = [{"role": role, "parts": [{"text": _WORDS}]} for role in roles]
            functions = [{**tool, "parameters": _SCHEMA} for tool in tools]
            system = {"parts": [{"text": _WORDS}]}
            return {"systemInstruction": system, "contents": contents, "tools": [{"functionDeclarations": functions}]}
        case _:
            tools = [{**tool, "input_schema": _SCHEMA} for tool in tools]
            return body | {"system": _WORDS, "messages": turns, "tools": tools, "max_tokens": 1000}


def _stream(provider: str) -> bytes:
    """Return a provider's stream of text, one word per chunk."""
    request = _parsed(provider, json.dumps(_body(provider)).encode())
    writer = registry.client_conversation(provider).writer(request, 0)
    events: list[Event] = [Started("answer", "model", 1)]
    events += (TextDelta(f" word{number}") for number in range(_CHUNKS))
    events += (Finish("stop"), UsageReport(Usage(10, _CHUNKS)))
    return b"".join(writer.write(event) for event in events) + writer.end()


def _frames() -> list[bytes]:
    """Return the same as Bedrock streams it, in messages of its own."""
    events: list[tuple[str, Mapping[str, Any]]] = [("messageStart", {"role": "assistant"})]
    for number in range(_CHUNKS):
        delta = {"contentBlockIndex": 0, "delta": {"text": f" word{number}"}}
        events.append(("contentBlockDelta", delta))
    usage = {"inputTokens": 10, "outputTokens": _CHUNKS, "totalTokens": 10 + _CHUNKS}
    events += [("contentBlockStop", {"contentBlockIndex": 0}), ("messageStop", {"stopReason": "end_turn"})]
    events.append(("metadata", {"usage": usage}))
    headers = {":content-type": "application/json", ":message-type": "event"}
    return [message({":event-type": name, **headers}, json.dumps(fields).encode()) for name, fields in events]


if __name__ == "__main__":
    main()
