"""Responses that are kept: what is kept of one, and how it is told again. Pure.

A stored response holds the response as its caller got it, with its input: the caller's own items, preceded by all that
came before `previous_response_id`. A conversation can continue from any of its responses, on any layer, and no provider
has to know it.

Instructions are not carried over, as OpenAI's are not.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vibe_router.core.errors import bad_request
from vibe_router.formats.common.json_body import dump, load
from vibe_router.formats.responses.echo import in_answer, in_events
from vibe_router.formats.responses.ids import ITEM_PREFIXES
from vibe_router.formats.responses.request import ResponsesRequest, input_items
from vibe_router.formats.responses.stream import ending, unfold

__all__ = ["StoredResponse", "from_record", "is_wanted", "kept", "page", "record", "replayed", "unkept", "unkept_end"]

_UNKEPT: Mapping[str, Any] = {"store": False}
_PAGE = 20
_LARGEST_PAGE = 100


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response, and all the input that it answers, each item with an id."""

    response: Mapping[str, Any]
    input: Sequence[Mapping[str, Any]]

    @property
    def id(self) -> str:
        """The response's id."""
        return str(self.response["id"])

    def items(self) -> list[Mapping[str, Any]]:
        """Return what stands before the input that goes on from this response."""
        return [*self.input, *self.response["output"]]


def is_wanted(request: ResponsesRequest) -> bool:
    """Whether the answer to `request` is to be kept: as in OpenAI's API, unless the caller says no."""
    return request.body.get("store") is not False


def kept(request: ResponsesRequest, response: Mapping[str, Any]) -> StoredResponse | None:
    """Return what is to be kept of a `response`; None for one that nobody could ask for."""
    id_, output = response.get("id"), response.get("output")
    if not isinstance(id_, str) or not isinstance(output, list) or not all(isinstance(each, dict) for each in output):
        return None
    said = input_items(request.body.get("input")) if request.said is None else request.said
    items = [_listed(item, id_, i) for i, item in enumerate(said)]
    return StoredResponse({**response, "store": True, "previous_response_id": request.before}, items)


def record(kept: StoredResponse) -> bytes:
    """Return `kept` as it is written down; `from_record` reads it back."""
    return dump({"response": kept.response, "input": kept.input})


def from_record(raw: bytes) -> StoredResponse:
    """Read what `record` wrote. Raises ValueError for anything else."""
    match load(raw):
        case {"response": {"id": str(), "output": list(), **_rest} as response, "input": list(items)}:
            return StoredResponse(response, items)
    raise ValueError("this is no response")


def page(kept: StoredResponse, query: Mapping[str, str]) -> dict[str, Any]:
    """Return the page of the input that `query` asks for: `limit`, `after` and `order`. Raises ApiError (400)."""
    try:
        limit = int(query.get("limit") or _PAGE)
    except ValueError:
        limit = 0
    if not 1 <= limit <= _LARGEST_PAGE:
        raise bad_request(f"'limit' must be a number from 1 to {_LARGEST_PAGE}.", "limit")
    order = query.get("order") or "desc"
    if order not in ("asc", "desc"):
        raise bad_request("'order' must be asc or desc.", "order")
    items = list(kept.input) if order == "asc" else list(reversed(kept.input))
    if after := query.get("after"):
        places = [i for i, item in enumerate(items) if item.get("id") == after]
        if not places:
            raise bad_request("'after' must be the id of one of the items.", "after")
        items = items[places[0] + 1 :]
    data = items[:limit]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0].get("id") if data else None,
        "last_id": data[-1].get("id") if data else None,
        "has_more": len(items) > limit,
    }


def replayed(kept: StoredResponse, starting_after: str | None) -> Iterator[bytes]:
    """Yield the events of a stream that tells the response again, those after a sequence number if there is one.

    Each part is told at once, so the stream may be shorter than the one that the number is of: its end, which holds the
    whole response, comes all the same. Raises ApiError (400).
    """
    try:
        first = int(starting_after) + 1 if starting_after else 0
    except ValueError:
        first = -1
    if first < 0:
        raise bad_request("'starting_after' must be the sequence number of an event.", "starting_after")
    events = unfold(kept.response)
    return iter(events[first:] or [ending(kept.response, first)])


def unkept(body: bytes) -> bytes:
    """Return a whole response that could not be kept, saying so: `store` is false."""
    return in_answer(body, _UNKEPT)


def unkept_end(ending: bytes) -> bytes:
    """Return the end of a stream whose response could not be kept, saying so: its `store` is false."""
    return in_events(ending, _UNKEPT)


def _listed(item: Mapping[str, Any], response_id: str, place: int) -> Mapping[str, Any]:
    """Return an item of the input as it is listed: with a type, an id and its content in parts."""
    kind = item.get("type") or ("message" if "role" in item else "item_reference")
    listed = {**item, "type": kind}
    if not item.get("id"):
        digest = hashlib.blake2b(f"{response_id} {place}".encode(errors="surrogatepass"), digest_size=24).hexdigest()
        listed["id"] = f"{ITEM_PREFIXES.get(str(kind), 'item')}_{digest}"
    if kind == "message" and isinstance(words := item.get("content"), str):
        mine = item.get("role") == "assistant"
        part = {"type": "output_text", "annotations": []} if mine else {"type": "input_text"}
        listed["content"] = [{**part, "text": words}]
    return listed
