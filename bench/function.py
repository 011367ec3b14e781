"""The function alone: the real runtime and handler in one process, with a Runtime API in this one.

The Runtime API here is one thread on blocking sockets that does one thing at a time, so that what is measured is the
function and not its host. https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import json
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import psutil

from local.launch import launch_of

from .checkout import Checkout
from .figures import Memory
from .targets import Answer, BrokenError
from .wire import PATIENCE, Message, WireError, read_message

__all__ = ["FunctionTarget"]

_START_PATIENCE = 30.0
_ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
_TRACE = "Root=1-68a0b1c2-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=0"


class FunctionTarget:
    """One environment of a checkout's function under `python`, to be used in a `with`; inside, it waits for an event.

    `aws` is the endpoint and the process id of its AWS. `ready_after`: seconds from the process's start to its first
    `next`. `log` is the file that it logs to.
    """

    def __init__(self, checkout: Checkout, python: Path, aws: tuple[str, int], key: str, log: Path) -> None:
        self.name = checkout.name("function")
        self._checkout = checkout
        self._python = python
        self._aws_endpoint, self._aws_pid = aws
        self._key = key
        self.log = log
        self._connection: socket.socket | None = None

    def __enter__(self) -> Self:
        launch = launch_of(self._checkout.gateway, self._aws_endpoint, {})
        wrapper, _, bootstrap = launch.command
        self._arn = launch.function_arn
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.1)
        given = self._checkout.variables(self._aws_endpoint)
        given["AWS_LAMBDA_RUNTIME_API"] = f"127.0.0.1:{self._listener.getsockname()[1]}"
        with self.log.open("ab") as log:
            self.started_at = time.perf_counter()
            self._process = subprocess.Popen(
                (wrapper, str(self._python), bootstrap),
                env=given,
                cwd=launch.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._await_next()
        except BaseException:
            self.__exit__()
            raise
        self.ready_after = time.perf_counter() - self.started_at
        self._psutil = psutil.Process(self._process.pid)
        return self

    def __exit__(self, *_: object) -> None:
        """Kill the environment, as Lambda does."""
        self._process.kill()
        self._process.wait()
        if self._connection is not None:
            self._connection.close()
        self._listener.close()

    def prepare(self, body: Mapping[str, Any], key: str | None = None) -> bytes:
        """Return API Gateway's event for the request, with the master key or the given one."""
        return json.dumps(proxy_event(body, key or self._key), ensure_ascii=False).encode()

    def exchange(self, prepared: bytes, answered: Callable[[], None] | None = None) -> Answer:
        """Hand the function an event and wait until it asks for the next one.

        `answered` is called when the answer is complete, before the function gets to know that it has been taken: what
        it does after its answers it has not begun by then.
        """
        request_id = str(uuid.uuid4())
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            f"Lambda-Runtime-Aws-Request-Id: {request_id}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {int((time.time() + 900) * 1000)}\r\n"
            f"Lambda-Runtime-Invoked-Function-Arn: {self._arn}\r\n"
            f"Lambda-Runtime-Trace-Id: {_TRACE}\r\n"
            f"Content-Length: {len(prepared)}\r\n\r\n"
        )
        event = head.encode() + prepared
        try:
            began = time.perf_counter()
            self._connected().sendall(event)
            message = self._read()
            if answered:
                answered()
            self._connected().sendall(_ACCEPTED)
            self._await_next()
            settled = time.perf_counter() - message.ended_at
        except (OSError, WireError) as error:
            raise self._broken(str(error)) from error
        if not message.start_line.endswith(f"/invocation/{request_id}/response HTTP/1.1"):
            raise self._broken(f"it sent {message.start_line}: {message.body()[:300]!r}")
        prelude, _, body = message.body().partition(bytes(8))
        first = message.first_token_at - began if message.first_token_at is not None else None
        return Answer(json.loads(prelude)["statusCode"], body, first, message.ended_at - began, settled)

    def processes(self) -> Mapping[str, Sequence[int]]:
        """Return the ids of the function's process and its AWS's."""
        return {"function": [self._process.pid], "aws": [self._aws_pid]}

    def memory(self) -> Memory:
        """Return the memory of the process."""
        return Memory.of(self._psutil)

    def _await_next(self) -> None:
        message = self._read()
        if not message.start_line.startswith("GET /2018-06-01/runtime/invocation/next "):
            raise self._broken(f"it sent {message.start_line}: {message.body()[:300]!r}")

    def _read(self) -> Message:
        while True:
            message = read_message(self._connected())
            if message is not None:
                return message
            self._connected().close()
            self._connection = None

    def _connected(self) -> socket.socket:
        """Wait for the runtime's connection and return it."""
        patient_until = time.monotonic() + _START_PATIENCE
        while self._connection is None:
            try:
                self._connection, _ = self._listener.accept()
            except TimeoutError:
                if self._process.poll() is not None:
                    raise self._broken(f"it ended with status {self._process.returncode}") from None
                if time.monotonic() > patient_until:
                    raise self._broken("it never asked for an event") from None
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.settimeout(PATIENCE)
        return self._connection

    def _broken(self, problem: str) -> BrokenError:
        last = self.log.read_bytes()[-1500:].decode("utf-8", "replace") if self.log.exists() else ""
        return BrokenError(f"the function did not answer: {problem}\n{last}".rstrip())


def proxy_event(body: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the v1 proxy event of a chat completion's request, as large as API Gateway's own."""
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/json",
        "Host": "abcdefghij.execute-api.us-east-1.amazonaws.com",
        "User-Agent": "OpenAI/Python 2.0.0",
        "X-Amzn-Trace-Id": _TRACE.partition(";")[0],
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
        "x-stainless-arch": "x64",
        "x-stainless-async": "false",
        "x-stainless-lang": "python",
        "x-stainless-retry-count": "0",
        "x-stainless-runtime": "CPython",
    }
    path = "/v1/chat/completions"
    return {
        "resource": path,
        "path": path,
        "httpMethod": "POST",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abcdefghij",
            "domainName": headers["Host"],
            "domainPrefix": "abcdefghij",
            "extendedRequestId": "JKJaXmPLvHcESHA=",
            "httpMethod": "POST",
            "identity": {"sourceIp": "203.0.113.7", "userAgent": headers["User-Agent"]},
            "path": f"/prod{path}",
            "protocol": "HTTP/1.1",
            "requestId": str(uuid.uuid4()),
            "requestTime": "01/Jan/2026:00:00:00 +0000",
            "requestTimeEpoch": 1_767_225_600_000,
            "resourceId": "123456",
            "resourcePath": path,
            "stage": "prod",
        },
        "body": json.dumps(body, ensure_ascii=False),
        "isBase64Encoded": False,
    }
