"""A caller's legacy completion request, and what the router reads of it.

Shapes: OpenAI's API reference, "Completions".
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from vibe_router.core.errors import bad_request
from vibe_router.formats.common.fields import check_ranges, integer, mapping, number, text, truth
from vibe_router.formats.common.json_body import dump, parse_object
from vibe_router.formats.common.openai import provider_body
from vibe_router.formats.common.tags import take_tags
from vibe_router.formats.common.token_estimate import estimate, prompt_fields
from vibe_router.formats.interfaces import ProofFilter, RequestDefaults

if TYPE_CHECKING:
    from vibe_router.formats.neutral.model import NeutralRequest

__all__ = ["CompletionsRequest", "parse"]


@dataclass(frozen=True, slots=True)
class CompletionsRequest(RequestDefaults):
    """A caller's request, checked. `body` is the JSON as sent; `model`, `stream` and `include_usage` are replaced."""

    model: str
    stream: bool
    wants_usage: bool
    body: Mapping[str, Any]
    tags: tuple[str, ...] = ()
    _neutral: list["NeutralRequest"] = field(default_factory=list, repr=False, compare=False)

    @property
    def format(self) -> str:
        """The format's name."""
        return "completions"

    @property
    def max_output_tokens(self) -> int | None:
        """The caller's limit on the tokens of a text; None for no limit."""
        bound = self.body.get("max_tokens")
        return bound if isinstance(bound, int) and bound > 0 else None

    @property
    def answers(self) -> int:
        """The number of texts generated: `n` or `best_of` for each prompt."""
        prompt = self.body["prompt"]
        several = isinstance(prompt, list) and not isinstance(
            prompt[0], int
        )  # else it is one prompt: a string or tokens
        texts = max(self.body.get("n") or 1, self.body.get("best_of") or 1, 1)
        return texts * (len(prompt) if several else 1)

    def continued(self, text: str) -> "ContinuedCompletion":
        """Return the request for the rest of a text that begins with `text`."""
        return ContinuedCompletion(self.model, self.stream, self.wants_usage, self.body, self.tags, beginning=text)

    def prompt_tokens_estimate(self) -> int:
        """Return an estimate of the prompt's tokens."""
        return estimate(text=prompt_fields(self.body, ()))

    def affinity(self) -> bytes:
        """Return a digest of the prompt. Raises ApiError (400), as `for_provider` does."""
        return hashlib.blake2b(dump(self.body["prompt"]), digest_size=16).digest()

    def for_provider(self, model: str, *, stream: bool, keep_proof: ProofFilter | None = None) -> bytes:  # noqa: ARG002 - no proofs
        """Return the body for a provider's `model`. Usage is always requested. Raises ApiError (400)."""
        return provider_body(self.body, model, stream=stream)

    def neutral(self) -> "NeutralRequest":
        """Return the request in the neutral form. Raises ApiError (400) for other prompts than a text."""
        if not self._neutral:
            from vibe_router.formats.completions import neutral as completions_neutral

            self._neutral.append(completions_neutral.read(self.body))
        return self._neutral[0]


@dataclass(frozen=True, slots=True)
class ContinuedCompletion(CompletionsRequest):
    """A request for the rest of a text; in the neutral form, its `beginning` is the model's turn."""

    beginning: str = ""

    def for_provider(self, model: str, *, stream: bool, keep_proof: ProofFilter | None = None) -> bytes:
        """Return the body for a provider of this format: the text goes on where it is. Raises ApiError (400)."""
        prompt = self.body["prompt"]
        text = prompt if isinstance(prompt, str) else prompt[0]
        extended = replace(self, body={**self.body, "prompt": text + self.beginning}, beginning="")
        return CompletionsRequest.for_provider(extended, model, stream=stream, keep_proof=keep_proof)

    def neutral(self) -> "NeutralRequest":
        """Return the request in the neutral form. Raises ApiError (400) for other prompts than a text."""
        from vibe_router.formats.neutral.model import Message, Text

        request = CompletionsRequest.neutral(self)
        return replace(request, messages=[*request.messages, Message("assistant", [Text(self.beginning)])])


def parse(raw: bytes) -> CompletionsRequest:
    """Parse the request in `raw`. Raises ApiError (400) naming the wrong parameter."""
    body = parse_object(raw)
    tags = take_tags(body)
    if not (model := text(body, "model")):
        raise bad_request("'model' is missing.", "model")
    if not body.get("prompt"):
        raise bad_request("'prompt' is missing.", "prompt")
    if not isinstance(body["prompt"], str | list):
        raise bad_request("'prompt' must be a string or an array.", "prompt")
    for name in ("max_tokens", "n", "best_of", "logprobs", "seed"):
        integer(body, name)
    for name in ("temperature", "top_p", "frequency_penalty", "presence_penalty"):
        number(body, name)
    check_ranges(body)
    for name in ("suffix", "user"):
        text(body, name)
    mapping(body, "logit_bias")
    truth(body, "echo")
    stop = body.get("stop")
    if stop is not None and not isinstance(stop, str | list):
        raise bad_request("'stop' must be a string or an array.", "stop")
    options = mapping(body, "stream_options") or {}
    wants_usage = truth(options, "include_usage", "stream_options.") or False
    return CompletionsRequest(model, truth(body, "stream") or False, wants_usage, body, tags)
