"""A caller's request in Anthropic's format, checked."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vibe_router.core.errors import bad_request
from vibe_router.formats.common.fields import Types, check_conversation
from vibe_router.formats.common.json_body import dump, parse_object
from vibe_router.formats.common.prefill import continued_turns
from vibe_router.formats.common.tags import take_tags
from vibe_router.formats.common.token_estimate import estimate, prompt_fields
from vibe_router.formats.interfaces import ProofFilter, RequestDefaults
from vibe_router.formats.messages.thinking import PROOFS, calls_tools_without_thinking, remove_thinking

if TYPE_CHECKING:
    from vibe_router.formats.neutral.model import NeutralRequest

__all__ = ["MessagesRequest", "parse", "parse_count"]

_PASSED_HEADERS = ("anthropic-version", "anthropic-beta")

# Fields that every provider relies on; all others are passed on as sent.
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

_NOT_COUNTED = frozenset({"stream", "max_tokens"})  # rejected where tokens are counted

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
        """Return True: a message always reports its usage."""
        return True

    @property
    def max_output_tokens(self) -> int | None:
        """Return the caller's bound on the answer."""
        bound = self.body.get("max_tokens")
        return bound if isinstance(bound, int) and bound > 0 else None

    @property
    def thinks(self) -> bool:
        """Return whether the caller asked for thinking."""
        return (self.body.get("thinking") or {}).get("type") not in (None, "disabled")

    @property
    def shows_thinking(self) -> bool:
        """Return whether the caller wants the text of the thinking, and not only its signature."""
        return self.thinks and self.body["thinking"].get("display") != "omitted"

    def continued(self, text: str) -> "MessagesRequest":
        """Return the request for the rest of an answer that begins with `text`."""
        messages = continued_turns(self.body["messages"], {"role": "assistant", "content": text})
        body = {**self.body, "messages": messages}
        return MessagesRequest(self.model, self.stream, body, self.forwarded_headers, self.tags)

    def prompt_tokens_estimate(self) -> int:
        """Estimate the number of tokens in the prompt."""
        content = [self.body.get("system") or [], self.body["messages"]]
        return estimate(content=content, text=prompt_fields(self.body, ("system", "messages")))

    def affinity(self) -> bytes:
        """Return a digest of the messages up to the first user's, which stays the same while a conversation grows.

        Cache breakpoints are left out, since they move to the end. Raises ApiError (400), as `for_provider` does.
        """
        opening: list[object] = []
        for message in self.body["messages"]:
            opening.append((message["role"], _without_cache_control(message.get("content"))))
            if message["role"] == "user":
                break
        return hashlib.blake2b(dump(opening), digest_size=16).digest()

    def for_provider(self, model: str, *, stream: bool, keep_proof: ProofFilter | None = None) -> bytes:
        """Return the body for a provider's `model`, with the thinking that `keep_proof` accepts. Raises ApiError (400).

        Unsigned thinking is removed too. A turn of tool calls may lose its thinking that way, or come from a provider
        that did not think. Anthropic rejects a thinking budget there, so none is asked for.
        """
        body = {**self.body, "model": model, "stream": stream}
        if keep_proof:
            if (messages := _filter_thinking(body["messages"], keep_proof)) is not None:
                body["messages"] = messages
            if (body.get("thinking") or {}).get("type") == "enabled" and calls_tools_without_thinking(body["messages"]):
                remove_thinking(body)
        return dump(body)

    def for_counting(self, model: str) -> bytes:
        """Return the body of a request to count tokens. Raises ApiError (400)."""
        return dump({**{key: value for key, value in self.body.items() if key not in _NOT_COUNTED}, "model": model})

    def neutral(self) -> "NeutralRequest":
        """Return the request in the neutral form. Raises ApiError (400) for a malformed request."""
        if not self._neutral:
            from vibe_router.formats.messages import neutral_request

            self._neutral.append(neutral_request.read(self.body))
        return self._neutral[0]


def _filter_thinking(messages: Sequence[Mapping[str, Any]], keep_proof: ProofFilter) -> list[Mapping[str, Any]] | None:
    """Return the messages with the thinking that `keep_proof` accepts; None where that changes nothing."""
    changed = False
    filtered: list[Mapping[str, Any]] = []
    for message in messages:
        content = message.get("content")
        if message["role"] == "assistant" and isinstance(content, list):
            blocks = [block for each in content if (block := _filter_block(each, keep_proof)) is not None]
            if len(blocks) != len(content) or any(a is not b for a, b in zip(blocks, content, strict=True)):
                changed = True
                if not blocks:
                    continue
                message = {**message, "content": blocks}  # noqa: PLW2901 - the same message, filtered
        filtered.append(message)
    return filtered if changed else None


def _filter_block(block: Any, keep_proof: ProofFilter) -> Any:
    kind = block.get("type") if isinstance(block, dict) else None
    if kind == "text" and block.get("citations"):
        return _filter_citations(block)
    if not isinstance(kind, str) or kind not in PROOFS:
        return block
    proof = block.get(PROOFS[kind])
    seal = keep_proof(proof) if isinstance(proof, str) and proof else None
    if seal is None:
        return None
    if seal.value == proof:
        return block
    if seal.kind == "redacted":
        return {"type": "redacted_thinking", "data": seal.value}
    return {"type": "thinking", "thinking": seal.text or block.get("thinking") or "", "signature": seal.value}


def _filter_citations(block: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a text block without citations that were translated from another format, whose index is empty."""
    citations = block["citations"]
    if not isinstance(citations, list):
        return block
    own = [each for each in citations if not (isinstance(each, dict) and each.get("encrypted_index") == "")]
    if len(own) == len(citations):
        return block
    rest = {key: value for key, value in block.items() if key != "citations"}
    return {**rest, "citations": own} if own else rest


def _without_cache_control(content: object) -> object:
    if not isinstance(content, list):
        return content
    return [
        {key: value for key, value in block.items() if key != "cache_control"} if isinstance(block, dict) else block
        for block in content
    ]


def parse(raw: bytes, headers: Mapping[str, str]) -> MessagesRequest:
    """Parse a request to create a message. Raises ApiError (400) with the parameter that is wrong."""
    request = parse_count(raw, headers)
    if request.body.get("max_tokens") is None:
        raise bad_request("'max_tokens' is missing.", "max_tokens")
    return request


def parse_count(raw: bytes, headers: Mapping[str, str]) -> MessagesRequest:
    """Parse a request to count tokens, which needs no `max_tokens`.

    Raises ApiError (400) with the parameter that is wrong.
    """
    body = parse_object(raw)
    tags = take_tags(body)
    check_conversation(body, _TYPES)
    for index, message in enumerate(body["messages"]):
        if message["role"] not in _ROLES:
            raise bad_request(f"'messages[{index}].role' must be user, assistant or system.", f"messages[{index}].role")
    passed_headers = {
        name: value for name in _PASSED_HEADERS if (value := headers.get(name, "")).isprintable() and value
    }
    return MessagesRequest(body["model"], bool(body.get("stream")), body, passed_headers, tags)
