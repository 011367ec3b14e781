"""A caller's request in Anthropic's format, checked."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vibe_router.core.errors import bad_request
from vibe_router.formats.common.fields import Types, check_conversation
from vibe_router.formats.common.json_body import dump, parse_object
from vibe_router.formats.common.tags import take_tags
from vibe_router.formats.common.token_estimate import estimate
from vibe_router.formats.interfaces import ProofFilter, RequestDefaults
from vibe_router.formats.messages.thinking import PROOFS, calls_without_thought, stop_thinking

if TYPE_CHECKING:
    from vibe_router.formats.neutral.model import NeutralRequest

__all__ = ["MessagesRequest", "parse", "parse_count"]

_PASSED_HEADERS = ("anthropic-version", "anthropic-beta")

# What every provider takes for granted; anything that is not here goes on as sent.
_TYPES: Types = {
    "model": ((str,), "a string"),
    "messages": ((list,), "an array"),
    "max_tokens": ((int,), "an integer"),
    "stream": ((bool,), "a boolean"),
    "system": ((str, list), "a string or an array"),
    "temperature": ((int, float), "a number"),
    "top_p": ((int, float), "a number"),
    "top_k": ((int,), "an integer"),
    "stop_sequences": ((list,), "an array"),
    "tools": ((list,), "an array"),
    "tool_choice": ((dict,), "an object"),
    "thinking": ((dict,), "an object"),
    "output_config": ((dict,), "an object"),
    "metadata": ((dict,), "an object"),
}

_NOT_COUNTED = frozenset({"stream", "max_tokens"})  # refused by who counts

_ROLES = frozenset({"user", "assistant", "system"})


@dataclass(frozen=True, slots=True)
class MessagesRequest(RequestDefaults):
    """A caller's request, checked. `body` is what was sent; the router owns `model` and `stream`."""

    model: str
    stream: bool
    body: Mapping[str, Any]
    forwarded_headers: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    _neutral: list["NeutralRequest"] = field(default_factory=list, repr=False, compare=False)

    @property
    def format(self) -> str:
        """Return the format's name."""
        return "messages"

    @property
    def wants_usage(self) -> bool:
        """Return True: a message always tells its usage."""
        return True

    @property
    def max_output_tokens(self) -> int | None:
        """Return the caller's bound on the answer."""
        bound = self.body.get("max_tokens")
        return bound if isinstance(bound, int) and bound > 0 else None

    @property
    def thinks(self) -> bool:
        """Whether the caller asked for thinking, and so knows what to do with it."""
        return (self.body.get("thinking") or {}).get("type") not in (None, "disabled")

    @property
    def shows_thinking(self) -> bool:
        """Whether the caller wants to read the thinking, and not only to give it back."""
        return self.thinks and self.body["thinking"].get("display") != "omitted"

    def prompt_tokens_estimate(self) -> int:
        """Return about how many tokens the prompt is."""
        return estimate([self.body.get(name) or [] for name in ("system", "messages", "tools")])

    def affinity(self) -> bytes:
        """Return what stays while a conversation grows: a digest of its messages up to the first user's.

        Without the marks for caching, which wander to the end. Raises ApiError (400), as `for_provider` would.
        """
        opening: list[object] = []
        for message in self.body["messages"]:
            opening.append((message["role"], _unmarked(message.get("content"))))
            if message["role"] == "user":
                break
        return hashlib.blake2b(dump(opening), digest_size=16).digest()

    def for_provider(self, model: str, *, stream: bool, keep: ProofFilter | None = None) -> bytes:
        """Return the body for a provider's `model`, with the thinking that `keep` keeps. Raises ApiError (400).

        Thinking that nobody signed is left out too. What is left may be a turn of tool calls without its thinking, as
        is one of a layer that did not think; there Anthropic refuses to think by a budget, and is not asked to.
        """
        body = {**self.body, "model": model, "stream": stream}
        if keep:
            if (said := _kept_messages(body["messages"], keep)) is not None:
                body["messages"] = said
            if (body.get("thinking") or {}).get("type") == "enabled" and calls_without_thought(body["messages"]):
                stop_thinking(body)
        return dump(body)

    def for_counting(self, model: str) -> bytes:
        """Return the body that has a provider count the tokens. Raises ApiError (400)."""
        return dump({**{key: value for key, value in self.body.items() if key not in _NOT_COUNTED}, "model": model})

    def neutral(self) -> "NeutralRequest":
        """Return the request in the neutral form. Raises ApiError (400) for what is no request of this format."""
        if not self._neutral:
            from vibe_router.formats.messages import neutral_request as messages_request

            self._neutral.append(messages_request.read(self.body))
        return self._neutral[0]


def _kept_messages(said: Sequence[Mapping[str, Any]], keep: ProofFilter) -> list[Mapping[str, Any]] | None:
    """Return the messages with the thinking that `keep` keeps; None where that changes nothing."""
    changed = False
    kept: list[Mapping[str, Any]] = []
    for message in said:
        content = message.get("content")
        if message["role"] == "assistant" and isinstance(content, list):
            blocks = [left for block in content if (left := _kept_block(block, keep)) is not None]
            if len(blocks) != len(content) or any(a is not b for a, b in zip(blocks, content, strict=True)):
                changed = True
                if not blocks:
                    continue
                message = {**message, "content": blocks}  # noqa: PLW2901 - the same, without what others thought
        kept.append(message)
    return kept if changed else None


def _kept_block(block: Any, keep: ProofFilter) -> Any:
    kind = block.get("type") if isinstance(block, dict) else None
    if kind == "text" and block.get("citations"):
        return _own_citations(block)
    if not isinstance(kind, str) or kind not in PROOFS:
        return block
    word = block.get(PROOFS[kind])
    seal = keep(word) if isinstance(word, str) and word else None
    if seal is None:
        return None
    if seal.value == word:
        return block
    if seal.kind == "redacted":
        return {"type": "redacted_thinking", "data": seal.value}
    return {"type": "thinking", "thinking": seal.text or block.get("thinking") or "", "signature": seal.value}


def _own_citations(block: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a text without the citations that another format's provider gave it, whose index Anthropic can't read."""
    cited = block["citations"]
    if not isinstance(cited, list):
        return block
    own = [each for each in cited if not (isinstance(each, dict) and each.get("encrypted_index") == "")]
    if len(own) == len(cited):
        return block
    rest = {key: value for key, value in block.items() if key != "citations"}
    return {**rest, "citations": own} if own else rest


def _unmarked(content: object) -> object:
    if not isinstance(content, list):
        return content
    return [
        {key: value for key, value in block.items() if key != "cache_control"} if isinstance(block, dict) else block
        for block in content
    ]


def parse(raw: bytes, headers: Mapping[str, str]) -> MessagesRequest:
    """Return the request in `raw`. Raises ApiError (400) with the parameter that is wrong."""
    request = parse_count(raw, headers)
    bound = request.body.get("max_tokens")
    if bound is None:
        raise bad_request("'max_tokens' is missing.", "max_tokens")
    if bound < 0:
        raise bad_request("'max_tokens' must not be negative.", "max_tokens")
    return request


def parse_count(raw: bytes, headers: Mapping[str, str]) -> MessagesRequest:
    """Return the request in `raw`, which need not bound its answer: it may be there to be counted.

    Raises ApiError (400) with the parameter that is wrong.
    """
    body = parse_object(raw)
    tags = take_tags(body)
    check_conversation(body, _TYPES)
    for index, message in enumerate(body["messages"]):
        if message["role"] not in _ROLES:
            raise bad_request(f"'messages[{index}].role' must be user, assistant or system.", f"messages[{index}].role")
    passed = {name: headers[name] for name in _PASSED_HEADERS if name in headers}
    return MessagesRequest(body["model"], bool(body.get("stream")), body, passed, tags)
