"""ResponseRecorder responses for their callers: who may have which, and what goes on from which.

A response is readable by the key that made it, by the other keys of that key's team, and by the master key. For anyone
else it does not exist.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from vibe_router.access.keys import Caller
from vibe_router.core.errors import ApiError, unavailable
from vibe_router.core.telemetry import log_fault, logger
from vibe_router.formats.common.json_body import load
from vibe_router.formats.interfaces import StreamReader
from vibe_router.formats.responses.ids import response_of
from vibe_router.formats.responses.request import ResponsesRequest
from vibe_router.formats.responses.stored import (
    StoredResponse,
    from_record,
    is_wanted,
    kept,
    record,
    unkept,
    unkept_end,
)
from vibe_router.store.responses import Owner, ResponseStore, ResponsesUnavailableError

__all__ = ["ResponseRecorder", "ResponseStorage"]

_LONGEST_ID = 512  # characters; OpenAI's have 50 or so
_MOST_ASKED = 20  # responses that one request is looked through for items


class ResponseStorage:
    """Keeps responses in `store`."""

    def __init__(self, store: ResponseStore) -> None:
        self._store = store

    def resumed(self, caller: Caller, request: ResponsesRequest) -> ResponsesRequest:
        """Return `request` with the items of the response that it goes on from, and with those that it names by id.

        A name that is of no kept response stays as it is: a provider of Responses may know it. Raises ApiError: 400
        where there is no such response for `caller`, 503 where that can't be found out.
        """
        before, references = request.body.get("previous_response_id"), request.references
        if not before:
            named = self._named(caller, references, {})
            return request.after(None, named) if named else request
        if found := self._found(caller, before):
            earlier = found.items()
            return request.after(earlier, self._named(caller, references, _by_id(earlier)))
        raise ApiError(
            400,
            f"Previous response with id '{_shown(before)}' not found.",
            code="previous_response_not_found",
            param="previous_response_id",
        )

    def _named(
        self, caller: Caller, references: Sequence[str], known: Mapping[str, Mapping[str, Any]]
    ) -> Mapping[str, Mapping[str, Any]]:
        """Return those of the items named that are `known`, or that a response of the caller's holds."""
        known = dict(known)
        asked: set[str] = set()
        for id_ in reversed(references):  # the last response holds all that was said before it
            made = response_of(id_)
            if id_ in known or made is None or made in asked or len(asked) == _MOST_ASKED:
                continue
            asked.add(made)
            if found := self._found(caller, made):
                known |= _by_id(found.items())
        return {id_: known[id_] for id_ in references if id_ in known}

    def keeping(self, caller: Caller, request: ResponsesRequest) -> "ResponseRecorder | None":
        """Return what keeps the answer to `request`; None where it is not to be kept."""
        return ResponseRecorder(self._store, caller, request) if is_wanted(request) else None

    def find(self, caller: Caller, id_: str) -> StoredResponse:
        """Return a kept response. Raises ApiError: 404 where there is none such for `caller`, 503."""
        if found := self._found(caller, id_):
            return found
        raise ApiError(404, f"Response with id '{_shown(id_)}' not found.")

    def delete(self, caller: Caller, id_: str) -> None:
        """Delete a kept response. Raises ApiError as `find` does."""
        self.find(caller, id_)
        try:
            self._store.delete(id_)
        except ResponsesUnavailableError:
            raise _unavailable() from None

    def _found(self, caller: Caller, id_: str) -> StoredResponse | None:
        if not _is_id(id_):
            return None
        try:
            stored = self._store.read(id_)
        except ResponsesUnavailableError:
            raise _unavailable() from None
        if stored is None or not _is_readable(stored.owner, caller):
            return None
        try:
            return from_record(stored.record)
        except ValueError as error:
            log_fault("read of a kept response", error)
            return None


class ResponseRecorder:
    """The keeping of one answer, before its caller has the whole of it.

    An answer is never lost for it: one that can't be kept goes out all the same, and says `store: false`.
    """

    def __init__(self, store: ResponseStore, caller: Caller, request: ResponsesRequest) -> None:
        self._store = store
        self._owner = Owner(caller.key_id, caller.team.id if caller.team else None)
        self._request = request

    def whole(self, body: bytes) -> bytes:
        """Keep a whole response; return what is told of it."""
        return self._told(body, lambda: load(body), unkept)

    def ending(self, reader: StreamReader) -> Callable[[bytes], bytes]:
        """Return what keeps the response that `reader` has read once it is whole, and then gives its end to tell."""
        return lambda end: self._told(end, lambda: getattr(reader, "response", None), unkept_end)

    def _told(self, said: bytes, response: Callable[[], Any], unkept: Callable[[bytes], bytes]) -> bytes:
        try:
            if self._is_kept(response() or {}):
                return said
            logger.warning("RESPONSE NOT KEPT", extra={"key": self._owner.key_id})
            return unkept(said)
        except Exception as error:  # noqa: BLE001 - whatever happens, the answer is paid for and goes out
            log_fault("keep", error)
            return said

    def _is_kept(self, response: Mapping[str, Any]) -> bool:
        keepable = kept(self._request, response)
        if keepable is None or not _is_id(keepable.id):
            return False
        return self._store.write(keepable.id, self._owner, record(keepable))


def _is_readable(owner: Owner, caller: Caller) -> bool:
    mates = owner.team is not None and caller.team is not None and owner.team == caller.team.id
    return caller.is_master or owner.key_id == caller.key_id or mates


def _by_id(items: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {id_: item for item in items if isinstance(id_ := item.get("id"), str)}


def _is_id(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_ID and text.isascii()


def _shown(id_: str) -> str:
    return id_ if len(id_) <= 100 else f"{id_[:100]}…"


def _unavailable() -> ApiError:
    return unavailable("Stored responses cannot be read right now.")
