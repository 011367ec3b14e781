"""/audit: the audit log. Every call that changes something is recorded, and so is every sign-in."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Query

from admin.call import SIGN_IN, Call, Request, call_of
from admin.openapi import answers
from admin.router import Router
from vibe_router.access.audit import AuditEntry, new_position, recorded_changes
from vibe_router.core.telemetry import log_fault, logger

__all__ = ["record", "record_reading", "record_sign_in", "router"]

router = Router()

_READ_ONLY = frozenset({"/routes/validate", "/routes/dry-run", "/routes/explain"})  # POST, yet nothing changes
_TARGETS = ("key_id", "team_id", "version")  # of a response


@router.get("/audit", tags=["Audit"], responses=answers("`entries`, newest first, and `next` to read on from."))
def entries(
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    days: Annotated[int, Query(ge=1, le=400)] = 90,
    before: Annotated[str | None, Query(max_length=300, description="`next` of the previous page")] = None,
) -> dict[str, Any]:
    """List changes and sign-ins: who, when, from which address, and what."""
    call = call_of(router)
    found = call.environment.audit.read(call.now, days, limit, before)
    more = found[-1].position if len(found) == limit else None
    return {"entries": [entry.as_json() for entry in found], "next": more}


def record(call: Call, body: str, answer: dict[str, Any]) -> None:
    """Add the call with this JSON `body` to the audit log if it changed something or tried to sign in."""
    request, status = call.request, answer["statusCode"]
    response = _parsed(answer.get("body"))
    if request.path == SIGN_IN and request.method == "POST":
        # A failed one has no name: people type passwords there.
        record_sign_in(call, str(response.get("username") or ""), status)
    elif _is_change(request, status):
        _add(call, call.by, status, _target(response), recorded_changes(_parsed(body)))


def record_sign_in(call: Call, by: str, status: int) -> None:
    """Add an attempt to sign in to the audit log; `by` is the user's name if the router knows it."""
    _add(call, by, status)


def record_reading(call: Call) -> None:
    """Add to the audit log that somebody read what the call returns: content of others."""
    _add(call, call.by, 200)


def _add(call: Call, by: str, status: int, target: str | None = None, changes: Mapping[str, Any] | None = None) -> None:
    entry = AuditEntry(
        position=new_position(call.now),
        at=call.now,
        request_id=call.request.id,
        by=by,
        address=call.request.address,
        action=call.request.path.strip("/"),
        target=target,
        status=status,
        changes=changes or {},
    )
    try:
        call.environment.audit.add(entry)
    except Exception as error:  # noqa: BLE001 - the change has been made: its entry is in the log, if not in the table
        log_fault("audit", error)
        logger.error("AUDIT ENTRY NOT STORED", extra={"entry": entry.as_json()})


def _is_change(request: Request, status: int) -> bool:
    changes = request.method not in ("GET", "HEAD", "OPTIONS") and request.path not in (*_READ_ONLY, SIGN_IN)
    return changes and status < 400  # a failed call changed nothing


def _target(response: dict[str, Any]) -> str | None:
    """Return what the call changed, as its response names it. Keys are named by their ids."""
    for name in _TARGETS:
        value = response.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool):
            return f"{name.removesuffix('_id')} {value}"
    return None


def _parsed(text: object) -> dict[str, Any]:
    try:
        value = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
