"""Read a request in Gemini's format into the neutral form.

Left out for every provider, without changing the request: safety settings, labels, the resolution of media, a service
tier, and values that Gemini's clients send with every request because they are the defaults of Gemini's models (a
temperature of 1, a top_p of 0.95, a top_k of 40 or 64): another model has its own. Converted:

- calls without ids, as older models make them, get ids by their order; a result is matched to its call by the id, else
  by the name. A second result of a call is left out: Gemini CLI repeats results when it resumes a session
- thoughts are reasoning; a proof of another format's reasoning, which `neutral_answer` sealed in a signature, is
  unsealed. Gemini's own signatures are left out, as no provider is asked in this format
- code that Gemini ran, and its output, become text
- schemas become JSON Schema (`schema`); Google's hosted search and its reading of URLs are optional tools
"""

import base64
import binascii
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from vibe_router.core.errors import bad_request
from vibe_router.formats.common.fields import integer, mapping, number, text, truth
from vibe_router.formats.common.json_body import dump
from vibe_router.formats.gemini.names import camel
from vibe_router.formats.gemini.schema import json_schema
from vibe_router.formats.neutral.model import (
    AllowedTools,
    Audio,
    File,
    Image,
    JsonFormat,
    Message,
    NamedTool,
    NeutralRequest,
    Part,
    Raw,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    unseal,
)

__all__ = ["read"]

_FORMAT = "gemini"
_READ = frozenset({"contents", "systemInstruction", "tools", "toolConfig", "generationConfig"})
_HARMLESS = frozenset({"safetySettings", "labels", "serviceTier", "store", "model"})
_CONFIG_READ = frozenset(
    {"temperature", "topP", "topK", "maxOutputTokens", "candidateCount", "stopSequences", "seed", "presencePenalty",
     "frequencyPenalty", "responseLogprobs", "logprobs", "responseMimeType", "responseSchema", "responseJsonSchema",
     "responseModalities", "thinkingConfig"}
)  # fmt: skip
_CONFIG_HARMLESS = frozenset({"mediaResolution", "enableEnhancedCivicAnswers", "audioTimestamp", "routingConfig"})
_NAMES = {
    "system": "systemInstruction",
    "messages": "contents",
    "tool_choice": "toolConfig.functionCallingConfig",
    "max_tokens": "generationConfig.maxOutputTokens",
    "temperature": "generationConfig.temperature",
    "top_p": "generationConfig.topP",
    "top_k": "generationConfig.topK",
    "n": "generationConfig.candidateCount",
    "stop": "generationConfig.stopSequences",
    "seed": "generationConfig.seed",
    "presence_penalty": "generationConfig.presencePenalty",
    "frequency_penalty": "generationConfig.frequencyPenalty",
    "logprobs": "generationConfig.responseLogprobs",
    "top_logprobs": "generationConfig.logprobs",
    "response_format": "generationConfig.responseSchema",
    "effort": "generationConfig.thinkingConfig.thinkingLevel",
    "budget": "generationConfig.thinkingConfig.thinkingBudget",
}
# What Gemini's models do by default, and what Gemini CLI and Google's samples therefore send.
_DEFAULTS: Mapping[str, tuple[float, ...]] = {"temperature": (1,), "topP": (0.95, 1), "topK": (40, 64)}
_JSON = "application/json"
_OPTIONAL_TOOLS = frozenset({"googleSearch", "googleSearchRetrieval", "urlContext", "googleMaps"})
_LEVELS = {"MINIMAL": "minimal", "LOW": "low", "MEDIUM": "medium", "HIGH": "high"}
# The field in which a result has its text, where it has no other.
_OUTPUTS = frozenset({"output", "result", "content", "error"})
_AUDIO_FORMATS = {"mpeg": "mp3", "mp3": "mp3", "wav": "wav", "x-wav": "wav", "wave": "wav"}
_TEXTS = ("text/", "application/json", "application/xml", "application/x-yaml", "application/javascript")


def read(body: Mapping[str, Any]) -> NeutralRequest:
    """Read a request that `request.parse` has checked. Raises ApiError (400)."""
    config: Mapping[str, Any] = body.get("generationConfig") or {}
    held = {name: value for name, value in body.items() if name not in _READ and value not in (None, [], {}, "")}
    settings = {
        name: value for name, value in config.items() if name not in _CONFIG_READ and value not in (None, [], {}, "")
    }
    rest = {name: value for name, value in held.items() if name not in _HARMLESS}
    rest |= {f"generationConfig.{name}": value for name, value in settings.items() if name not in _CONFIG_HARMLESS}
    modalities = config.get("responseModalities") or []
    if modalities not in (["TEXT"], ["text"], []):
        rest["generationConfig.responseModalities"] = modalities
    effort, budget, shows = _read_thinking(config.get("thinkingConfig"))
    calls = _Calls()
    messages = [_read_content(each, f"contents[{i}]", calls) for i, each in enumerate(body["contents"])]
    place = "generationConfig."
    return NeutralRequest(
        _FORMAT,
        list(_turns(messages)) or messages,
        system=_read_system(body.get("systemInstruction")),
        tools=_read_tools(body.get("tools") or []),
        tool_choice=_read_choice(body.get("toolConfig")),
        max_tokens=config.get("maxOutputTokens"),
        temperature=_read_setting(config, "temperature"),
        top_p=_read_setting(config, "topP"),
        top_k=_read_top_k(config),
        frequency_penalty=number(config, "frequencyPenalty", place),
        presence_penalty=number(config, "presencePenalty", place),
        stop=_read_stops(config.get("stopSequences")),
        n=config.get("candidateCount"),
        seed=config.get("seed"),
        logprobs=truth(config, "responseLogprobs", place),
        top_logprobs=config.get("logprobs"),
        response_format=_read_format(config),
        effort=effort,
        budget=budget,
        reasoning_summary="auto" if shows and (effort or budget) else None,
        rest=rest,
        more={name: value for name, value in held.items() if name in _HARMLESS},
        names=_NAMES,
    )


def _read_setting(config: Mapping[str, Any], name: str) -> float | None:
    value = number(config, name, "generationConfig.")
    return None if value in _DEFAULTS[name] else value


def _read_top_k(config: Mapping[str, Any]) -> int | None:
    value: int | None = config.get("topK")
    return None if value in _DEFAULTS["topK"] else value


def _read_stops(value: object) -> Sequence[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise bad_request(
            "'generationConfig.stopSequences' must be an array of strings.", "generationConfig.stopSequences"
        )
    return value


def _read_thinking(value: object) -> tuple[str | None, int | None, bool]:
    """Return the effort, the budget (-1 leaves it to the model), and whether the caller wants the thoughts."""
    place = "generationConfig.thinkingConfig"
    if value is None:
        return None, None, False
    if not isinstance(value, dict):
        raise bad_request(f"'{place}' must be an object.", place)
    config = camel(value)
    budget = integer(config, "thinkingBudget", f"{place}.")
    level = text(config, "thinkingLevel", f"{place}.")
    shows = truth(config, "includeThoughts", f"{place}.") or False
    if level and level.upper() != "THINKING_LEVEL_UNSPECIFIED" and level.upper() not in _LEVELS:
        raise bad_request(f"'{place}.thinkingLevel' must be one of {', '.join(_LEVELS)}.", f"{place}.thinkingLevel")
    effort = _LEVELS.get((level or "").upper())
    return effort, None if budget is None or budget < 0 else budget, shows


def _read_format(config: Mapping[str, Any]) -> JsonFormat | None:
    place = "generationConfig."
    kind = text(config, "responseMimeType", place)
    for name in ("responseJsonSchema", "responseSchema"):  # Gemini CLI writes Google's types into either
        if (schema := mapping(config, name, place)) is not None:
            return JsonFormat(schema=json_schema(schema, f"{place}{name}"))
    if kind == _JSON:
        return JsonFormat()
    if kind not in (None, "", "text/plain"):
        raise bad_request(f"'{place}responseMimeType' must be text/plain or {_JSON}.", f"{place}responseMimeType")
    return None


def _turns(messages: Iterable[Message]) -> Iterator[Message]:
    """Yield the messages that hold something. Those of the model are merged: SDKs keep every chunk as a content."""
    turn: Message | None = None
    for message in messages:
        if not message.parts:
            continue
        if turn is not None and turn.role == message.role == "assistant":
            turn.parts = [*turn.parts, *message.parts]
            continue
        if turn is not None:
            yield _with_whole_texts(turn)
        turn = message
    if turn is not None:
        yield _with_whole_texts(turn)


def _with_whole_texts(message: Message) -> Message:
    """Join the texts of a model's turn that follow one another."""
    if message.role != "assistant":
        return message
    parts: list[Part] = []
    for is_text, group in groupby(message.parts, lambda part: isinstance(part, Text)):
        held = list(group)
        if is_text and len(held) > 1:
            held = [Text("".join([part.text for part in held if isinstance(part, Text)]), at=held[0].at)]
        parts += held
    message.parts = parts
    return message


# --- Tools ------------------------------------------------------------------------------------------------------------


def _read_tools(values: Sequence[Any]) -> list[Tool | Raw]:
    tools: list[Tool | Raw] = []
    for index, value in enumerate(values):
        at = f"tools[{index}]"
        if not isinstance(value, dict):
            raise bad_request(f"'{at}' must be an object.", at)
        for name, held in camel(value).items():
            if name == "functionDeclarations":
                declared = held if isinstance(held, list) else [held]
                tools += [_read_function(each, f"{at}.{name}[{i}]") for i, each in enumerate(declared) if each]
            elif held is not None:
                what = f"the tool {name[:50]}"
                tools.append(Raw(_FORMAT, {name: held}, what, optional=name in _OPTIONAL_TOOLS, at=f"{at}.{name}"))
    return tools


def _read_function(value: Any, at: str) -> Tool:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or not value["name"]:
        raise bad_request(f"'{at}' must be a function with a name.", at)
    function = camel(value)
    parameters = None
    for name in ("parametersJsonSchema", "parameters"):
        if parameters is None and (schema := mapping(function, name, f"{at}.")) is not None:
            parameters = json_schema(schema, f"{at}.{name}")
    return Tool(value["name"], text(function, "description", f"{at}."), parameters, at=at)


def _read_choice(value: object) -> ToolChoice | None:
    if not isinstance(value, dict):
        return None
    place = "toolConfig.functionCallingConfig"
    config = camel(mapping(camel(value), "functionCallingConfig", "toolConfig.") or {})
    names = config.get("allowedFunctionNames") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise bad_request(
            f"'{place}.allowedFunctionNames' must be an array of strings.", f"{place}.allowedFunctionNames"
        )
    mode = (text(config, "mode", f"{place}.") or "AUTO").upper()
    if mode == "NONE":
        return "none"
    if mode == "ANY":
        if len(names) == 1:
            return NamedTool(names[0])
        return AllowedTools("required", names) if names else "required"
    if mode in ("AUTO", "VALIDATED", "MODE_UNSPECIFIED"):
        return AllowedTools("auto", names) if names else "auto" if config else None
    raise bad_request(f"'{place}.mode' must be AUTO, ANY, NONE or VALIDATED.", f"{place}.mode")


# --- Contents ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Call:
    id: str
    name: str
    is_answered: bool = False


class _Calls:
    """The calls of a conversation so far, by which results are matched to calls that have no ids."""

    def __init__(self) -> None:
        self._count = 0
        # Every call, by its id and by its name in the order of the calls, until it is found to have a result.
        self._by_id: defaultdict[str, deque[_Call]] = defaultdict(deque)
        self._by_name: defaultdict[str, deque[_Call]] = defaultdict(deque)
        self._answered: set[str] = set()  # ids and names

    def add(self, id_: str | None, name: str) -> str:
        """Return the id of a new call."""
        self._count += 1
        id_ = id_ or f"call_{self._count}"
        call = _Call(id_, name)
        self._by_id[id_].append(call)
        self._by_name[name].append(call)
        return id_

    def answer(self, id_: str | None, name: str) -> str | None:
        """Return the id of the call that a result belongs to: the first open one of the name, unless it has an id.

        None for a second result.
        """
        calls = self._by_name[name] if id_ is None else self._by_id[id_]
        while calls:
            call = calls.popleft()
            if not call.is_answered:
                call.is_answered = True
                self._answered |= {call.id, f"name {call.name}"}
                return call.id
        if (id_ or f"name {name}") in self._answered:
            return None
        return id_ or f"call_{name}"


def _read_system(value: object) -> list[Part]:
    if value is None:
        return []
    content = {"parts": [{"text": value}]} if isinstance(value, str) else value
    if not isinstance(content, dict):
        raise bad_request("'systemInstruction' must be an object.", "systemInstruction")
    parts = content.get("parts", content if "text" in content else [])
    parts = parts if isinstance(parts, list) else [parts]
    read: list[Part] = []
    for index, part in enumerate(parts):
        at = f"systemInstruction.parts[{index}]"
        if not isinstance(part, dict) or not isinstance(part.get("text"), str):
            raise bad_request(f"'{at}' must be a part with a text.", at)
        read.append(Text(part["text"], at=at))
    return read


def _read_content(content: Mapping[str, Any], at: str, calls: _Calls) -> Message:
    role = content.get("role")
    if role not in (None, "", "user", "model", "function", "tool", "system"):
        raise bad_request(f"'{at}.role' must be user or model.", f"{at}.role")
    parts: list[Part] = []
    for index, part in enumerate(content["parts"]):
        _add_part(parts, camel(part), f"{at}.parts[{index}]", calls)
    return Message("assistant" if role == "model" else "system" if role == "system" else "user", parts, at=at)


def _add_part(parts: list[Part], part: Mapping[str, Any], at: str, calls: _Calls) -> None:
    _add_proofs(parts, part.get("thoughtSignature"), at)
    match part:
        case {"functionCall": dict(value)}:
            call = camel(value)
            name, arguments = text(call, "name", f"{at}.functionCall."), mapping(call, "args", f"{at}.functionCall.")
            if not name:
                raise bad_request(f"'{at}.functionCall.name' is missing.", f"{at}.functionCall.name")
            id_ = calls.add(text(call, "id", f"{at}.functionCall."), name)
            parts.append(ToolCall(id_, name, dump(arguments or {}).decode(), at=at))
        case {"functionResponse": dict(value)}:
            if result := _read_response(camel(value), f"{at}.functionResponse", calls):
                parts.append(result)
        case {"inlineData": dict(value)}:
            parts.append(_read_inline(camel(value), f"{at}.inlineData"))
        case {"fileData": dict(value)}:
            parts.append(_read_file(camel(value), f"{at}.fileData"))
        case {"text": str(words), "thought": True}:
            if words and not (parts and isinstance(parts[-1], Reasoning) and parts[-1].text == words):
                parts.append(Reasoning(words, at=at))
        case {"text": str(words)}:
            if words:
                parts.append(Text(words, at=at))
        case {"executableCode": dict(value)}:
            code = camel(value)
            language = (text(code, "language", f"{at}.executableCode.") or "").lower()
            parts.append(Text(f"```{language}\n{text(code, 'code', f'{at}.executableCode.') or ''}\n```", at=at))
        case {"codeExecutionResult": dict(value)}:
            parts.append(Text(text(value, "output", f"{at}.codeExecutionResult.") or "", at=at))
        case _:
            known = {"thought", "thoughtSignature", "text", "videoMetadata", "partMetadata", "mediaResolution"}
            unread = [name for name, held in part.items() if name not in known and held is not None]
            if unread:
                parts.append(Raw(_FORMAT, dict(part), f"a part with {unread[0][:50]}", at=f"{at}.{unread[0][:50]}"))
            elif not part.keys() & {"thoughtSignature", "thought"}:
                raise bad_request(f"'{at}' must be a part with text, data or a function's call or response.", at)


def _add_proofs(parts: list[Part], signature: object, at: str) -> None:
    """Add the reasoning that is sealed in a part's signature, in place of the same thoughts before it."""
    if not isinstance(signature, str):
        return
    try:
        words = base64.b64decode(signature.replace("-", "+").replace("_", "/") + "==").decode("ascii").split()
    except (binascii.Error, ValueError):
        return  # Gemini's own
    found = [reasoning for word in words if (reasoning := unseal(word, at=at))]
    if not found:
        return
    thoughts = ""
    while parts and isinstance(last := parts[-1], Reasoning) and not last.sealed:
        thoughts = last.text + thoughts
        parts.pop()
    if thoughts and not any(each.text for each in found):
        if found[0].encrypted:
            found[0].summary = [thoughts]
        else:
            found[0].text = thoughts
    parts += found


def _read_response(value: Mapping[str, Any], at: str, calls: _Calls) -> ToolResult | None:
    name = text(value, "name", f"{at}.") or ""
    id_ = calls.answer(text(value, "id", f"{at}."), name)
    if id_ is None:
        return None
    response = mapping(value, "response", f"{at}.") or {}
    parts: list[Part] = []
    if len(response) == 1 and (key := next(iter(response))) in _OUTPUTS and isinstance(response[key], str):
        parts.append(Text(response[key], at=f"{at}.response"))
    elif response:
        parts.append(Text(dump(response).decode(), at=f"{at}.response"))
    more = value.get("parts") or []
    if not isinstance(more, list):
        raise bad_request(f"'{at}.parts' must be an array.", f"{at}.parts")
    for index, part in enumerate(more):
        match camel(part) if isinstance(part, dict) else None:
            case {"inlineData": dict(data)}:
                parts.append(_read_inline(camel(data), f"{at}.parts[{index}].inlineData"))
            case {"fileData": dict(data)}:
                parts.append(_read_file(camel(data), f"{at}.parts[{index}].fileData"))
            case _:
                raise bad_request(f"'{at}.parts[{index}]' must be inline data or a file.", f"{at}.parts[{index}]")
    return ToolResult(id_, parts, error="error" in response and len(response) == 1, at=at)


def _read_inline(value: Mapping[str, Any], at: str) -> Part:
    data, media_type = text(value, "data", f"{at}."), (text(value, "mimeType", f"{at}.") or "").lower()
    if not data or not media_type:
        missing = "data" if media_type else "mimeType"
        raise bad_request(f"'{at}.{missing}' is missing.", f"{at}.{missing}")
    data = data.replace("-", "+").replace("_", "/")  # Google's clients may use either alphabet
    kind, _, sub = media_type.partition(";")[0].partition("/")
    if kind == "image":
        return Image(data=data, media_type=media_type, at=at)
    if kind == "audio":
        return (
            Audio(data, _AUDIO_FORMATS.get(sub, sub), at=at) if sub in _AUDIO_FORMATS else _other(value, media_type, at)
        )
    if media_type.startswith(_TEXTS):
        try:
            words = base64.b64decode(data).decode()
        except (binascii.Error, ValueError):
            raise bad_request(f"'{at}.data' is not text in base64.", f"{at}.data") from None
        return File(text(value, "displayName", f"{at}."), text=words, media_type=media_type, at=at)
    if media_type == "application/pdf":
        return File(text(value, "displayName", f"{at}."), data, media_type, at=at)
    return _other(value, media_type, at)


def _read_file(value: Mapping[str, Any], at: str) -> Part:
    uri, media_type = text(value, "fileUri", f"{at}."), (text(value, "mimeType", f"{at}.") or "").lower()
    if not uri:
        raise bad_request(f"'{at}.fileUri' is missing.", f"{at}.fileUri")
    if not uri.startswith(("https://", "http://")) or "generativelanguage.googleapis.com/" in uri:
        return Raw(_FORMAT, dict(value), "a file that Google stores", at=f"{at}.fileUri")
    if media_type.startswith("image/"):
        return Image(uri, at=at)
    if media_type.startswith(("video/", "audio/")) or "youtube.com/" in uri:
        return _other(value, media_type or "video", at)
    return File(text(value, "displayName", f"{at}."), url=uri, media_type=media_type or None, at=at)


def _other(value: Mapping[str, Any], media_type: str, at: str) -> Raw:
    return Raw(_FORMAT, dict(value), f"data of the type {media_type[:50]}", at=at)
