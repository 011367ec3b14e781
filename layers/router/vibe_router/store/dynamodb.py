"""DynamoDB: a client that gives up early, and items as plain Python values.

Numbers are int or float and never Decimal: nothing here needs more than the 15 digits that a float keeps.
"""

import base64
import math
import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from botocore.config import Config
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

from vibe_router.store.aws import session
from vibe_router.store.aws_client import AwsClient, Service

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

__all__ = ["DYNAMODB", "THROTTLED", "DynamoDB", "Item", "Value", "dynamodb_client", "from_item", "to_item"]

DYNAMODB = Service("dynamodb", "DynamoDB_20120810", "1.0", "DYNAMODB")
THROTTLED = frozenset({"ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded"})
_MAX_WAIT = 0.05  # seconds, before the second try of a call

Value = str | int | float | bool | None | Sequence["Value"] | Mapping[str, "Value"]
Item = dict[str, "AttributeValueTypeDef"]


class DynamoDB(AwsClient):
    """Calls DynamoDB. Parameters and results are those of boto3's client, with binary as base64.

    Methods raise AwsError.
    """

    def get_item(self, **parameters: Any) -> dict[str, Any]:
        """Read an item: GetItem."""
        return self.call("GetItem", parameters)

    def batch_get_item(self, **parameters: Any) -> dict[str, Any]:
        """Read items of several tables: BatchGetItem."""
        return self.call("BatchGetItem", parameters)

    def put_item(self, **parameters: Any) -> dict[str, Any]:
        """Write an item: PutItem."""
        return self.call("PutItem", parameters)

    def update_item(self, **parameters: Any) -> dict[str, Any]:
        """Update an item: UpdateItem."""
        return self.call("UpdateItem", parameters)

    def delete_item(self, **parameters: Any) -> dict[str, Any]:
        """Delete an item: DeleteItem."""
        return self.call("DeleteItem", parameters)

    def transact_write_items(self, **parameters: Any) -> dict[str, Any]:
        """Write all of several items, or none: TransactWriteItems."""
        # DynamoDB executes a transaction once per token, even if its answer is lost and it is sent again.
        return self.call("TransactWriteItems", {"ClientRequestToken": str(uuid.uuid4()), **parameters})

    def query(self, **parameters: Any) -> dict[str, Any]:
        """Read one page of a partition: Query."""
        return self.call("Query", parameters)

    def scan(self, **parameters: Any) -> dict[str, Any]:
        """Read one page of a table: Scan."""
        return self.call("Scan", parameters)

    def pages(self, operation: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Yield every page of a Query or Scan."""
        while True:
            page = self.call(operation, parameters)
            yield page
            if not (last := page.get("LastEvaluatedKey")):
                return
            parameters["ExclusiveStartKey"] = last


def dynamodb_client() -> "DynamoDBClient":
    """Return a client whose calls take 2 s at most while DynamoDB is silent; an ordinary call takes milliseconds.

    A call is tried again at once if its connection had died while the environment was frozen, or after a 5xx or
    throttling; never after a timeout, for which its caller has waited long enough.
    """
    bounds = Config(
        connect_timeout=1,
        read_timeout=2,
        retries={"total_max_attempts": 2, "mode": "legacy"},
        tcp_keepalive=True,
        # A fifth of a call's processor time goes into validating parameters and composing the default user agent.
        parameter_validation=False,
        user_agent="vibe-router",
    )
    client = session().client("dynamodb", config=bounds)
    client.meta.events.unregister("needs-retry.dynamodb", unique_id="retry-config-dynamodb")
    client.meta.events.register("needs-retry.dynamodb", _retry_delay)  # type: ignore[arg-type] # its stub returns None
    return client


def _retry_delay(response: Any, attempts: int, caught_exception: Exception | None, **_: object) -> float | None:
    """Return the seconds before the second try of a call, None for no such try."""
    if attempts > 1 or isinstance(caught_exception, ConnectTimeoutError | ReadTimeoutError):
        return None
    if caught_exception is None:
        http, parsed = response
        code = parsed.get("Error", {}).get("Code", "")
        if http.status_code < 500 and code not in THROTTLED:
            return None
    return random.random() * _MAX_WAIT  # noqa: S311 - jitter


def to_item(values: Mapping[str, Value]) -> Item:
    """Convert `values` to DynamoDB's form. Raises ValueError for NaN, infinity and lone surrogates."""
    return {name: _to_attribute(value) for name, value in values.items()}


def from_item(item: Mapping[str, "AttributeValueTypeDef"], *, binary: bool = False) -> dict[str, Any]:
    """Convert an item to plain JSON values: sets become sorted lists, binary becomes base64 text.

    With `binary`, binary attributes become bytes.
    """
    return {
        name: attribute["B"] if binary and "B" in attribute else _from_attribute(attribute)
        for name, attribute in item.items()
    }


def _to_attribute(value: Value) -> "AttributeValueTypeDef":
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            value.encode()  # raises UnicodeEncodeError, a ValueError, for a lone surrogate
            return {"S": value}
        case int():
            return {"N": str(value)}
        case float():
            if not math.isfinite(value):
                raise ValueError(f"DynamoDB has no number {value}")
            return {"N": repr(value)}
        case Mapping():
            return {"M": to_item(value)}
        case _:
            return {"L": [_to_attribute(item) for item in value]}


def _from_attribute(attribute: "AttributeValueTypeDef") -> object:
    kind, value = cast("tuple[str, Any]", next(iter(attribute.items())))
    match kind:
        case "N":
            return _number(value)
        case "M":
            return from_item(value)
        case "L":
            return [_from_attribute(item) for item in value]
        case "NULL":
            return None
        case "NS":
            return sorted(_number(number) for number in value)
        case "SS":
            return sorted(value)
        case "B":
            return base64.b64encode(value).decode()
        case "BS":
            return sorted(base64.b64encode(each).decode() for each in value)
        case _:  # S and BOOL
            return value


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)
