"""One client connection of the embedded AWS: AWS's JSON protocol over HTTP/1.1, and objects of S3."""

import asyncio
import json
import time
import traceback
from collections.abc import Callable, Mapping
from hmac import compare_digest
from typing import Any, Protocol, cast

from .dynamodb.operations import DynamoDBError
from .http11 import RECEIVE_SECONDS
from .object_store import ObjectStore
from .secrets_manager import SecretsManagerError
from .standin.wire import BadHttp, RequestReader, plain

__all__ = ["AwsConnection", "Service"]

_JSON = {"content-type": "application/x-amz-json-1.0"}


class Service(Protocol):
    """An AWS service."""

    def call(self, operation: str, parameters: Any) -> Mapping[str, Any]:
        """Run an operation."""


class AwsConnection(asyncio.Protocol):
    """Operations run one at a time, in the order of their arrival, and are answered at once.

    `path` is the only path that is served. `done` is called after each operation with X-Amz-Target and the times of its
    arrival and its answer, by `time.perf_counter`. `answer_get` returns the body of a GET request's answer, if any.
    """

    def __init__(
        self,
        path: str,
        dynamodb: Service,
        secrets: Service,
        done: Callable[[str, float, float], None] | None = None,
        answer_get: Callable[[str], bytes | None] = lambda _: None,
        objects: ObjectStore | None = None,
    ) -> None:
        self._path = path
        self._services: Mapping[str, Service] = {"DynamoDB_20120810": dynamodb, "secretsmanager": secrets}
        self._done = done
        self._answer_get = answer_get
        self._objects = objects
        self._reader = RequestReader()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio calls it
        """Cancel the timer."""
        self._cancel_timer()
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answer every complete request; the rest of an incomplete one must arrive within the timeout."""
        self._cancel_timer()
        self._reader.feed(data)
        transport = self._transport
        if transport is None:
            return
        try:
            while (head := self._reader.head()) is not None and (body := self._reader.body()) is not None:
                if head.method == "GET" and (found := self._answer_get(head.path)) is not None:
                    transport.write(plain(200, _JSON, found))
                    continue
                if self._objects and head.method in ("PUT", "GET"):
                    transport.write(self._answer_object(self._objects, head.method, head.path, body))
                    continue
                target, began = head.headers.get("x-amz-target", ""), time.perf_counter()
                transport.write(self._answer(head.path, target, body))
                if self._done is not None:
                    self._done(target, began, time.perf_counter())
                if not head.keep_alive:
                    transport.close()
        except BadHttp as error:
            transport.write(plain(error.status, {**_JSON, "connection": "close"}, _error("BadRequest", str(error))))
            transport.close()
            return
        if self._reader.buffered or self._reader.head() is not None:
            self._timer = asyncio.get_running_loop().call_later(RECEIVE_SECONDS, transport.abort)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _answer_object(self, objects: ObjectStore, method: str, path: str, body: bytes) -> bytes:
        root, slash, name = path[1:].partition("/")
        if not slash or not compare_digest(f"/{root}".encode(), self._path.encode()):
            return plain(403, _JSON, _error("AccessDenied", "Use the endpoint in local.json."))
        if method == "PUT":
            return plain(200 if objects.put(name, body) else 400, _JSON, b"")
        found = objects.get(name)
        return (
            plain(404, _JSON, b"<Error><Code>NoSuchKey</Code></Error>") if found is None else plain(200, _JSON, found)
        )

    def _answer(self, path: str, target: str, body: bytes) -> bytes:
        if not compare_digest(path.encode(), self._path.encode()):
            return plain(403, _JSON, _error("AccessDeniedException", "Use the endpoint in local.json."))
        name, _, operation = target.partition(".")
        service = self._services.get(name)
        if service is None:
            return plain(400, _JSON, _error("UnknownOperationException", f"There is no service {name[:100]!r}."))
        try:
            result = service.call(operation, json.loads(body))
        except DynamoDBError as error:
            return plain(400, _JSON, _error(error.code, error.message, **error.fields))
        except SecretsManagerError as error:
            return plain(400, _JSON, _error(error.code, error.message))
        except (ValueError, RecursionError):
            return plain(400, _JSON, _error("SerializationException", "The body is not valid JSON."))
        except Exception:  # noqa: BLE001 - a bug is answered as AWS's own error, and its traceback printed
            traceback.print_exc()
            return plain(500, _JSON, _error("InternalServerError", "See the output of make start."))
        return plain(200, _JSON, json.dumps(result, separators=(",", ":")).encode())


def _error(code: str, message: str, **fields: Any) -> bytes:
    return json.dumps({"__type": code, "message": message, **fields}).encode()
