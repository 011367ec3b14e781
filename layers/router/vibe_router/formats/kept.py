"""Responses that are kept: what is kept of one, and how it is told again. Pure.

Kept is the response as its caller got it, with the input that it answers: the caller's own items and, before them,
all that stood before `previous_response_id`. So a conversation goes on from any one of its responses, on any layer, and
no provider has to know it.

Left out where a conversation goes on: ids of items, which only their issuer could look up, and reasoning without
encrypted content, which is nothing but such an id. Instructions are not carried over, as OpenAI's are not.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vibe_router.formats import sse
from vibe_router.formats.errors import bad_request
from vibe_router.formats.json_body import dump, load
from vibe_router.formats.responses import ENDS, ResponsesRequest, input_items, unfold

__all__ = ["Kept", "from_record", "is_wanted", "kept", "page", "record", "replayed", "unkept", "unkept_end"]

# Types of items → how their ids begin, as OpenAI's do.
_PREFIXES: Mapping[str, str] = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
}
_PAGE = 20
_LARGEST_PAGE = 100


@dataclass(frozen=True, slots=True)
class Kept:
    """A response, and all the input that it answers, each item with an id."""

    response: Mapping[str, Any]
    input: Sequence[Mapping[str, Any]]

    @property
    def id(self) -> str:
        """The response's id."""
        return str(self.response["id"])

    def earlier(self) -> list[Mapping[str, Any]]:
        """Return what stands before the input that goes on from this response."""
        said = (*self.input, *self.response["output"])
        return [kept for item in said if (kept := _said_again(item)) is not None]


def is_wanted(request: ResponsesRequest) -> bool:
    """Whether the answer to `request` is to be kept: as in OpenAI's API, unless the caller says no."""
    return request.body.get("store") is not False


def kept(request: ResponsesRequest, response: Mapping[str, Any]) -> Kept | None:
    """Return what is to be kept of a `response`; None for one that nobody could ask for."""
    id_, output = response.get("id"), response.get("output")
    if not isinstance(id_, str) or not isinstance(output, list) or not all(isinstance(each, dict) for each in output):
        return None
    before = request.body.get("previous_response_id")
    items = [_listed(item, id_, i) for i, item in enumerate(input_items(request.sent.get("input")))]
    return Kept({**response, "store": True, "previous_response_id": before}, items)


def record(kept: Kept) -> bytes:
    """Return `kept` as it is written down; `from_record` reads it back."""
    return dump({"response": kept.response, "input": kept.input})


def from_record(raw: bytes) -> Kept:
    """Read what `record` wrote. Raises ValueError for anything else."""
    match load(raw):
        case {"response": {"id": str(), "output": list(), **_rest} as response, "input": list(items)}:
            return Kept(response, items)
    raise ValueError("this is no response")


def page(kept: Kept, query: Mapping[str, str]) -> dict[str, Any]:
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


def replayed(kept: Kept, starting_after: str | None) -> Iterator[bytes]:
    """Yield the events of a stream that tells the response again, those after a sequence number if there is one.

    Raises ApiError (400).
    """
    try:
        first = int(starting_after) + 1 if starting_after else 0
    except ValueError:
        first = -1
    if first < 0:
        raise bad_request("'starting_after' must be the sequence number of an event.", "starting_after")
    return iter(unfold(kept.response)[first:])


def unkept(body: bytes) -> bytes:
    """Return a whole response that could not be kept, saying so: `store` is false."""
    return dump({**load(body), "store": False})


def unkept_end(ending: bytes) -> bytes:
    """Return the end of a stream whose response could not be kept, saying so: its `store` is false."""
    cut = sse.Decoder()
    return b"".join(_unkept_event(event) for event in (*cut.feed(ending), *cut.flush()))


def _unkept_event(event: sse.Event) -> bytes:
    if not event.data or not any(end.encode() in event.data for end in ENDS):
        return event.raw
    try:
        chunk = load(event.data)
    except ValueError:
        return event.raw
    match chunk:
        case {"type": str(kind), "response": dict(response)} if kind in ENDS:
            return sse.encode(dump({**chunk, "response": {**response, "store": False}}), kind.encode())
    return event.raw


def _listed(item: Mapping[str, Any], response_id: str, place: int) -> Mapping[str, Any]:
    """Return an item of the input as it is listed: with a type, an id and its content in parts."""
    kind = item.get("type") or "message"
    listed = {**item, "type": kind}
    if not item.get("id"):
        digest = hashlib.blake2b(f"{response_id} {place}".encode(errors="surrogatepass"), digest_size=24).hexdigest()
        listed["id"] = f"{_PREFIXES.get(str(kind), 'item')}_{digest}"
    if kind == "message" and isinstance(words := item.get("content"), str):
        mine = item.get("role") == "assistant"
        part = {"type": "output_text", "annotations": []} if mine else {"type": "input_text"}
        listed["content"] = [{**part, "text": words}]
    return listed


def _said_again(item: Mapping[str, Any]) -> Mapping[str, Any] | None:
    kind = str(item.get("type"))
    if kind == "reasoning":
        return item if item.get("encrypted_content") else None
    if kind not in _PREFIXES:  # a hosted tool's: its id is part of what it says
        return item
    return {key: value for key, value in item.items() if key != "id"}
