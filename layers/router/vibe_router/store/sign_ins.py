"""Failures to sign in, as the whole fleet counts them: items of the LedgerTable.

    id                  attributes
    sign-in#<address>   count, last, expires_at (when they are forgotten)
    sign-in#*           the same for all addresses together

A try is counted before the password is looked at, under the condition that nobody has counted meanwhile: a thousand
tries at once are one try, and the rest wait. Whoever then turns out to be right has it forgotten.
"""

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from vibe_router.access.sign_ins import ADDRESS, ALL_ADDRESSES, Failures, SignInThrottle, add_failure, wait_seconds
from vibe_router.core.clock import Clock
from vibe_router.core.rows import CorruptRowError, read_int, read_time
from vibe_router.store.circuit_breaker import error_code
from vibe_router.store.dynamodb import from_item, to_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["SignInStore"]

_ALL = "*"
_TRIES = 3  # to count over all addresses, where others count at the same time; one more or less does not matter


class SignInStore:
    """Counts tries. Raises botocore's errors: without the counts nobody is let in."""

    def __init__(self, client: "DynamoDBClient", table: str, clock: Clock) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    def begin(self, address: str) -> float:
        """Count a try from `address`, and return 0; or the seconds that it has to wait instead."""
        now = self._clock.now()
        own = self._read(address)
        if pause := max(wait_seconds(self._read(_ALL), ALL_ADDRESSES, now), wait_seconds(own, ADDRESS, now)):
            return pause
        return 0.0 if self._count(address, own, ADDRESS, now) else 1.0  # another try from there is under way

    def failed(self) -> None:
        """Count a failure from whatever address."""
        for _ in range(_TRIES):
            if self._count(_ALL, self._read(_ALL), ALL_ADDRESSES, self._clock.now()):
                break

    def succeeded(self, address: str) -> None:
        """Forget what was counted from `address`."""
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

    def _count(self, address: str, seen: Failures, patience: SignInThrottle, now: float) -> bool:
        """Write one more than was `seen`, unless somebody else has written; says whether it was done."""
        after = add_failure(seen, patience, now)
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
    return f"sign-in#{address}"
