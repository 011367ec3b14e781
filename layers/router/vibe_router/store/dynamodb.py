"""DynamoDB: a client that gives up early, and items as plain Python values.

Numbers are int or float and never Decimal: nothing here needs more than the 15 digits that a float keeps.
"""

import base64
import math
import secrets
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from vibe_router.core.clock import Clock
from vibe_router.store.aws_client import AwsApi, AwsClient, Bounds, Service

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

__all__ = ["DYNAMODB", "RETRY_PAUSE", "DynamoDB", "Item", "Value", "dynamodb_client", "from_item", "to_item"]

RETRY_PAUSE = 0.05  # seconds at most, before the second try of a call
DYNAMODB = Service("dynamodb", "DynamoDB_20120810", "1.0", "DYNAMODB")

Value = str | int | float | bool | None | Sequence["Value"] | Mapping[str, "Value"]
Item = dict[str, "AttributeValueTypeDef"]


class DynamoDB:
    """Calls DynamoDB through `api`. Parameters and results are those of boto3's client, with binary as base64.

    Methods raise AwsError.
    """

    def __init__(self, api: AwsApi) -> None:
        self.api = api

    def close(self) -> None:
        """Close the connections."""
        self.api.close()

    def get_item(self, **parameters: Any) -> dict[str, Any]:
        """Read an item: GetItem."""
        return self.api.call("GetItem", parameters)

    def batch_get_item(self, **parameters: Any) -> dict[str, Any]:
        """Read items of several tables: BatchGetItem."""
        return self.api.call("BatchGetItem", parameters)

    def put_item(self, **parameters: Any) -> dict[str, Any]:
        """Write an item: PutItem."""
        return self.api.call("PutItem", parameters)

    def update_item(self, **parameters: Any) -> dict[str, Any]:
        """Update an item: UpdateItem."""
        return self.api.call("UpdateItem", parameters)

    def delete_item(self, **parameters: Any) -> dict[str, Any]:
        """Delete an item: DeleteItem."""
        return self.api.call("DeleteItem", parameters)

    def transact_write_items(self, **parameters: Any) -> dict[str, Any]:
        """Write all of several items, or none: TransactWriteItems."""
        # DynamoDB executes a transaction once per token, even if its response is lost and it is sent again.
        return self.api.call("TransactWriteItems", {"ClientRequestToken": secrets.token_hex(16), **parameters})

    def query(self, **parameters: Any) -> dict[str, Any]:
        """Read one page of a partition: Query."""
        return self.api.call("Query", parameters)

    def scan(self, **parameters: Any) -> dict[str, Any]:
        """Read one page of a table: Scan."""
        return self.api.call("Scan", parameters)

    def pages(self, operation: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Yield every page of a Query or Scan."""
        while True:
            page = self.api.call(operation, parameters)
            yield page
            if not (last := page.get("LastEvaluatedKey")):
                return
            parameters["ExclusiveStartKey"] = last


def dynamodb_client(clock: Clock | None = None, tls: Callable[[], ssl.SSLContext] | None = None) -> DynamoDB:
    """Return a client whose calls take 2 s at most while DynamoDB is silent; an ordinary call takes milliseconds.

    A call is tried again at once if its connection had died while the environment was frozen, or after a 5xx or
    throttling; never after a timeout, for which its caller has waited long enough.
    """
    bounds = Bounds(connect=1.0, read=2.0, tries=2, pause=RETRY_PAUSE)
    return DynamoDB(AwsClient(DYNAMODB, clock or Clock(), tls=tls, bounds=bounds))


def to_item(values: Mapping[str, Value]) -> Item:
    """Convert `values` to DynamoDB's form. Raises ValueError for NaN, infinity and lone surrogates."""
    return {name: _to_attribute(value) for name, value in values.items()}


def from_item(item: Mapping[str, "AttributeValueTypeDef"], *, binary: bool = False) -> dict[str, Any]:
    """Convert an item to plain JSON values: sets become sorted lists, binary becomes base64 text.

    With `binary`, binary attributes become bytes.
    """
    return {
        name: base64.b64decode(attribute["B"]) if binary and "B" in attribute else _from_attribute(attribute)
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
            return value
        case "BS":
            return sorted(value)
        case _:  # S and BOOL
            return value


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)
