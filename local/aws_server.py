"""The embedded AWS as a program: moto's DynamoDB and Secrets Manager on a socket that is handed down to it.

Standard input brings one line of JSON (`Orders`) and stays open: when it closes, the tables are saved and the program
ends. Standard output gets one line of JSON (`Report`) when requests are answered.

One thread answers all requests, one after the other, because moto's conditional writes are not atomic: two of them at
once can both find their condition true.
"""

import asyncio
import json
import os
import signal
import socket
import traceback
from dataclasses import asdict
from functools import partial
from pathlib import Path

from .aws_orders import Orders, Report
from .http11 import Connection, Headers
from .moto_app import Moto, wsgi_environ
from .tables import Tables

__all__ = ["main"]


_INTERNAL_ERROR = b'{"__type": "InternalServerError", "message": "moto failed; see the output of make start"}'


class _AwsConnection(Connection):
    """A client of the embedded AWS."""

    def __init__(self, moto: Moto, tables: Tables) -> None:
        super().__init__()
        self._moto = moto
        self._tables = tables
        self._head: tuple[str, str, Headers] = ("GET", "/", [])
        self._body = bytearray()

    def request_begun(self, method: str, target: str, headers: Headers) -> None:
        """Keep the head until the body is there."""
        self._head = (method, target, headers)
        self._body.clear()

    def body_received(self, data: bytes) -> None:
        """Collect the body."""
        self._body += data

    def request_ended(self, trailers: Headers) -> None:  # noqa: ARG002 - none are sent
        """Answer; the whole operation is done before anyone else's begins."""
        method, target, headers = self._head
        body = bytes(self._body)
        try:
            status, answered, content = self._moto.respond(wsgi_environ(method, target, headers, body))
        except Exception:  # noqa: BLE001 - what moto does not foresee must not end the connection without an answer
            traceback.print_exc()
            answered, content = [("Content-Type", "application/x-amz-json-1.0")], _INTERNAL_ERROR
            status = 500
        if status == 200:
            self._tables.note(dict(headers).get(b"x-amz-target", b"").decode("latin-1"), body)
        kept = [(name, value) for name, value in answered if name.lower() not in ("content-length", "connection")]
        self.reply(status, kept, content)


async def _serve(orders: Orders) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_reader(0, _end_with_input, stop)
    moto = Moto(orders.region)
    tables = Tables(moto.call, Path(orders.data_dir) / "tables", loop.call_later)
    report = Report()
    for create, ttl_attribute in orders.tables:
        if tables.create(create, ttl_attribute, report.set_aside.append):
            report.restored.append(create["TableName"])
    for name, values in orders.secrets.items():
        moto.call("secretsmanager", "secretsmanager.CreateSecret", {"Name": name, "SecretString": json.dumps(values)})
    listening = socket.socket(fileno=orders.descriptor)
    server = await loop.create_server(partial(_AwsConnection, moto, tables), sock=listening)
    print(json.dumps(asdict(report)), flush=True)
    await stop.wait()
    server.close()
    tables.close()


def _end_with_input(stop: asyncio.Event) -> None:
    if not os.read(0, 65536):
        stop.set()


def main() -> None:
    """Serve until standard input closes."""
    line = bytearray()
    while not line.endswith(b"\n"):  # byte by byte: nothing of what follows may be left in a buffer
        byte = os.read(0, 1)
        if not byte:
            return
        line += byte
    asyncio.run(_serve(Orders(**json.loads(line))))


if __name__ == "__main__":
    main()
