"""Parse a `multipart/form-data` body with the standard library's mail parser."""

from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

__all__ = ["read_form"]


def read_form(content_type: str, body: bytes) -> dict[str, Any]:
    """Return the form's fields: text, or for a file its `filename`, `content_type` and `size`."""
    message = BytesParser(policy=HTTP).parsebytes(
        b"content-type: " + content_type.encode("latin-1") + b"\r\n\r\n" + body
    )
    fields: dict[str, Any] = {}
    for part in message.iter_parts() if message.is_multipart() else []:
        name = part.get_param("name", header="content-disposition")
        data = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(data, bytes):
            continue
        filename = part.get_filename()
        if filename is None:
            fields[name] = data.decode("utf-8", "replace")
        else:
            fields[name] = {"filename": filename, "content_type": part.get_content_type(), "size": len(data)}
    return fields
