"""HTTP/1.1 as bytes: parsing requests, framing answers. No sockets.

Small on purpose: it accepts well-formed requests, rejects the rest, and frames answers so that a fault can be at any
byte.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

__all__ = ["LAST_CHUNK", "BadHttp", "Head", "RequestReader", "chunk", "head", "plain"]

MAX_HEAD = 64 * 1024
MAX_BODY = 64 * 1024 * 1024  # far above API Gateway's 10 MB, so that the gateway's limit applies first

LAST_CHUNK = b"0\r\n\r\n"
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


class BadHttp(Exception):  # noqa: N818 - named after the status
    """The request is malformed or unsupported; `status` is answered before the connection closes."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Head:
    """A request line and headers. Names are in lower case; the last of a repeated header wins."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    keep_alive: bool

    @property
    def key(self) -> str:
        """The caller's key from any of its headers; empty without one."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return token.strip()
        if scheme == "AWS4-HMAC-SHA256":  # the id of the signing key
            return token.partition("Credential=")[2].partition("/")[0]
        for name in ("x-api-key", "api-key", "x-goog-api-key"):
            if value := self.headers.get(name):
                return value
        return ""


def parse_head(data: bytes) -> Head:
    """Read a request line and headers, without the empty line that ends them. Raises `BadHttp`."""
    request_line, *lines = data.decode("latin-1").split("\r\n")
    parts = request_line.split(" ")
    if len(parts) != 3 or not parts[0].isalpha() or not parts[1].startswith("/"):
        raise BadHttp(400, "malformed request line")
    method, target, version = parts
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadHttp(505, "only HTTP/1.1 and HTTP/1.0 are served")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or not _TOKEN.issuperset(name):
            raise BadHttp(400, "malformed header line")
        if name == "content-length" and headers.get(name, value.strip()) != value.strip():
            raise BadHttp(400, "two lengths")
        headers[name] = value.strip()
    if "content-length" in headers and "transfer-encoding" in headers:
        raise BadHttp(400, "both a length and a transfer encoding")
    connection = headers.get("connection", "").lower()
    keep_alive = "close" not in connection if version == "HTTP/1.1" else "keep-alive" in connection
    path, _, query = target.partition("?")
    return Head(method, unquote(path), dict(parse_qsl(query, keep_blank_values=True)), headers, keep_alive)


class RequestReader:
    """Incremental parser of requests.

    `head()` returns the head of the current request once it is complete; `body()` returns its body once it is complete
    and advances to the next request. Both return None while bytes are missing, and raise `BadHttp`.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: Head | None = None
        self._chunks = bytearray()  # the decoded part of a chunked body

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._buffer += data

    @property
    def buffered(self) -> int:
        """The number of unread bytes."""
        return len(self._buffer)

    def head(self) -> Head | None:
        """Return the head of the current request if it is complete."""
        if self._head is None:
            while self._buffer.startswith(b"\r\n"):  # RFC 9112 2.2: an empty line before a request is ignored
                del self._buffer[:2]
            end = self._buffer.find(b"\r\n\r\n")
            if end > MAX_HEAD or (end < 0 and len(self._buffer) > MAX_HEAD):
                raise BadHttp(431, "the request's head is too large")
            if end < 0:
                return None
            self._head = parse_head(bytes(self._buffer[:end]))
            del self._buffer[: end + 4]
        return self._head

    def body(self) -> bytes | None:
        """Return the body of the current request if it is complete, and advance to the next request."""
        if self._head is None:
            return None
        encoding = self._head.headers.get("transfer-encoding")
        body = self._read_length(self._head) if encoding is None else self._read_chunks(encoding)
        if body is not None:
            self._head = None
        return body

    def _read_length(self, head: Head) -> bytes | None:
        text = head.headers.get("content-length", "0")
        if not (text.isascii() and text.isdigit()):
            raise BadHttp(400, "malformed content-length")
        length = int(text) if len(text) < 20 else MAX_BODY + 1
        if length > MAX_BODY:
            raise BadHttp(413, f"the body is over {MAX_BODY} bytes")
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def _read_chunks(self, encoding: str) -> bytes | None:
        if encoding.lower() != "chunked":
            raise BadHttp(501, "unknown transfer encoding")
        while True:
            line_end = self._buffer.find(b"\r\n")
            if line_end < 0:
                if len(self._buffer) > MAX_HEAD:
                    raise BadHttp(400, "malformed chunk")
                return None
            size_text = bytes(self._buffer[:line_end]).partition(b";")[0].strip()
            try:
                size = int(size_text, 16)
            except ValueError:
                raise BadHttp(400, "malformed chunk size") from None
            if size < 0 or len(self._chunks) + size > MAX_BODY:
                raise BadHttp(413, f"the body is over {MAX_BODY} bytes")
            if size == 0:
                # Trailers are skipped; like the head, they end with an empty line.
                trailers_end = self._buffer.find(b"\r\n\r\n", line_end)
                if trailers_end < 0:
                    return None
                del self._buffer[: trailers_end + 4]
                body, self._chunks = bytes(self._chunks), bytearray()
                return body
            data_end = line_end + 2 + size
            if len(self._buffer) < data_end + 2:
                return None
            if self._buffer[data_end : data_end + 2] != b"\r\n":
                raise BadHttp(400, "malformed chunk")
            self._chunks += self._buffer[line_end + 2 : data_end]
            del self._buffer[: data_end + 2]


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return a status line and headers, including the empty line."""
    lines = [f"HTTP/1.1 {status} {_reason(status)}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked body; nothing for empty data, because an empty chunk ends the body."""
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b""


def plain(status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return an answer framed by its length."""
    if status in (204, 304):  # these never have a body
        return head(status, headers.items())
    return head(status, [*headers.items(), ("content-length", str(len(body)))]) + body
