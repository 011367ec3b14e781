"""Stored answers in a caller's format: what may be stored, and how it is sent again, whole or as a stream. Pure.

An answer is stored whole, as a caller of its format got it. The assemblers of providers' streams assemble a stream,
and a whole answer is sent as a stream in the way of a provider that does not stream.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from vibe_router.core.usage import Usage
from vibe_router.formats import registry
from vibe_router.formats.common import sse
from vibe_router.formats.common.finish_reasons import finish_reason
from vibe_router.formats.common.json_body import dump, load
from vibe_router.formats.interfaces import ClientRequest

if TYPE_CHECKING:
    from vibe_router.formats.gemini.request import GeminiRequest

__all__ = ["assemble_stream", "is_final", "replay_stream", "replay_whole"]

_FINAL = ("stop", "tool_calls")
# The fields of a response that say what its own request said, and nothing of its answer.
_OF_THE_REQUEST = ("metadata", "user", "safety_identifier", "prompt_cache_key", "store", "previous_response_id")


def is_final(format_: str, body: bytes) -> bool:
    """Return whether the whole answer `body` ended by itself: neither cut by a limit nor filtered nor refused."""
    check = _CHECKS.get(format_)
    try:
        answer = load(body)
        return check is not None and isinstance(answer, dict) and check(answer)
    except (ValueError, TypeError, AttributeError):  # whatever a provider sent instead
        return False


def assemble_stream(request: ClientRequest, raw: bytes, usage: Usage, *, partial: bool = False) -> bytes | None:
    """Return the whole answer that was streamed to `request` as `raw`; None if that is not complete.

    With `partial`, what there is of it is enough. `usage` is filled in where the caller's stream did not report it.
    """
    try:
        answer = _assembled(request, raw, partial=partial)
        if answer is None:
            return None
        if request.format in ("chat", "completions") and not answer.get("usage"):
            from vibe_router.formats.chat.chunk_writer import usage_fields

            answer = {**answer, "usage": usage_fields(usage)}
        return dump(answer)
    except (ValueError, TypeError, KeyError, AttributeError):  # whatever a provider sent instead
        return None


def replay_whole(request: ClientRequest, body: bytes) -> bytes:
    """Return a stored answer as the whole answer to `request`, whose fields it echoes."""
    if request.format != "responses":
        return body
    answer = {name: value for name, value in load(body).items() if name not in _OF_THE_REQUEST}
    return dump(request.echo(answer))


def replay_stream(request: ClientRequest, body: bytes) -> list[bytes]:
    """Return a whole answer, from `replay_whole`, as the events of the stream that `request` asks for."""
    if request.format == "gemini":
        from vibe_router.formats.gemini import assembly

        return assembly.to_events(cast("GeminiRequest", request), body)
    return registry.streamed(request.format).to_events(load(body), wants_usage=request.wants_usage)


def _assembled(request: ClientRequest, raw: bytes, *, partial: bool) -> dict[str, Any] | None:
    if request.format == "gemini":
        from vibe_router.formats.gemini import assembly

        return assembly.assemble_stream(cast("GeminiRequest", request), raw, partial=partial)
    format_ = registry.streamed(request.format)
    reader, assembler, decoder = format_.reader(wants_usage=True), format_.assembler(), sse.EventDecoder()
    for event in (*decoder.feed(raw), *decoder.flush()):
        piece = reader.read(event)
        if piece.error is not None or piece.malformed:
            if not partial:
                return None
            break
        if piece.chunk is not None:
            assembler.add(piece.chunk)
    return assembler.answer() if partial or reader.complete else None


def _is_final_chat(answer: Mapping[str, Any]) -> bool:
    choices = answer["choices"]
    return bool(choices) and all(
        finish_reason(each.get("finish_reason")) in _FINAL and not (each.get("message") or {}).get("refusal")
        for each in choices
    )


def _is_final_response(answer: Mapping[str, Any]) -> bool:
    parts = (part for item in answer["output"] for part in _parts(item))
    return answer.get("status") == "completed" and not any(part.get("type") == "refusal" for part in parts)


def _parts(item: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    content = item.get("content")
    yield from content if isinstance(content, list) else ()


def _is_final_message(answer: Mapping[str, Any]) -> bool:
    return finish_reason(answer.get("stop_reason")) in _FINAL


def _is_final_gemini(answer: Mapping[str, Any]) -> bool:
    candidates = answer["candidates"]
    return bool(candidates) and all(finish_reason(each.get("finishReason")) in _FINAL for each in candidates)


_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "chat": _is_final_chat,
    "completions": _is_final_chat,
    "responses": _is_final_response,
    "messages": _is_final_message,
    "gemini": _is_final_gemini,
    "embeddings": lambda answer: bool(answer.get("data")),
}
