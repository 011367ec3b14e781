"""The archive of requests: request and answer of a key that asks for it, written to a bucket after the answer.

A document holds the record of a request (what its row holds), its body as hooks and guards left it, and the answer,
whole even if it was streamed. What guards find in either is redacted. Headers are never in it, and so no key and no
cookie. Forms and answers in bytes are only described. A bucket that fails costs no caller anything: the failure is
logged and counted.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError
from vibe_router.core.metrics import metrics_line
from vibe_router.core.models import Guard
from vibe_router.core.record import Record
from vibe_router.core.telemetry import NAMESPACE
from vibe_router.core.usage import Usage
from vibe_router.formats.common.json_body import dump, load
from vibe_router.formats.interfaces import ClientRequest, WholeAnswer
from vibe_router.formats.replay import assemble_stream
from vibe_router.pipeline.stream_copy import StreamCopy
from vibe_router.store.archive import ArchiveStore
from vibe_router.store.aws_errors import AwsError, error_code

__all__ = ["ArchiveSlot", "RequestArchiver"]

_VERSION = 1
_MOST_REQUEST = 6 * 1024 * 1024  # bytes of JSON: as much as Lambda takes
_MOST_ANSWER = 8 * 1024 * 1024
_MOST_STREAMED = 16 * 1024 * 1024  # of a stream, whose chunks repeat id and model
_PAUSE_SECONDS = 10.0  # without a try after a failed one, which may have taken seconds

_log = logging.getLogger(__name__)


class RequestArchiver:
    """Writes documents to `store`. One for an environment."""

    def __init__(self, store: ArchiveStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._paused_until = float("-inf")

    def open(self) -> "ArchiveSlot":
        """Return the place of a request in the archive."""
        return ArchiveSlot(self)

    def write(self, record: Record, exchange: Mapping[str, Any]) -> None:
        """Write the document of a request after its answer. Never raises AwsError."""
        if self._clock.monotonic() < self._paused_until:
            self._fail(record, "the bucket has just failed")
            return
        try:
            document = dump({"version": _VERSION, "record": record.as_json(), **exchange})
            self._store.write(record.started, record.request_id, document)
        except AwsError as error:
            self._paused_until = self._clock.monotonic() + _PAUSE_SECONDS
            self._fail(record, error_code(error))

    def _fail(self, record: Record, reason: str) -> None:
        _log.warning("REQUEST NOT ARCHIVED", extra={"request_id": record.request_id, "reason": reason})
        # A metric of its own: CloudWatch charges for it only when something fails.
        print(metrics_line({"ArchiveFailures": 1}, NAMESPACE, self._clock.now()), flush=True)  # noqa: T201 - CloudWatch reads it off the log


class ArchiveSlot:
    """The place of one request in the archive. A request that was rejected before it was routed is not held."""

    def __init__(self, archiver: RequestArchiver) -> None:
        self._archiver = archiver
        self._request: ClientRequest | None = None
        self._guards: Sequence[Guard] = ()
        self._answer: WholeAnswer | StreamCopy | None = None

    def hold(self, request: ClientRequest, guards: Sequence[Guard]) -> None:
        """Take note of a request as its `guards` let it pass."""
        self._request, self._guards = request, guards

    def take(self, answer: WholeAnswer | Iterable[bytes]) -> WholeAnswer | Iterable[bytes]:
        """Return `answer` as it goes to the caller; of a stream a copy is made on its way."""
        self._answer = answer if isinstance(answer, WholeAnswer) else StreamCopy(answer, _MOST_STREAMED)
        return self._answer

    def write(self, record: Record) -> None:
        """Write the document, once the answer has been sent."""
        request, guards = self._request, self._guards
        if request is None:
            omitted = {"omitted": "it was rejected before it was routed"}
            self._archiver.write(record, {"request": omitted, "answer": _NO_ANSWER})
            return
        asked, answered = _request_part(request), _answer_part(request, self._answer)
        if guards:
            from vibe_router.pipeline.archive_redaction import redact_answer, redact_request

            asked = redact_request(request.format, asked, guards)
            answered = redact_answer(answered, guards)
        self._archiver.write(record, {"request": asked, "answer": answered})


_NO_ANSWER = {"omitted": "there was none: see `status` and `error` of the record"}


def _request_part(request: ClientRequest) -> dict[str, Any]:
    if not request.body:
        return {"omitted": "a form, which is not archived"}
    try:
        size = len(dump(request.body))
    except ApiError:  # numbers that JSON does not have
        return {"omitted": "not JSON"}
    if size > _MOST_REQUEST:
        return {"omitted": f"{size} bytes, which is too large"}
    return {"body": dict(request.body)}


def _answer_part(request: ClientRequest, answer: WholeAnswer | StreamCopy | None) -> dict[str, Any]:
    if answer is None:
        return _NO_ANSWER
    if isinstance(answer, WholeAnswer):
        if not answer.content_type.startswith("application/json"):
            return {"omitted": f"{answer.content_type}, {len(answer.body)} bytes, which is not archived"}
        return _body_part(answer.body)
    body = assemble_stream(request, answer.content, Usage(), partial=True)
    if body is None:
        return {"omitted": "a stream that cannot be read as one answer"}
    return {**_body_part(body), **({} if answer.is_whole else {"cut": True})}


def _body_part(body: bytes) -> dict[str, Any]:
    if len(body) > _MOST_ANSWER:
        return {"omitted": f"{len(body)} bytes, which is too large"}
    try:
        return {"body": load(body)}
    except ValueError:
        return {"omitted": "not JSON"}
