"""The embedded AWS as a program: DynamoDB, Secrets Manager and objects of S3 on an inherited socket.

Standard input delivers one line of JSON (`ServerConfig`) and stays open: when it closes, the program ends. One line of
JSON (`StartReport`) on standard output reports that requests are served. One thread runs all operations in turn, so
each of them is atomic.
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

from .aws_connection import AwsConnection
from .aws_protocol import ServerConfig, StartReport, StreamReader
from .dynamodb.operations import DynamoDB
from .object_store import ObjectStore
from .secrets_manager import SecretsManager
from .streams import read_stream
from .tables import open_database

__all__ = ["main"]


async def _serve(config: ServerConfig) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_reader(0, _end_with_input, stop)
    report = StartReport()
    database = open_database(Path(config.data_dir), [create for create, _ in config.tables], report)
    for each in config.readers:
        database.record_changes(each["table"])
    secrets = SecretsManager({name: json.dumps(values) for name, values in config.secrets.items()})
    dynamodb = DynamoDB(database)
    for create, attribute in config.tables:
        if attribute:
            specification = {"Enabled": True, "AttributeName": attribute}
            dynamodb.call("UpdateTimeToLive", {**create, "TimeToLiveSpecification": specification})
    objects = ObjectStore(Path(config.data_dir) / "s3")
    connection = partial(AwsConnection, f"/{config.token}", dynamodb, secrets, objects=objects)
    server = await loop.create_server(connection, sock=socket.socket(fileno=config.descriptor))
    print(json.dumps(asdict(report)), flush=True)
    dynamodb.delete_expired()
    readers = [asyncio.create_task(read_stream(database, StreamReader(**each))) for each in config.readers]
    await stop.wait()
    for reader in readers:
        reader.cancel()
    server.close()
    database.close()


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
