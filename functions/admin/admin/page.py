"""The admin page's files: functions/admin/ui, served under /ui/.

Text files only, as API Gateway encodes what is not. Nothing in them runs that does not come from here as a file of its
own, and no other site may show them in a frame.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aws_lambda_powertools.event_handler import Response

from admin.call import call_of
from admin.router import Router
from vibe_router.core.errors import not_found

__all__ = ["SECURITY_HEADERS", "router"]

router = Router()

_DIRECTORY = Path(__file__).parent.parent / "ui"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
}
SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class _File:
    text: str
    type: str
    etag: str


@router.get("/ui", include_in_schema=False)  # and /ui/: a slash at the end makes no difference to the resolver
@router.get("/ui/.*", include_in_schema=False)
def file() -> Response[Any]:
    """Answer with a file of the page; without a slash, send on to where its own addresses are right."""
    request = call_of(router).request
    if request.path == "/ui":
        # Relative, so that a stage stays.
        return Response(307, "text/plain", "", headers={"location": "ui/", **SECURITY_HEADERS})
    found = _files().get(request.path.removeprefix("/ui/") or "index.html")
    if found is None:
        raise not_found(f"The page has no file {request.path[:200]}.")
    headers = {"etag": found.etag, "cache-control": "no-cache", **SECURITY_HEADERS}
    if found.etag in request.headers.get("if-none-match", ""):
        return Response(304, found.type, "", headers=headers)
    return Response(200, found.type, found.text, headers=headers)


@cache
def _files() -> dict[str, _File]:
    """Read every file once: the function's code does not change while it runs."""
    found = {}
    for path in _DIRECTORY.rglob("*"):
        if path.is_file() and path.suffix in _TYPES:
            text = path.read_text(encoding="utf-8")
            etag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
            found[path.relative_to(_DIRECTORY).as_posix()] = _File(text, _TYPES[path.suffix], etag)
    return found
