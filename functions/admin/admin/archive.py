"""The archive: request and answer of a key that is archived, for admins, leads and the key's user."""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path

from admin import audit
from admin.call import Call, call_of
from admin.openapi import answers
from admin.router import Router
from admin.usage_logic import no_such_request
from vibe_router.access.sessions import Session
from vibe_router.core.errors import ApiError, unavailable
from vibe_router.core.record import Record
from vibe_router.core.telemetry import logger
from vibe_router.store.archive import CorruptDocumentError
from vibe_router.store.aws_errors import AwsError, error_code

__all__ = ["router"]

router = Router()

_RequestId = Annotated[str, Path(max_length=200)]
_DOCUMENT = answers("`record`, `request` and `answer`, as they were archived.", 404)


@router.get("/usage/requests/<request_id>/archive", tags=["Usage"], responses=_DOCUMENT)
def archived(request_id: _RequestId) -> Response[Any]:
    """Return the archived request and answer. The audit log records who read it."""
    call = call_of(router)
    return _document(call, _record(call, request_id))


@router.get("/me/requests/<request_id>/archive", tags=["Me"], responses=_DOCUMENT)
def my_archived(request_id: _RequestId) -> Response[Any]:
    """Return an archived request of one's own, or of the team that one leads, and its answer."""
    call = call_of(router)
    record = _record(call, request_id)
    if not _is_own(call.session, record):
        raise no_such_request(request_id)
    return _document(call, record)


def _is_own(session: Session | None, record: Record) -> bool:
    """Return whether a user may see a request: as its key's team and owner were when it was made."""
    if session is None or session.is_admin:
        return True
    own, of_request = (session.team, record.team) if session.role == "lead" else (session.username, record.user)
    return of_request is not None and of_request == own


def _record(call: Call, request_id: str) -> Record:
    record = call.environment.usage.request(request_id)
    if record is None:
        raise no_such_request(request_id)
    return record


def _document(call: Call, record: Record) -> Response[Any]:
    if (archive := call.environment.archive) is None:
        raise _not_archived("This router has no archive. Set the stack's parameter ArchiveBucket.")
    try:
        document = archive.read(record.started, record.request_id)
    except (AwsError, CorruptDocumentError) as error:
        logger.warning("ARCHIVE NOT READ", extra={"request_id": record.request_id, "reason": error_code(error)})
        raise unavailable("The archive cannot be read right now.") from None
    if document is None:
        raise _not_archived("This request is not in the archive: its key was not archived, or it has been deleted.")
    audit.record_reading(call)
    name = "".join(each for each in record.request_id if each.isalnum() or each == "-")[:100]
    headers = {"content-disposition": f'attachment; filename="{name}.json"', "x-content-type-options": "nosniff"}
    return Response(200, "application/json", document.decode(), headers=headers)


def _not_archived(message: str) -> ApiError:
    return ApiError(404, message, code="archive_not_found", param="request_id")
