"""The simulated model: fixed rules that turn a request of any format into text, reasoning and tool calls.

Every format parses its request into a `ModelRequest` and renders the `ModelReply` of `generate_reply`, so the same
conversation gets the same reply in every format.

A tool is called when the tool choice demands it, when the prompt asks for a tool, or when a short prompt is about the
tool ("What's the weather in Paris?" for get_weather). A prompt can also script the calls:
`call weather with {"city": "Rome"} and clock with {}` is one round of two calls, and a further `call …` is the next
round. After the last round the reply is text.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from local.standin.formats import AnswerContext, BadRequest
from local.standin.schema import instance
from local.standin.text import answer_text, excerpt, pieces, tokens_in

__all__ = [
    "ModelReply",
    "ModelRequest",
    "Tool",
    "ToolCall",
    "ToolChoice",
    "ToolResult",
    "Turn",
    "generate_reply",
    "is_own_signature",
    "is_reasoning_model",
    "objects",
    "signature_of",
]

_WANTS_TOOL = re.compile(r"\b(tools?|function|call)\b", re.IGNORECASE)
_WANTS_ALL_TOOLS = re.compile(r"\b(both|all|every|each)\b.*\b(tools?|functions?)\b", re.IGNORECASE | re.DOTALL)
_SCRIPTED = re.compile(r"\b(call|and)\s+([A-Za-z0-9_.-]+)\s+with\s+(?=[{\"])", re.IGNORECASE)
_MAX_QUESTION = 300  # characters of a prompt that is matched with the names of tools
_NAME_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_GENERIC_WORDS = frozenset(
    {"current", "data", "fetch", "find", "function", "get", "info", "list", "make", "query", "read"}
)
"""Words in the names of tools that do not say what the tool is about."""
_PLACE = re.compile(r"\b(?:in|for|at|of|to|from|about|near|on)\s+((?:[A-Z][\w'’-]*)(?:,?\s+[A-Z][\w'’-]*){0,3})")
_QUOTED = re.compile(r"[\"“]([^\"”\n]{1,80})[\"”]")
_WANTS_JSON = re.compile(
    r"\b(?:answer|respond|reply|return|output|produce|give|generate|write|format)\b[^.?!\n]{0,60}\bjson\b"
    r"|\b(?:only|valid|raw|strict|as)\s+(?:an?\s+|valid\s+|raw\s+){0,2}json\b|\bjson\s+(?:only|schema)\b",
    re.IGNORECASE,
)
_JSON_KEYS = re.compile(
    r"\b(?:keys?|fields?|properties)\b:?\s+((?:[\"'`“]?\w+[\"'`”]?(?:,\s*(?:and\s+)?|\s+and\s+)?){1,12})"
)
_THINKS = re.compile(r"reason|think|\((?:minimal|low|medium|high|xhigh)\)", re.IGNORECASE)

_TURN_OVERHEAD = 4  # tokens that a message costs beside its text, as OpenAI's counting guide has it
_PART_TOKENS = 85  # what OpenAI bills for one image at low detail

ToolChoice: TypeAlias = Literal["auto", "none", "required"]


@dataclass(frozen=True)
class Tool:
    """A tool that may be called. A `free` one takes text instead of an object."""

    name: str
    parameters: object
    free: bool = False
    namespace: str | None = None


@dataclass(frozen=True)
class ToolCall:
    """A tool call: `arguments` is JSON, or any text for a free tool."""

    id: str
    name: str
    arguments: str
    free: bool = False
    namespace: str | None = None


@dataclass(frozen=True)
class ToolResult:
    """The result of the tool call with this id."""

    id: str
    text: str


@dataclass(frozen=True)
class Turn:
    """One message. `attachments` are the kinds of its non-text parts, an empty string for an unknown kind."""

    role: str
    text: str = ""
    attachments: Sequence[str] = ()
    calls: Sequence[ToolCall] = ()
    results: Sequence[ToolResult] = ()

    @property
    def asks(self) -> bool:
        """Return whether this is a user message that is more than tool results."""
        return self.role == "user" and not self.results

    @property
    def tokens(self) -> int:
        """The number of prompt tokens."""
        text = "\n".join([part for part in (self.text, *(result.text for result in self.results)) if part])
        return _TURN_OVERHEAD + tokens_in(text) + len(self.attachments) * _PART_TOKENS


@dataclass(frozen=True)
class ModelRequest:
    """A request, independent of its wire format.

    `choice` is the tool choice, or a 1-tuple with the name of the tool that must be called. `form` is `text`,
    `object` (any JSON) or `schema`; `form_param` is the format's name for that parameter. `limit` is in tokens,
    including reasoning.
    """

    model: str
    turns: Sequence[Turn]
    tools: Sequence[Tool] = ()
    choice: ToolChoice | tuple[str] = "auto"
    parallel: bool = True
    form: Literal["text", "object", "schema"] = "text"
    schema: object = None
    form_param: str = "response_format"
    limit: int | None = None
    stops: Sequence[str] = ()
    reasons: bool = False

    @property
    def prompt(self) -> str:
        """The last user message."""
        return next((turn.text for turn in reversed(self.turns) if turn.asks), "")

    @property
    def prompt_tokens(self) -> int:
        """The number of tokens of the conversation."""
        return sum(turn.tokens for turn in self.turns) + 3

    @property
    def seen_tokens(self) -> int:
        """The number of tokens before the last assistant message: the part that a prompt cache may hold."""
        answered = [position for position, turn in enumerate(self.turns) if turn.role == "assistant"]
        return sum(turn.tokens for turn in self.turns[: answered[-1]]) if answered else 0


@dataclass(frozen=True)
class ModelReply:
    """A reply, independent of its wire format. `stop` is the stop sequence that ended it."""

    reasoning: str = ""
    text: str | None = None
    calls: Sequence[ToolCall] = ()
    finish: Literal["stop", "length", "tools"] = "stop"
    stop: str | None = None
    reasoning_tokens: int = field(init=False)
    tokens: int = field(init=False)

    def __post_init__(self) -> None:
        reasoning = len(pieces(self.reasoning))
        content = [self.text or "", *(call.name + call.arguments for call in self.calls)]
        object.__setattr__(self, "reasoning_tokens", reasoning)
        object.__setattr__(self, "tokens", reasoning + sum(len(pieces(text)) for text in content))


def is_reasoning_model(model: str) -> bool:
    """Return whether a model of this name reasons by default."""
    return _THINKS.search(model) is not None


def objects(value: object) -> list[Mapping[str, Any]]:
    """Return the objects in an array; an empty list for anything else."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def generate_reply(request: ModelRequest, context: AnswerContext, variant: int = 0) -> ModelReply:
    """Return the reply; `variant` distinguishes several choices of one request. Raises `BadRequest`."""
    reasoning = ""
    if request.reasons:
        reasoning = f"The user wrote “{excerpt(request.prompt, 40)}”. I am a stand-in, so I reason in one sentence."
    due = _due_calls(request)
    if due:
        calls = [
            ToolCall(f"{context.unique}{variant}{position}", tool.name, arguments, tool.free, tool.namespace)
            for position, (tool, arguments) in enumerate(due)
        ]
        return ModelReply(reasoning, None, calls, "tools")
    text = _structured_output(request, context)
    if text is None:
        text = answer_text(context.provider, request.model, request.prompt, _notes(request.turns), variant)
    finish: Literal["stop", "length"] = "stop"
    reasoned, spoken = pieces(reasoning), pieces(text)
    if request.limit is not None and len(reasoned) + len(spoken) > request.limit:
        finish = "length"
        reasoning = "".join(reasoned[: request.limit])
        text = "".join(spoken[: max(0, request.limit - len(reasoned))])
    matched = None
    for stop in request.stops:
        if stop and stop in text:
            text = text[: text.index(stop)]
            finish, matched = "stop", stop
    return ModelReply(reasoning, text, (), finish, matched)


def _notes(turns: Sequence[Turn]) -> list[str]:
    """Return the sentences about attachments and tool results that the reply mentions."""
    notes = []
    kinds: dict[str, int] = {}
    for kind in (kind for turn in turns for kind in turn.attachments if kind):
        kinds[kind] = kinds.get(kind, 0) + 1
    if kinds:
        counted = " and ".join(f"{count} {kind}{'s' * (count > 1)}" for kind, count in kinds.items())
        notes.append(f"I see {counted} with it.")
    names = {call.id: call.name for turn in turns for call in turn.calls}
    trailing: list[str] = []
    for turn in reversed(turns):
        if not turn.results:
            if turn.role == "system":
                continue
            break
        trailing += [
            f"{names.get(result.id) or 'The tool'} returned {excerpt(result.text, 200)}."
            for result in reversed(turn.results)
        ]
    return notes + trailing[::-1]


# --- tool calls -------------------------------------------------------------------------------------------------------


def _due_calls(request: ModelRequest) -> list[tuple[Tool, str]]:
    """Return the tools to call now, with their arguments."""
    if not request.tools or request.choice == "none":
        return []
    scripted = _scripted(request)
    if scripted is not None:
        return scripted if request.parallel else scripted[:1]
    last = next((turn for turn in reversed(request.turns) if turn.role != "system"), None)
    if last is None or not last.asks:
        return []
    return [(tool, _arguments(tool, request)) for tool in _requested_tools(request)]


def _requested_tools(request: ModelRequest) -> Sequence[Tool]:
    tools, prompt = request.tools, request.prompt
    if isinstance(request.choice, tuple):
        named = [tool for tool in tools if tool.name == request.choice[0]]
        if not named:
            raise BadRequest(
                f"tool_choice names a function that is not among the tools: {request.choice[0]}", "tool_choice"
            )
        return named
    mentioned = [tool for tool in tools if tool.name in prompt] or _matching_tools(tools, prompt)
    if request.choice != "required" and not _WANTS_TOOL.search(prompt) and not mentioned:
        return []
    several = _WANTS_ALL_TOOLS.search(prompt) and request.parallel
    return tools if several else (mentioned or tools)[:1]


def _matching_tools(tools: Sequence[Tool], prompt: str) -> list[Tool]:
    """Return the tools whose name shares the most words with a short prompt."""
    if len(prompt) > _MAX_QUESTION:
        return []
    asked = {_stem(word) for word in re.findall(r"\w+", prompt.lower())}
    scores = [len(asked & _name_words(tool.name)) for tool in tools]
    best = max(scores, default=0)
    return [tool for tool, score in zip(tools, scores, strict=True) if score == best] if best else []


def _name_words(name: str) -> set[str]:
    words = {word.lower() for word in _NAME_WORDS.findall(name)}
    return {_stem(word) for word in (words - _GENERIC_WORDS) or words if len(word) > 2}


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") else word


def _scripted(request: ModelRequest) -> list[tuple[Tool, str]] | None:
    """Return the next scripted round of calls: empty when all rounds are done, None when the prompt has no script.

    Finished rounds are counted in the conversation, so no state is needed between requests.
    """
    by_name = {tool.name: tool for tool in request.tools}
    for position in range(len(request.turns) - 1, -1, -1):
        turn = request.turns[position]
        rounds = _rounds(turn.text, by_name) if turn.role == "user" and turn.text else []
        if rounds:
            made = sum(1 for later in request.turns[position:] if later.calls)
            return rounds[made] if made < len(rounds) else []
    return None


def _rounds(text: str, tools: Mapping[str, Tool]) -> list[list[tuple[Tool, str]]]:
    rounds: list[list[tuple[Tool, str]]] = []
    for found in _SCRIPTED.finditer(text):
        tool = tools.get(found[2])
        try:
            value, end = json.JSONDecoder().raw_decode(text, found.end())
        except (ValueError, RecursionError):
            continue
        if tool is None or tool.free != isinstance(value, str):
            continue
        call = (tool, value if isinstance(value, str) else text[found.end() : end])
        if found[1].lower() == "and" and rounds:
            rounds[-1].append(call)
        else:
            rounds.append([call])
    return rounds


def _arguments(tool: Tool, request: ModelRequest) -> str:
    if tool.free:
        return excerpt(request.prompt, 40)
    return json.dumps(_instance(tool.parameters, _subject(request.prompt), "tools", required_only=True))


def _subject(prompt: str) -> str:
    """Return the part of a prompt for a string argument: a quotation, a name after a preposition, or its start."""
    found = _QUOTED.search(prompt) or _PLACE.search(prompt)
    return found[1] if found else excerpt(prompt, 40)


def _instance(schema: object, text: str, param: str, *, required_only: bool = False) -> Any:
    try:
        return instance(schema, text or "stand-in", required_only=required_only)
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError):
        raise BadRequest("the JSON schema is not valid", param) from None


def _structured_output(request: ModelRequest, context: AnswerContext) -> str | None:
    """Return the requested JSON, or None for plain text."""
    if request.form == "schema":
        value = _instance(request.schema, excerpt(request.prompt, 40), request.form_param)
        return json.dumps(value, ensure_ascii=False)
    texts = [request.prompt, *(turn.text for turn in request.turns if turn.role == "system")]
    asking = next((text for text in texts if _WANTS_JSON.search(text[:20_000])), None)
    if request.form == "text" and asking is None:
        return None
    keys = _JSON_KEYS.search(asking[:20_000]) if asking else None
    text = excerpt(request.prompt, 40) or "stand-in"
    if keys is None:
        return json.dumps({"answer": text, "provider": context.provider}, ensure_ascii=False)
    names = [name for name in re.findall(r"\w+", keys[1]) if name != "and"]
    return json.dumps(dict.fromkeys(names, text), ensure_ascii=False)


# --- signatures of reasoning ------------------------------------------------------------------------------------------


def signature_of(context: AnswerContext, text: str) -> str:
    """Return an opaque string for reasoning: a signature, or encrypted content."""
    return base64.b64encode(f"{_owner_id(context)}:".encode() + hashlib.sha256(text.encode()).digest()).decode()


def is_own_signature(context: AnswerContext, signature: object) -> bool:
    """Return whether this provider made the signature with this key; it rejects any other."""
    try:
        return base64.b64decode(str(signature), validate=True).startswith(f"{_owner_id(context)}:".encode())
    except ValueError:
        return False


def _owner_id(context: AnswerContext) -> str:
    return hashlib.sha256(f"{context.provider}/{context.key}".encode()).hexdigest()[:16]
