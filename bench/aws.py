"""The embedded AWS of the function alone: moto, which counts what it is asked, in a process of its own.

Standard input brings one line of JSON: `tables`, parameters of CreateTable, and `secrets`, values by name. Its endpoint
is its first line of output; `GET /counts` there answers how often each operation was called since the start, and for
how many seconds moto worked on all of them. It ends when its standard input does.
"""

import asyncio
import json
import sys
from collections import Counter
from functools import partial

from local.http11 import Headers
from local.moto_app import Moto, MotoConnection
from local.template import REGION

__all__ = ["main"]


class _Counts:
    def __init__(self) -> None:
        self.operations: Counter[str] = Counter()
        self.seconds = 0.0

    def note(self, operation: str, _body: bytes, _status: int, seconds: float) -> None:
        self.operations[operation or "unknown"] += 1
        self.seconds += seconds

    def told(self) -> bytes:
        return json.dumps({"operations": self.operations, "seconds": self.seconds}).encode()


class _CountingConnection(MotoConnection):
    def __init__(self, moto: Moto, counts: _Counts) -> None:
        super().__init__(moto, counts.note)
        self._counts = counts

    def request_ended(self, trailers: Headers) -> None:
        if self.head[1] == "/counts":
            self.reply(200, [("Content-Type", "application/json")], self._counts.told())
        else:
            super().request_ended(trailers)


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
