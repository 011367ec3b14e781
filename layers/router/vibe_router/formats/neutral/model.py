"""The neutral form: what a request and its answer say, in the words of no wire format.

A request is read from the caller's format once, and said in the provider's. What every format must keep is a field
here; what only the caller's own format knows stands in `more` (where it stands, and whether another format may leave it
out, is that format's to say) or is `Raw` (nobody else can say it: a hosted tool, a file by its id, an unknown item).
A format that meets what it can't carry calls `refuse` and never leaves it out quietly.

An answer is its events, streamed or not: `Started` once, then blocks (text, reasoning, a refusal, a tool call), each in
one run, `Finish` for every choice, and `Told` whenever the provider counted.

`at` is where a thing stands in the caller's body (`messages[2].content[0]`), for the 400 that names it.
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
    "reasoning_effort",
    "thinking_budget",
    "unseal",
    "unsupported",
    "with_own_proofs",
    "without_optional_tools",
]


def _at() -> Any:
    return field(default="", compare=False, kw_only=True)


def _more() -> Any:
    return field(default_factory=dict, kw_only=True)


# --- A request's parts ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Text:
    """Words. `cache` is a mark after which the prompt is to be cached, as Anthropic writes it."""

    text: str
    cache: Mapping[str, Any] | None = None
    more: Mapping[str, Any] = _more()
    at: str = _at()


@dataclass(slots=True)
class Image:
    """A picture: a `url`, or `data` (base64) of `media_type`. `detail` is OpenAI's low, high or auto."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: str | None = None
    cache: Mapping[str, Any] | None = None
    more: Mapping[str, Any] = _more()
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
    more: Mapping[str, Any] = _more()
    at: str = _at()


@dataclass(slots=True)
class Audio:
    """Spoken input: `data` (base64), `format` such as wav."""

    data: str
    format: str
    at: str = _at()


@dataclass(slots=True)
class Refusal:
    """What the model said when it declined."""

    text: str
    at: str = _at()


@dataclass(slots=True)
class ToolCall:
    """The model's call of a tool. `arguments` is JSON text, or free text for a `custom` tool."""

    id: str
    name: str
    arguments: str
    custom: bool = False
    cache: Mapping[str, Any] | None = None
    more: Mapping[str, Any] = _more()
    at: str = _at()


@dataclass(slots=True)
class ToolResult:
    """What a tool gave back; stands in a user's message."""

    call_id: str
    parts: "Sequence[Part]"
    error: bool = False
    custom: bool = False
    cache: Mapping[str, Any] | None = None
    more: Mapping[str, Any] = _more()
    at: str = _at()


@dataclass(slots=True)
class Reasoning:
    """A model's earlier reasoning.

    `text` is its wording, `summary` what was told of it instead. The rest proves it to the credential that issued it:
    `signature` (Anthropic's, over the text), `redacted` (Anthropic's, instead of a text) or `encrypted` (OpenAI's),
    `id` being OpenAI's name for the item. `issuer` is the provider that issued it, None where only its format is known.
    """

    text: str = ""
    summary: Sequence[str] = ()
    signature: str | None = None
    redacted: str | None = None
    encrypted: str | None = None
    id: str | None = None
    issuer: str | None = None
    more: Mapping[str, Any] = _more()
    at: str = _at()

    @property
    def sealed(self) -> bool:
        """Whether it holds what only its issuer can read."""
        return bool(self.signature or self.redacted or self.encrypted)


@dataclass(slots=True)
class Raw:
    """Something that only `format` can say: `value` as the caller wrote it, called `what` in a refusal.

    An `optional` one is a tool that the model may use and that an answer does without: see `bearable`.
    """

    format: str
    value: Any
    what: str
    optional: bool = False
    at: str = _at()


Part = Text | Image | File | Audio | Refusal | ToolCall | ToolResult | Reasoning | Raw


@dataclass(slots=True)
class Message:
    """One message, or one item of a turn that `continues` the message before it (same role; Responses has such items).

    Tool results are parts of a user's message.
    """

    role: Literal["system", "developer", "user", "assistant"]
    parts: Sequence[Part]
    name: str | None = None
    continues: bool = False
    more: Mapping[str, Any] = _more()
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
    more: Mapping[str, Any] = _more()
    at: str = _at()


@dataclass(slots=True)
class NamedTool:
    """The one tool that must be called."""

    name: str
    custom: bool = False


@dataclass(slots=True)
class AllowedTools:
    """The tools, out of all that are told, that may be called (`mode` auto) or of which one must be (required)."""

    mode: Literal["auto", "required"]
    names: Sequence[str]


ToolChoice = Literal["auto", "none", "required"] | NamedTool | AllowedTools | Raw


@dataclass(slots=True)
class JsonFormat:
    """The answer is to be JSON; of `schema` where there is one, else any object."""

    name: str | None = None
    schema: Mapping[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


@dataclass(slots=True)
class NeutralRequest:
    """A request. None, empty or False is what the caller left out.

    `names` are the caller's words for fields that it calls otherwise. `rest` holds every field that only its format
    knows, for others to refuse by name; what may be left out without harm is not in it but in `more`.
    `system` is what stands before all messages where the format keeps it apart (Responses' instructions, Anthropic's
    system). `effort` is OpenAI's reasoning effort, `budget` Anthropic's thinking tokens (0: no thinking).
    `base_model` is no word of the caller's: what the model that is asked is, where its name does not say.
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

    def called(self, name: str) -> str:
        """Return the caller's word for the field `name`."""
        return self.names.get(name, name)


def unsupported(target: str, param: str, what: str | None = None) -> ApiError:
    """Return the 400 for what the format `target` can't carry: the caller's `param`, described as `what`."""
    told = f"{what} ('{param}')" if what else f"'{param}'"
    return bad_request(f"A provider that speaks {target} cannot be asked for {told}.", param, "unsupported_parameter")


def merge_turns(messages: Iterable[Message]) -> Iterator[Message]:
    """Return the messages with those joined that continue one another."""
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


def unseal(word: str, **said: Any) -> Reasoning | None:
    """Return the reasoning that `word`, a proof in a caller's format, holds for another one; None for a native proof.

    `said` is what the caller told beside it; the words that were signed come out of the seal.
    """
    seal = unwrap(word)
    if seal is None:
        return None
    held = Reasoning(**said)
    held.text = seal.text or held.text
    held.id, held.issuer = seal.id or held.id, seal.issuer
    setattr(held, seal.kind, seal.value)
    return held


def with_own_proofs(request: NeutralRequest, issuer: str | None) -> tuple[NeutralRequest, int, int]:
    """Return `request` for the provider `issuer`, without the proofs of all others; how many were kept, and left out.

    The words that stood beside them stay. None for `issuer` leaves every proof out.
    """
    stayed = left_out = 0

    def own(part: Part) -> Part:
        nonlocal stayed, left_out
        if not isinstance(part, Reasoning) or not part.sealed:
            return part
        if issuer is not None and part.issuer == issuer:
            stayed += 1
            return part
        left_out += 1
        return replace(part, signature=None, redacted=None, encrypted=None, id=None)

    messages = [
        replace(message, parts=[own(part) for part in message.parts]) if message.role == "assistant" else message
        for message in request.messages
    ]
    return (replace(request, messages=messages) if left_out else request), stayed, left_out


def without_optional_tools(request: NeutralRequest) -> NeutralRequest:
    """Return `request` for a provider of another format, without the tools that it does without.

    A coding agent offers a web search in every request; that must not keep it from all providers of other formats.
    """
    tools = [tool for tool in request.tools if not (isinstance(tool, Raw) and tool.optional)]
    if len(tools) == len(request.tools) or request.tool_choice not in (None, "auto", "none"):
        return request
    return replace(request, tools=tools)


# Anthropic counts what OpenAI names. The bounds are those that relays between the two have settled on.
_EFFORTS = (("low", 1024), ("medium", 8192), ("high", 24_576))


def reasoning_effort(request: NeutralRequest) -> str | None:
    """Return the reasoning effort that `request` asks for, also where it gives it as a budget of tokens."""
    if request.effort is not None or not request.budget:
        return request.effort
    return next((effort for effort, most in _EFFORTS if request.budget <= most), "high")


def thinking_budget(request: NeutralRequest) -> int | None:
    """Return the thinking tokens that `request` asks for, also where it gives them as an effort; 0 for none."""
    if request.budget is not None or request.effort is None:
        return request.budget
    if request.effort == "none":
        return 0
    return dict(_EFFORTS).get(request.effort, 1024 if request.effort == "minimal" else 24_576)


def custom_tool_names(request: NeutralRequest) -> frozenset[str]:
    """Return the names of the tools that take free text: a target may have to ask for them as functions."""
    return frozenset(tool.name for tool in request.tools if isinstance(tool, Tool) and tool.custom)


def custom_tool_as_function(tool: Tool) -> Tool:
    """Return a tool that takes free text as a function of one string, `input`, for formats without such tools."""
    described = tool.description or ""
    if tool.grammar and isinstance(definition := tool.grammar.get("definition"), str):
        described = f"{described}\n\n`input` must follow this grammar:\n{definition}".strip()
    schema = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    return Tool(tool.name, described or None, {**schema, "additionalProperties": False}, at=tool.at)


def custom_tool_arguments(text: str) -> str:
    """Return the arguments of such a function's call."""
    return json.dumps({"input": text}, ensure_ascii=False)


def custom_tool_input(arguments: str) -> str:
    """Return the text in the arguments of such a function's call; the arguments themselves where they hold none."""
    try:
        held = json.loads(arguments)
    except ValueError:
        return arguments
    return held["input"] if isinstance(held, dict) and isinstance(held.get("input"), str) else arguments


# --- An answer --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Started:
    """The answer begins; `model` is the one that answers, `created` in epoch seconds. Comes first."""

    id: str | None
    model: str | None
    created: int | None = None


@dataclass(slots=True)
class TextDelta:
    """More text. `logprobs` are OpenAI's objects, one a token."""

    text: str
    choice: int = 0
    logprobs: Sequence[Mapping[str, Any]] | None = None


@dataclass(slots=True)
class AnnotationAdded:
    """A note on the text so far, such as a citation, as Responses writes it (`type`, `url`, `start_index`, …).

    Its indices count from the beginning of all that the choice has said.
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
    """More reasoning; `summary` where it is a summary's, of which `part` counts the paragraphs."""

    text: str
    summary: bool = False
    part: int = 0
    choice: int = 0


@dataclass(slots=True)
class ReasoningProof:
    """The end of a reasoning block, with what proves it: see `Reasoning`. `issuer` is filled in on the way."""

    signature: str | None = None
    redacted: str | None = None
    encrypted: str | None = None
    id: str | None = None
    issuer: str = ""
    choice: int = 0

    def seal(self, text: str = "") -> Seal | None:
        """Return the proof as it travels in another format; `text` is what a signature signs."""
        if self.signature:
            return Seal("signature", self.issuer, self.signature, text=text)
        if self.redacted:
            return Seal("redacted", self.issuer, self.redacted)
        return Seal("encrypted", self.issuer, self.encrypted, self.id) if self.encrypted else None


@dataclass(slots=True)
class ToolCallStart:
    """A call of a tool begins; every `ToolCallDelta` up to the next block belongs to it."""

    id: str
    name: str
    custom: bool = False
    choice: int = 0


@dataclass(slots=True)
class ToolCallDelta:
    """More of the arguments of the call that has begun."""

    arguments: str
    choice: int = 0


Reason = Literal["stop", "length", "tool_calls", "content_filter", "refusal"]


@dataclass(slots=True)
class Finish:
    """Why a choice ended; `stop_sequence` is the one that was met, where the provider says so."""

    reason: Reason
    choice: int = 0
    stop_sequence: str | None = None


@dataclass(slots=True)
class UsageReport:
    """What the provider has counted; a later one stands for all before it."""

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
