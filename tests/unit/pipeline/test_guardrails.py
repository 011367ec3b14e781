"""Guardrails of Amazon Bedrock, over a socket: what is sent and signed, what its answers do, and when it fails."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError
from vibe_router.core.models import Guard
from vibe_router.pipeline.guardrails import GuardrailOutcome, Guardrails
from vibe_router.upstream.client import Upstream

Respond = Callable[[list[str]], tuple[int, Any]]


class Bedrock(ThreadingHTTPServer):
    """Answers ApplyGuardrail as `respond` says, by default that it finds nothing."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls: list[list[str]] = []
        self.heads: list[tuple[str, dict[str, str]]] = []
        self.respond: Respond = lambda _: (200, {"action": "NONE", "outputs": [], "assessments": []})


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        bedrock: Any = self.server
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        texts = [each["text"]["text"] for each in body["content"]]
        bedrock.calls.append(texts)
        bedrock.heads.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        status, answer = bedrock.respond(texts)
        raw = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def bedrock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bedrock]:
    server = Bedrock()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "its-key")
    yield server
    server.shutdown()
    server.server_close()


def guard(action: str = "mask", *, on_error: str = "reject") -> Guard:
    return Guard("own", action=action, on_error=on_error, bedrock=("abc123", "1", "eu-west-1"))


def inspect(texts: list[str], used: Guard | None = None) -> GuardrailOutcome:
    return Guardrails(Upstream(), Clock()).inspect(used or guard(), texts)


def intervening(texts: list[str], action: str = "ANONYMIZED") -> tuple[int, Any]:
    found = [each for each in texts if "Jane" in each]
    entities = [{"type": "NAME", "match": "Jane", "action": action} for _ in found]
    outputs = [{"text": each.replace("Jane", "{NAME}")} for each in texts]
    assessments = [{"sensitiveInformationPolicy": {"piiEntities": entities, "regexes": []}}]
    return 200, {"action": "GUARDRAIL_INTERVENED" if found else "NONE", "outputs": outputs, "assessments": assessments}


def test_a_call_is_signed_with_the_functions_role(bedrock: Bedrock) -> None:
    assert inspect(["Hello", "world"]) == GuardrailOutcome({}, False, {})
    [(path, headers)] = bedrock.heads
    assert path == "/guardrail/abc123/version/1/apply"
    assert "AKIATEST" in headers["authorization"]
    assert "/eu-west-1/bedrock/aws4_request" in headers["authorization"]
    assert bedrock.calls == [["Hello", "world"]]


def test_texts_are_replaced_by_its_outputs(bedrock: Bedrock) -> None:
    bedrock.respond = intervening
    assert inspect(["To Jane", "Hello"]) == GuardrailOutcome({"name": 1}, False, {"To Jane": "To {NAME}"})


def test_texts_are_sent_one_by_one_if_it_answers_with_another_number(bedrock: Bedrock) -> None:
    def respond(texts: list[str]) -> tuple[int, Any]:
        status, answer = intervening(texts)
        return status, {**answer, "outputs": answer["outputs"][:1]}

    bedrock.respond = respond
    assert inspect(["Hello", "To Jane"]).replaced == {"To Jane": "To {NAME}"}
    assert bedrock.calls == [["Hello", "To Jane"], ["Hello"], ["To Jane"]]


@pytest.mark.parametrize(
    ("policy", "kind"),
    [
        ({"topicPolicy": {"topics": [{"name": "Secret plan", "type": "DENY", "action": "BLOCKED"}]}}, "topic"),
        ({"contentPolicy": {"filters": [{"type": "HATE", "confidence": "HIGH", "action": "BLOCKED"}]}}, "hate"),
        ({"wordPolicy": {"customWords": [{"match": "darn", "action": "BLOCKED"}]}}, "word"),
        ({"wordPolicy": {"managedWordLists": [{"match": "x", "type": "PROFANITY", "action": "BLOCKED"}]}}, "profanity"),
        ({"sensitiveInformationPolicy": {"regexes": [{"name": "n", "match": "x", "action": "BLOCKED"}]}}, "regex"),
    ],
)
def test_what_it_blocks_is_named_by_its_kind(bedrock: Bedrock, policy: dict[str, Any], kind: str) -> None:
    answer = {"action": "GUARDRAIL_INTERVENED", "outputs": [{"text": "Sorry."}], "assessments": [policy]}
    bedrock.respond = lambda _: (200, answer)
    assert inspect(["x"]) == GuardrailOutcome({kind: 1}, True, {})


def test_texts_without_findings_are_not_sent_again(bedrock: Bedrock) -> None:
    bedrock.respond = intervening
    guardrails = Guardrails(Upstream(), Clock())
    guardrails.inspect(guard(), ["Hello"])
    guardrails.inspect(guard(), ["Hello", "To Jane"])
    guardrails.inspect(guard(), ["Hello", "To Jane"])
    assert bedrock.calls == [["Hello"], ["To Jane"], ["To Jane"]]


def test_long_texts_are_cut(bedrock: Bedrock) -> None:
    bedrock.respond = intervening
    text = "Hello Jane. " * 5000
    outcome = inspect([text, "short"])
    assert outcome.replaced == {text: text.replace("Jane", "{NAME}")}
    assert max(sum(map(len, call)) for call in bedrock.calls) <= 20_000


@pytest.mark.parametrize(
    "respond",
    [
        lambda _: (500, {}),
        lambda _: (403, {"message": "no"}),
        lambda _: (200, []),
        lambda _: (200, {"action": "GUARDRAIL_INTERVENED", "outputs": [], "assessments": [
            {"sensitiveInformationPolicy": {"piiEntities": [{"type": "NAME", "action": "ANONYMIZED"}]}}]}),
    ],
    ids=["it fails", "it may not be called", "no answer", "no masked text"],
)  # fmt: skip
def test_a_guardrail_that_fails_rejects_or_lets_pass(bedrock: Bedrock, respond: Respond) -> None:
    bedrock.respond = respond
    with pytest.raises(ApiError) as caught:
        inspect(["x"])
    assert (caught.value.status, caught.value.code) == (503, "guard_unavailable")
    assert inspect(["x"], guard(on_error="continue")) == GuardrailOutcome({}, False, {})
