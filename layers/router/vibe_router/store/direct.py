"""The writes that a caller waits for, sent to DynamoDB without boto3's client.

botocore signs them, and nothing else of it is needed: items are written as DynamoDB has them already. What a
reservation adds to a call is in `make bench ARGS="--only keys"`. Errors are botocore's, so that nobody needs to know
who asked.
"""

import http.client
import json
import select
import socket
import ssl
import uuid
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from vibe_router.clock import Clock
from vibe_router.store.aws import signed

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["DirectWrites", "Writes"]

_CONNECT_SECONDS, _READ_SECONDS = 1.0, 2.0  # as store.dynamodb's client has them
_TRIES = 2
_WAIT_SECONDS = 0.05  # at most, before the second try
_THROTTLED = frozenset({"ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded"})


class Writes(Protocol):
    """What boto3's client has of these, too. Raise botocore's errors."""

    def update_item(self, **parameters: Any) -> Any:
        """Update an item."""

    def transact_write_items(self, **parameters: Any) -> Any:
        """Write all of several items, or none."""


class DirectWrites:
    """Sends writes where `client` sends its own, on a connection that is kept. Connects when first asked.

    `tls` is what an https connection is checked by; by default, the machine's own certificates.
    """

    def __init__(self, client: "DynamoDBClient", clock: Clock, tls: ssl.SSLContext | None = None) -> None:
        self._url = client.meta.endpoint_url
        self._region = client.meta.region_name
        self._clock = clock
        self._tls = tls
        self._connection: http.client.HTTPConnection | None = None

    def update_item(self, **parameters: Any) -> dict[str, Any]:
        """Update an item: UpdateItem, with the parameters that boto3 takes."""
        return self._done("UpdateItem", parameters)

    def transact_write_items(self, **parameters: Any) -> dict[str, Any]:
        """Write all of several items, or none: TransactWriteItems, with the parameters that boto3 takes."""
        # DynamoDB carries a transaction out once for each token, also where the answer to it was lost.
        return self._done("TransactWriteItems", {"ClientRequestToken": str(uuid.uuid4()), **parameters})

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _done(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps(parameters).encode()
        for left in reversed(range(_TRIES)):
            try:
                status, answer = self._exchanged(operation, body)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.close()
                if not left:
                    raise self._broken(error) from None
                if isinstance(error, TimeoutError):
                    continue  # that was wait enough
            else:
                if status == 200:
                    return answer
                failure = _failure(operation, status, answer)
                if not left or not (status >= 500 or failure.response["Error"]["Code"] in _THROTTLED):
                    raise failure
            self._clock.sleep(self._clock.jitter() * _WAIT_SECONDS)
        raise AssertionError("unreachable")

    def _broken(self, error: Exception) -> BotoCoreError:
        """Return what boto3's client would raise for no answer."""
        match error:
            case TimeoutError():
                return ReadTimeoutError(endpoint_url=self._url, error=error)
            case ConnectionRefusedError():
                return EndpointConnectionError(endpoint_url=self._url, error=error)
        return ConnectionClosedError(endpoint_url=self._url, error=error)

    def _exchanged(self, operation: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Send one request. Raises OSError, HTTPException and ValueError for what is no answer of DynamoDB's."""
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        headers = signed("dynamodb", self._region, self._url, headers, body)
        connection = self._connected()
        connection.request("POST", urlsplit(self._url).path or "/", body, headers)
        answer = connection.getresponse()
        content = answer.read()
        checksum = answer.headers.get("x-amz-crc32")
        if checksum is not None and int(checksum) != zlib.crc32(content):
            raise ValueError("the answer was damaged on its way")
        parsed = json.loads(content)
        if not isinstance(parsed, dict):
            raise ValueError("the answer is no object")
        return answer.status, parsed

    def _connected(self) -> http.client.HTTPConnection:
        """Return a connection that the other side has not closed while it rested."""
        connection = self._connection
        if connection is not None and connection.sock is not None:
            readable, _, _ = select.select([connection.sock], [], [], 0)
            if not readable:
                return connection
            self.close()
        connection = self._connection = self._new()
        connection.connect()
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.sock.settimeout(_READ_SECONDS)
        return connection

    def _new(self) -> http.client.HTTPConnection:
        url = urlsplit(self._url)
        assert url.hostname is not None  # noqa: S101 - botocore's own URL
        if url.scheme == "https":
            return http.client.HTTPSConnection(url.hostname, url.port, timeout=_CONNECT_SECONDS, context=self._tls)
        return http.client.HTTPConnection(url.hostname, url.port, timeout=_CONNECT_SECONDS)


def _failure(operation: str, status: int, answer: Mapping[str, Any]) -> ClientError:
    """Return what boto3's client would raise: its name and message, and beside them what else was told."""
    name = str(answer.get("__type") or status).rpartition("#")[2]
    message = str(answer.get("message") or answer.get("Message") or "")
    more = {key: value for key, value in answer.items() if key not in ("__type", "message", "Message")}
    response = {"Error": {"Code": name, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}, **more}
    return ClientError(cast("Any", response), operation)
