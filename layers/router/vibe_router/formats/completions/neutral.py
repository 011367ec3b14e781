"""Translates legacy completions from and to the neutral form, for providers that only have conversations.

The prompt becomes a user's message. Rejected, since no message can carry it: a prompt of tokens, several prompts in one
request, `suffix`, `echo`, `best_of` above 1, `logprobs`. Without `max_tokens` the model decides the length of the text;
the 16 tokens of the old models are not applied.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from vibe_router.core.errors import bad_request
from vibe_router.formats.chat.chunk_writer import ChunkWriter
from vibe_router.formats.chat.stream import usage_of
from vibe_router.formats.common.finish_reasons import finish_reason, is_absent
from vibe_router.formats.common.json_body import dump
from vibe_router.formats.completions.assembly import CompletionsAssembler
from vibe_router.formats.neutral.model import (
    Event,
    Finish,
    Message,
    NeutralRequest,
    RefusalDelta,
    Started,
    Text,
    TextDelta,
    UsageReport,
)

__all__ = ["CompletionsDecoder", "CompletionsWriter", "read", "whole"]

_READ = frozenset(
    {"model", "stream", "stream_options", "prompt", "max_tokens", "temperature", "top_p", "n", "stop", "seed", "user"}
    | {"frequency_penalty", "presence_penalty", "logit_bias"}
)
# Default values, which can be left out.
_DEFAULTS: Mapping[str, tuple[object, ...]] = {"echo": (None, False), "best_of": (None, 1), "suffix": (None, "")}
_FINISH: Mapping[str, str] = {"length": "length", "content_filter": "content_filter", "refusal": "content_filter"}


def read(body: Mapping[str, Any]) -> NeutralRequest:
    """Return the request in the neutral form. Raises ApiError (400)."""
    stop = body.get("stop")
    stops = [stop] if isinstance(stop, str) else list(stop or ())
    if not all(isinstance(each, str) for each in stops):
        raise bad_request("'stop' must hold strings.", "stop")
    return NeutralRequest(
        format="completions",
        messages=[Message("user", [Text(_prompt(body["prompt"]), at="prompt")], at="prompt")],
        max_tokens=body.get("max_tokens"),
        temperature=body.get("temperature"),
        top_p=body.get("top_p"),
        frequency_penalty=body.get("frequency_penalty"),
        presence_penalty=body.get("presence_penalty"),
        stop=stops,
        n=body.get("n"),
        seed=body.get("seed"),
        logit_bias=body.get("logit_bias"),
        user=body.get("user"),
        rest={
            name: value
            for name, value in body.items()
            if name not in _READ and value is not None and value not in _DEFAULTS.get(name, ())
        },
    )


def _prompt(prompt: Any) -> str:
    """Return the text to continue. Raises ApiError (400) unless there is exactly one."""
    if isinstance(prompt, str):
        return prompt
    if len(prompt) == 1 and isinstance(prompt[0], str):
        return str(prompt[0])
    what = "several prompts at once" if all(isinstance(each, str) for each in prompt) else "a prompt of tokens"
    raise bad_request(
        f"A provider without completions cannot be sent {what} ('prompt').", "prompt", "unsupported_parameter"
    )


class CompletionsDecoder:
    """Decodes the chunks of a completion of one text into neutral events; another deployment may then continue it."""

    def __init__(self) -> None:
        self._started = False

    def decode(self, chunk: Mapping[str, Any]) -> Iterable[Event]:
        """Return the events in `chunk`."""
        if not self._started:
            self._started = True
            id_, model, created = chunk.get("id"), chunk.get("model"), chunk.get("created")
            yield Started(
                id_ if isinstance(id_, str) else None,
                model if isinstance(model, str) else None,
                created if isinstance(created, int) else None,
            )
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            if (text := choice.get("text")) and isinstance(text, str):
                yield TextDelta(text)
            if not is_absent(reason := choice.get("finish_reason")):
                yield Finish(finish_reason(reason))
        if (usage := usage_of(chunk)).known:
            yield UsageReport(usage)

    def end(self) -> Iterable[Event]:
        """Return nothing: no event is held back."""
        return ()


class CompletionsWriter(ChunkWriter):
    """Writes neutral events as chunks of a completion."""

    def __init__(self, *, wants_usage: bool, created: int) -> None:
        super().__init__("cmpl", "text_completion", wants_usage=wants_usage, created=created)

    def chunk(self, event: Event) -> dict[str, Any] | None:
        """Return the chunk for `event`, None if the format has none, as for reasoning."""
        match event:
            case TextDelta() | RefusalDelta():
                return self._chunk(event.choice, event.text, None)
            case Finish():
                return self._chunk(event.choice, "", _FINISH.get(event.reason, "stop"))
        return super().chunk(event)

    def _chunk(self, choice: int, text: str, finish: str | None) -> dict[str, Any]:
        return self._of({"text": text, "index": choice, "logprobs": None, "finish_reason": finish})


def whole(events: Iterable[Event], created: int) -> bytes:
    """Return the whole completion that consists of `events`."""
    writer, assembler = CompletionsWriter(wants_usage=True, created=created), CompletionsAssembler()
    for event in events:
        if (chunk := writer.chunk(event)) is not None:
            assembler.add(chunk)
    assembler.add(writer.usage_chunk())
    return dump(assembler.answer())
