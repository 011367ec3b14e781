"""The neutral form of requests and answers, independent of any wire format.

A request is read from the caller's format once and written in the provider's. Everything that all formats must preserve
is a field here. A part that no other format has is `Raw`: a hosted tool, a file by its id, an unknown item. A format
that cannot carry something raises `unsupported`; it never leaves it out silently. A provider of the caller's own format
gets the request as sent: the neutral form is never written in the format that it was read from.

An answer is a sequence of events, streamed or not: `Started` once, then blocks (text, reasoning, a refusal, a tool
call), each uninterrupted, a `Finish` for every choice, and a `UsageReport` whenever the provider reports usage.

`at` is the place of an item in the caller's body (`messages[2].content[0]`), for the 400 that names it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from vibe_router.core.errors import ApiError, bad_request
from vibe_router.core.usage import Usage
from vibe_router.formats.common.seal import Seal, unwrap

__all__ = [
    "AllowedTools",
    "AnnotationAdded",
    "Audio",
    "Event",
    "File",
    "Finish",
    "Image",
    "JsonFormat",
    "Message",
    "NamedTool",
    "NeutralRequest",
    "Part",
    "Raw",
    "Reasoning",
    "ReasoningDelta",
    "ReasoningProof",
    "Refusal",
    "RefusalDelta",
    "Started",
    "Text",
    "TextDelta",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallStart",
    "ToolResult",
    "UsageReport",
    "custom_tool_arguments",
    "custom_tool_as_function",
    "custom_tool_input",
    "custom_tool_names",
    "merge_turns",
    "object_schema",
    "reasoning_effort",
    "thinking_budget",
    "unseal",
    "unsupported",
    "with_own_proofs",
    "without_optional_tools",
]


def _at() -> Any:
    return field(default="", compare=False, kw_only=True)


# --- A request's parts ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Text:
    """Text. `cache` is Anthropic's `cache_control`: the prompt is cached up to here."""

    text: str
    cache: Mapping[str, Any] | None = None
    at: str = _at()


@dataclass(slots=True)
class Image:
    """An image: a `url`, or `data` (base64) of `media_type`. `detail` is OpenAI's low, high or auto."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: str | None = None
    cache: Mapping[str, Any] | None = None
    at: str = _at()


@dataclass(slots=True)
class File:
    """A document: `data` (base64) of `media_type`, a `url`, or plain `text`."""

    filename: str | None = None
    data: str | None = None
    media_type: str | None = None
    url: str | None = None
    text: str | None = None
    cache: Mapping[str, Any] | None = None
    at: str = _at()


@dataclass(slots=True)
class Audio:
    """Spoken input: `data` (base64), `format` such as wav."""

    data: str
    format: str
    at: str = _at()


@dataclass(slots=True)
class Refusal:
    """The model's refusal in an earlier answer."""

    text: str
    at: str = _at()


@dataclass(slots=True)
class ToolCall:
    """A tool call of the model. `arguments` is JSON text, or free text for a `custom` tool."""

    id: str
    name: str
    arguments: str
    custom: bool = False
    cache: Mapping[str, Any] | None = None
    at: str = _at()


@dataclass(slots=True)
class ToolResult:
    """The result of a tool call; part of a user's message."""

    call_id: str
    parts: "Sequence[Part]"
    error: bool = False
    custom: bool = False
    cache: Mapping[str, Any] | None = None
    at: str = _at()


@dataclass(slots=True)
class Reasoning:
    """A model's earlier reasoning.

    `text` is the reasoning itself, `summary` its paragraphs if only those were shown. The proof is for the credential
    that issued it: `signature` (Anthropic's, over the text), `redacted` (Anthropic's, without text), `encrypted`
    (OpenAI's, with the item's `id`) or `chat` (JSON of the fields that a chat provider wants back). `issuer` is the
    provider that issued it, None if only its format is known.
    """

    text: str = ""
    summary: Sequence[str] = ()
    signature: str | None = None
    redacted: str | None = None
    encrypted: str | None = None
    chat: str | None = None
    id: str | None = None
    issuer: str | None = None
    at: str = _at()

    @property
    def sealed(self) -> bool:
        """Return whether it has a proof."""
        return bool(self.signature or self.redacted or self.encrypted or self.chat)


@dataclass(slots=True)
class Raw:
    """Something that only `format` has: `value` as the caller sent it, described as `what` in a 400.

    An `optional` tool may be dropped: see `without_optional_tools`.
    """

    format: str
    value: Any
    what: str
    optional: bool = False
    at: str = _at()


Part = Text | Image | File | Audio | Refusal | ToolCall | ToolResult | Reasoning | Raw


@dataclass(slots=True)
class Message:
    """One message. If it `continues` the message before it, both are one turn of the same role (items of Responses).

    Tool results are parts of a user's message.
    """

    role: Literal["system", "developer", "user", "assistant"]
    parts: Sequence[Part]
    name: str | None = None
    continues: bool = False
    at: str = _at()


# --- A request --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Tool:
    """A function that the model may call.

    `custom` ones take free text instead of JSON, in the `grammar` given, as Responses writes it (`definition`, …).
    """

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    strict: bool | None = None
    custom: bool = False
    grammar: Mapping[str, Any] | None = None
    cache: Mapping[str, Any] | None = None
    at: str = _at()


@dataclass(slots=True)
class NamedTool:
    """A tool choice: this tool must be called."""

    name: str
    custom: bool = False


@dataclass(slots=True)
class AllowedTools:
    """A tool choice: only these tools may be called (`mode` auto), or one of them must be (required)."""

    mode: Literal["auto", "required"]
    names: Sequence[str]


ToolChoice = Literal["auto", "none", "required"] | NamedTool | AllowedTools | Raw


@dataclass(slots=True)
class JsonFormat:
    """The answer must be JSON of this `schema`; any object if it is None."""

    name: str | None = None
    schema: Mapping[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


@dataclass(slots=True)
class NeutralRequest:
    """A request. None or empty means that the caller left it out.

    `system` is the prompt before all messages, if the format has a field for it (Responses' instructions, Anthropic's
    system). `effort` is OpenAI's reasoning effort, `budget` Anthropic's thinking tokens (0: no thinking).
    `rest` holds the fields that only the caller's format has and that other formats must reject; those that other
    formats may leave out are in `more`. `names` maps field names here to the caller's, where they differ.
    `base_model` comes from routes: the model behind a deployment with an opaque name.
    """

    format: str
    messages: Sequence[Message]
    system: Sequence[Part] = ()
    tools: Sequence[Tool | Raw] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: Sequence[str] = ()
    n: int | None = None
    seed: int | None = None
    logit_bias: Mapping[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: JsonFormat | None = None
    effort: str | None = None
    budget: int | None = None
    reasoning_summary: str | None = None
    verbosity: str | None = None
    metadata: Mapping[str, Any] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    rest: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict, compare=False)
    base_model: str | None = None

    def caller_name(self, name: str) -> str:
        """Return the caller's name of the field `name`."""
        return self.names.get(name, name)


def unsupported(target: str, param: str, what: str | None = None) -> ApiError:
    """Return the 400 for the caller's `param`, described as `what`, which the format `target` cannot carry."""
    described = f"{what} ('{param}')" if what else f"'{param}'"
    message = f"A provider that speaks {target} cannot be asked for {described}."
    return bad_request(message, param, "unsupported_parameter")


def merge_turns(messages: Iterable[Message]) -> Iterator[Message]:
    """Yield the messages, with those that continue one another merged."""
    open_turn: Message | None = None
    for message in messages:
        if open_turn is not None and message.continues and message.role == open_turn.role:
            open_turn = replace(open_turn, parts=[*open_turn.parts, *message.parts])
            continue
        if open_turn is not None:
            yield open_turn
        open_turn = message
    if open_turn is not None:
        yield open_turn


def unseal(word: str, **fields: Any) -> Reasoning | None:
    """Return the reasoning sealed in `word`, a proof from a caller; None for a native proof.

    `fields` are the other fields of the reasoning; a signed text comes from the seal.
    """
    seal = unwrap(word)
    if seal is None:
        return None
    reasoning = Reasoning(**fields)
    reasoning.text = seal.text or reasoning.text
    reasoning.id, reasoning.issuer = seal.id or reasoning.id, seal.issuer
    setattr(reasoning, seal.kind, seal.value)
    return reasoning


def with_own_proofs(request: NeutralRequest, issuer: str | None) -> tuple[NeutralRequest, int, int]:
    """Return `request` without the proofs of other providers than `issuer`, and how many were preserved and removed.

    The text of the reasoning stays. None for `issuer` removes every proof.
    """
    preserved = removed = 0

    def own(part: Part) -> Part:
        nonlocal preserved, removed
        if not isinstance(part, Reasoning) or not part.sealed:
            return part
        if issuer is not None and part.issuer == issuer:
            preserved += 1
            return part
        removed += 1
        return replace(part, signature=None, redacted=None, encrypted=None, chat=None, id=None)

    messages = [
        replace(message, parts=[own(part) for part in message.parts]) if message.role == "assistant" else message
        for message in request.messages
    ]
    return (replace(request, messages=messages) if removed else request), preserved, removed


def without_optional_tools(request: NeutralRequest) -> NeutralRequest:
    """Return `request` for a provider of another format, without tools that are optional and of one format only.

    Coding agents offer a web search in every request; that must not exclude all providers of other formats.
    """
    tools = [tool for tool in request.tools if not (isinstance(tool, Raw) and tool.optional)]
    if len(tools) == len(request.tools) or request.tool_choice not in (None, "auto", "none"):
        return request
    return replace(request, tools=tools)


# OpenAI has levels where Anthropic has token counts. These are the bounds that relays between them commonly use.
_EFFORTS = (("low", 1024), ("medium", 8192), ("high", 24_576))


def reasoning_effort(request: NeutralRequest) -> str | None:
    """Return the reasoning effort of `request`, converted if it is given as a token budget; none for no thinking."""
    if request.budget == 0:
        return "none"
    if request.effort is not None or request.budget is None:
        return request.effort
    return next((effort for effort, most in _EFFORTS if request.budget <= most), "high")


def thinking_budget(request: NeutralRequest) -> int | None:
    """Return the thinking tokens of `request`, converted if they are given as an effort; 0 for no thinking."""
    if request.budget is not None or request.effort is None:
        return request.budget
    if request.effort == "none":
        return 0
    return dict(_EFFORTS).get(request.effort, 1024 if request.effort == "minimal" else 24_576)


def custom_tool_names(request: NeutralRequest) -> frozenset[str]:
    """Return the names of the tools that take free text, which some formats must declare as functions."""
    return frozenset(tool.name for tool in request.tools if isinstance(tool, Tool) and tool.custom)


def custom_tool_as_function(tool: Tool) -> Tool:
    """Return a free-text tool as a function of one string, `input`, for formats without such tools."""
    described = tool.description or ""
    if tool.grammar and isinstance(definition := tool.grammar.get("definition"), str):
        described = f"{described}\n\n`input` must follow this grammar:\n{definition}".strip()
    schema = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    return Tool(tool.name, described or None, {**schema, "additionalProperties": False}, at=tool.at)


def object_schema(parameters: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return a tool's parameters with the `properties` that OpenAI requires of an object."""
    if parameters is None or "properties" in parameters or parameters.get("type", "object") != "object":
        return parameters
    if parameters.keys() & {"$ref", "anyOf", "oneOf", "allOf"}:
        return parameters
    return {"type": "object", **parameters, "properties": {}}


def custom_tool_arguments(text: str) -> str:
    """Return the arguments of a call of such a function."""
    return json.dumps({"input": text}, ensure_ascii=False)


def custom_tool_input(arguments: str) -> str:
    """Return the text in the arguments of a call of such a function; the arguments themselves if there is none.

    Models also write it under another name, or as a JSON string.
    """
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    while isinstance(value, dict):
        value = value["input"] if "input" in value else next(iter(value.values())) if len(value) == 1 else None
    return value if isinstance(value, str) else arguments


# --- An answer --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Started:
    """The answer begins; the first event. `created` is in epoch seconds."""

    id: str | None
    model: str | None
    created: int | None = None


@dataclass(slots=True)
class TextDelta:
    """More text. `logprobs` are OpenAI's objects, one per token."""

    text: str
    choice: int = 0
    logprobs: Sequence[Mapping[str, Any]] | None = None


@dataclass(slots=True)
class AnnotationAdded:
    """An annotation of the text so far, such as a citation, as in Responses (`type`, `url`, `start_index`, …).

    Its indices count from the beginning of the choice's text.
    """

    annotation: Mapping[str, Any]
    choice: int = 0


@dataclass(slots=True)
class RefusalDelta:
    """More of a refusal."""

    text: str
    choice: int = 0


@dataclass(slots=True)
class ReasoningDelta:
    """More reasoning. `summary`: it belongs to a summary, whose paragraphs `part` counts."""

    text: str
    summary: bool = False
    part: int = 0
    choice: int = 0


@dataclass(slots=True)
class ReasoningProof:
    """The end of a reasoning block, with its proof as in `Reasoning`. `issuer` is set by the translation."""

    signature: str | None = None
    redacted: str | None = None
    encrypted: str | None = None
    chat: str | None = None
    id: str | None = None
    issuer: str = ""
    choice: int = 0

    def seal(self, text: str = "") -> Seal | None:
        """Return the proof as a seal; `text` is the text that a signature signs."""
        if self.signature:
            return Seal("signature", self.issuer, self.signature, text=text)
        if self.redacted:
            return Seal("redacted", self.issuer, self.redacted)
        if self.chat:
            return Seal("chat", self.issuer, self.chat)
        return Seal("encrypted", self.issuer, self.encrypted, self.id) if self.encrypted else None


@dataclass(slots=True)
class ToolCallStart:
    """A tool call begins; every `ToolCallDelta` up to the next block belongs to it."""

    id: str
    name: str
    custom: bool = False
    choice: int = 0


@dataclass(slots=True)
class ToolCallDelta:
    """More arguments of the current tool call."""

    arguments: str
    choice: int = 0


Reason = Literal["stop", "length", "tool_calls", "content_filter", "refusal"]


@dataclass(slots=True)
class Finish:
    """Why a choice ended; `stop_sequence` is the one that ended it, if the provider reports it."""

    reason: Reason
    choice: int = 0
    stop_sequence: str | None = None


@dataclass(slots=True)
class UsageReport:
    """The usage reported so far; the last report counts."""

    usage: Usage


Event = (
    Started
    | TextDelta
    | AnnotationAdded
    | RefusalDelta
    | ReasoningDelta
    | ReasoningProof
    | ToolCallStart
    | ToolCallDelta
    | Finish
    | UsageReport
)
