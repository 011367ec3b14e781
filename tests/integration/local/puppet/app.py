"""A function that a test controls: by its path, or over a socket."""

import json
import os
import socket
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

from streaming_runtime import Context, StreamingResponse

if os.environ.get("FAIL_TO_START"):
    raise RuntimeError("cannot start")


def handler(event: dict[str, Any], context: Context) -> object:
    """Answer by the last part of the path."""
    what = event["path"].rpartition("/")[2]
    query = event["queryStringParameters"] or {}
    match what:
        case "event":
            return _json({"event": event, "trace": os.environ.get("_X_AMZN_TRACE_ID")})
        case "environment":
            return _json({"pid": os.getpid(), "variables": dict(os.environ), "cwd": os.getcwd()})  # noqa: PTH109
        case "log":
            print("one line\n  and another", file=sys.stderr)
            sys.stdout.write("without an end")
            sys.stdout.flush()
            return _json({})
        case "binary":
            return StreamingResponse(200, {"Content-Type": "application/octet-stream"}, [bytes(range(256)) * 4])
        case "large":
            return {"statusCode": 200, "body": "x" * int(query["size"])}
        case "prelude":
            return {"statusCode": 200, "headers": {"x-long": "y" * int(query["size"])}, "body": "z"}
        case "status":
            return {"statusCode": int(query["status"]), "headers": {"WWW-Authenticate": "Bearer"}, "body": "b"}
        case "raise":
            raise ValueError("as ordered")
        case "exit":
            os._exit(3)
        case "not-a-result":
            return {"no": "statusCode"}
        case "puppet":
            return _Strings(int(query["port"])).answer(context, settle="settle" in query)
    return {"statusCode": 404, "body": "no such path"}


class _Strings:
    """The connection that a test moves this invocation by, line by line."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._lines: BinaryIO = self._socket.makefile("rb")
        self._tell(f"pid {os.getpid()}")

    def answer(self, context: Context, *, settle: bool) -> object:
        context.after_response(lambda: self._settle(settle))
        order = self._next()
        if order == "begin":
            return StreamingResponse(200, {"Content-Type": "text/event-stream"}, self._body())
        return {"statusCode": 200, "body": order}

    def _body(self) -> Iterator[bytes]:
        while (order := self._next()) != "end":
            match order.split(" "):
                case ["raise"]:
                    raise ValueError("as ordered")
                case ["exit"]:
                    os._exit(3)
                case ["bulk", size]:
                    yield bytes(int(size))
                case _:
                    yield f"{order}\n".encode()
            self._tell("sent")

    def _settle(self, settle: bool) -> None:
        self._tell("answered")
        if settle:
            self._next()
        self._socket.shutdown(socket.SHUT_RDWR)

    def _next(self) -> str:
        return self._lines.readline().decode().removesuffix("\n") or "end"

    def _tell(self, line: str) -> None:
        self._socket.sendall(f"{line}\n".encode())


def _json(content: object) -> dict[str, object]:
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(content)}
