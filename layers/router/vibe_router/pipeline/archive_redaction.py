"""Redact documents of the archive: what guards find in a request and in its answer, even if they only report it.

Imported with the first archived request that has guards.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from vibe_router.core.errors import ApiError
from vibe_router.core.models import Guard
from vibe_router.guards import inspection

__all__ = ["redact_answer", "redact_request"]

_UNREADABLE = {"omitted": "guards cannot read it"}


def redact_request(format_name: str, part: Mapping[str, Any], guards: Sequence[Guard]) -> dict[str, Any]:
    """Return the request of a document without anything that `guards` find in its texts."""
    if "body" not in part:
        return dict(part)
    try:
        return {**part, "body": inspection.redact_texts(format_name, part["body"], guards)}
    except ApiError:  # nested too deeply
        return _UNREADABLE


def redact_answer(part: Mapping[str, Any], guards: Sequence[Guard]) -> dict[str, Any]:
    """Return the answer of a document without anything that `guards` find in its texts."""
    if "body" not in part:
        return dict(part)
    try:
        return {**part, "body": inspection.redact_answer(part["body"], guards)}
    except ApiError:  # nested too deeply
        return _UNREADABLE
