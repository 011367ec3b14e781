"""The legacy completions API, whole and streamed.

Sources of the shapes: OpenAI's API reference for completions and its Python package.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from local.standin.formats import EVENT_STREAM, JSON, AnswerContext, BadRequest, Event
from local.standin.model import ModelReply, ModelRequest, Turn, generate_reply
from local.standin.text import pieces

__all__ = ["COMPLETIONS", "CompletionsAnswer", "CompletionsFormat"]

_MOST_CHOICES = 128


class CompletionsAnswer:
    """The completions of one request, rendered whole or as a stream."""

    content_type = JSON

    def __init__(
        self,
        context: AnswerContext,
        model: str,
        texts: Sequence[ModelReply],
        prompts: Sequence[ModelRequest],
        *,
        include_usage: bool,
    ) -> None:
        self._head = {
            "id": f"cmpl-{context.unique}",
            "object": "text_completion",
            "created": context.created,
            "model": model,
        }
        self._texts = texts
        self._include_usage = include_usage
        prompt_tokens = sum(request.prompt_tokens for request in prompts)
        completion_tokens = sum(reply.tokens for reply in texts)
        self._usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        }

    def whole(self) -> bytes:
        """Return the `text_completion` object."""
        choices = [_choice(index, reply.text or "", reply.finish) for index, reply in enumerate(self._texts)]
        return _dumps({**self._head, "choices": choices, "usage": self._usage}).encode("utf-8", "replace")

    def events(self) -> list[Event]:
        """Return the chunks, the usage chunk if requested, and `[DONE]`."""
        return list(self._events())

    def _events(self) -> Iterator[Event]:
        frame = {**self._head, **({"usage": None} if self._include_usage else {})}
        for index, reply in enumerate(self._texts):
            for piece in pieces(reply.text or ""):
                yield _event("content", {**frame, "choices": [_choice(index, piece, None)]})
        for index, reply in enumerate(self._texts):
            yield _event("finish", {**frame, "choices": [_choice(index, "", reply.finish)]})
        if self._include_usage:
            yield _event("usage", {**frame, "choices": [], "usage": self._usage})
        yield Event("done", b"data: [DONE]\n\n")


def _choice(index: int, text: str, finish: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}


_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _event(kind: Literal["content", "finish", "usage"], chunk: Mapping[str, Any]) -> Event:
    return Event(kind, f"data: {_dumps(chunk)}\n\n".encode("utf-8", "replace"))


class CompletionsFormat:
    """The legacy completions format."""

    name = "completions"
    paths: Sequence[str] = ("completions",)
    required_headers: Sequence[str] = ()
    streams = True
    stream_type = EVENT_STREAM

    def answer(self, body: Mapping[str, Any], context: AnswerContext) -> CompletionsAnswer:
        """Return the completions of a request body. Raises `BadRequest`."""
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise BadRequest("you must provide a model parameter", "model")
        many, limit = body.get("n") or 1, body.get("max_tokens") or 16
        for name, value in (("n", many), ("max_tokens", limit)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise BadRequest(f"'{name}' must be a positive integer", name)
        if many > _MOST_CHOICES:
            raise BadRequest(f"'n' must be at most {_MOST_CHOICES}", "n")
        stops = body.get("stop")
        prompts = [
            ModelRequest(
                model=model,
                turns=[Turn("user", prompt)],
                limit=limit,
                stops=[
                    stop
                    for stop in ([stops] if isinstance(stops, str) else stops if isinstance(stops, list) else [])
                    if isinstance(stop, str)
                ],
            )
            for prompt in _prompts(body.get("prompt"))
        ]
        texts = [generate_reply(request, context, index) for request in prompts for index in range(many)]
        options = body.get("stream_options")
        include_usage = isinstance(options, Mapping) and options.get("include_usage") is True
        return CompletionsAnswer(context, model, texts, prompts, include_usage=include_usage)

    def error_body(self, status: int, content: object) -> object:  # noqa: ARG002 - the format's signature
        """Return the error unchanged."""
        return content

    def error_event(self, error: object, sequence: int, *, failed: bool = False) -> bytes:  # noqa: ARG002 - the format's
        """Return `data: {"error": …}`."""
        return f"data: {_dumps({'error': error})}\n\n".encode("utf-8", "replace")

    def empty_answer(self, context: AnswerContext, model: str) -> tuple[bytes, Sequence[Event]]:
        """Return a completion without choices."""
        bare = {"id": "cmpl-0", "object": "text_completion", "created": context.created, "model": model}
        chunk = Event("opening", f"data: {_dumps({**bare, 'choices': []})}\n\n".encode("utf-8", "replace"))
        return _dumps(bare).encode("utf-8", "replace"), [chunk, Event("done", b"data: [DONE]\n\n")]

    def with_usage(self, events: Sequence[Event], usage: Literal["none", "everywhere"]) -> list[Event]:
        """Return the same chunks without any usage, or with a running usage on every chunk."""
        rewritten: list[Event] = []
        count = 0
        for event in events:
            if event.kind == "done":
                rewritten.append(event)
                continue
            chunk = json.loads(event.data.removeprefix(b"data: "))
            count += event.kind == "content"
            if usage == "everywhere" and event.kind != "usage":
                chunk["usage"] = {"prompt_tokens": 9, "completion_tokens": count, "total_tokens": 9 + count}
            elif usage == "none":
                chunk.pop("usage", None)
            if usage == "everywhere" or event.kind != "usage":
                rewritten.append(Event(event.kind, f"data: {_dumps(chunk)}\n\n".encode("utf-8", "replace")))
        return rewritten


def _prompts(given: object) -> list[str]:
    """Return the prompts: one text, several texts, or token ids, which a stand-in can only count."""
    if isinstance(given, str):
        return [given]
    if isinstance(given, list) and given:
        if all(isinstance(each, str) for each in given):
            return list(given)
        if all(isinstance(each, int) for each in given):
            return [f"{len(given)} tokens"]
        if all(isinstance(each, list) for each in given):
            return [f"{len(each)} tokens" for each in given]
    raise BadRequest("'prompt' must be a text, an array of texts or an array of token ids", "prompt")


COMPLETIONS = CompletionsFormat()
