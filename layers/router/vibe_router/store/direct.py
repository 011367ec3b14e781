"""The writes that a caller waits for, sent to DynamoDB without boto3's client.

Items are written as DynamoDB has them already, so that little is left to do: sign, send, and read the answer. What a
reservation adds to a call is in `make bench ARGS="--only keys"`. Errors are botocore's, so that nobody needs to know
who asked.
"""

import json
import ssl
import uuid
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from vibe_router.core.clock import Clock
from vibe_router.store.aws import signed
from vibe_router.store.connection import Answer, Connection, NoAnswerError
from vibe_router.store.dynamodb import THROTTLED

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["DirectWrites", "Writes"]

CONNECT_SECONDS, READ_SECONDS = 1.0, 2.0  # as store.dynamodb's client has them
_TRIES = 2
_WAIT_SECONDS = 0.05  # at most, before the second try


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
        self._connection: Connection | None = None

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
            except (OSError, NoAnswerError) as error:
                self.close()
                if not left or isinstance(error, TimeoutError):  # its caller has waited long enough
                    raise self._broken(error) from None
            else:
                if status == 200:
                    return answer
                failure = _failure(operation, status, answer)
                if not left or not (status >= 500 or failure.response["Error"]["Code"] in THROTTLED):
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
        """Send one request. Raises OSError, and NoAnswerError for what is no answer of DynamoDB's."""
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        headers = signed("dynamodb", self._region, self._url, headers, body, self._clock.now())
        answer = self._connected().post(headers, body)
        parsed = _parsed(answer)
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer.status, parsed

    def _connected(self) -> Connection:
        """Return a connection that the other side has not closed while it rested."""
        if self._connection is not None:
            if self._connection.open:
                return self._connection
            self.close()
        self._connection = Connection(
            self._url, connect_seconds=CONNECT_SECONDS, read_seconds=READ_SECONDS, tls=self._tls
        )
        return self._connection


def _parsed(answer: Answer) -> dict[str, Any]:
    """Return the object that was answered. Raises NoAnswerError."""
    try:
        parsed = json.loads(answer.body)
        damaged = int(answer.headers.get("x-amz-crc32", "-1")) not in (-1, zlib.crc32(answer.body))
    except ValueError as error:
        raise NoAnswerError("the answer is no JSON") from error
    if damaged or not isinstance(parsed, dict):
        raise NoAnswerError("the answer was damaged on its way, or is no object")
    return parsed


def _failure(operation: str, status: int, answer: Mapping[str, Any]) -> ClientError:
    """Return what boto3's client would raise: its name and message, and beside them what else was told."""
    name = str(answer.get("__type") or status).rpartition("#")[2]
    message = str(answer.get("message") or answer.get("Message") or "")
    more = {key: value for key, value in answer.items() if key not in ("__type", "message", "Message")}
    response = {"Error": {"Code": name, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}, **more}
    return ClientError(cast("Any", response), operation)
