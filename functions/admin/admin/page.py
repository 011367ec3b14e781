"""The admin page's files: functions/admin/ui, served under /ui/.

Text files only, because API Gateway would encode binary ones. The headers forbid inline scripts, foreign scripts and
frames on other sites.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aws_lambda_powertools.event_handler import Response

from admin.call import Request, call_of
from admin.router import Router
from vibe_router.core.errors import not_found

__all__ = ["router", "security_headers"]

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
_SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
# A year. Browsers ignore the header over plain HTTP, which only the local stack speaks.
_HSTS = {"strict-transport-security": "max-age=31536000"}


@dataclass(frozen=True, slots=True)
class _File:
    text: str
    type: str
    etag: str


def security_headers(request: Request) -> dict[str, str]:
    """Return the headers that protect the page, with HSTS where it is served over HTTPS."""
    return _SECURITY_HEADERS | (_HSTS if request.is_https else {})


@router.get("/ui", include_in_schema=False)  # and /ui/: the resolver ignores a trailing slash
@router.get("/ui/.*", include_in_schema=False)
def file() -> Response[Any]:
    """Return a file of the page; redirect /ui to /ui/, so that relative addresses work."""
    request = call_of(router).request
    if request.path == "/ui":
        # Relative, to keep the stage.
        return Response(307, "text/plain", "", headers={"location": "ui/", **security_headers(request)})
    found = _files().get(request.path.removeprefix("/ui/") or "index.html")
    if found is None:
        raise not_found(f"The page has no file {request.path[:200]}.")
    headers = {"etag": found.etag, "cache-control": "no-cache", **security_headers(request)}
    if found.etag in request.headers.get("if-none-match", ""):
        return Response(304, found.type, "", headers=headers)
    return Response(200, found.type, found.text, headers=headers)


@cache
def _files() -> dict[str, _File]:
    """Read every file once."""
    found = {}
    for path in _DIRECTORY.rglob("*"):
        if path.is_file() and path.suffix in _TYPES:
            text = path.read_text(encoding="utf-8")
            etag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
            found[path.relative_to(_DIRECTORY).as_posix()] = _File(text, _TYPES[path.suffix], etag)
    return found
