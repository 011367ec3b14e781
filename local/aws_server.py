"""The embedded AWS as a program: moto's DynamoDB and Secrets Manager on an inherited socket.

Standard input delivers one line of JSON (`ServerConfig`) and stays open: when it closes, the tables are saved and the
program ends. One line of JSON (`StartReport`) on standard output reports that requests are served.

One thread answers all requests in turn, because moto's conditional writes are not atomic: the conditions of two
concurrent writes could both be true.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

from .aws_protocol import ServerConfig, StartReport
from .moto_app import Moto, MotoConnection
from .tables import Tables

__all__ = ["main"]


async def _serve(config: ServerConfig) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_reader(0, _end_with_input, stop)
    moto = Moto(config.region)
    tables = Tables(moto.call, Path(config.data_dir) / "tables", loop.call_later)
    report = StartReport()
    for create, ttl_attribute in config.tables:
        if tables.create(create, ttl_attribute, report.set_aside.append):
            report.restored.append(create["TableName"])
    for name, values in config.secrets.items():
        moto.call("secretsmanager", "secretsmanager.CreateSecret", {"Name": name, "SecretString": json.dumps(values)})
    listening = socket.socket(fileno=config.descriptor)

    def answered(operation: str, body: bytes, status: int, _came: float, _ended: float) -> None:
        if status == 200:
            tables.record(operation, body)

    server = await loop.create_server(partial(MotoConnection, moto, f"/{config.token}", answered), sock=listening)
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
    while not line.endswith(b"\n"):  # byte by byte, so that no later input is left in a buffer
        byte = os.read(0, 1)
        if not byte:
            return
        line += byte
    try:
        asyncio.run(_serve(ServerConfig(**json.loads(line))))
    except OSError as error:
        sys.exit(f"The saved tables cannot be read: {error}")


if __name__ == "__main__":
    main()
