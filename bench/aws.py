"""The embedded AWS of the function alone: moto, which counts what it is asked, in a process of its own.

Standard input brings one line of JSON: `tables`, parameters of CreateTable, and `secrets`, values by name. Its endpoint
is its first line of output; `GET /counts` there answers how often each operation was called since the start, and for
how many seconds moto worked on all of them. It ends when its standard input does.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from functools import partial

from local.http11 import Connection, Headers
from local.moto_app import Moto, wsgi_environ
from local.template import REGION

__all__ = ["main"]


class _Counts:
    def __init__(self) -> None:
        self.operations: Counter[str] = Counter()
        self.seconds = 0.0

    def told(self) -> bytes:
        return json.dumps({"operations": self.operations, "seconds": self.seconds}).encode()


class _CountingConnection(Connection):
    def __init__(self, moto: Moto, counts: _Counts) -> None:
        super().__init__()
        self._moto = moto
        self._counts = counts
        self._head: tuple[str, str, Headers] = ("GET", "/", [])
        self._body = bytearray()

    def request_begun(self, method: str, target: str, headers: Headers) -> None:
        self._head = (method, target, headers)
        self._body.clear()

    def body_received(self, data: bytes) -> None:
        self._body += data

    def request_ended(self, trailers: Headers) -> None:  # noqa: ARG002 - none are sent
        method, target, headers = self._head
        if target == "/counts":
            self.reply(200, [("Content-Type", "application/json")], self._counts.told())
            return
        began = time.perf_counter()
        status, answered, content = self._moto.respond(wsgi_environ(method, target, headers, bytes(self._body)))
        self._counts.seconds += time.perf_counter() - began
        self._counts.operations[dict(headers).get(b"x-amz-target", b"unknown").decode("latin-1")] += 1
        self.reply(status, [each for each in answered if each[0].lower() not in _OWN], content)


_OWN = ("content-length", "connection")


async def _serve() -> None:
    orders = json.loads(sys.stdin.readline())
    moto = Moto(REGION)
    for create in orders["tables"]:
        moto.call("dynamodb", "DynamoDB_20120810.CreateTable", create)
    for name, values in orders["secrets"].items():
        moto.call("secretsmanager", "secretsmanager.CreateSecret", {"Name": name, "SecretString": json.dumps(values)})
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(_CountingConnection, moto, _Counts()), "127.0.0.1", 0)
    ended = asyncio.Event()
    loop.add_reader(0, ended.set)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await ended.wait()
    server.close()


def main() -> None:
    """Serve until standard input ends."""
    asyncio.run(_serve())


if __name__ == "__main__":
    main()
