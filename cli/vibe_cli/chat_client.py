"""A client of the chat completions API, for any base URL with or without a stage."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from vibe_cli.api import is_loopback
from vibe_cli.errors import CommandError
from vibe_cli.settings import KEY_NAMES, LOCAL_PORT, find_local_master_key, find_local_stack, read_environment

__all__ = ["Answer", "ChatClient", "choose_router"]

_KEY_NAMES = ("VIBE_ROUTER_KEY", "KEY", *KEY_NAMES)

_PROMPT = "Reply with one short sentence."
# API Gateway waits up to five minutes for a first byte; the pauses of a stream are shorter.
_TIMEOUT = httpx.Timeout(300, connect=10)


@dataclass
class Answer:
    """One chat completion. Times are in milliseconds since the request; `why` is the reason for a failure, else "".

    `events` has the arrival time and data of every event of a stream. The first token is the first event with content,
    reasoning, a tool call or a refusal.
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
        """The `provider/model` that served, from the response headers."""
        return self.headers.get("x-vibe-deployment")


class ChatClient:
    """Call one router; a context manager, safe to use from several threads."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        self.key = key
        self.client = httpx.Client(
            timeout=_TIMEOUT,
            headers={"authorization": f"Bearer {key}"},
            trust_env=not is_loopback(url),  # proxies are for other machines
            limits=httpx.Limits(max_connections=64),
        )

    def __enter__(self) -> "ChatClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    @property
    def root(self) -> str:
        """The URL without /v1, but with a stage."""
        return self.url.removesuffix("/v1")

    def models(self) -> list[str]:
        """Return the names of the virtual models. Raises httpx.HTTPError, and ValueError for another response."""
        answer = self.client.get(f"{self.url}/models")
        if answer.status_code != 200:
            raise ValueError(f"GET {self.url}/models answers {answer.status_code}: {_error_message(answer.text)}")
        try:
            return [str(each["id"]) for each in answer.json()["data"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"GET {self.url}/models answers without a list of models. Check the base URL.") from error

    def chat(self, model: str, *, stream: bool, **more: object) -> Answer:
        """Send `model` a short prompt. Failures of the network and of the response are returned in `why`."""
        body: dict[str, object] = {"model": model, "messages": [{"role": "user", "content": _PROMPT}], "stream": stream}
        if stream:
            body["stream_options"] = {"include_usage": True}
        answer = Answer()
        began = time.monotonic()
        try:
            with self.client.stream("POST", f"{self.url}/chat/completions", json=body | more) as response:
                answer.status, answer.headers = response.status_code, response.headers
                if response.status_code != 200:
                    answer.why = f"{response.status_code}: {_error_message(response.read().decode(errors='replace'))}"
                elif stream:
                    answer.why = _read_stream(response, answer, began)
                else:
                    answer.why = _read_whole(response.read(), answer)
        except httpx.HTTPError as error:
            answer.why = f"{type(error).__name__}: {error}".rstrip(": ")
        answer.total_ms = _since(began)
        if not answer.why and not answer.deployment:
            answer.why = "the response has no x-vibe-deployment header: another gateway or proxy"
        return answer


def choose_router(
    url: str | None = None,
    key: str | None = None,
    key_env: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> tuple[str, str]:
    """Return URL and key of the router to call: those given, else from `environ`, else the local stack's.

    `key_env` names a variable with the key. The local stack's key is never sent to another machine. Raises
    CommandError.
    """
    environ = read_environment() if environ is None else environ
    if not url:
        stack = find_local_stack(environ) or {}
        local = stack.get("url") or f"http://127.0.0.1:{environ.get('PORT', LOCAL_PORT)}"
        url = environ.get("VIBE_ROUTER_URL") or environ.get("URL") or f"{local.removesuffix('/v1')}/v1"
    return url, key or _find_key(url, key_env, environ)


def _find_key(url: str, variable: str | None, environ: Mapping[str, str]) -> str:
    for name in (variable,) if variable else _KEY_NAMES:
        if value := environ.get(name, "").strip():
            return value
    if variable:
        raise CommandError(f"{variable}, which should contain the key, is not set.")
    if is_loopback(url) and (key := find_local_master_key(environ)):
        return key
    raise CommandError(f"No key for {url}. Set VIBE_ROUTER_KEY (or KEY, or MASTER_KEY), or name a variable: --key-env.")


def _error_message(body: str) -> str:
    """Return the message in the body of an error, as one line."""
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
        has_output = _has_output(message)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return "the body is not a chat completion"
    _count(completion, answer)
    return _missing(answer, has_output=has_output)


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
                return f"error in the stream: {_error_message(data)}"
            answer.model = chunk.get("model") or answer.model
            for choice in chunk.get("choices") or ():
                delta = choice.get("delta") or {}
                if answer.first_token_ms is None and _has_output(delta):
                    answer.first_token_ms = answer.events[-1][0]
                text.append(delta.get("content") or "")
                answer.finish_reason = choice.get("finish_reason") or answer.finish_reason
            _count(chunk, answer)
        except (ValueError, TypeError, AttributeError):
            return "an event of the stream is not a chat completion chunk"
    answer.text = "".join(text)
    if not done:
        return "the stream ended without [DONE]"
    return _missing(answer, has_output=answer.first_token_ms is not None)


def _events(response: httpx.Response) -> Iterator[str]:
    """Yield the data of every event, without comments."""
    for line in response.iter_lines():
        if line.startswith("data:"):
            yield line.removeprefix("data:").strip()


def _has_output(message: Mapping[str, Any]) -> bool:
    return any(message.get(name) for name in ("content", "reasoning_content", "reasoning", "tool_calls", "refusal"))


def _missing(answer: Answer, *, has_output: bool) -> str:
    if not has_output:
        return "the answer is empty"
    return "" if answer.finish_reason else "the answer has no finish reason"


def _count(body: Mapping[str, Any], answer: Answer) -> None:
    usage = body.get("usage") or {}
    answer.prompt_tokens = usage.get("prompt_tokens", answer.prompt_tokens)
    answer.completion_tokens = usage.get("completion_tokens", answer.completion_tokens)


def _since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)
