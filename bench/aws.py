"""The embedded AWS of the function alone, in a process of its own that counts its calls.

Standard input brings one line of JSON: `tables`, parameters of CreateTable, and `secrets`, values by name. Its endpoint
is its first line of output. `GET /counts` answers the number of calls per operation since the start and the seconds
spent on all of them; `GET /spans` answers the start and end of each call since it was last requested, by
`time.perf_counter`, which is one clock for all processes. It ends when its standard input does.
"""

import asyncio
import json
import sys
from collections import Counter, deque
from functools import partial

from local.aws_connection import AwsConnection
from local.dynamodb.database import Database
from local.dynamodb.operations import DynamoDB
from local.secrets_manager import SecretsManager

__all__ = ["main"]


class _Counts:
    def __init__(self) -> None:
        self._operations: Counter[str] = Counter()
        self._seconds = 0.0
        self._spans: deque[tuple[float, float]] = deque(maxlen=100_000)

    def record(self, operation: str, began: float, ended: float) -> None:
        self._operations[operation or "unknown"] += 1
        self._seconds += ended - began
        self._spans.append((began, ended))

    def call(self, path: str) -> bytes | None:
        """Return the answer to a GET; None for any other path."""
        if path == "/counts":
            return json.dumps({"operations": self._operations, "seconds": self._seconds}).encode()
        if path == "/spans":
            spans = json.dumps(list(self._spans)).encode()
            self._spans.clear()
            return spans
        return None


async def _serve() -> None:
    config = json.loads(sys.stdin.readline())
    database = Database(":memory:")
    for create in config["tables"]:
        database.create(create)
    secrets = SecretsManager({name: json.dumps(values) for name, values in config["secrets"].items()})
    counts = _Counts()
    loop = asyncio.get_running_loop()
    connection = partial(AwsConnection, "/", DynamoDB(database), secrets, counts.record, counts.call)
    server = await loop.create_server(connection, "127.0.0.1", 0)
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
