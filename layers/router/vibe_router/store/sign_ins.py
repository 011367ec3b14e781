"""Failed attempts to sign in, counted by all environments together: items of the LedgerTable.

    id                  attributes
    sign-in#<address>   count, last, expires_at (when they are forgotten)

An attempt is counted before its password is checked, on the condition that no other was counted concurrently: of a
thousand concurrent attempts one is made, and the others wait. A successful attempt deletes the count.
"""

from vibe_router.access.sign_ins import Failures, add_failure, client_of, wait_seconds
from vibe_router.core.clock import Clock
from vibe_router.core.rows import CorruptRowError, read_int, read_time
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.circuit_breaker import error_code
from vibe_router.store.dynamodb import DynamoDB, from_item, to_item

__all__ = ["SignInStore"]


class SignInStore:
    """Counts attempts. Raises AwsError: without the counts all sign-ins fail."""

    def __init__(self, client: DynamoDB, table: str, clock: Clock) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    def begin(self, address: str) -> float:
        """Count an attempt from `address` and return 0, or return the seconds that it has to wait."""
        now = self._clock.now()
        failures = self._read(address)
        if pause := wait_seconds(failures, now):
            return pause
        return 0.0 if self._count(address, failures, now) else 1.0  # a concurrent attempt was counted

    def succeeded(self, address: str) -> None:
        """Forget the failures of `address`."""
        self._client.delete_item(TableName=self._table, Key=to_item({"id": _id(address)}))

    def _read(self, address: str) -> Failures:
        key = to_item({"id": _id(address)})
        values = from_item(self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item", {}))
        try:
            return Failures(
                read_int(values, "count") or 0, read_time(values, "last") or 0, read_time(values, "expires_at") or 0
            )
        except CorruptRowError:
            return Failures()

    def _count(self, address: str, seen: Failures, now: float) -> bool:
        """Write one more failure than `seen`, unless another attempt did; return whether it was written."""
        after = add_failure(seen, now)
        values = {"count": after.count, "last": after.last, "expires_at": int(after.forgotten_at)}
        try:
            self._client.put_item(
                TableName=self._table,
                Item=to_item({"id": _id(address), **values}),
                ConditionExpression="attribute_not_exists(#last) OR #last = :seen",
                ExpressionAttributeNames={"#last": "last"},
                ExpressionAttributeValues=to_item({":seen": seen.last}),
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            return False
        return True


def _id(address: str) -> str:
    return f"sign-in#{client_of(address)}"
