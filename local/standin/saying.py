"""What a stand-in says to a request, in whatever format it came: text, reasoning, calls of tools, by fixed rules.

Every format reads its request into an `Asked`, has `say` decide, and writes the `Said` in its own words; so the same
conversation gets the same answer over every format.

A model calls tools when it is told to (a tool choice), or when the user's text asks for it in words. A user who knows
what should be called says so: `call weather with {"city": "Rome"} and clock with {}` is one round of two calls, and a
further `call …` is the round after it. The text of the answer comes when no round is left.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from local.standin.formats import BadRequest, Speaker
from local.standin.schema import instance
from local.standin.words import answer_text, excerpt, pieces, tokens_in

__all__ = [
    "Asked",
    "Call",
    "Choice",
    "Result",
    "Said",
    "Tool",
    "Turn",
    "made_here",
    "objects",
    "say",
    "sealed",
    "thinks",
]

_WANTS_TOOL = re.compile(r"\b(tools?|function|call)\b", re.IGNORECASE)
_WANTS_ALL_TOOLS = re.compile(r"\b(both|all|every|each)\b.*\b(tools?|functions?)\b", re.IGNORECASE | re.DOTALL)
_SCRIPTED = re.compile(r"\b(call|and)\s+([A-Za-z0-9_.-]+)\s+with\s+(?=[{\"])", re.IGNORECASE)
_THINKS = re.compile(r"reason|think|\((?:minimal|low|medium|high|xhigh)\)", re.IGNORECASE)

_TURN_OVERHEAD = 4  # tokens that a message costs beside its text, as OpenAI's counting guide has it
_PART_TOKENS = 85  # what OpenAI bills for one image at low detail

Choice: TypeAlias = Literal["auto", "none", "required"]


@dataclass(frozen=True)
class Tool:
    """A tool that may be called. `free` ones take a text and not an object; `param` is where its schema stands."""

    name: str
    parameters: object
    free: bool = False
    namespace: str | None = None


@dataclass(frozen=True)
class Call:
    """A call of a tool: `arguments` is JSON, or any text for a free tool."""

    id: str
    name: str
    arguments: str
    free: bool = False
    namespace: str | None = None


@dataclass(frozen=True)
class Result:
    """What a tool returned to the call of this id."""

    id: str
    text: str


@dataclass(frozen=True)
class Turn:
    """One message. `attachments` are the kinds of its parts that are no text, the empty string for an unknown kind."""

    role: str
    text: str = ""
    attachments: Sequence[str] = ()
    calls: Sequence[Call] = ()
    results: Sequence[Result] = ()

    @property
    def asks(self) -> bool:
        """Whether the user speaks, and does not only return what tools gave."""
        return self.role == "user" and not self.results

    @property
    def tokens(self) -> int:
        """Prompt tokens."""
        text = "\n".join([part for part in (self.text, *(result.text for result in self.results)) if part])
        return _TURN_OVERHEAD + tokens_in(text) + len(self.attachments) * _PART_TOKENS


@dataclass(frozen=True)
class Asked:
    """A request in no format's words.

    `choice` is the tool choice, or the name of the tool that must be called. `form` is `text`, `object` (any JSON) or
    `schema` (then `schema` has it); `form_param` is what a format calls it. `limit` is in tokens, reasoning included.
    """

    model: str
    turns: Sequence[Turn]
    tools: Sequence[Tool] = ()
    choice: Choice | tuple[str] = "auto"
    parallel: bool = True
    form: Literal["text", "object", "schema"] = "text"
    schema: object = None
    form_param: str = "response_format"
    limit: int | None = None
    stops: Sequence[str] = ()
    reasons: bool = False

    @property
    def prompt(self) -> str:
        """What the user said last."""
        return next((turn.text for turn in reversed(self.turns) if turn.asks), "")

    @property
    def prompt_tokens(self) -> int:
        """How many tokens the conversation has."""
        return sum(turn.tokens for turn in self.turns) + 3

    @property
    def seen_tokens(self) -> int:
        """How many of them an earlier answer of the same conversation had before it: what a prompt cache may hold."""
        said = [position for position, turn in enumerate(self.turns) if turn.role == "assistant"]
        return sum(turn.tokens for turn in self.turns[: said[-1]]) if said else 0


@dataclass(frozen=True)
class Said:
    """An answer in no format's words. `stop` is the stop sequence that ended it."""

    reasoning: str = ""
    text: str | None = None
    calls: Sequence[Call] = ()
    finish: Literal["stop", "length", "tools"] = "stop"
    stop: str | None = None
    reasoning_tokens: int = field(init=False)
    tokens: int = field(init=False)

    def __post_init__(self) -> None:
        thought = len(pieces(self.reasoning))
        spoken = [self.text or "", *(call.name + call.arguments for call in self.calls)]
        object.__setattr__(self, "reasoning_tokens", thought)
        object.__setattr__(self, "tokens", thought + sum(len(pieces(text)) for text in spoken))


def thinks(model: str) -> bool:
    """Return whether a model of this name reasons without being asked to."""
    return _THINKS.search(model) is not None


def objects(value: object) -> list[Mapping[str, Any]]:
    """Return the objects of an array, and nothing of anything else."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def say(asked: Asked, speaker: Speaker, variant: int = 0) -> Said:
    """Return the answer; `variant` tells several answers to one request apart. Raises `BadRequest`."""
    reasoning = ""
    if asked.reasons:
        reasoning = f"The user wrote “{excerpt(asked.prompt, 40)}”. I am a stand-in, so I shall say so."
    called = _called(asked)
    if called:
        calls = [
            Call(f"{speaker.unique}{variant}{position}", tool.name, arguments, tool.free, tool.namespace)
            for position, (tool, arguments) in enumerate(called)
        ]
        return Said(reasoning, None, calls, "tools")
    text = _formed(asked, speaker)
    if text is None:
        text = answer_text(speaker.provider, asked.model, asked.prompt, _notes(asked.turns), variant)
    finish: Literal["stop", "length"] = "stop"
    thought, spoken = pieces(reasoning), pieces(text)
    if asked.limit is not None and len(thought) + len(spoken) > asked.limit:
        finish = "length"
        reasoning = "".join(thought[: asked.limit])
        text = "".join(spoken[: max(0, asked.limit - len(thought))])
    met = None
    for stop in asked.stops:
        if stop and stop in text:
            text = text[: text.index(stop)]
            finish, met = "stop", stop
    return Said(reasoning, text, (), finish, met)


def _notes(turns: Sequence[Turn]) -> list[str]:
    """Return what an answer should mention beside the prompt: attachments, and what tools returned."""
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


# --- calling tools ----------------------------------------------------------------------------------------------------


def _called(asked: Asked) -> list[tuple[Tool, str]]:
    """Return the tools that a model would call now, with their arguments."""
    if not asked.tools or asked.choice == "none":
        return []
    scripted = _scripted(asked)
    if scripted is not None:
        return scripted if asked.parallel else scripted[:1]
    last = next((turn for turn in reversed(asked.turns) if turn.role != "system"), None)
    if last is None or not last.asks:
        return []
    return [(tool, _arguments(tool, asked)) for tool in _wanted(asked)]


def _wanted(asked: Asked) -> Sequence[Tool]:
    tools, prompt = asked.tools, asked.prompt
    if isinstance(asked.choice, tuple):
        named = [tool for tool in tools if tool.name == asked.choice[0]]
        if not named:
            raise BadRequest(
                f"tool_choice names a function that is not among the tools: {asked.choice[0]}", "tool_choice"
            )
        return named
    mentioned = [tool for tool in tools if tool.name in prompt]
    if asked.choice != "required" and not _WANTS_TOOL.search(prompt) and not mentioned:
        return []
    several = _WANTS_ALL_TOOLS.search(prompt) and asked.parallel
    return tools if several else (mentioned or tools)[:1]


def _scripted(asked: Asked) -> list[tuple[Tool, str]] | None:
    """Return the calls of the round that is due by the user's own words: none when all were made, None without words.

    Rounds that were made are counted in the conversation, so nothing is remembered between requests.
    """
    by_name = {tool.name: tool for tool in asked.tools}
    for position in range(len(asked.turns) - 1, -1, -1):
        turn = asked.turns[position]
        rounds = _rounds(turn.text, by_name) if turn.role == "user" and turn.text else []
        if rounds:
            made = sum(1 for later in asked.turns[position:] if later.calls)
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


def _arguments(tool: Tool, asked: Asked) -> str:
    return excerpt(asked.prompt, 40) if tool.free else json.dumps(_instance(tool.parameters, asked, "tools"))


def _instance(schema: object, asked: Asked, param: str) -> Any:
    try:
        return instance(schema, excerpt(asked.prompt, 40) or "stand-in")
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError):
        raise BadRequest("the JSON schema is not valid", param) from None


def _formed(asked: Asked, speaker: Speaker) -> str | None:
    """Return the JSON that was asked for, or None for a text."""
    if asked.form == "object":
        told = {"answer": excerpt(asked.prompt, 40) or "stand-in", "provider": speaker.provider}
        return json.dumps(told, ensure_ascii=False)
    if asked.form == "schema":
        return json.dumps(_instance(asked.schema, asked, asked.form_param), ensure_ascii=False)
    return None


# --- what only its maker can read -------------------------------------------------------------------------------------


def sealed(speaker: Speaker, text: str) -> str:
    """Return an opaque text that stands for a thought: a signature, or encrypted reasoning."""
    return base64.b64encode(f"{_maker(speaker)}:".encode() + hashlib.sha256(text.encode()).digest()).decode()


def made_here(speaker: Speaker, seal: object) -> bool:
    """Return whether this provider made a seal with this key: no other can read it."""
    try:
        return base64.b64decode(str(seal), validate=True).startswith(f"{_maker(speaker)}:".encode())
    except ValueError:
        return False


def _maker(speaker: Speaker) -> str:
    return hashlib.sha256(f"{speaker.provider}/{speaker.key}".encode()).hexdigest()[:16]
