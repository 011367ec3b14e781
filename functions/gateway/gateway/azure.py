"""Requests as Azure's clients send them: the path names the model, and the body need not."""

from dataclasses import replace
from email.message import Message

from gateway.proxy_event import Request
from vibe_router.formats.common.json_body import dump, parse_object

__all__ = ["with_model"]


def with_model(request: Request, model: str) -> Request:
    """Return `request` with the `model` of its path in its body, JSON or a form. Raises ApiError (400)."""
    if not request.body:
        return request
    content_type = request.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        return replace(request, body=dump({**parse_object(request.body), "model": model}))
    header = Message()
    header["content-type"] = content_type
    boundary = (header.get_boundary() or "").encode("latin-1", "replace")
    name = model.encode("utf-8", "replace").translate(None, b"\r\n")
    part = b'--%b\r\ncontent-disposition: form-data; name="model"\r\n\r\n%b\r\n' % (boundary, name)
    return replace(request, body=part + request.body)
