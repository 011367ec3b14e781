"""Put masked values back into an answer in the caller's format, whole or as a stream.

A stream restores itself event by event: the texts that go on from one event to the next (a channel: the content of a
choice, the arguments of a call) hold back the beginning of a placeholder until it is complete, and no more. What was
held back for nothing is sent in an event of its own before the channel ends. Events without placeholders pass
byte for byte.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from vibe_router.formats.common import sse
from vibe_router.formats.common.json_body import dump, load
from vibe_router.guards.masking import Restorer, TextRestorer

__all__ = ["StreamRestorer", "answers_in_json", "restore_whole"]

# What a placeholder, or the beginning of one at the end of a string, looks like in JSON.
_HINT = re.compile(rb'\[(?:[A-Z]|")')
_Key = tuple[Any, ...]


class _Piece(NamedTuple):
    """A piece of a channel in one event: `holder[field]` is the text. `kind` is the field as a whole answer has it."""

    channel: _Key
    holder: dict[str, Any]
    field: str
    kind: str


def restore_whole(body: bytes, restorer: Restorer) -> bytes:
    """Return a whole answer with all values; the same bytes if there is no placeholder in it."""
    if not _HINT.search(body):
        return body
    try:
        answer = load(body)
    except ValueError:  # a text, such as a transcription
        text = body.decode(errors="surrogateescape")
        return restorer.text(text, in_json=False).encode(errors="surrogateescape")
    restored = _restored_value(restorer, answer)
    return body if restored is answer else dump(restored)


def _restored_value(restorer: Restorer, value: Any) -> Any:
    """Return JSON of an answer with all values; as it is, masked, if a provider has nested it too deeply."""
    try:
        return restorer.value(value)
    except RecursionError:
        return value


def answers_in_json(format_name: str, body: Mapping[str, Any]) -> bool:
    """Return whether a request asks for an answer in JSON, so that values in its texts must be escaped."""
    match format_name:
        case "chat":
            return _type_of(body.get("response_format")).startswith("json")
        case "responses":
            asked = body.get("text")
            return isinstance(asked, dict) and _type_of(asked.get("format")).startswith("json")
        case "gemini":
            config = body.get("generationConfig")
            return isinstance(config, dict) and config.get("responseMimeType") == "application/json"
        case "messages":
            config = body.get("output_config")
            asked = config.get("format") if isinstance(config, dict) else body.get("output_format")
            return _type_of(asked).startswith("json")
    return False


def _type_of(value: object) -> str:
    return str(value.get("type")) if isinstance(value, dict) else ""


class StreamRestorer:
    """Restores one stream in the caller's format `format_name`, in chunks that end anywhere."""

    def __init__(self, restorer: Restorer, format_name: str, *, is_array: bool = False) -> None:
        """Restore a stream of events; with `is_array` it is the JSON array that Gemini's callers may ask for."""
        self._restorer = restorer
        self._pieces, self._closed = _FORMATS[format_name]
        self._is_array = is_array
        self._events = sse.EventDecoder()
        self._channels: dict[_Key, TextRestorer] = {}
        self._templates: dict[_Key, tuple[dict[str, Any], bytes]] = {}  # of channels that hold something back
        self._number = 0  # of the last event, in a format that numbers them
        self._added = 0  # events, by which later numbers shift

    def feed(self, chunk: bytes) -> bytes:
        """Return `chunk` with all values, as far as they are complete."""
        if self._is_array:
            return self._feed_array(chunk)
        return b"".join([self._event(event) for event in self._events.feed(chunk)])

    def end(self) -> bytes:
        """Return the rest of the stream."""
        rest = b"" if self._is_array else b"".join([self._event(event) for event in self._events.flush()])
        return rest + self._flush(list(self._templates))

    def _event(self, event: sse.Event) -> bytes:
        data = event.data
        if data is None:
            return event.raw
        if not self._templates and not self._added and not _HINT.search(data):
            return event.raw
        content = _object(data)
        if content is None:  # [DONE]
            return self._flush(list(self._templates)) + event.raw
        before, restored = self._restored(content, event.name)
        return before + (event.raw if restored is None else sse.encode(dump(restored), event.name))

    def _feed_array(self, chunk: bytes) -> bytes:
        """Restore elements of an array; the router writes each as a line of its own, and ends the last with `]`."""
        parts = []
        for line in chunk.split(b"\n"):
            opening = b"[" if line.startswith(b"[") else b""
            data = line.removeprefix(b"[")
            closing = b"," if data.endswith(b",") else b"]" if data.endswith(b"]") else b""
            data = data.removesuffix(closing) if closing else data
            content = _object(data) if data and (self._templates or _HINT.search(data)) else None
            if content is None:
                parts.append(line)
                continue
            before, restored = self._restored(content, b"")
            parts.append(opening + before + (data if restored is None else dump(restored)) + closing)
        return b"\n".join(parts)

    def _restored(self, content: dict[str, Any], name: bytes) -> tuple[bytes, dict[str, Any] | None]:
        """Return what is sent before an event, and the event's content with values; None if that is the same."""
        changed = False
        pieces = list(self._pieces(content))
        texts = [piece.holder[piece.field] for piece in pieces]
        for piece in pieces:  # channels are restored on their own
            piece.holder[piece.field] = ""
        whole = _restored_value(self._restorer, content)
        if whole is not content:
            changed = True
            content = whole
            pieces = list(self._pieces(content))
        left, ended = self._closed(content)
        own = {piece.channel for piece in pieces}
        before = self._flush([each for each in self._templates if each not in own and _is_in(each, (*left, *ended))])
        for piece, text in zip(pieces, texts, strict=True):
            channel = self._channels.get(piece.channel)
            if channel is None:
                in_json = self._restorer.is_json(piece.kind)
                channel = self._channels[piece.channel] = TextRestorer(self._restorer, in_json=in_json)
            sent = channel.feed(text)
            if _is_in(piece.channel, ended):
                sent += channel.end()
            piece.holder[piece.field] = sent
            changed |= sent != text
            self._templates.pop(piece.channel, None)
            if channel.held:
                self._templates[piece.channel] = (content, name)
        if isinstance(number := content.get("sequence_number"), int):
            self._number = content["sequence_number"] = number + self._added
            changed |= self._added > 0
        return before, content if changed else None

    def _flush(self, channels: Iterable[_Key]) -> bytes:
        """Return events with what these channels hold back."""
        sent = b""
        for channel in channels:
            template, name = self._templates.pop(channel)
            held = self._channels[channel].end()
            content = _without_ends(load(dump(template)))
            for piece in self._pieces(content):
                piece.holder[piece.field] = held if piece.channel == channel else ""
                held = "" if piece.channel == channel else held
            if isinstance(content.get("sequence_number"), int):
                self._number = content["sequence_number"] = self._number + 1
                self._added += 1
            sent += dump(content) + b",\n" if self._is_array else sse.encode(dump(content), name)
        return sent


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        value = load(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _is_in(channel: _Key, closed: tuple[_Key, ...]) -> bool:
    """Return whether a channel is closed: `closed` are the beginnings of such channels."""
    return any(channel[: len(each)] == each for each in closed)


def _without_ends(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of an event without what may be in one event only: usage, and log probabilities."""
    for name in ("usage", "usageMetadata", "obfuscation"):
        content.pop(name, None)
    for each in _dicts(content.get("choices")):
        each.pop("logprobs", None)
    return content


def _index(holder: Mapping[str, Any], name: str, default: int | str) -> int | str:
    """Return a number in the JSON of an answer, of which a provider may have sent anything."""
    value = holder.get(name)
    return value if isinstance(value, int | str) else default


def _texts(holder: object, channel: _Key, *fields: str) -> Iterator[_Piece]:
    if isinstance(holder, dict):
        for field in fields:
            if isinstance(holder.get(field), str):
                yield _Piece((*channel, field), holder, field, field)


def _dicts(values: object) -> list[dict[str, Any]]:
    return [each for each in values if isinstance(each, dict)] if isinstance(values, list) else []


_Closed = tuple[tuple[_Key, ...], tuple[_Key, ...]]
"""The beginnings of channels that do not go on after an event, and of those that end in it."""
_ALL: tuple[_Key, ...] = ((),)
_MEMBERS = ("content", "reasoning_content", "reasoning", "refusal", "reasoning_details", "tool_calls", "function_call")


def _chat_pieces(content: dict[str, Any]) -> Iterator[_Piece]:
    for choice in _dicts(content.get("choices")):
        index = _index(choice, "index", 0)
        yield from _texts(choice, (index, "text"), "text")  # of a legacy completion
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            continue
        yield from _texts(delta, (index, "text"), "content", "reasoning_content", "reasoning", "refusal")
        for place, detail in enumerate(_dicts(delta.get("reasoning_details"))):
            yield from _texts(detail, (index, "text", _index(detail, "index", place)), "text", "summary")
        yield from _texts(delta.get("function_call"), (index, "call", -1), "arguments")
        for place, call in enumerate(_dicts(delta.get("tool_calls"))):
            key = (index, "call", _index(call, "index", place))
            yield from _texts(call.get("function"), key, "arguments")
            yield from _texts(call.get("custom"), key, "input")


def _chat_closed(content: dict[str, Any]) -> _Closed:
    if content.get("error") is not None:
        return _ALL, ()
    left: list[_Key] = []
    ended: list[_Key] = []
    for choice in _dicts(content.get("choices")):
        index, delta = _index(choice, "index", 0), choice.get("delta")
        if choice.get("finish_reason") is not None:
            ended.append((index,))
        elif isinstance(delta, dict) and any(delta.get(name) for name in _MEMBERS):
            left.append((index, "text"))  # calls of tools may alternate, but a text does not go on after another one
    return tuple(left), tuple(ended)


def _messages_pieces(content: dict[str, Any]) -> Iterator[_Piece]:
    if content.get("type") == "content_block_delta":
        yield from _texts(content.get("delta"), (_index(content, "index", 0),), "text", "thinking", "partial_json")


def _messages_closed(content: dict[str, Any]) -> _Closed:
    kind = content.get("type")
    if kind == "content_block_stop":
        return ((_index(content, "index", 0),),), ()
    return (_ALL if kind in ("message_delta", "message_stop", "error") else ()), ()


def _responses_pieces(content: dict[str, Any]) -> Iterator[_Piece]:
    kind = str(content.get("type"))
    if kind.endswith(".delta") and isinstance(content.get("delta"), str):
        part = _index(content, "content_index", _index(content, "summary_index", 0))
        whole = "arguments" if "_arguments." in kind else "text" if kind == "response.output_text.delta" else "delta"
        yield _Piece((_index(content, "output_index", 0), part, kind), content, "delta", whole)


def _responses_closed(content: dict[str, Any]) -> _Closed:
    kind = str(content.get("type"))
    if kind.endswith(".delta") or not kind.startswith(("response.", "error")):
        return (), ()
    return (((_index(content, "output_index", 0),),) if "output_index" in content else _ALL), ()


def _gemini_pieces(content: dict[str, Any]) -> Iterator[_Piece]:
    for place, candidate in enumerate(_dicts(content.get("candidates"))):
        inner = candidate.get("content")
        for part in _dicts(inner.get("parts")) if isinstance(inner, dict) else ():
            yield from _texts(part, (_index(candidate, "index", place), bool(part.get("thought"))), "text")


def _gemini_closed(content: dict[str, Any]) -> _Closed:
    if content.get("error") is not None:
        return _ALL, ()
    candidates = [(_index(each, "index", place), each) for place, each in enumerate(_dicts(content.get("candidates")))]
    left = tuple((index,) for index, _ in candidates)
    return left, tuple((index,) for index, each in candidates if each.get("finishReason") is not None)


_Pieces = Callable[[dict[str, Any]], Iterator[_Piece]]
_Closing = Callable[[dict[str, Any]], _Closed]
# For each format: the pieces of channels in an event, and the channels that it closes.
_FORMATS: Mapping[str, tuple[_Pieces, _Closing]] = {
    "chat": (_chat_pieces, _chat_closed),
    "completions": (_chat_pieces, _chat_closed),
    "messages": (_messages_pieces, _messages_closed),
    "responses": (_responses_pieces, _responses_closed),
    "gemini": (_gemini_pieces, _gemini_closed),
}
