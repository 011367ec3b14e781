"""Send the writes that a caller waits for to DynamoDB without boto3's client.

Items are in DynamoDB's form already, so it only signs, sends and reads the answer. `make bench ARGS="--only keys"`
measures what a reservation adds to a call. Errors are botocore's, as boto3's client raises them.
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

CONNECT_SECONDS, READ_SECONDS = 1.0, 2.0  # the same as in `store.dynamodb`
_TRIES = 2
_WAIT_SECONDS = 0.05  # at most, before the second try


class Writes(Protocol):
    """The write methods of boto3's client. They raise botocore's errors."""

    def update_item(self, **parameters: Any) -> Any:
        """Update an item."""

    def transact_write_items(self, **parameters: Any) -> Any:
        """Write all of several items, or none."""


class DirectWrites:
    """Sends writes to the endpoint of `client` on a persistent connection, which is opened on first use.

    `tls` verifies the endpoint's certificate; by default with the machine's own authorities.
    """

    def __init__(self, client: "DynamoDBClient", clock: Clock, tls: ssl.SSLContext | None = None) -> None:
        self._url = client.meta.endpoint_url
        self._region = client.meta.region_name
        self._clock = clock
        self._tls = tls
        self._connection: Connection | None = None

    def update_item(self, **parameters: Any) -> dict[str, Any]:
        """Update an item: UpdateItem, with the parameters that boto3 takes."""
        return self._send("UpdateItem", parameters)

    def transact_write_items(self, **parameters: Any) -> dict[str, Any]:
        """Write all of several items, or none: TransactWriteItems, with the parameters that boto3 takes."""
        # DynamoDB executes a transaction once per token, even if its answer is lost and it is sent again.
        return self._send("TransactWriteItems", {"ClientRequestToken": str(uuid.uuid4()), **parameters})

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Send a write, and retry it once after a broken connection, a 5xx or throttling."""
        body = json.dumps(parameters).encode()
        for left in reversed(range(_TRIES)):
            try:
                status, answer = self._send_once(operation, body)
            except (OSError, NoAnswerError) as error:
                self.close()
                if not left or isinstance(error, TimeoutError):  # the caller has waited long enough
                    raise self._connection_error(error) from None
            else:
                if status == 200:
                    return answer
                failure = _client_error(operation, status, answer)
                if not left or not (status >= 500 or failure.response["Error"]["Code"] in THROTTLED):
                    raise failure
            self._clock.sleep(self._clock.jitter() * _WAIT_SECONDS)
        raise AssertionError("unreachable")

    def _connection_error(self, error: Exception) -> BotoCoreError:
        """Return the error that boto3's client raises without an answer."""
        match error:
            case TimeoutError():
                return ReadTimeoutError(endpoint_url=self._url, error=error)
            case ConnectionRefusedError():
                return EndpointConnectionError(endpoint_url=self._url, error=error)
        return ConnectionClosedError(endpoint_url=self._url, error=error)

    def _send_once(self, operation: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Send one request. Raises OSError, and NoAnswerError for an answer that is not DynamoDB's."""
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        headers = signed("dynamodb", self._region, self._url, headers, body, self._clock.now())
        answer = self._open_connection().post(headers, body)
        parsed = _parse_body(answer)
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer.status, parsed

    def _open_connection(self) -> Connection:
        """Return a connection that the server has not closed while it was idle."""
        if self._connection is not None:
            if self._connection.is_open:
                return self._connection
            self.close()
        self._connection = Connection(
            self._url, connect_seconds=CONNECT_SECONDS, read_seconds=READ_SECONDS, tls=self._tls
        )
        return self._connection


def _parse_body(answer: Answer) -> dict[str, Any]:
    """Parse the JSON object in an answer, and check its CRC-32. Raises NoAnswerError."""
    try:
        parsed = json.loads(answer.body)
        damaged = int(answer.headers.get("x-amz-crc32", "-1")) not in (-1, zlib.crc32(answer.body))
    except ValueError as error:
        raise NoAnswerError("the answer is not JSON") from error
    if damaged or not isinstance(parsed, dict):
        raise NoAnswerError("the answer is corrupt or not a JSON object")
    return parsed


def _client_error(operation: str, status: int, answer: Mapping[str, Any]) -> ClientError:
    """Return the error that boto3's client raises: code and message, and the answer's other members."""
    name = str(answer.get("__type") or status).rpartition("#")[2]
    message = str(answer.get("message") or answer.get("Message") or "")
    more = {key: value for key, value in answer.items() if key not in ("__type", "message", "Message")}
    response = {"Error": {"Code": name, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}, **more}
    return ClientError(cast("Any", response), operation)
