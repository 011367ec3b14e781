"""A server that plays AWS over a real socket: it answers each request as a script says."""

import json
import socket
import ssl
import threading
import zlib
from contextlib import suppress
from dataclasses import dataclass, field


def answer(status: int = 200, body: object = None, *, checksum: int | None = None) -> bytes:
    """Return an answer as DynamoDB sends it."""
    content = json.dumps(body if body is not None else {}).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\nContent-Type: application/x-amz-json-1.0\r\n"
    return f"{head}x-amz-crc32: {zlib.crc32(content) if checksum is None else checksum}\r\n\r\n".encode() + content


CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"
NOTHING = b""
SILENCE = None


@dataclass
class Peer:
    """A server that gives one scripted answer to each request; bytes of b"" close the connection, None is silence."""

    script: list[bytes | None] = field(default_factory=list)
    requests: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)  # with the connection's number
    close_after: bool = False
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self._listening.getsockname()[1]}"
        self.closed = threading.Event()  # a connection was closed after an answer
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            for number in range(20):
                connection, _ = self._listening.accept()
                if self.tls:
                    try:
                        connection = self.tls.wrap_socket(connection, server_side=True)
                    except ssl.SSLError:  # who asks may not trust it
                        continue
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(number, connection), daemon=True).start()

    def _serve(self, number: int, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection.makefile("rb") as incoming:
            while request := incoming.readline():
                assert request == b"POST / HTTP/1.1\r\n"
                headers = {}
                while (line := incoming.readline().decode().strip()) != "":
                    name, _, value = line.partition(": ")
                    headers[name.lower()] = value
                self.requests.append((number, headers, incoming.read(int(headers["content-length"]))))
                reply = self.script.pop(0)
                if reply is SILENCE:
                    return
                connection.sendall(reply)
                if reply in (CUT, NOTHING) or self.close_after:
                    connection.shutdown(socket.SHUT_RDWR)
                    connection.close()
                    self.closed.set()
                    return

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # or the thread that waits there would take one more
        self._listening.close()
        for connection in self._connections:
            connection.close()
