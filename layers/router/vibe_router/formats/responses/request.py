"""Parse a caller's request in Responses, and fill in the conversation that it continues.

Shapes: OpenAI's API reference, "Responses".
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vibe_router.core.errors import bad_request
from vibe_router.formats.common.fields import check_ranges, entries, integer, mapping, text, truth
from vibe_router.formats.common.json_body import dump, parse_object
from vibe_router.formats.common.tags import take_tags
from vibe_router.formats.common.token_estimate import estimate, prompt_fields
from vibe_router.formats.interfaces import ProofFilter, RequestDefaults
from vibe_router.formats.responses.echo import complete_response
from vibe_router.formats.responses.ids import ITEM_PREFIXES
from vibe_router.formats.responses.summary import open_summary

if TYPE_CHECKING:
    from vibe_router.formats.neutral.model import NeutralRequest

__all__ = ["ResponsesRequest", "input_items", "parse", "to_input_item"]


@dataclass(frozen=True, slots=True)
class ResponsesRequest(RequestDefaults):
    """A checked request. `body` is the caller's JSON; the router sets `model` and `stream`.

    `with_history` fills in the conversation that the request continues: then `previous_id` is the id of the response
    that it continues from, `body` holds the whole input, and `stored_input` the same input as it is stored, with ids.
    """

    model: str
    stream: bool
    body: Mapping[str, Any]
    previous_id: str | None = None
    stored_input: Sequence[Mapping[str, Any]] | None = None
    tags: tuple[str, ...] = ()
    _neutral: list["NeutralRequest"] = field(default_factory=list, repr=False, compare=False)

    @property
    def format(self) -> str:
        """Return the format's name."""
        return "responses"

    @property
    def wants_usage(self) -> bool:
        """Return True: the last event always reports usage."""
        return True

    @property
    def max_output_tokens(self) -> int | None:
        """Return the caller's limit on output tokens."""
        bound = self.body.get("max_output_tokens")
        return bound if isinstance(bound, int) and bound > 0 else None

    @property
    def referenced_ids(self) -> list[str]:
        """Return the ids of input items that are given as references only."""
        return [id_ for item in input_items(self.body.get("input")) if (id_ := _referenced_id(item))]

    def with_history(
        self, history: Sequence[Mapping[str, Any]] | None, referenced: Mapping[str, Mapping[str, Any]]
    ) -> "ResponsesRequest":
        """Return this request with `history` before its input, and with the `referenced` items in place of their ids.

        Both hold items as they are stored. `history` is None if the request continues from no response.
        """
        stored: list[Mapping[str, Any]] = list(history or ())
        sent = [resent for item in stored if (resent := to_input_item(item)) is not None]
        for item in input_items(self.body.get("input")):
            found = referenced.get(_referenced_id(item) or "")
            resent = item if found is None else to_input_item(found)
            stored.append(item if found is None else found)
            sent += [resent] if resent is not None else []
        body = {key: value for key, value in self.body.items() if key != "previous_response_id"}
        previous_id = None if history is None else self.body.get("previous_response_id")
        return ResponsesRequest(self.model, self.stream, {**body, "input": sent}, previous_id, stored, self.tags)

    def continued(self, text: str) -> "ResponsesRequest":
        """Return the request for the rest of an answer that begins with `text`."""
        turn = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
        body = {**self.body, "input": [*input_items(self.body.get("input")), turn]}
        return ResponsesRequest(self.model, self.stream, body, self.previous_id, self.stored_input, self.tags)

    def prompt_tokens_estimate(self) -> int:
        """Return an estimate of the prompt's tokens."""
        return estimate(content=self.body.get("input") or (), text=prompt_fields(self.body, ("input",)))

    @property
    def echoes(self) -> bool:
        """Return True: a response echoes most fields of its request."""
        return True

    def echo(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the response `answer` with all fields that echo this request; the same object if none is missing."""
        if self.previous_id and answer.get("previous_response_id") != self.previous_id:
            answer = {**answer, "previous_response_id": self.previous_id}
        return complete_response(answer, self.body)

    def affinity(self) -> bytes:
        """Return a digest of the input up to the first user message, which stays the same as a conversation grows.

        Raises ApiError (400) for numbers that JSON cannot carry.
        """
        opening: list[object] = [self.body.get("instructions")]
        input_ = self.body.get("input")
        for item in input_ if isinstance(input_, list) else [input_]:
            opening.append(item)
            if isinstance(item, str) or (isinstance(item, dict) and item.get("role") == "user"):
                break
        return hashlib.blake2b(dump(opening), digest_size=16).digest()

    def for_provider(self, model: str, *, stream: bool, keep_proof: ProofFilter | None = None) -> bytes:
        """Return the body for a provider's `model`, with encrypted reasoning filtered by `keep_proof`.

        Raises ApiError (400).
        """
        body = {**self.body, "model": model, "stream": stream}
        items = body.get("input")
        if self.stored_input is not None and isinstance(items, list):
            items = body["input"] = [item for item in items if not _is_unproven_reasoning(item)]
        if keep_proof and isinstance(items, list):
            body["input"] = [kept for item in items if (kept := _filter_proof(item, keep_proof)) is not None]
        if not stream:
            body.pop("stream_options", None)  # OpenAI rejects it without a stream
        return dump(body)

    def neutral(self) -> "NeutralRequest":
        """Return the request in the neutral form. Raises ApiError (400) for an invalid request."""
        if not self._neutral:
            from vibe_router.formats.responses import neutral_request

            self._neutral.append(neutral_request.read(self.body))
        return self._neutral[0]


def input_items(value: object) -> list[Mapping[str, Any]]:
    """Return the field `input` as a list of items. A string is one user message."""
    if isinstance(value, list):
        return value
    return [{"type": "message", "role": "user", "content": value}] if value else []


def to_input_item(item: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return a stored item as input for any provider: without its id, which only its issuer could look up.

    Items that need their id keep it: those with encrypted content, and calls of hosted tools. Returns None for
    reasoning that consists of nothing but an id.
    """
    kind = str(item.get("type"))
    if kind not in ITEM_PREFIXES or item.get("encrypted_content"):
        return item
    if kind == "reasoning" and not (item.get("summary") or item.get("content")):
        return None
    return {key: value for key, value in item.items() if key != "id"}


def _is_unproven_reasoning(item: Mapping[str, Any]) -> bool:
    """Return whether `item` is reasoning as text only, which no provider of Responses accepts."""
    return item.get("type") == "reasoning" and not item.get("id") and not item.get("encrypted_content")


def _referenced_id(item: Mapping[str, Any]) -> str | None:
    """Return the id if `item` is a reference and nothing else, else None."""
    id_, kind = item.get("id"), item.get("type")
    bare = kind == "item_reference" or (kind is None and item.keys() <= {"type", "id"})
    return id_ if bare and isinstance(id_, str) else None


def _filter_proof(item: Mapping[str, Any], keep_proof: ProofFilter) -> Mapping[str, Any] | None:
    """Return an input item with its encrypted content filtered by `keep_proof`; None for reasoning that loses it."""
    word = item.get("encrypted_content")
    if item.get("type") != "reasoning" or not isinstance(word, str) or not word:
        return item
    seal = keep_proof(word)
    if seal is None:
        return None
    return item if seal.value == word else {**item, "id": seal.id or item.get("id"), "encrypted_content": seal.value}


def parse(raw: bytes) -> ResponsesRequest:
    """Parse a request body. Raises ApiError (400) that names the invalid parameter."""
    body = parse_object(raw)
    tags = take_tags(body)
    model = text(body, "model")
    stream = truth(body, "stream") or False
    if not model:
        raise bad_request("'model' is missing.", "model")
    input_ = body.get("input")
    if input_ is not None and not isinstance(input_, str | list):
        raise bad_request("'input' must be a string or an array.", "input")
    if input_ is None and not body.get("prompt"):
        raise bad_request("'input' is missing.", "input")
    if isinstance(input_, list):
        for i, item in enumerate(input_):
            if not isinstance(item, dict):
                raise bad_request(f"'input[{i}]' must be an object.", f"input[{i}]")
        body["input"] = [open_summary(item) or item for item in input_]
    entries(body, "tools")
    integer(body, "max_output_tokens")
    check_ranges(body)
    truth(body, "store")
    if text(body, "previous_response_id") and body.get("conversation"):
        raise bad_request("'previous_response_id' and 'conversation' can't be used together.", "previous_response_id")
    for name in ("text", "reasoning", "stream_options"):
        mapping(body, name)
    if truth(body, "background"):
        raise bad_request("'background' must be false: background responses are not supported.", "background")
    return ResponsesRequest(model, stream, body, tags=tags)
