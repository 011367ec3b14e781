"""A deployed router as its callers meet it, over HTTP alone: any base URL, local or remote, with a stage or without."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from local.settings import read_settings
from vibe_cli.checkout import CHECKOUT
from vibe_cli.local_key import find_local_master_key

__all__ = ["KEY_NAMES", "Answer", "NoKeyError", "Router", "find_key", "local_url"]

KEY_NAMES = ("VIBE_ROUTER_KEY", "KEY", "MASTER_KEY", "LITELLM_MASTER_KEY")
"""Where a key is looked for in the environment, in this order."""

_PROMPT = "Reply with one short sentence."
# A first byte may take as long as API Gateway waits, which is five minutes; a stream pauses for a heartbeat's time.
_TIMEOUT = httpx.Timeout(300, connect=10)


class NoKeyError(Exception):
    """There is no key to call with; the text says how to give one."""


@dataclass
class Answer:
    """One chat completion. Times are in milliseconds from the request; `why` says what was wrong, and is "" if nothing.

    `events` holds the arrival (ms) and the data of every event of a stream; the first of `first_token_ms` is the first
    that holds something for the caller: content, reasoning, a tool call or a refusal.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    model: str | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    first_token_ms: float | None = None
    total_ms: float = 0.0
    events: list[tuple[float, str]] = field(default_factory=list)
    why: str = ""

    @property
    def deployment(self) -> str | None:
        """`provider/model` that served, as the router says."""
        return self.headers.get("x-vibe-deployment")


class Router:
    """Calls one router; a context manager. Safe to use from many threads."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        self.key = key
        self.client = httpx.Client(
            timeout=_TIMEOUT,
            headers={"authorization": f"Bearer {key}"},
            trust_env=not _is_loopback(url),  # a proxy for the way out is none for this machine
            limits=httpx.Limits(max_connections=64),
        )

    def __enter__(self) -> "Router":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    @property
    def root(self) -> str:
        """The URL without /v1; a stage stays on it."""
        return self.url.removesuffix("/v1")

    def models(self) -> list[str]:
        """Return the names of the virtual models. Raises httpx.HTTPError, and ValueError for what is no list."""
        answer = self.client.get(f"{self.url}/models")
        if answer.status_code != 200:
            raise ValueError(f"GET {self.url}/models answers {answer.status_code}: {told(answer.text)}")
        try:
            return [str(each["id"]) for each in answer.json()["data"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"GET {self.url}/models answers no list of models; is this the base URL?") from error

    def chat(self, model: str, *, stream: bool, **more: object) -> Answer:
        """Ask `model` something short. Never raises over the network or the answer: `why` tells."""
        body: dict[str, object] = {"model": model, "messages": [{"role": "user", "content": _PROMPT}], "stream": stream}
        if stream:
            body["stream_options"] = {"include_usage": True}
        answer = Answer()
        began = time.monotonic()
        try:
            with self.client.stream("POST", f"{self.url}/chat/completions", json=body | more) as response:
                answer.status, answer.headers = response.status_code, response.headers
                if response.status_code != 200:
                    answer.why = f"{response.status_code}: {told(response.read().decode(errors='replace'))}"
                elif stream:
                    answer.why = _read_stream(response, answer, began)
                else:
                    answer.why = _read_whole(response.read(), answer)
        except httpx.HTTPError as error:
            answer.why = f"{type(error).__name__}: {error}".rstrip(": ")
        answer.total_ms = _since(began)
        if not answer.why and not answer.deployment:
            answer.why = "the answer has no x-vibe-deployment: this is another gateway, or something took its headers"
        return answer


def find_key(url: str, name: str | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """Return the key for `url` from the environment: the variable `name`, or the first of KEY_NAMES that is set.

    A router on this machine is also called with the key that `make start` has there. Raises NoKeyError.
    """
    for each in (name,) if name else KEY_NAMES:
        if value := environ.get(each, "").strip():
            return value
    if name:
        raise NoKeyError(f"The variable {name}, which should hold the key, is not set.")
    if _is_loopback(url):
        settings = read_settings(CHECKOUT, environ)
        if key := settings.master_key or find_local_master_key(settings.environment):
            return key
    raise NoKeyError("Which key? Set VIBE_ROUTER_KEY (or KEY, or MASTER_KEY) in the environment, or name a variable.")


def local_url(environ: Mapping[str, str] = os.environ) -> str:
    """Return the base URL of `make start` on this machine."""
    return f"http://127.0.0.1:{read_settings(CHECKOUT, environ).port}/v1"


def told(body: str) -> str:
    """Return what the body of an error says, in a line."""
    try:
        error = json.loads(body)["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        return " ".join(body.split())[:200] or "an empty body"


def _read_whole(body: bytes, answer: Answer) -> str:
    try:
        completion = json.loads(body)
        choice = completion["choices"][0]
        message = choice["message"]
        answer.model, answer.finish_reason = completion.get("model"), choice.get("finish_reason")
        answer.text = message.get("content") or ""
        something = _says_something(message)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return "the body is no chat completion"
    _count(completion, answer)
    return _missing(answer, something=something)


def _read_stream(response: httpx.Response, answer: Answer, began: float) -> str:
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        return f"not a stream: content-type is {response.headers.get('content-type')}"
    done, text = False, []
    for data in _events(response):
        answer.events.append((_since(began), data))
        if data == "[DONE]":
            done = True
            continue
        try:
            chunk: dict[str, Any] = json.loads(data)
            if chunk.get("error"):
                return f"broke off: {told(data)}"
            answer.model = chunk.get("model") or answer.model
            for choice in chunk.get("choices") or ():
                delta = choice.get("delta") or {}
                if answer.first_token_ms is None and _says_something(delta):
                    answer.first_token_ms = answer.events[-1][0]
                text.append(delta.get("content") or "")
                answer.finish_reason = choice.get("finish_reason") or answer.finish_reason
            _count(chunk, answer)
        except (ValueError, TypeError, AttributeError):
            return "an event of the stream is no chunk of a chat completion"
    answer.text = "".join(text)
    if not done:
        return "the stream ended without [DONE]"
    return _missing(answer, something=answer.first_token_ms is not None)


def _events(response: httpx.Response) -> Iterator[str]:
    """Yield the data of every event; comments are left out."""
    for line in response.iter_lines():
        if line.startswith("data:"):
            yield line.removeprefix("data:").strip()


def _says_something(message: Mapping[str, Any]) -> bool:
    return any(message.get(name) for name in ("content", "reasoning_content", "reasoning", "tool_calls", "refusal"))


def _missing(answer: Answer, *, something: bool) -> str:
    if not something:
        return "the answer says nothing"
    return "" if answer.finish_reason else "the answer has no finish reason"


def _count(told_usage: Mapping[str, Any], answer: Answer) -> None:
    usage = told_usage.get("usage") or {}
    answer.prompt_tokens = usage.get("prompt_tokens", answer.prompt_tokens)
    answer.completion_tokens = usage.get("completion_tokens", answer.completion_tokens)


def _since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)


def _is_loopback(url: str) -> bool:
    return (urlsplit(url).hostname or "") in ("127.0.0.1", "localhost", "::1")
