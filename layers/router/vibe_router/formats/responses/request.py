"""A caller's request for a response, checked as far as the router relies on it.

Shapes: OpenAI's API reference, "Responses".
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vibe_router.core.errors import bad_request
from vibe_router.formats.common.fields import entries, integer, mapping, text, truth
from vibe_router.formats.common.json_body import dump, parse_object
from vibe_router.formats.common.tags import take_tags
from vibe_router.formats.common.token_estimate import estimate
from vibe_router.formats.interfaces import ProofFilter, RequestDefaults
from vibe_router.formats.responses.ids import ITEM_PREFIXES

if TYPE_CHECKING:
    from vibe_router.formats.neutral.model import NeutralRequest

__all__ = ["ResponsesRequest", "input_items", "parse", "said_again"]


@dataclass(frozen=True, slots=True)
class ResponsesRequest(RequestDefaults):
    """A caller's request, checked. `body` is what was sent; the router owns `model` and `stream`.

    Where it goes on from a response, `before` is that one's id, and the body has all that was said up to there in its
    place (`after`). `said` is then the input as it is kept, ids and all.
    """

    model: str
    stream: bool
    body: Mapping[str, Any]
    before: str | None = None
    said: Sequence[Mapping[str, Any]] | None = None
    tags: tuple[str, ...] = ()
    _neutral: list["NeutralRequest"] = field(default_factory=list, repr=False, compare=False)

    @property
    def format(self) -> str:
        """Return the format's name."""
        return "responses"

    @property
    def wants_usage(self) -> bool:
        """Return True: the last event always tells the usage."""
        return True

    @property
    def max_output_tokens(self) -> int | None:
        """Return the caller's bound on the answer."""
        bound = self.body.get("max_output_tokens")
        return bound if isinstance(bound, int) and bound > 0 else None

    @property
    def references(self) -> list[str]:
        """The ids by which the input names items, instead of saying them."""
        return [id_ for item in input_items(self.body.get("input")) if (id_ := _reference(item))]

    def after(
        self, earlier: Sequence[Mapping[str, Any]] | None, named: Mapping[str, Mapping[str, Any]]
    ) -> "ResponsesRequest":
        """Return this request in full: after `earlier` items (None: it goes on from nothing), with those `named` by id.

        Both are as they were kept.
        """
        said: list[Mapping[str, Any]] = list(earlier or ())
        told = [again for item in said if (again := said_again(item)) is not None]
        for item in input_items(self.body.get("input")):
            meant = named.get(_reference(item) or "")
            again = item if meant is None else said_again(meant)
            said.append(item if meant is None else meant)
            told += [again] if again is not None else []
        body = {key: value for key, value in self.body.items() if key != "previous_response_id"}
        before = None if earlier is None else self.body.get("previous_response_id")
        return ResponsesRequest(self.model, self.stream, {**body, "input": told}, before, said, self.tags)

    def prompt_tokens_estimate(self) -> int:
        """Return about how many tokens the prompt is."""
        said = (self.body.get(name) for name in ("instructions", "input", "tools", "prompt"))
        return estimate([each for each in said if each])

    @property
    def repeated(self) -> Mapping[str, Any]:
        """Return which response it goes on from: that is the router's business."""
        return {"previous_response_id": self.before} if self.before else {}

    def affinity(self) -> bytes:
        """Return what stays while a conversation grows: a digest of its input up to the first user's message.

        Raises ApiError (400), as `for_provider` would.
        """
        opening: list[object] = [self.body.get("instructions")]
        said = self.body.get("input")
        for item in said if isinstance(said, list) else [said]:
            opening.append(item)
            if isinstance(item, str) or (isinstance(item, dict) and item.get("role") == "user"):
                break
        return hashlib.blake2b(dump(opening), digest_size=16).digest()

    def for_provider(self, model: str, *, stream: bool, keep: ProofFilter | None = None) -> bytes:
        """Return the body for a provider's `model`, with the encrypted reasoning that `keep` keeps.

        Raises ApiError (400).
        """
        body = {**self.body, "model": model, "stream": stream}
        said = body.get("input")
        if self.said is not None and isinstance(said, list):
            said = body["input"] = [item for item in said if not _is_words_of_thought(item)]
        if keep and isinstance(said, list):
            body["input"] = [kept for item in said if (kept := _kept(item, keep)) is not None]
        if not stream:
            body.pop("stream_options", None)  # OpenAI refuses it without a stream
        return dump(body)

    def neutral(self) -> "NeutralRequest":
        """Return the request in the neutral form. Raises ApiError (400) for what is no request."""
        if not self._neutral:
            from vibe_router.formats.responses import neutral as responses_neutral

            self._neutral.append(responses_neutral.read(self.body))
        return self._neutral[0]


def input_items(said: object) -> list[Mapping[str, Any]]:
    """Return an input as items: words alone are a user's message."""
    if isinstance(said, list):
        return said
    return [{"type": "message", "role": "user", "content": said}] if said else []


def said_again(item: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return a kept item as a provider is told it again, without its id: only who made it could look that up.

    None for reasoning that is nothing but such an id.
    """
    kind = str(item.get("type"))
    if kind not in ITEM_PREFIXES or item.get("encrypted_content"):  # a proof, and a hosted tool's call, go by their id
        return item
    if kind == "reasoning" and not (item.get("summary") or item.get("content")):
        return None
    return {key: value for key, value in item.items() if key != "id"}


def _is_words_of_thought(item: Mapping[str, Any]) -> bool:
    """Whether `item` is reasoning that no provider of Responses could look up or read: words alone."""
    return item.get("type") == "reasoning" and not item.get("id") and not item.get("encrypted_content")


def _reference(item: Mapping[str, Any]) -> str | None:
    """Return the id that `item` consists of, None where it says more."""
    id_, kind = item.get("id"), item.get("type")
    bare = kind == "item_reference" or (kind is None and item.keys() <= {"type", "id"})
    return id_ if bare and isinstance(id_, str) else None


def _kept(item: Mapping[str, Any], keep: ProofFilter) -> Mapping[str, Any] | None:
    """Return an item of the input with what `keep` leaves of its proof; None for reasoning without any left."""
    word = item.get("encrypted_content")
    if item.get("type") != "reasoning" or not isinstance(word, str) or not word:
        return item
    seal = keep(word)
    if seal is None:
        return None
    return item if seal.value == word else {**item, "id": seal.id or item.get("id"), "encrypted_content": seal.value}


def parse(raw: bytes) -> ResponsesRequest:
    """Return the request in `raw`. Raises ApiError (400) with the parameter that is wrong."""
    body = parse_object(raw)
    tags = take_tags(body)
    model = text(body, "model")
    stream = truth(body, "stream") or False
    if not model:
        raise bad_request("'model' is missing.", "model")
    said = body.get("input")
    if said is not None and not isinstance(said, str | list):
        raise bad_request("'input' must be a string or an array.", "input")
    if said is None and not body.get("prompt"):
        raise bad_request("'input' is missing.", "input")
    for i, item in enumerate(said if isinstance(said, list) else ()):
        if not isinstance(item, dict):
            raise bad_request(f"'input[{i}]' must be an object.", f"input[{i}]")
    entries(body, "tools")
    integer(body, "max_output_tokens")
    truth(body, "store")
    if text(body, "previous_response_id") and body.get("conversation"):
        raise bad_request("'previous_response_id' and 'conversation' can't be used together.", "previous_response_id")
    for name in ("text", "reasoning", "stream_options"):
        mapping(body, name)
    if truth(body, "background"):
        raise bad_request("'background' must be false: answers are given while the caller waits.", "background")
    return ResponsesRequest(model, stream, body, tags=tags)
