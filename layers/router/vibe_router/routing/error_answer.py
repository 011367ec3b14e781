"""Read a provider's error from any of the envelopes in use, also from one inside another.

    {"error": {"message", "type", "code", "param"}}             OpenAI, New API, Ark
    {"error": "words"}                                          CLIProxyAPI's key check
    {"type": "error", "error": {"type", "message"}}             Anthropic
    {"type": "error", "code", "message"}                        Responses, in a stream
    {"type": "response.failed", "response": {"error": {…}}}     Responses, in a stream
    {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}    Google, also as the only item of a list
    {"object": "error", "message", "code": 400}                 vLLM
    {"detail": "words" or {…} or [{"msg"}]}                     FastAPI, ChatGPT's backend
    {"error": {"message": "… {\\"error\\": …}"}}                  a relay that quotes its upstream
    {"error": {"message", "metadata": {"raw": "…"}}}            OpenRouter, which quotes its upstream in `raw`
    {"choices": [{"error": {…}}]}                               OpenRouter, in a whole answer or a chunk

The innermost error decides: the words that a relay adds around it say nothing about the cause.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ErrorAnswer", "read_error"]

_MAX_LEVELS = 6  # envelopes within envelopes; two relays in a row make four
_MAX_MESSAGE = 4096  # characters; longer ones quote the request back
_MAX_NAME = 200  # characters of a type, code or param

_ENVELOPE_KEYS = ("error", "response", "detail", "errors")
_MESSAGE_KEYS = ("message", "msg", "error", "detail")
_QUOTED = "\0quoted"  # marks a level that a relay quotes from its upstream; no JSON of a provider has this key
_ENVELOPES = frozenset({"error", "response.failed"})  # values of `type` that name the envelope, not the error


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """The content of an error answer. Absent strings are empty.

    `status`: an HTTP status between 400 and 599 that the body itself gives.
    `names`: everything that classifies the error (code, type, Google's status, reason and quota), in lower case.
    `text`: the message in lower case, empty for HTML.
    `is_error`: whether the body is an API's error object, not the page of a web server.
    `is_quoted`: whether a relay quotes the error of its upstream, which then decides; `relay_status`: the status
    in the relay's own envelope.
    `objects`, `texts`: the parts that may contain a reset time.
    """

    status: int | None = None
    type: str = ""
    code: str = ""
    param: str = ""
    message: str = ""
    names: frozenset[str] = frozenset()
    text: str = ""
    is_error: bool = False
    is_quoted: bool = False
    relay_status: int | None = None
    objects: tuple[Mapping[str, Any], ...] = ()
    texts: tuple[str, ...] = ()


def read_error(body: bytes) -> ErrorAnswer:
    """Read the body of an error answer. Never raises, whatever bytes it holds."""
    text = body.decode("utf-8", "replace").lstrip("\ufeff").strip()
    levels = _levels(_parsed(text))
    quoted_from = next((index for index, level in enumerate(levels) if level.get(_QUOTED)), None)
    if not levels:
        return _read_unparsed(text)
    messages = [words for level in levels for key in _MESSAGE_KEYS if (words := _words(level.get(key)))]
    error = next((level for level in reversed(levels) if _has_content(level)), levels[-1])
    message = next(
        (words for key in _MESSAGE_KEYS if (words := _words(error.get(key)))), messages[-1] if messages else ""
    )
    details = tuple(_details(error))
    kind, code = _name(error.get("type")), _name(error.get("code"))
    if kind in _ENVELOPES:
        kind = ""
    google_status = _name(error.get("status"))  # Google's, such as RESOURCE_EXHAUSTED
    names = {kind, code, google_status, _name(error.get("error")), *_reasons(details), *_reasons((error,))}
    return ErrorAnswer(
        status=next(filter(None, (_http_status(level) for level in reversed(levels[quoted_from or 0 :]))), None),
        type=kind or ("" if google_status.isdigit() else google_status),
        code=code,
        param=_name(error.get("param")),
        message=message,
        names=frozenset(name.lower() for name in names if name and " " not in name),
        text=message.lower(),
        is_error=any(_is_error(level) for level in levels),
        is_quoted=quoted_from is not None,
        relay_status=_http_status(levels[quoted_from - 1]) if quoted_from else None,
        objects=(*levels, *details, *(each["metadata"] for each in details if isinstance(each.get("metadata"), dict))),
        texts=tuple(messages),
    )


def _read_unparsed(text: str) -> ErrorAnswer:
    if text.startswith("<"):
        return ErrorAnswer()
    # JSON that was cut at 64 KiB can be classified, but not shown to a caller.
    is_cut = text[:1] in ("{", "[")
    words = _clean(text, _MAX_MESSAGE)
    return ErrorAnswer(
        message="" if is_cut else words,
        text=words.lower(),
        is_error=is_cut and '"error"' in text,
        texts=(words,) if words else (),
    )


def _parsed(text: str) -> object:
    """Return the JSON value that `text` is or, after a label as in `data: {…}`, holds."""
    if not text or text[0] == "<":
        return None
    start = text.find("{")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return json.JSONDecoder().raw_decode(text, start)[0] if start >= 0 else None
    except (ValueError, RecursionError):
        return None


def _levels(value: object) -> list[dict[str, Any]]:
    """Return the objects on the way from the outermost envelope to the innermost error."""
    levels: list[dict[str, Any]] = []
    while len(levels) < _MAX_LEVELS:
        if isinstance(value, list):
            value = next((item for item in value if isinstance(item, dict)), None)
        if not isinstance(value, dict):
            break
        levels.append(value)
        value = _nested(value)
    return levels


def _nested(level: Mapping[str, Any]) -> object:
    metadata = level.get("metadata")
    if isinstance(metadata, dict) and (raw := metadata.get("raw")):
        quoted = _parsed(raw) if isinstance(raw, str) else raw
        if isinstance(quoted, list):
            quoted = next((item for item in quoted if isinstance(item, dict)), None)
        return {**(quoted if isinstance(quoted, dict) else {"message": raw}), _QUOTED: True}
    for key in _ENVELOPE_KEYS:
        if isinstance(inner := level.get(key), (dict, list)) and inner:
            return inner
    choices = level.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and isinstance(choice.get("error"), dict):
            return choice
    for key in _MESSAGE_KEYS:
        if isinstance(quoting := level.get(key), str) and "{" in quoting:
            quoted = _parsed(quoting)
            if isinstance(quoted, list) or (isinstance(quoted, dict) and "error" in quoted):
                return quoted
    return None


def _details(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield Google's details and Azure's inner error."""
    details = error.get("details")
    for each in (*(details if isinstance(details, list) else ()), error.get("innererror")):
        if isinstance(each, dict):
            yield each


def _reasons(objects: tuple[Mapping[str, Any], ...]) -> Iterator[str]:
    for each in objects:
        yield _name(each.get("reason"))
        yield _name(each.get("code"))
        if isinstance(metadata := each.get("metadata"), dict):
            yield _name(metadata.get("quota_limit"))
        violations = each.get("violations")
        for violation in violations if isinstance(violations, list) else ():
            if isinstance(violation, dict):
                yield _name(violation.get("quotaId"))


def _has_content(level: Mapping[str, Any]) -> bool:
    return any(_words(level.get(key)) for key in _MESSAGE_KEYS) or any(
        _name(level.get(key)) not in ("", *_ENVELOPES) for key in ("code", "type")
    )


def _is_error(level: Mapping[str, Any]) -> bool:
    # Web frameworks also send a string as `error`, with `path` or `timestamp` beside it.
    if isinstance(level.get("error"), str):
        return "path" not in level and "timestamp" not in level
    return bool(level.get("error")) or level.get("object") == "error" or _name(level.get("type")) in _ENVELOPES


def _http_status(level: Mapping[str, Any]) -> int | None:
    for key in ("code", "status", "status_code"):
        name = _name(level.get(key))
        if len(name) == 3 and name.isascii() and name.isdigit() and 400 <= int(name) <= 599:
            return int(name)
    return None


def _name(value: object) -> str:
    """Return a code, type or param as text: providers send strings, numbers, null and other values."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _clean(str(value), _MAX_NAME)


def _words(value: object) -> str:
    return _clean(value, _MAX_MESSAGE) if isinstance(value, str) else ""


def _clean(text: str, limit: int) -> str:
    # A lone surrogate, which JSON can escape, cannot be encoded in an answer or a log line.
    return text[:limit].encode("utf-8", "replace").decode("utf-8").strip()
