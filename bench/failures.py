"""Compare gateways with a failing provider: python -m bench.failures [--peer …], with the peers of `python -m bench`.

A gateway has two deployments for each model: the first, whose model at the provider is the name of a failure, fails in
that way; the second, `good`, answers. Every failure meets a call and a stream, here as `FAILURE-stream`, so that no
cooldown of the one helps the other. In a peer's headers `{failure}` stands for that name and `{provider}` for the
provider's base URL; a peer without such a header has a model of each name.
Prints a table on a terminal, JSON into a pipe.
"""

import argparse
import asyncio
import http.client
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from .checkout import OWN
from .options import Peer, peers_of
from .peers import PeerProgram
from .stack import Stack
from .targets import BrokenError

__all__ = ["FAILURES", "Outcome", "judge", "main"]

FAILURES = {
    "429": "429 with Retry-After: 30",
    "500": "500",
    "503": "503",
    "reset": "connection reset before the answer",
    "silence": "silence before the first byte",
    "cut": "stream cut in the middle",
    "malformed": "malformed chunk within a stream",
    "no-done": "stream without [DONE], complete otherwise",
}
_ONLY_STREAMS = ("cut", "malformed", "no-done")
_SECRET = "sk-provider-0123456789abcdef"  # noqa: S105 - of a server in this process
_MASTER_KEY = "sk-bench-0123456789abcdef"
_FIRST_BYTE_SECONDS = 3  # for which the router here waits; give peers the same
_PATIENCE = 20.0
_WORDS = ("quartz ", "basalt ", "granite ", "marble")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a caller. `ended` is whether the stream ended as streams do: with [DONE], or a finish reason."""

    gateway: str
    failure: str
    stream: bool
    status: int | None
    text: str
    ended: bool
    error: str
    seconds: float


def judge(outcome: Outcome) -> str:
    """Return "ok: …" where the caller got a whole answer or learns that it is not whole, else what went wrong."""
    whole = "".join(_WORDS)
    if outcome.text == whole and outcome.ended and not outcome.error:
        return "ok: whole answer"
    if outcome.seconds >= _PATIENCE:
        return "no end"
    if outcome.status != 200:
        return f"error {outcome.status}" if outcome.status else "connection broken"
    if outcome.error or not outcome.ended:
        how = "an error is reported" if outcome.error else "the connection breaks"
        return f"ok: {how}" if outcome.failure in ("cut", "malformed") else f"no answer, {how}"
    return "incomplete answer that looks whole"


class _Provider(asyncio.Protocol):
    """Plays the failure that the request's model names. One request at a time, and one a connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        _, separator, body = self._buffer.partition(b"\r\n\r\n")
        try:
            wanted = json.loads(body) if separator else None
        except ValueError:
            wanted = _unchunked(body)
        if wanted is None:
            return
        self._buffer = b""
        failure, stream = str(wanted.get("model")).removesuffix("-stream"), bool(wanted.get("stream"))
        if failure.isdigit():
            self._write(int(failure), json.dumps({"error": {"message": "no", "type": "x", "code": failure}}).encode())
        elif failure == "reset":
            self._transport.abort()
        elif failure == "silence":
            return
        elif stream:
            self._write(200, b"".join(_events(failure)), kind="text/event-stream", cut=failure == "cut")
        else:
            self._write(200, _completion())

    def _write(self, status: int, body: bytes, kind: str = "application/json", *, cut: bool = False) -> None:
        length = len(body) + 1000 if cut else len(body)
        retry = "Retry-After: 30\r\n" if status == 429 else ""
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{retry}Content-Length: {length}\r\nConnection: close"
        self._transport.write(head.encode() + b"\r\n\r\n" + body)
        self._transport.close()


def _unchunked(body: bytes) -> object:
    """Return the JSON of a chunked body, None while it is incomplete."""
    text = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        if not size or int(size, 16) == 0:
            break
        text, body = text + body[: int(size, 16)], body[int(size, 16) + 2 :]
    try:
        return json.loads(text)
    except ValueError:
        return None


def _completion() -> bytes:
    message = {"role": "assistant", "content": "".join(_WORDS)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}
    whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "good", "choices": [choice], "usage": usage}
    return json.dumps(whole).encode()


def _events(failure: str) -> Iterator[bytes]:
    def event(delta: dict[str, str], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "good", "choices": [choice]}
        return b"data: " + json.dumps(chunk).encode() + b"\n\n"

    yield event({"role": "assistant", "content": ""})
    for number, word in enumerate(_WORDS):
        if number == 2 and failure == "cut":
            return
        if number == 2 and failure == "malformed":
            yield b'data: {"id": "c", "choices": [{"index": 0, "del\n\n'
        yield event({"content": word})
    yield event({}, "stop")
    if failure != "no-done":
        yield b"data: [DONE]\n\n"


@contextmanager
def _provider(port: int) -> Iterator[str]:
    """Serve the provider from a thread of its own; yields its base URL."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(_Provider, "127.0.0.1", port))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()


def _routes(provider: str) -> str:
    """Return a routes file with a model for each failure. JSON is YAML."""
    step = {"base_url": provider, "secret": "BENCH_PROVIDER_KEY"}
    models = {
        name: {"chain": [{"provider": "first", "model": name}, {"provider": "second", "model": "good"}]}
        for failure in FAILURES
        for name in (failure, f"{failure}-stream")
    }
    timeouts = {"first_byte": _FIRST_BYTE_SECONDS, "first_token": _FIRST_BYTE_SECONDS, "response": _FIRST_BYTE_SECONDS}
    return json.dumps(
        {"providers": {"first": step, "second": step}, "defaults": {"timeouts": timeouts}, "models": models}
    )


def _ask(peer: Peer, failure: str, *, stream: bool, provider: str) -> Outcome:
    """Call a gateway once."""
    url = urlsplit(peer.base_url)
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=_PATIENCE)
    model = f"{failure}-stream" if stream else failure
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Name four stones."}]}
    headers = {"Authorization": f"Bearer {peer.key}", "Content-Type": "application/json"}
    headers |= {name: value.replace("{failure}", model).replace("{provider}", provider) for name, value in peer.headers}
    began, status, data, broken = time.monotonic(), None, b"", ""
    try:
        connection.request("POST", f"{url.path}/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        status = response.status
        while part := response.read1(65536):
            data += part
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, http.client.IncompleteRead):
            data += error.partial
        broken = type(error).__name__
    finally:
        connection.close()
    text, ended, error_text = _read_stream(data) if stream and status == 200 else _read_whole(data)
    seconds = time.monotonic() - began
    return Outcome(peer.name, failure, stream, status, text, ended and not broken, error_text, round(seconds, 2))


def _read_whole(data: bytes) -> tuple[str, bool, str]:
    try:
        answer = json.loads(data)
        return answer["choices"][0]["message"]["content"] or "", True, ""
    except (ValueError, KeyError, TypeError, IndexError):
        return "", False, data[:200].decode("utf-8", "replace")


def _read_stream(data: bytes) -> tuple[str, bool, str]:
    text, ended, error = "", False, ""
    for line in data.decode("utf-8", "replace").splitlines():
        payload = line.removeprefix("data:").strip() if line.startswith("data:") else ""
        if payload == "[DONE]":
            ended = True
        elif payload:
            try:
                event = json.loads(payload)
            except ValueError:
                error = error or f"not JSON: {payload[:80]}"
                continue
            if event.get("error"):
                error = error or json.dumps(event["error"])[:200]
            for choice in event.get("choices") or []:
                text += (choice.get("delta") or {}).get("content") or ""
                ended = ended or bool(choice.get("finish_reason"))
    return text, ended, error


def run(peers: Sequence[Peer], port: int, failed: Callable[[str], None]) -> list[Outcome]:
    """Meet every gateway with every failure."""
    outcomes = []
    with ExitStack() as entered:
        folder = Path(entered.enter_context(tempfile.TemporaryDirectory(prefix="vibe-router-failures-")))
        provider = entered.enter_context(_provider(port))
        routes = folder / "routes.yaml"
        routes.write_text(_routes(provider))
        secrets = {"MASTER_KEY": _MASTER_KEY, "BENCH_PROVIDER_KEY": _SECRET}
        stack = entered.enter_context(Stack(OWN, folder, routes, secrets))
        gateways = [Peer("vibe-router", stack.base_url, _MASTER_KEY, "")]
        for peer in peers:
            try:
                entered.enter_context(PeerProgram(peer, provider, folder))
                gateways.append(replace(peer, headers=peer.headers))
            except BrokenError as error:
                failed(str(error))
        for gateway in gateways:
            for failure in FAILURES:
                kinds = (True,) if failure in _ONLY_STREAMS else (False, True)
                outcomes += [_ask(gateway, failure, stream=stream, provider=provider) for stream in kinds]
    return outcomes


def main(arguments: Sequence[str]) -> int:
    """Run with the command line's arguments; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.failures", description=__doc__)
    parser.add_argument("--provider-port", type=int, default=0, metavar="PORT", help="where the provider listens")
    for option in ("--peer", "--peer-command", "--peer-header"):
        parser.add_argument(option, action="append", default=[], help="as of `python -m bench`")
    given = parser.parse_args(arguments)
    try:
        peers = peers_of(given.peer, given.peer_command, given.peer_header, "auto-chat")
    except ValueError as error:
        parser.error(str(error))
    outcomes = run(peers, given.provider_port, lambda failure: print(f"bench: {failure}", file=sys.stderr))
    if not sys.stdout.isatty():
        print(json.dumps([{**asdict(each), "verdict": judge(each)} for each in outcomes], indent=2))
        return 0
    for each in outcomes:
        kind = "stream" if each.stream else "whole"
        print(f"{each.gateway:<12} {FAILURES[each.failure]:<42} {kind:<7} {each.seconds:>6.2f} s  {judge(each)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
