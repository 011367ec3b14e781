"""moto's web application, called in this process through WSGI."""

import json
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from hmac import compare_digest
from io import BytesIO
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from . import moto_pace
from .http11 import Connection, Headers

__all__ = ["Moto", "MotoConnection", "wsgi_environ"]

_INTERNAL_ERROR = b'{"__type": "InternalServerError", "message": "moto failed; see the output of make start"}'
_FORBIDDEN = b'{"__type": "AccessDeniedException", "message": "Use the endpoint in local.json."}'
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


class MotoConnection(Connection):
    """One client connection to moto. Operations run one at a time, so conditional writes are atomic.

    `answered` is called after each with X-Amz-Target, the body, the status, and the times of receipt and answer
    (`time.perf_counter`). `path` is the only path that is served.
    """

    def __init__(self, moto: Moto, path: str, answered: Callable[[str, bytes, int, float, float], None]) -> None:
        super().__init__()
        self._moto = moto
        self._path = path
        self._answered = answered
        self._body = bytearray()
        self.head: tuple[str, str, Headers] = ("GET", "/", [])
        self._came: float | None = None

    def data_received(self, data: bytes) -> None:
        """Parse received bytes, and record when a request started."""
        if self._came is None:
            self._came = time.perf_counter()
        super().data_received(data)

    def request_begun(self, method: str, target: str, headers: Headers) -> None:
        """Store the head until the body is complete."""
        self.head = (method, target, headers)
        self._body.clear()

    def body_received(self, data: bytes) -> None:
        """Collect the body."""
        self._body += data

    def request_ended(self, trailers: Headers) -> None:  # noqa: ARG002 - none are sent
        """Answer."""
        method, target, headers = self.head
        if not compare_digest(target.encode(), self._path.encode()):
            self.reply(403, [("Content-Type", "application/x-amz-json-1.0")], _FORBIDDEN)
            return
        body = bytes(self._body)
        try:
            status, answer_headers, content = self._moto.respond(wsgi_environ(method, "/", headers, body))
        except Exception:  # noqa: BLE001 - an unexpected error of moto gets an answer too
            traceback.print_exc()
            answer_headers, content = [("Content-Type", "application/x-amz-json-1.0")], _INTERNAL_ERROR
            status = 500
        operation = dict(headers).get(b"x-amz-target", b"").decode("latin-1")
        forwarded = [
            (name, value) for name, value in answer_headers if name.lower() not in ("content-length", "connection")
        ]
        now = time.perf_counter()
        came, self._came = self._came or now, None
        self.reply(status, forwarded, content)
        self._answered(operation, body, status, came, time.perf_counter())


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
