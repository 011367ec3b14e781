"""Stored responses: what is stored of a response, and the answers of the endpoints that read it. Pure.

A record holds the response as the caller got it, and its input: the caller's own items, preceded by the whole
conversation before `previous_response_id`. So a conversation can continue from any of its responses, on any deployment,
and no provider has to store it. Instructions are not carried over, as in OpenAI's API.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vibe_router.core.errors import bad_request
from vibe_router.formats.common.json_body import dump, load
from vibe_router.formats.responses.echo import override_event_fields, override_fields
from vibe_router.formats.responses.ids import ITEM_PREFIXES
from vibe_router.formats.responses.request import ResponsesRequest, input_items
from vibe_router.formats.responses.stream import final_event, to_events

__all__ = [
    "StoredResponse",
    "build_stored_response",
    "from_record",
    "list_input",
    "mark_end_not_stored",
    "mark_not_stored",
    "replay_events",
    "to_record",
    "wants_storage",
]

_NOT_STORED: Mapping[str, Any] = {"store": False}
_DEFAULT_LIMIT = 20
_MAX_LIMIT = 100


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response, and its whole input. Every item has an id."""

    response: Mapping[str, Any]
    input: Sequence[Mapping[str, Any]]

    @property
    def id(self) -> str:
        """The response's id."""
        return str(self.response["id"])

    def history(self) -> list[Mapping[str, Any]]:
        """Return the conversation up to and including this response."""
        return [*self.input, *self.response["output"]]


def wants_storage(request: ResponsesRequest) -> bool:
    """Return whether the answer to `request` is to be stored: by default yes, as in OpenAI's API."""
    return request.body.get("store") is not False


def build_stored_response(request: ResponsesRequest, response: Mapping[str, Any]) -> StoredResponse | None:
    """Return what is stored of `response`; None without an id or an output."""
    id_, output = response.get("id"), response.get("output")
    if not isinstance(id_, str) or not isinstance(output, list) or not all(isinstance(each, dict) for each in output):
        return None
    items = input_items(request.body.get("input")) if request.stored_input is None else request.stored_input
    listed = [_listed(item, id_, i) for i, item in enumerate(items)]
    return StoredResponse({**response, "store": True, "previous_response_id": request.previous_id}, listed)


def to_record(stored: StoredResponse) -> bytes:
    """Serialise `stored`. `from_record` reverses it."""
    return dump({"response": stored.response, "input": stored.input})


def from_record(raw: bytes) -> StoredResponse:
    """Deserialise a record. Raises ValueError for anything that `to_record` did not write."""
    match load(raw):
        case {"response": {"id": str(), "output": list(), **_rest} as response, "input": list(items)}:
            return StoredResponse(response, items)
    raise ValueError("not a stored response")


def list_input(stored: StoredResponse, query: Mapping[str, str]) -> dict[str, Any]:
    """Return the page of input items that `query` selects by `limit`, `after` and `order`. Raises ApiError (400)."""
    try:
        limit = int(query.get("limit") or _DEFAULT_LIMIT)
    except ValueError:
        limit = 0
    if not 1 <= limit <= _MAX_LIMIT:
        raise bad_request(f"'limit' must be a number from 1 to {_MAX_LIMIT}.", "limit")
    order = query.get("order") or "desc"
    if order not in ("asc", "desc"):
        raise bad_request("'order' must be asc or desc.", "order")
    items = list(stored.input) if order == "asc" else list(reversed(stored.input))
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


def replay_events(stored: StoredResponse, starting_after: str | None) -> Iterator[bytes]:
    """Yield the response as a stream, from the event after sequence number `starting_after`.

    Each part is sent in one delta, so this stream can be shorter than the original one. The final event, which holds
    the whole response, is sent in any case. Raises ApiError (400).
    """
    try:
        first = int(starting_after) + 1 if starting_after else 0
    except ValueError:
        first = -1
    if first < 0:
        raise bad_request("'starting_after' must be the sequence number of an event.", "starting_after")
    events = to_events(stored.response)
    return iter(events[first:] or [final_event(stored.response, first)])


def mark_not_stored(body: bytes) -> bytes:
    """Return a whole response with `store` set to false."""
    return override_fields(body, _NOT_STORED)


def mark_end_not_stored(events: bytes) -> bytes:
    """Return the final events of a stream with `store` set to false in the response."""
    return override_event_fields(events, _NOT_STORED)


def _listed(item: Mapping[str, Any], response_id: str, place: int) -> Mapping[str, Any]:
    """Return an input item as it is listed: with a type, an id and content as parts."""
    kind = item.get("type") or ("message" if "role" in item else "item_reference")
    listed = {**item, "type": kind}
    if not item.get("id"):
        digest = hashlib.blake2b(f"{response_id} {place}".encode(errors="surrogatepass"), digest_size=24).hexdigest()
        listed["id"] = f"{ITEM_PREFIXES.get(str(kind), 'item')}_{digest}"
    if kind == "message" and isinstance(text := item.get("content"), str):
        is_output = item.get("role") == "assistant"
        part = {"type": "output_text", "annotations": []} if is_output else {"type": "input_text"}
        listed["content"] = [{**part, "text": text}]
    return listed
