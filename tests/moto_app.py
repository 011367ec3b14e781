"""moto's web application, called in this process through WSGI."""

import json
import sys
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from local.http11 import Headers
from tests import moto_pace

__all__ = ["Moto", "wsgi_environ"]

_SIGNED = "AWS4-HMAC-SHA256 Credential=local/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"


class Moto:
    """moto's web application."""

    def __init__(self, region: str) -> None:
        moto_pace.install()
        self._application = DomainDispatcherApplication(create_backend_app)
        self._region = region

    def respond(self, environ: dict[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
        """Answer one WSGI request."""
        head: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> None:
            head[:] = [int(status.split(" ", 1)[0]), headers]

        chunks: Iterable[bytes] = self._application(environ, start_response)
        try:
            body = b"".join(chunks)
        finally:
            close: Callable[[], None] | None = getattr(chunks, "close", None)
            if close is not None:
                close()
        return head[0], head[1], body

    def call(self, service: str, target: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Call an operation as botocore would; raises RuntimeError when it fails."""
        body = json.dumps(parameters).encode()
        headers = [
            (b"host", f"{service}.{self._region}.amazonaws.com".encode()),
            (b"content-type", b"application/x-amz-json-1.0"),
            (b"x-amz-target", target.encode()),
            (b"authorization", _SIGNED.format(region=self._region, service=service).encode()),
        ]
        status, _, answer = self.respond(wsgi_environ("POST", "/", headers, body))
        if status != 200:
            raise RuntimeError(f"{target}: {answer.decode('utf-8', 'replace')}")
        content: dict[str, Any] = json.loads(answer or b"{}")
        return content


def wsgi_environ(method: str, target: str, headers: Headers, body: bytes) -> dict[str, Any]:
    """Return a WSGI environment (PEP 3333)."""
    path, _, query = target.partition("?")
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in headers:
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in ("CONTENT_LENGTH", "TRANSFER_ENCODING"):
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value.decode("latin-1")
    return environ
