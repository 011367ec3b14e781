"""A caller's chat completion request, and what the router reads of it.

Shapes: OpenAI's API reference, "Chat Completions".
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vibe_router.core.errors import bad_request
from vibe_router.formats.common.fields import Types, check_conversation
from vibe_router.formats.common.json_body import dump, parse_object
from vibe_router.formats.common.openai import provider_body
from vibe_router.formats.common.prefill import continued_turns
from vibe_router.formats.common.tags import take_tags
from vibe_router.formats.common.token_estimate import estimate, prompt_fields
from vibe_router.formats.interfaces import ProofFilter, RequestDefaults

if TYPE_CHECKING:
    from vibe_router.formats.neutral.model import NeutralRequest

__all__ = ["ChatRequest", "parse"]

# The types that every provider expects; other fields are forwarded as sent.
_TYPES: Types = {
    "model": ((str,), "a string"),
    "messages": ((list,), "an array"),
    "stream": ((bool,), "a boolean"),
    "stream_options": ((dict,), "an object"),
    "temperature": ((int, float), "a number"),
    "top_p": ((int, float), "a number"),
    "max_tokens": ((int,), "an integer"),
    "max_completion_tokens": ((int,), "an integer"),
    "n": ((int,), "an integer"),
    "stop": ((str, list), "a string or an array"),
    "tools": ((list,), "an array"),
    "tool_choice": ((str, dict), "a string or an object"),
    "response_format": ((dict,), "an object"),
}


@dataclass(frozen=True, slots=True)
class ChatRequest(RequestDefaults):
    """A caller's request, checked. `body` is the JSON as sent; `model`, `stream` and `include_usage` are replaced."""

    model: str
    stream: bool
    include_usage: bool
    body: Mapping[str, Any]
    tags: tuple[str, ...] = ()
    _neutral: list["NeutralRequest"] = field(default_factory=list, repr=False, compare=False)

    @property
    def format(self) -> str:
        """The format's name."""
        return "chat"

    @property
    def wants_usage(self) -> bool:
        """Return whether the caller requested a usage chunk."""
        return self.include_usage

    @property
    def max_output_tokens(self) -> int | None:
        """The caller's limit on the tokens of an answer; None for no limit.

        Of two limits the larger one: some providers know only one of the names.
        """
        return max(self.body.get("max_completion_tokens") or 0, self.body.get("max_tokens") or 0) or None

    @property
    def answers(self) -> int:
        """The number of choices requested."""
        return max(self.body.get("n") or 1, 1)

    def neutral(self) -> "NeutralRequest":
        """Return the request in the neutral form. Raises ApiError (400) for malformed messages and tools."""
        if not self._neutral:
            from vibe_router.formats.chat import neutral_request

            self._neutral.append(neutral_request.read(self.body))
        return self._neutral[0]

    def continued(self, text: str) -> "ChatRequest":
        """Return the request for the rest of an answer that begins with `text`."""
        messages = continued_turns(self.body["messages"], {"role": "assistant", "content": text})
        body = {**self.body, "messages": messages}
        return ChatRequest(self.model, self.stream, self.include_usage, body, self.tags)

    def prompt_tokens_estimate(self) -> int:
        """Return an estimate of the prompt's tokens."""
        return estimate(content=self.body["messages"], text=prompt_fields(self.body, ("messages",)))

    def affinity(self) -> bytes:
        """Return a digest of the messages up to the user's first, which is the same on every turn.

        Raises ApiError (400), as `for_provider` does.
        """
        opening: list[object] = []
        for message in self.body["messages"]:
            opening.append(message)
            if message["role"] == "user":
                break
        return hashlib.blake2b(dump(opening), digest_size=16).digest()

    def for_provider(self, model: str, *, stream: bool, keep_proof: ProofFilter | None = None) -> bytes:  # noqa: ARG002 - no proofs
        """Return the body for a provider's `model`. Usage is always requested. Raises ApiError (400)."""
        return provider_body(self.body, model, stream=stream)


def parse(raw: bytes) -> ChatRequest:
    """Parse the request in `raw`. Raises ApiError (400) naming the wrong parameter."""
    body = parse_object(raw)
    tags = take_tags(body)
    check_conversation(body, _TYPES)
    include_usage = (body.get("stream_options") or {}).get("include_usage") or False
    if not isinstance(include_usage, bool):
        raise bad_request("'stream_options.include_usage' must be a boolean.", "stream_options.include_usage")
    return ChatRequest(body["model"], bool(body.get("stream")), include_usage, body, tags)
