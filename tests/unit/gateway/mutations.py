"""Mutated requests of every format, and mutated answers of providers, through the handler.

As a program it runs more of them than a test can: `python -m tests.unit.gateway.mutations 100000 [SEED]`.
"""

import json
import random
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway import app, model_routes
from streaming_runtime import StreamingResponse
from tests.unit.formats.test_mutated_requests import VALID, held, places
from tests.unit.gateway.fake_environment import (
    COMPLETION,
    FakeEnvironment,
    ScriptedReply,
    ScriptedUpstream,
    context,
    deployment,
    event,
    virtual,
)
from vibe_router.access.keys import Caller, Key, Limits
from vibe_router.core.models import Deployment, Guard, VirtualModel
from vibe_router.core.price import Price
from vibe_router.formats import registry
from vibe_router.upstream.client import Reply

__all__ = ["CALLS", "MutatedCalls", "MutationError"]

KEY = "sk-of-a-caller"
FORBIDDEN = "three"  # the provider of a model that the caller may not use
MOST_TOKENS = 3_000_000  # a minute
BOUNDARY = "b0undary"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
JSON = {"content-type": "application/json"}


def _form(**fields: bytes) -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value + b"\r\n"
        for name, value in fields.items()
    ]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def _body(name: str, **more: Any) -> bytes:
    return _with_address(json.dumps({**VALID[name], "model": "auto-chat", **more}))


def _with_address(body: str) -> bytes:
    """Return `body` with something that guards find."""
    return (
        body.replace('"hi"', '"To jane.doe@example.com"').replace('"text": "x"', '"text": "jane@example.com"').encode()
    )


GEMINI = _with_address(json.dumps({key: value for key, value in VALID["gemini"].items() if key != "model"}))

# By name: the path, the headers, and the body of a valid call.
CALLS: dict[str, tuple[str, Mapping[str, str], bytes]] = {
    "chat": ("/v1/chat/completions", JSON, _body("chat")),
    "chat, whole": ("/v1/chat/completions", JSON, _body("chat", stream=False, n=2)),
    "Azure": ("/openai/deployments/auto-chat/chat/completions", JSON, _body("chat")),
    "responses": ("/v1/responses", JSON, _body("responses", max_output_tokens=50)),
    "responses, whole": ("/v1/responses", JSON, _body("responses", stream=False)),
    "compaction": ("/v1/responses/compact", JSON, _body("responses")),
    "input tokens": ("/v1/responses/input_tokens", JSON, _body("responses")),
    "messages": ("/v1/messages", JSON, _body("messages")),
    "count tokens": ("/v1/messages/count_tokens", JSON, _body("messages")),
    "completions": ("/v1/completions", JSON, _body("completions", n=2, best_of=3)),
    "gemini": ("/v1beta/models/auto-chat:generateContent", JSON, GEMINI),
    "gemini, streamed": ("/v1beta/models/auto-chat:streamGenerateContent", JSON, GEMINI),
    "embeddings": ("/v1/embeddings", JSON, b'{"model":"auto-chat","input":["x"],"dimensions":5}'),
    "rerank": ("/v1/rerank", JSON, b'{"model":"auto-chat","query":"x","documents":["x"],"top_n":5}'),
    "images": ("/v1/images/generations", JSON, b'{"model":"auto-chat","prompt":"x","n":2}'),
    "speech": ("/v1/audio/speech", JSON, b'{"model":"auto-chat","input":"x","voice":"alloy"}'),
    "transcriptions": ("/v1/audio/transcriptions", FORM, _form(model=b"auto-chat", prompt=b"x", file=b"RIFF")),
    "edits": ("/v1/images/edits", FORM, _form(image=b"PNG", model=b"auto-chat", prompt=b"x", n=b"2")),
}

# The whole answers of providers, by the end of the path they are called at.
ANSWERS: dict[str, Any] = {
    "/chat/completions": COMPLETION,
    "/completions": {
        "id": "c-1",
        "object": "text_completion",
        "model": "m",
        "choices": [{"index": 0, "text": "Hello.", "finish_reason": "stop"}],
        "usage": COMPLETION["usage"],
    },
    "/responses": {
        "id": "resp_up",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "gpt-5",
        "output": [
            {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "proof"},
            {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
            {
                "id": "msg_1",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Hello.", "annotations": []}],
            },
        ],
        "error": None,
        "usage": {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10},
    },
    "/messages": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
            {"type": "text", "text": "Hello."},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"city": "x"}},
        ],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 7, "output_tokens": 3, "cache_read_input_tokens": 1},
    },
    "/embeddings": {"object": "list", "data": [{"embedding": [0.1], "index": 0}], "usage": {"prompt_tokens": 7}},
    "/moderations": {"id": "m", "results": [{"flagged": False}]},
    "/images/generations": {"created": 1, "data": [{"b64_json": "aGk="}]},
    "/images/edits": {"created": 1, "data": [{"b64_json": "aGk="}], "usage": {"input_tokens": 7, "output_tokens": 3}},
    "/audio/speech": {"audio": "x"},
    "/audio/transcriptions": {"text": "Hello."},
    "/rerank": {"results": [{"index": 0, "relevance_score": 0.5}]},
    "/messages/count_tokens": {"input_tokens": 7},
}
STREAMED = {
    "/chat/completions": "chat",
    "/completions": "completions",
    "/responses": "responses",
    "/messages": "messages",
}

NUMBERS = ("0", "-1", "9" * 36, "9" * 300, "9" * 4_297, "1e400", "-1e308", "1.5", "1e2", "NaN", "-0.0", "1" + "0" * 20)
TEXTS = (
    '""', '"\\u0000"', '"\\ud800"', '"' + "\\ud800" * 99 + '"',
    '"\u202e"', '"' + "x" * 5_000 + '"', '"auto-chat"', '"secret-model"', '"*"',
    '"data:image/png;base64,"', '"data:text/plain;base64,//8="', '"vibe1."', '"vibe1.a.b"', '"../.."', '"\\r\\nx: y"',
    '"auto"', '"9999999999999999999999"', '"resp_up"',
)  # fmt: skip
VALUES = (
    *NUMBERS, *TEXTS, "null", "true", "false", "[]", "{}", "[[]]", "[null]", "[{}]", '{"type":null}', '{"type":[]}',
    '{"a":1,"a":2}', "[" * 900 + "]" * 900, "[" * 400 + '"[EMAIL_1]"' + "]" * 400,
    "[" * 300 + "]" * 300, "[" * 2_000 + "]" * 2_000, '{"a":' * 300 + "1" + "}" * 300,
)  # fmt: skip
TOKENS = (
    b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r\n",
    b"\\u", b"\\ud800", b'"model":"secret-model",', b'"n":7,', b"--b0undary\r\n", b"--b0undary--\r\n", b"data: ",
    b"\n\n", b"event: error\n",
)  # fmt: skip


class MutationError(AssertionError):
    """What a mutated call found, with what is needed to repeat it."""


class _Providers(ScriptedUpstream):
    """Providers of every format, all of them healthy, until `mutate` changes the bytes that they answer."""

    def __init__(self) -> None:
        super().__init__()
        self.mutate: Callable[[bytes], bytes] | None = None
        self.chunk: Callable[[], int] = lambda: 1 << 30

    def post(self, url: str, headers: Any, body: bytes, *, connect: float, until: float) -> Reply:
        self.calls.append((url.split("/")[2].partition(".")[0], {}))
        path = url.partition("/v1")[2]
        is_streamed = path in STREAMED and b'"stream":true' in body
        raw = json.dumps(ANSWERS[path]).encode()
        if is_streamed:
            raw = b"".join(registry.streamed(STREAMED[path]).to_events(ANSWERS[path], wants_usage=True))
        raw = raw.replace(b"Hello.", b"To [EMAIL_1].")
        raw = self.mutate(raw) if self.mutate else raw
        size = self.chunk()
        pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
        kind = "text/event-stream" if is_streamed else "audio/mpeg" if path == "/audio/speech" else "application/json"
        return ScriptedReply(200, kind, pieces)


class MutatedCalls:
    """Sends mutated calls, and raises `MutationError` for whatever must never happen.

    `guarded`: whether a guard masks addresses, which a provider then repeats.
    """

    def __init__(
        self,
        environment: FakeEnvironment,
        lines: Callable[[], Sequence[Mapping[str, Any]]],
        seed: int,
        *,
        guarded: bool = False,
    ) -> None:
        self._environment = environment
        self._lines = lines
        self._random = random.Random(seed)  # noqa: S311 - repeatable
        self._seen = 0
        self._guards = ("personal",) if guarded else ()
        environment.guards["personal"] = Guard("personal", ("secrets", "emails"), action="mask")
        self._is_native = False  # whether each request goes to a deployment of its own format
        self.statuses: Counter[int] = Counter()
        self._upstream = environment.upstream = _Providers()
        environment.models = {
            "auto-chat": virtual("auto-chat"),
            "secret-model": virtual("secret-model", f"{FORBIDDEN}/gpt-5"),
        }
        limits = Limits(tpm=MOST_TOKENS, rpm=1_000, parallel=1_000, max_budget=10**12)
        self._caller = Caller(Key("h", "h", "sk-...", models=("auto-chat",), limits=limits))
        environment.callers.callers = {KEY: self._caller}
        environment.use_hooks(None)

    def valid(self, name: str) -> None:
        """Send a valid request to a healthy provider of its format, which must serve it."""
        self._is_native = True
        self.request(name, lambda body: body)
        if self.statuses != {200: 1}:
            raise MutationError(f"{name}: {self.statuses}")

    def request(self, name: str, mutate: Callable[[bytes], bytes] | None = None) -> None:
        """Send one mutated request to healthy providers."""
        path, headers, body = CALLS[name]
        self._upstream.mutate = None
        self._upstream.chunk = lambda: 1 << 30
        self._check(name, path, headers, (mutate or self._mutated)(body))

    def answer(self, name: str) -> None:
        """Send a valid request to providers whose answers are mutated."""
        path, headers, body = CALLS[name]
        self._upstream.mutate = self._mutated
        size = self._random.choice((1 << 30, 1 << 30, 40, 7))
        self._upstream.chunk = lambda: size
        raw = self._check(name, path, headers, body, fails={502, 504})
        if name == "responses, whole" and (id_ := _id_in(raw)):
            self._follow(id_)

    def _follow(self, id_: str) -> None:
        """Read a stored response, which may hold anything, in every way, and continue from it."""
        self._upstream.mutate = None
        path = f"/v1/responses/{id_}"
        for method, more, query in (
            ("GET", "", {}),
            ("GET", "", {"stream": "true", "starting_after": self._random.choice(("0", "3", "-1", "x", "9" * 5_000))}),
            ("GET", "/input_items", {"limit": self._random.choice(("1", "0", "x", "9" * 5_000)), "after": id_}),
            ("POST", "/cancel", {}),
        ):
            self._check("stored", path + more, {}, b"", method=method, query=query)
        self._check("responses", "/v1/responses", JSON, _body("responses", previous_response_id=id_, stream=False))
        self._check("stored", path, {}, b"", method="DELETE")

    def _check(
        self,
        name: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        fails: Container[int] = (),
        method: str = "POST",
        query: Mapping[str, str] | None = None,
    ) -> bytes:
        environment = self._environment
        environment.models["auto-chat"] = VirtualModel(
            "auto-chat", "", ((self._deployment(name),),), guards=self._guards
        )
        environment.table.items.clear()
        environment.fake_ledgers.table.clear()
        environment.fake_ledgers.settled.clear()
        environment.books.booked.clear()
        self._upstream.calls.clear()
        sent = event(method, path, None, isBase64Encoded=True, queryStringParameters=query)
        sent["body"] = _base64(body)
        sent["headers"] = {**headers, "x-api-key": KEY}
        invocation = context()
        try:
            response = app.handler(sent, invocation)
            raw = b"".join(response.body)
            response_headers_are_valid(response)
            invocation.run_work()
        except Exception as error:
            frames = [f"{each.filename}:{each.lineno}" for each in traceback.extract_tb(error.__traceback__)[-3:]]
            raise MutationError(f"{name}: {error!r} at {frames}\n{body[:5_000]!r}\n{sent}") from error
        self.statuses[response.status] += 1
        problem = self._problem(name, response, raw, fails)
        if problem:
            raise MutationError(f"{name}: {problem}\n{response.status} {raw[:500]!r}\n{body[:5_000]!r}")
        return raw

    def _problem(self, name: str, response: StreamingResponse, raw: bytes, fails: Container[int]) -> str | None:
        faults = [line for line in self._lines()[self._seen :] if line.get("message") == "FAULT"]
        self._seen = len(self._lines())
        if faults:
            return f"a fault was logged: {[(each['where'], each['fault'], each['frames'][-2:]) for each in faults]}"
        if response.status >= 500 and response.status not in fails:
            return "a status of the router's own failure"
        if response.status != 200 and not _is_error(name, raw):
            return "an error that is not in the caller's format"
        if FORBIDDEN in self._upstream.called:
            return "a model that the key may not use was called"
        if (ledger := environment_ledger(self._environment)) and ledger > MOST_TOKENS:
            return f"{ledger} tokens reserved"
        for cost, tokens in self._environment.fake_ledgers.settled:
            if cost > 10**12 or (tokens or 0) > 4_000_000:
                return f"a charge of {cost} and {tokens} tokens"
        return None

    def _deployment(self, name: str) -> Deployment:
        own = CALLS[name][0].partition("/v1")[2] if name in CALLS else ""
        formats = {each: (form,) for each, form in model_routes.FORMATS.items()}.get(own)
        conversation = formats is None or formats[0] in ("chat", "responses", "messages", "completions")
        if conversation and (not self._is_native or formats is None):
            choices = ["chat", "responses", "messages", *(formats or ())]
            formats = (self._random.choice(choices),)
        one = deployment(f"one/{self._random.choice(('gpt-5', 'claude-sonnet-4-5', 'glm-4.7'))}")
        return replace(one, formats=formats or ("chat",), vision=True, price=Price(1.0, 2.0))

    # --- Mutations ----------------------------------------------------------------------------------------------------

    def _mutated(self, body: bytes) -> bytes:
        for _ in range(self._random.choice((1, 1, 1, 2, 3, 5))):
            mutate = self._random.choice((self._replace_value, self._replace_value, self._edit_bytes, self._move))
            try:
                body = mutate(body)
            except RecursionError:  # an earlier mutation nested it as deeply as Python goes
                body = self._edit_bytes(body)
        return body

    def _edit_bytes(self, body: bytes) -> bytes:
        at = self._random.randrange(len(body) + 1)
        end = min(len(body), at + self._random.choice((0, 1, 1, 3, 20)))
        match self._random.randrange(4):
            case 0:
                return body[:at] + self._random.choice(TOKENS) + body[at:]
            case 1:
                return body[:at] + body[end:]
            case 2:
                return body[:at] + body[at:end] * self._random.choice((2, 3, 50)) + body[end:]
            case _:
                return body[:at] + bytes((self._random.randrange(256),)) + body[end:]

    def _replace_value(self, body: bytes) -> bytes:
        """Put something else in the place of a value of the JSON, or of a line of events."""
        before, value, after = self._json_in(body)
        spots = list(places(value)) if isinstance(value, dict | list) else []
        if not spots:
            return self._edit_bytes(body)
        *into, key = self._random.choice(spots)
        holder = held(value, tuple(into))
        holder[key] = "\0here"
        spelled = json.dumps(value).replace('"\\u0000here"', self._random.choice(VALUES))
        return before + spelled.encode("utf-8", "surrogatepass") + after

    def _move(self, body: bytes) -> bytes:
        """Copy a value of the JSON to another place, leave it out, or wrap it."""
        before, value, after = self._json_in(body)
        spots = list(places(value)) if isinstance(value, dict | list) else []
        if len(spots) < 2:
            return self._edit_bytes(body)
        (*into, key), source = self._random.choice(spots), self._random.choice(spots)
        holder = held(value, tuple(into))
        match self._random.randrange(3):
            case 0:
                holder[key] = json.loads(json.dumps(held(value, tuple(source))))
            case 1:
                del holder[key]
            case _:
                holder[key] = [holder[key]]
        return before + json.dumps(value).encode() + after

    def _json_in(self, body: bytes) -> tuple[bytes, Any, bytes]:
        """Return the JSON in `body`, of one line if it has several, and what is before and after it."""
        starts = [at + 6 for at in range(len(body)) if body.startswith(b"data: {", at)] or [0]
        start = self._random.choice(starts)
        end = body.find(b"\n", start) if start else len(body)
        try:
            return body[:start], json.loads(body[start:end]), body[end:]
        except (ValueError, RecursionError):
            return body, None, b""


def environment_ledger(environment: FakeEnvironment) -> int:
    """Return the tokens that are reserved of the caller's limit."""
    return sum(ledger.tokens_used for ledger in environment.fake_ledgers.table.values())


def response_headers_are_valid(response: StreamingResponse) -> None:
    """Raise if API Gateway would not take the status and headers of `response`."""
    from streaming_runtime.response import Head

    Head.of(response.status, response.headers).prelude()


def _id_in(raw: bytes) -> str:
    id_ = json.loads(raw).get("id")
    return id_ if isinstance(id_, str) and id_ and "/" not in id_ else ""


def _base64(body: bytes) -> str:
    import base64

    return base64.b64encode(body).decode()


def _is_error(name: str, raw: bytes) -> bool:
    value = json.loads(raw)
    if name == "gemini, streamed":
        value = value[0]
    error = value["error"]
    if name in ("messages", "count tokens"):
        return bool(value["type"] == "error" and error["type"] and error["message"])
    if name.startswith("gemini"):
        return isinstance(error["code"], int) and bool(error["status"] and error["message"])
    return bool({"message", "type", "param", "code"} <= error.keys() and error["message"])


def main() -> None:
    """Run as many mutated requests and answers as the first argument says."""
    import io
    import logging

    from vibe_router.core.telemetry import logger

    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    written = io.StringIO()
    handler = logger.registered_handler
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    environment = app.environment = FakeEnvironment()

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in written.getvalue().splitlines()]

    found: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    for number in range(count):
        if number % 200 == 0:
            written.seek(0)
            written.truncate()
            calls = MutatedCalls(environment, lines, seed + number, guarded=number % 400 == 0)
            calls.statuses = statuses
        name = list(CALLS)[number % len(CALLS)]
        try:
            (calls.request if number % 3 else calls.answer)(name)
        except MutationError as error:
            shown = str(error)
            key = shown.splitlines()[0][:600]
            found[key] += 1
            if found[key] == 1:
                sys.stderr.write(f"{shown[:6_000]}\n\n")
    sys.stderr.write(f"{count} calls, {sum(found.values())} faults of {len(found)} kinds, {statuses}\n")


if __name__ == "__main__":
    main()
