"""The embedded AWS of the function alone: moto, which counts what it is asked, in a process of its own.

Standard input brings one line of JSON: `tables`, parameters of CreateTable, and `secrets`, values by name. Its endpoint
is its first line of output; `GET /counts` there answers how often each operation was called since the start, and for
how many seconds moto worked on all of them; `GET /spans` when each call came and was answered since it was last asked,
by `time.perf_counter`, which is one clock for all processes. It ends when its standard input does.
"""

import asyncio
import json
import sys
from collections import Counter, deque
from functools import partial

from local.http11 import Headers
from local.moto_app import Moto, MotoConnection
from local.template import REGION

__all__ = ["main"]


class _Counts:
    def __init__(self) -> None:
        self.operations: Counter[str] = Counter()
        self.seconds = 0.0
        self.spans: deque[tuple[float, float]] = deque(maxlen=100_000)

    def note(self, operation: str, _body: bytes, _status: int, came: float, ended: float) -> None:
        self.operations[operation or "unknown"] += 1
        self.seconds += ended - came
        self.spans.append((came, ended))

    def told(self) -> bytes:
        return json.dumps({"operations": self.operations, "seconds": self.seconds}).encode()

    def taken(self) -> bytes:
        spans = json.dumps(list(self.spans)).encode()
        self.spans.clear()
        return spans


class _CountingConnection(MotoConnection):
    def __init__(self, moto: Moto, counts: _Counts) -> None:
        super().__init__(moto, "/", counts.note)
        self._counts = counts

    def request_ended(self, trailers: Headers) -> None:
        tell = {"/counts": self._counts.told, "/spans": self._counts.taken}.get(self.head[1])
        if tell:
            self.reply(200, [("Content-Type", "application/json")], tell())
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
