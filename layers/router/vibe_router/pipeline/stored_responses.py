"""Stored responses for callers: who may read which, and what a request continues from.

A response can be read with the key that created it, with other keys of that key's team, and with the master key. For
anyone else it does not exist.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from vibe_router.access.keys import Caller
from vibe_router.core.errors import ApiError, bad_request, unavailable
from vibe_router.core.telemetry import log_fault, logger
from vibe_router.formats.common.json_body import dump, load
from vibe_router.formats.interfaces import StreamReader
from vibe_router.formats.responses.ids import response_id_of
from vibe_router.formats.responses.request import ResponsesRequest
from vibe_router.formats.responses.stored import (
    StoredResponse,
    build_stored_response,
    from_record,
    mark_end_not_stored,
    mark_not_stored,
    to_record,
    wants_storage,
)
from vibe_router.store.responses import MAX_RECORD_BYTES, Owner, ResponseStore, ResponsesUnavailableError

__all__ = ["ResponseRecorder", "ResponseStorage"]

_MAX_ID = 512  # characters; OpenAI's have 50 or so
_MAX_LOOKUPS = 20  # responses that are read to resolve the references of one request


class ResponseStorage:
    """Stores responses in `store`, and resolves requests that continue from them."""

    def __init__(self, store: ResponseStore) -> None:
        self._store = store

    def with_history(self, caller: Caller, request: ResponsesRequest) -> ResponsesRequest:
        """Return `request` with the conversation before `previous_response_id`, and with referenced items filled in.

        References to items of no stored response stay: a provider of Responses may know them. Raises ApiError: 400 if
        the previous response does not exist for `caller`, 503 if that cannot be found out.
        """
        previous_id, references = request.body.get("previous_response_id"), request.referenced_ids
        if not previous_id:
            referenced = self._find_items(caller, references, {})
            _check_size(references, referenced)
            return request.with_history(None, referenced) if referenced else request
        if found := self._read(caller, previous_id):
            history = found.history()
            referenced = self._find_items(caller, references, _by_id(history))
            _check_size(references, referenced)
            return request.with_history(history, referenced)
        raise ApiError(
            400,
            f"Previous response with id '{_shortened(previous_id)}' not found.",
            code="previous_response_not_found",
            param="previous_response_id",
        )

    def _find_items(
        self, caller: Caller, references: Sequence[str], items: Mapping[str, Mapping[str, Any]]
    ) -> Mapping[str, Mapping[str, Any]]:
        """Return those referenced items that are among `items` or in a stored response of the caller's."""
        wanted = set(references)
        found_items = {id_: item for id_, item in items.items() if id_ in wanted}
        read: set[str] = set()
        for id_ in reversed(references):  # the latest response holds the conversation before it
            response_id = response_id_of(id_)
            if id_ in found_items or response_id is None or response_id in read or len(read) == _MAX_LOOKUPS:
                continue
            read.add(response_id)
            if found := self._read(caller, response_id):
                found_items |= {id_: item for id_, item in _by_id(found.history()).items() if id_ in wanted}
                _check_size(found_items, found_items)
        return found_items

    def recorder(self, caller: Caller, request: ResponsesRequest) -> "ResponseRecorder | None":
        """Return the recorder of the answer to `request`; None if it is not to be stored."""
        return ResponseRecorder(self._store, caller, request) if wants_storage(request) else None

    def find(self, caller: Caller, id_: str) -> StoredResponse:
        """Return a stored response. Raises ApiError: 404 if it does not exist for `caller`, 503."""
        if found := self._read(caller, id_):
            return found
        raise ApiError(404, f"Response with id '{_shortened(id_)}' not found.")

    def delete(self, caller: Caller, id_: str) -> None:
        """Delete a stored response. Raises ApiError as `find` does."""
        self.find(caller, id_)
        try:
            self._store.delete(id_)
        except ResponsesUnavailableError:
            raise _unavailable() from None

    def _read(self, caller: Caller, id_: str) -> StoredResponse | None:
        if not _is_valid_id(id_):
            return None
        try:
            stored = self._store.read(id_)
        except ResponsesUnavailableError:
            raise _unavailable() from None
        if stored is None or not _may_read(caller, stored.owner):
            return None
        try:
            return from_record(stored.record)
        except ValueError as error:
            log_fault("read of a stored response", error)
            return None


class ResponseRecorder:
    """Stores one answer before its caller has received the end of it.

    A failure to store never costs the caller the answer: it is sent with `store: false`.
    """

    def __init__(self, store: ResponseStore, caller: Caller, request: ResponsesRequest) -> None:
        self._store = store
        self._owner = Owner(caller.key_id, caller.team.id if caller.team else None)
        self._request = request

    def record_whole(self, body: bytes) -> bytes:
        """Store a whole response; return the body to send."""
        return self._record(body, lambda: load(body), mark_not_stored)

    def record_stream(self, reader: StreamReader) -> Callable[[bytes], bytes]:
        """Return a function that stores the response that `reader` has read, given and returning the final events."""
        return lambda end: self._record(end, lambda: getattr(reader, "response", None), mark_end_not_stored)

    def _record(self, sent: bytes, response: Callable[[], Any], mark: Callable[[bytes], bytes]) -> bytes:
        try:
            if self._store_response(response() or {}):
                return sent
            logger.warning("RESPONSE NOT STORED", extra={"key": self._owner.key_id})
            return mark(sent)
        except Exception as error:  # noqa: BLE001 - whatever happens, the answer is paid for and is sent
            log_fault("store of a response", error)
            return sent

    def _store_response(self, response: Mapping[str, Any]) -> bool:
        stored = build_stored_response(self._request, response)
        if stored is None or not _is_valid_id(stored.id):
            return False
        return self._store.write(stored.id, self._owner, to_record(stored))


def _may_read(caller: Caller, owner: Owner) -> bool:
    is_teammate = owner.team is not None and caller.team is not None and owner.team == caller.team.id
    return caller.is_master or owner.key_id == caller.key_id or is_teammate


def _check_size(references: Iterable[str], items: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ApiError (400) if the referenced items are more than a record holds: an id is short, its item is not."""
    sizes = {id_: len(dump(item)) for id_, item in items.items()}
    if sum(sizes.get(id_, 0) for id_ in references) > MAX_RECORD_BYTES:
        raise bad_request("The items that 'input' references are too large.", "input", "request_too_large")


def _by_id(items: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {id_: item for item in items if isinstance(id_ := item.get("id"), str)}


def _is_valid_id(text: str) -> bool:
    return 0 < len(text) <= _MAX_ID and text.isascii()


def _shortened(id_: str) -> str:
    return id_ if len(id_) <= 100 else f"{id_[:100]}…"


def _unavailable() -> ApiError:
    return unavailable("Stored responses cannot be read right now.")
