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
from dataclasses import asdict
from functools import partial
from pathlib import Path

from .aws_orders import Orders, Report
from .moto_app import Moto, MotoConnection
from .tables import Tables

__all__ = ["main"]


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

    def answered(operation: str, body: bytes, status: int, _came: float, _ended: float) -> None:
        if status == 200:
            tables.note(operation, body)

    server = await loop.create_server(partial(MotoConnection, moto, answered), sock=listening)
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
